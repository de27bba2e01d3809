"""A check of an engine in words, for people, and as one object, for programs."""

from dataclasses import asdict
from typing import Any

from base.console import counted, size_in_words
from restyle.engines.engine import DIFFUSING
from restyle.engines.first_run import FULL, Check, Machine, SmallPicture
from restyle.engines.needs import NeededFile, Stock

SMALL_BYTES = 1_000_000  # files below are counted, not listed: settings, and words of tokenizers
SOURCES = {
    "hub": "as the hub says",
    "folder": "as the folder has them",
    "cache": "as they lie here; {why}",
    "estimate": "not here; an estimate",
    "nothing": "unknown: {why}",
}


def report_lines(check: Check) -> list[str]:
    """Return a check in lines."""
    return [*found_of(check), *verdict_of(check)]


def found_of(check: Check) -> list[str]:
    """Return what was found without painting, in lines."""
    return [f"checking {check.engine}", *needs_of(check), *machine_of(check), *doing_of(check)]


def needs_of(check: Check) -> list[str]:
    """Return which weights are needed, which are here, and what is to be fetched."""
    if not check.stocks:
        return [f"  it needs no weights; {check.said}"]
    lines = ["what it needs"]
    for stock in check.stocks:
        lines += [f"  {stock.need}: {stock.need.name}", *(f"    {line}" for line in stock_in_words(stock))]
    missing = check.to_fetch_bytes
    words = "unknown" if missing is None else size_in_words(missing) if missing else "nothing"
    lines.append(f"  to be fetched in all: {about(check)}{words}")
    if why := next((stock.why for stock in check.stocks if stock.source == "estimate"), ""):
        lines.append(f"  estimates are what the hub's pages listed when this version was written: {why}")
    return lines


def about(check: Check) -> str:
    """Return the word that goes before sizes where some are estimates."""
    return "about " if any(stock.source == "estimate" for stock in check.stocks) else ""


def stock_in_words(stock: Stock) -> list[str]:
    """Return what is known of one thing needed."""
    told = SOURCES[stock.source].format(why=stock.why)
    if not stock.files:
        return [f"which files: {told}"]
    if stock.source == "estimate":
        return [f"about {size_in_words(stock.to_fetch_bytes or 0)}, {told}"]
    whole = summed_words(stock.files)
    if stock.is_here:
        return [f"{counted(len(stock.files), 'file')}, {whole}: all here"]
    missing = [file for file in stock.files if not file.is_here]
    here = f"{size_in_words(stock.here_bytes)} are here" if stock.here_bytes else "nothing is here yet"
    lines = [f"{counted(len(stock.files), 'file')}, {whole} ({told}): {here}"]
    large = [file for file in missing if file.size_bytes is None or file.size_bytes >= SMALL_BYTES]
    lines += [f"  to fetch: {file.path}, {file_size(file)}" for file in large]
    if others := [file for file in missing if file not in large]:
        lines.append(f"  to fetch: {counted(len(others), 'small file')}, {summed_words(others)}")
    return lines


def file_size(file: NeededFile) -> str:
    """Return a file's size in words."""
    return "its size is unknown" if file.size_bytes is None else size_in_words(file.size_bytes)


def summed_words(files: "list[NeededFile] | tuple[NeededFile, ...]") -> str:
    """Return the size of files together, in words."""
    known = size_in_words(sum(file.size_bytes or 0 for file in files))
    return f"more than {known}" if any(file.size_bytes is None for file in files) else known


def machine_of(check: Check) -> list[str]:
    """Return what the machine has, against what the weights take."""
    machine = check.machine
    if machine is None:
        return []
    lines = ["what this machine has", f"  to compute with: {machine.device}, {machine.name}"]
    lines.append(f"  its memory: {free_in_words(machine.free_bytes)}")
    if machine.device != "cpu":
        lines.append(f"  the computer's own memory: {free_in_words(machine.host_free_bytes)}")
    lines.append(f"  weights in it: {weights_in_words(check, machine)}")
    lines.append(f"  disk: {free_in_words(machine.disk_free_bytes)} for {machine.disk_folder}")
    return lines


def weights_in_words(check: Check, machine: Machine) -> str:
    """Return what the weights take, and whether that fits."""
    held = check.device_bytes
    if held is None:
        return f"what they take in {machine.precision} is unknown"
    which = "the largest part takes" if check.offload and machine.device != "cpu" else "they take"
    takes = f"{which} {about(check)}{size_in_words(held)} in {machine.precision}"
    if machine.free_bytes is None:
        return f"{takes}; whether that fits is unknown"
    if held > machine.free_bytes:
        return f"{takes}: too much"
    if held > FULL * machine.free_bytes:
        return f"{takes}: that is tight"
    return f"{takes}: they fit; what painting takes on top is not known before it is tried"


def free_in_words(size_bytes: int | None) -> str:
    """Return what is free, in words."""
    return "how much is free is unknown" if size_bytes is None else f"{size_in_words(size_bytes)} free"


def doing_of(check: Check) -> list[str]:
    """Return the settings that would be taken, and the classes that would paint."""
    settings, lines = check.settings, ["how it would paint"]
    if not check.stocks:
        return [*lines, f"  at a strength of {settings.strength:g}, the longer side {check.longest_px} px at most"]
    if check.family is None:
        return [*lines, "  unknown: what kind of model it is stands in its model_index.json"]
    words = [counted(settings.steps, "step"), f"guidance {settings.guidance:g}"]
    if check.family.plain:
        words.append(f"strengths from {DIFFUSING.lowest:g} to {DIFFUSING.highest:g} are tried")
    lines.append(f"  {', '.join(words)}")
    lines.append(f"  the longer side {check.longest_px} px, both in multiples of {check.multiple_px} px")
    controls = " and ".join(settings.controls)
    lines.append(f"  held to its photo by: {controls or 'nothing but the strength and the judge'}")
    lines.append(f"  classes of diffusers: {', '.join(check.classes)}")
    return lines


def verdict_of(check: Check) -> list[str]:
    """Return whether it works, with reasons and remedies, in lines."""
    lines = ["tried", *look_in_words(check.look)] if check.look else []
    commands = [f"  {command}" for command in check.commands]
    if check.problems:
        lines += ["it would not work:", *(f"  {problem}" for problem in check.problems)]
        return [*lines, *(["commands that fetch what is missing:"] if commands else []), *commands]
    if check.look:
        return [*lines, *(f"  {word}" for word in check.advice), "it works"]
    size = size_in_words(check.to_fetch_bytes) if check.to_fetch_bytes else "what is missing"
    lines += [f"  {word}" for word in check.advice]
    lines.append(f"it would work, once {size} was fetched: the same command with --fetch does so, and paints a photo")
    return [*lines, "or by hand:", *commands]


def look_in_words(look: SmallPicture) -> list[str]:
    """Return what became of the small picture."""
    steps = f" in {counted(look.steps, 'step')}" if look.steps else ""
    taken = "" if look.taken_bytes is None else f"; {size_in_words(look.taken_bytes)} of memory beyond the weights"
    lines = [f"  one photo of {look.width_px} x {look.height_px} px{steps}: {look.seconds:.1f} s{taken}"]
    if not look.problem:
        lines.append("  it is a picture: not black, not of one colour, and changed")
    lines.append(f"  picture: {look.path}" if look.path else "  the picture is not kept: --output FOLDER keeps it")
    return lines


def check_as_json(check: Check) -> dict[str, Any]:
    """Return a check as one object."""
    machine, memory = check.machine, check.memory
    return {
        "engine": check.engine,
        "works": check.works,
        "problems": list(check.problems),
        "advice": list(check.advice),
        "commands": check.commands,
        "weights": [stock_as_json(stock) for stock in check.stocks],
        "to_fetch_bytes": check.to_fetch_bytes,
        "machine": None if machine is None else asdict(machine),
        "memory_bytes": None if memory is None else sum(memory.values()),
        "device_bytes": check.device_bytes,
        "settings": asdict(check.settings) | {"controls": list(check.settings.controls)},
        "strengths": [DIFFUSING.lowest, DIFFUSING.highest] if check.family and check.family.plain else None,
        "longest_px": check.longest_px,
        "multiple_px": check.multiple_px,
        "classes": list(check.classes),
        "look": None if check.look is None else asdict(check.look),
    }


def stock_as_json(stock: Stock) -> dict[str, Any]:
    """Return what is known of something needed; an estimate names no files."""
    files = [] if stock.source == "estimate" else stock.files
    return {
        "name": stock.need.name,
        "what": str(stock.need),
        "source": stock.source,
        "why": stock.why,
        "is_here": stock.is_here,
        "here_bytes": stock.here_bytes,
        "to_fetch_bytes": stock.to_fetch_bytes,
        "files": [
            {"path": file.path, "size_bytes": file.size_bytes, "weights": file.weights, "is_here": file.is_here}
            for file in files
        ],
    }
