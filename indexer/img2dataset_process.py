"""The process that img2dataset downloads in. It ends, with all that it started, when whoever started it does.

Started by its path, with img2dataset's arguments as JSON; on stdin nothing comes but the end.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

MOST_PIXELS = 100_000_000  # of a picture that is decoded, as when photos are added
ENVIRONMENT = {
    "NO_ALBUMENTATIONS_UPDATE": "1",  # it asks for newer versions of itself
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MOST_PIXELS),
    "WANDB_MODE": "disabled",
}


def end_with_parent() -> None:
    """Wait until the other end of stdin is closed, however that comes, and end the whole group."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Download what the arguments say."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    from img2dataset import download

    download(**json.loads(sys.argv[1]))  # noqa: TID251 # nothing of ours is imported here


if __name__ in ("__main__", "__mp_main__"):  # here, and in each process that img2dataset starts
    modules: dict[str, Any] = sys.modules
    modules["torch"] = None  # which one of its packages would import, and nothing here uses: 2 s and 480 MB a process
if __name__ == "__main__":
    main()
