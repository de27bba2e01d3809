"""img2dataset in small: one photo after the other, files as it writes them. Real runs of it take seconds to begin."""

import json
import os
import signal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq


def fetched(address: str) -> tuple[bytes | None, str | None]:
    """Return a photo, or why there is none."""
    try:
        with urlopen(address, timeout=60) as answer:
            data = answer.read()
    except Exception as error:  # as img2dataset does
        return None, str(error)
    return (data, None) if data.startswith(b"\xff\xd8") else (None, "Image decoding error")


def download(url_list: str, output_folder: str, number_sample_per_shard: int, **options: Any) -> None:
    if os.environ.get("STAND_IN_FAILS"):
        raise MemoryError("no memory left")
    if os.environ.get("STAND_IN_KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    rows, size = pq.read_table(url_list).to_pylist(), number_sample_per_shard
    for shard, start in enumerate(range(0, len(rows), size)):
        folder = Path(output_folder, f"{shard:05d}")
        folder.mkdir()
        for number, row in enumerate(rows[start : start + size]):
            data, row["error_message"] = fetched(row["url"])
            row["status"] = "failed_to_download" if data is None else "success"
            if data is not None:
                (folder / f"{number}.jpg").write_bytes(data)
                (folder / f"{number}.json").write_text(json.dumps(row))
        pq.write_table(pa.Table.from_pylist(rows[start : start + size]), f"{folder}.parquet")
        Path(f"{folder}_stats.json").write_text("{}")
