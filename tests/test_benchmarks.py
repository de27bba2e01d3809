"""Every benchmark runs, on next to nothing: whether it works and prints its figures, not what they are."""

import csv
import json
import multiprocessing
import os
import re
import runpy
import shlex
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch

from aliens.library import Library
from embedding.device import cpu_has_int8
from tests.forked import fork_in_place_of_python
from tests.milvus_server import MilvusServer
from tests.page import read_page
from tests.restyle.engines.conftest import Folders
from tests.web.conftest import BROWSERS

ROOT = Path(__file__).parents[1]
OF_OTHERS = {"int8_library", "kept_library", "measuring", "million"}
OF_OTHERS |= {"plain_loop", "records", "segmented", "synthetic"}
APART = {"measured"}  # measures nothing: tests/test_records.py
THEIRS = ROOT / "benchmarks" / "work" / "clip-retrieval-2.45"  # made by benchmarks/against_clip_retrieval.sh
NUMBER = r"[\d.,]+"
NEEDS = {"ray_speed": "ray", "backends": "nncf", "web_paint": "playwright"}  # packages
ON_CPU = r"# photos/s,\s+# ms a photo,\s+# times PyTorch bfloat16,"
TRIED: dict[str, list[str]] = {  # what they print, by what they are started with
    "batch_search --photos 20000 --queries 24 --k 10 --repeats 1": [
        r"^20,000 x 512, k = 10, # threads",
        r"24 queries:\s+# a second, # of FAISS's batch \(# a second\)",
        r"FAISS's scan of float16 takes # times",
        r"of FAISS's best 10, ours are #",
        r"24 queries hold # MB more",
    ],
    "cold_search --tiny": [
        r"^1000 photos, 1 runs",
        r"aliens search TEXT\s+# s: # times",
        r"encode the text\s+#",
        r"scan\s+#",
    ],
    "clip_like --photos FEW": [r"starter\s+made up\s+\(24 photos, # texts\)", r"cosine of two photos, mean\s+#\s+#"],
    "ray_speed --photos 20 --model starter --rounds 1": [
        r"ray\s+20 photos:\s+# s, # s of processors",
        r"ray # s: # times as long .* # times the proc",
    ],
    "backends --model tiny --rounds 1 --calibration 8 --add 10": [
        *(rf"{name}\s+{ON_CPU}\s+# by work" for name in ("PyTorch bfloat16", "OpenVINO float32", "OpenVINO bfloat16")),
        r"aliens add of 10 photos of 350 x 233 px:",
        rf"OpenVINO bfloat16\s+{ON_CPU} # of the encoder alone",
    ],
    "peers --photos 2000 --only 'CV-Aliens, exact'": [r'"recall": #, "qps": #'],
    "peers --photos 2000 --only 'FAISS by hand, Flat'": [r'"recall": #, "qps": #'],
    "web_paint --photos 300 --queries 1": [
        r"1 queries typed",
        r"places of photos +p50 +# ms, p95 +# ms, # frames",
        r"their pictures, # at",
    ],
    "duplicates --rows 2000 --repeats 1": [
        r"random vectors: # of 1,999,000 pairs reach 0.95; ours # ns a pair, FAISS # ns: # times as long, # times by",
        r"as models give: # of",
        r"of 1,124,215 photos, extrapolated: ours # min, FAISS # min",
        r"the second held # MB more than the first",
    ],
    "embed --photos 10 --model starter": [r"all 10: in memory # photos/s, aliens add # photos/s, ratio #"],
    "formats --size 96x64 --rounds 1 --model starter": [
        r"starter: # ",
        *(rf"{name}\s+#\s+#\s+#\s+#" for name in ("JPEG", "HEIC", "AVIF", "JPEG XL")),
    ],
    "model_speed --rounds 1 --model starter": [r"^starter: # photos/s estimated, # measured, ratio # \(# to #\)"],
    "growing --photos 2000 --rows 1000 --batches 20 --runs 1": [
        r"adding one photo, medians of 1 runs in turns\s+240\s+2,000 photos",
        r"more: written \(wchar\)\s+#\s+# kB\s+#",
        r"peak memory of the process\s+#\s+# MB\s+#",
        r"opening library and vectors\s+#\s+# ms\s+#",
        r"one query, times reading\s+#\s+#",
        r"bytes of segments on disk, of 2 d n\s+1\.\d+\s+1\.\d+",
        r"one exact query over 2,000 photos",
        r"as many as may be\s+3 segments\s+# ms, # times reading, # times a single segment",
        r"1,000 vectors in 20 batches",
        r"written as segments, merges included\s+#",
        r"merges\s+2\n",
        r"segments at the end\s+2; at most 10\n",
    ],
    "committer --photos 1000 --steps 2": [
        r"1,000 made-up photos of 512 dimensions, by sqlite",
        r"\n +1,000 +# +# us +# MB +# MB +# kB/row",
        r"CPU a row of the last part, times the first's +#",
        r"one exact query +# ms",
        r"add of one photo, the first in a process +# ms",
    ],
    "hotels50k_tree --photos 50": [
        r"# photos listed, # gone",
        r"that is # times the list read and one bare os.stat a photo \(# s\)",
    ],
    "rescan --photos 20 --times 1": [
        r"Library\.add +# s, +# times find; of a processor",
        r"wrote 1 statement",
        "with hotels by",
    ],
    "vectors_io --photos 2000": [
        r"2000 photos",
        *(rf"export as {name}: # s .*: # of its speed" for name in ("npy", "parquet")),
        r"import of clip-retrieval: # s, # photos/s \(looking for photos # s, reading vectors # s",
    ],
    "restyle_quality --tiny": [
        r"photos; floors: HOG #, edge F1 #",
        "regrade\t",
        "grow\t",
        "fitting takes # times one scoring",
    ],
    "regrading --tiny": [
        r"samples\tfern\t3\t",
        r"samples\temerald\t3\t.*\t#\t#%\t#\t#\t#",
        r"1024 x 728 .* # times that",
    ],
    "search_speed --photos 3000": [
        r"exact, 3,000 x 512 float16 in 3 segments",
        r"one query\s+# ms",
        r"recall@10 over 500 other texts\s+#",
    ],
    "soak --rounds 3 --new 1": [r"3 rounds", r"memory_mb: #", r"descriptors: #", r"files: #", r"disk_mb: #"],
    "stats_speed --photos 3000": [
        r"3,000 photos of # hotels",
        r"library\.stats\(\)\s+# s:\s+# times the bare aggregates",
        r"the page has # MB",
    ],
    "startup --runs 1": [r"aliens --help\s+# s\s+# times bare Python"],
    "tagging --photos 3000": [
        r"3000 photos x 15 tags: tagging # s; bare product by torch # s, ratio #",
        r"csv: 3000 rows x # columns",
        r"parquet: 3000 rows",
    ],
    "web_drafts --photos 3000": [
        r"a draft in hotel \(126 tags\): # s, the first time # s",
        r"the page of all tags of case-study, seen first: # s",
        r"the next photos to label: # s",
    ],
    "text_query --model tiny --runs 1": [
        r"ours in NumPy, 6 tokens\s+# ms",
        r"cosine of NumPy's and PyTorch's vectors: 1\.|0\.99",
    ],
    "web_speed --photos 300 --queries 1 --searchers 3": [
        r"ready after # s",
        r"words +first results p50 +# ms, p95 +# ms, # scans",
        r"counts +p50 +# ms, p95 +# ms, # scans",
        r"3 searchers at once, 9 requests: p50 +# ms, p95 +# ms, # a second",
        r"answered by an error: 0",
        r"private memory # MB, # of the vectors' bytes",
    ],
}
ON_SAMPLES: dict[str, list[str]] = {  # the same, with photos that are embedded already
    "search_quality --photos nowhere": [
        r"=== samples: 240 photos",
        r"without negation\s+#\s+#\s+#",
        r"q - 1.0 n\s+#\s+[+-]#\s+#\n",
        r"suggested stop line\s+#",
        r"against nonsense's best\s+#",
    ],
    "labels --photos nowhere --draws 1 --counts 5": [
        r"=== sample hotels",
        r"0\s+prompts\s+#",
        r"5\s+platt\s+# \[#, #\]\s+# \[#, #\]",
        r"5\s+probe\s+# \[#, #\]\s+# \[#, #\]",
        r"two beds\s+chosen\s+# \[#, #\]\s+# \[#, #\]",
    ],
    "suggestions --photos nowhere --draws 1": [
        r"=== sample hotels",
        r"prompts by 60 labels, judged on other hotels: mAP # before, # after; better of # of 15 tags",
        r"names: # of # fit, # groups without a name",
    ],
    "hotel_table --photos nowhere --chains 1 --million 2000": [
        r"30 hotels x 15 tags, #% of the pairs true",
        r"any e >= 1 \(likely\)\s+#\s+#",
        r"the best photo\s+#",
        r"suggested\s+#",
        r"2000 photos of # hotels x 126 tags: # s",
    ],
    "tag_quality --photos nowhere": [
        r"=== sample hotels",
        r"several prompts a tag\s+#\s+#",
        r"hotel, 71 known tags\s+precision\s+decided\nsignal\s+#\s+#",
        r"logistic regression over all tags: #",
        r"hotel, signal\s+126\s+#\s+#\s+#\s+#\s+#\s+#\s+#",
        r"signal, p >= 0.4 of 2 photos\s+#\s+#",
    ],
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the benchmarks: they work in a folder beside themselves."""
    return Path(
        shutil.copytree(
            ROOT / "benchmarks",
            tmp_path_factory.mktemp("copy") / "benchmarks",
            ignore=shutil.ignore_patterns("work", "__pycache__", "results.jsonl"),
        )
    )


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """A folder of 24 sample photos."""
    folder = tmp_path_factory.mktemp("few")
    for path in sorted(samples.rglob("*.jpg"))[::10]:
        shutil.copy(path, folder)
    return folder


def run_script(script: Path, arguments: list[str], out: Path, err: Path) -> None:
    """Run in a process of its own, as `python SCRIPT` would."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    os.chdir(script.parents[1])
    os.environ["PYTHONPATH"] = str(ROOT)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    warnings.simplefilter("ignore")
    fork_in_place_of_python()
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.stdout.flush()


def figures(bench: Path, name: str, *arguments: object, leaves_record: bool = True) -> str:
    """Run a benchmark, in a process that has imported what takes seconds, and return what it printed.

    It leaves a record of that, unless it is said that it does not.
    """
    results = bench / "results.jsonl"
    before = results.read_text().splitlines() if results.exists() else []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["embedding.open_clip_encoder"])
    out, err = bench.parent / f"{name}.out", bench.parent / f"{name}.err"
    process = context.Process(target=run_script, args=(bench / f"{name}.py", [*map(str, arguments)], out, err))
    process.start()
    process.join()
    assert process.exitcode == 0, err.read_text()[-3000:]
    records = results.read_text().splitlines()[len(before) :] if results.exists() else []
    assert len(records) == leaves_record, err.read_text()[-3000:]
    for record in map(json.loads, records):
        assert record["benchmark"] == name and record["arguments"] == [
            str(argument).replace(str(bench.parent), ".") for argument in arguments
        ]
        assert record["figures"] and all(told["unit"] for told in record["figures"].values())
        assert "\n".join(record["printed"]) == out.read_text().rstrip("\n").replace(str(bench.parent), ".")
    return out.read_text()


def shows(out: str, *patterns: str) -> bool:
    """Tell whether each pattern is there, # standing for a number."""
    absent = [pattern for pattern in patterns if not re.search(pattern.replace("#", NUMBER), out)]
    assert not absent, f"{absent} not in\n{out}"
    return True


def test_every_benchmark_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    known = OF_OTHERS | APART | {typed.split()[0] for typed in (*TRIED, *ON_SAMPLES)}
    for path in (ROOT / "benchmarks").glob("*.py"):
        assert path.stem in known or f'figures(bench, "{path.stem}"' in here, path


@pytest.mark.parametrize("typed", TRIED)
def test_it_runs_and_prints_its_figures(bench: Path, few: Path, typed: str) -> None:
    name, *arguments = shlex.split(typed)
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{NEEDS[name]} is not installed")
    if name == "web_paint" and not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium here: nothing is painted (Debian: apt install chromium)")
    (bench / "work").mkdir(exist_ok=True)
    assert shows(figures(bench, name, *(few if word == "FEW" else word for word in arguments)), *TRIED[typed])
    if name in ("growing", "committer"):
        assert not (bench / "work" / name).exists()


@pytest.mark.parametrize("typed", ON_SAMPLES)
def test_what_searches_and_tags_are_worth(bench: Path, sample_library: Library, typed: str) -> None:
    name, *arguments = typed.split()
    library = {"search_quality": "search-samples", "hotel_table": "hotels-sample"}.get(name, "tags-sample-hotels")
    shutil.copytree(sample_library.path, bench / "work" / library, dirs_exist_ok=True)  # photos are embedded once
    assert shows(figures(bench, name, *arguments), *ON_SAMPLES[typed])


def test_usages_name_options_that_there_are() -> None:
    for path in (ROOT / "benchmarks").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        usages = re.findall(r"^(?:    )?python benchmarks/\S+(.*)", text, re.MULTILINE)
        for option in re.findall(r"--[\w-]+", " ".join(usages)):
            assert f'"{option}"' in text, (path, option)


def test_against_clip_retrieval(bench: Path) -> None:
    precisions = ["bfloat16", "int8"] if cpu_has_int8() else ["bfloat16"]
    asked = [part for precision in precisions for part in ("--precision", precision)]
    out = figures(bench, "against_clip_retrieval", "--photos", 6, "--tiny", *asked)
    assert shows(out, r"^6 photos, load of the machine #")
    for precision in precisions:
        assert shows(out, rf"aliens add, {precision} +# s, +# photos/s; processors +# s")
        assert shows(out, rf"aliens add, {precision}: # times as fast as plain loop, float32")
    assert shows(out, r"plain loop, float32: the least cosine of a photo's vectors .* is (1\.0|0\.99)")
    if (THEIRS / "installed").exists():  # it takes minutes to make
        out = figures(bench, "against_clip_retrieval", "--photos", 4, "--clip-retrieval", THEIRS)
        assert shows(out, r"clip-retrieval, batches of 32\s+# s", r"times as fast as clip-retrieval")


def test_gpu(bench: Path) -> None:
    out = figures(bench, "gpu", "--tiny", "--photos", 20, "--rows", 3000)
    assert shows(
        out,
        r"encoder alone: CPU # photos/s",
        r"batches of +16: +# photos/s",
        r"2 threads +# photos/s",
        r"2 processes +# photos/s",
        r"aliens add: # photos/s of 16, # of the encoder alone",
        r"1 queries on the CPU: +# ms",
    )
    if not torch.cuda.is_available():
        assert "nothing is measured" in figures(bench, "gpu", leaves_record=False)


def test_restyle_gpu(bench: Path, few: Path, tmp_path: Path) -> None:
    """With a tiny model, and one that lacks a part."""
    folders = Folders(tmp_path)
    half = Path(shutil.copytree(folders.sd15, tmp_path / "half"))
    (half / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    engines = ("regrade", folders.turbo, half)
    small = ("--seeds", 0, "--longest-px", 128, "--preset", "turbo", "--device", "cpu")
    out = figures(bench, "restyle_gpu", "--photos", few, "--engines", *engines, "-n", 1, *small)
    work = bench / "work" / "restyle-gpu"
    assert shows(out, r"\nregrade\t3\t#%\t0%\t#", r"/turbo\t3\t#%\t#%\t#")
    assert shows(out, r"/half\tleft out: .*the weights of unet lacking", r"page: .*engines\.html\n")
    page = read_page((work / "engines.html").read_text(encoding="utf-8"))
    assert page.problems == []
    assert len(page.pictures) == 3 * 3 * 2  # photos; as they were and by two engines; on Earth and seen by visitors
    assert all(address.startswith("data:") for _, address in page.pictures)
    assert "half is left out" in page.text and "outlines kept" in page.text
    rows = list(csv.DictReader((work / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["kind"], Path(row["engine"]).name) for row in rows if row["kind"] == "all"] == [
        ("all", "regrade"),
        ("all", "turbo"),
    ]
    assert sum(int(row["photos"]) for row in rows if row["kind"] != "all") == 6
    table = (work / "table.md").read_text(encoding="utf-8")
    assert table.startswith("| engine | photos | recognised |") and "is left out: " in table


def test_milvus_server(bench: Path, milvus_server: MilvusServer) -> None:
    out = figures(bench, "milvus_server", "--photos", 600, "--dim", 16, "--uri", milvus_server.uri)
    assert shows(out, r"600 x 16: sent in # s", r"recall@10 # over 215 texts", r"\n +100.0% +600 +#", r"\n +10.0% +#")


def test_web_scroll(bench: Path, sample_library: Library) -> None:
    pytest.importorskip("playwright", reason="no playwright here")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium here: nothing is scrolled (Debian: apt install chromium)")
    few_results = ("--library", sample_library.path, "--results", 500, "--px", 20_000, "--jumps", 1)
    out = figures(bench, "web_scroll", *few_results)
    assert shows(out, "opening: # frames", "computing as long: #", "1 jumps with rests: # frames", "500 results are #")
