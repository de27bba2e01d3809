"""Whether an engine would work here: what it needs, what the machine has, and one small photo painted with it.

Weights are fetched only where that is asked for. Of the picture nothing is judged but that it is one.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from base.arrays import Pixels
from base.console import shell_word, size_in_words
from base.errors import EngineError, OutputError
from base.files import PhotoFile, atomic_write, make_folder
from base.memory import free_memory_bytes
from base.settings import asset
from embedding.colour import read_pixels, resized
from restyle.engines.engine import WEIGHTLESS, Engine, Family, Job, Settings, family_of
from restyle.engines.loading import first_settings, load_engine, placed, preset_of, refuse_without_packages, weights_of
from restyle.engines.needs import Stock, summed, take_stock
from restyle.palettes import Palette, build_prompt
from restyle.regrade import regrade

SAMPLE, SAMPLE_TAGS = "aliens/samples/images/train/11/1071/travel_website/500824.jpg", ("a king-size bed", "a chair")
LOOK_PX, LOOK_STEPS = 384, 4  # what is painted to see whether it works: small, in few steps
FULL = 0.8  # share of the free memory that weights may take: an estimate of ours, pictures and steps come on top
BLACK, ONE_COLOUR, CHANGE = 8, 2.0, 0.5  # levels of 255: the brightest, the spread, and the mean change from its start
BETWEEN_PX = 8  # of white, between the photo and what became of it
WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
NOT_FETCHED = "nothing is fetched unless --fetch is said"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """What an engine is to be loaded with; see `restyle.engines.loading.load_engine`."""

    engine: str
    device: str = "auto"
    precision: str = "auto"
    preset: str | None = None
    offload: bool = False
    longest_px: int | None = None
    controls: Sequence[str] | None = None
    palette: Palette

    def load(self, longest_px: int | None) -> Engine:
        """Return the engine, for pictures of another size."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return load_engine(said.pop("engine"), **said | {"longest_px": longest_px})


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What there is to compute with. Sizes are None where nobody says; disk_folder: where weights are fetched to."""

    device: str
    name: str
    precision: str
    free_bytes: int | None
    host_free_bytes: int | None
    disk_folder: str
    disk_free_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallPicture:
    """The one small picture.

    taken_bytes: of the device's memory at most, beyond the weights, where it tells. problem: why it is none, or
    nothing. path: "" where it is not kept.
    """

    width_px: int
    height_px: int
    steps: int
    seconds: float
    taken_bytes: int | None
    problem: str
    path: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What was found out about an engine; it prints as a report.

    said: what an engine without weights says of itself. classes: of diffusers, that it paints with. problems: why it
    would not work, each with its remedy. advice: what would be better. look: None where nothing was painted.
    """

    engine: str
    said: str = ""
    stocks: tuple[Stock, ...] = ()
    machine: Machine | None = None
    family: Family | None = None
    settings: Settings
    longest_px: int
    multiple_px: int = 1
    offload: bool = False
    classes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    look: SmallPicture | None = None
    asked: EngineChoice = field(repr=False)

    @property
    def works(self) -> bool:
        """Whether it would work, as far as can be told."""
        return not self.problems

    @property
    def is_here(self) -> bool:
        """Whether all that it needs lies on this machine."""
        return all(stock.is_here for stock in self.stocks)

    @property
    def to_fetch_bytes(self) -> int | None:
        """What is still to be fetched; None if unknown."""
        return summed([stock.to_fetch_bytes for stock in self.stocks])

    @property
    def commands(self) -> list[str]:
        """The commands that fetch by hand what is missing."""
        from restyle.engines.weights import fetch_command, is_local

        missing = [stock.need.name for stock in self.stocks if not stock.is_here]
        return [fetch_command(name) for name in missing if not is_local(name)]

    @property
    def memory(self) -> dict[str, int] | None:
        """What the weights take on the device at its precision, by name and part; None if unknown."""
        if self.machine is None or self.family is None:
            return None
        sizes: dict[str, int] = {}
        for stock in self.stocks:
            parts = stock.memory_bytes(WEIGHT_BYTES[self.machine.precision])
            if parts is None:
                return None
            sizes |= {f"{stock.need.name} {part}".strip(): size for part, size in parts.items()}
        return sizes

    @property
    def device_bytes(self) -> int | None:
        """What of the weights the device holds at a time: all, or with --offload the largest part; None if unknown."""
        if (memory := self.memory) is None or self.machine is None:
            return None
        apart = self.offload and self.machine.device != "cpu"
        return max(memory.values(), default=0) if apart else sum(memory.values())

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        from restyle.engines.check_report import check_as_json

        return check_as_json(self)

    def __str__(self) -> str:
        from restyle.engines.check_report import report_lines

        return "\n".join(report_lines(self))


def check_and_try(
    asked: EngineChoice, *, fetch: bool = False, output: Path | None = None, on_examined: Callable[[Check], None]
) -> Check:
    """Return whether an engine would work, and paint one small photo with it where all that it needs is here.

    Args:
        asked: the engine, and how.
        fetch: fetch what is missing, and paint then.
        output: a folder for the picture; without one it is not kept.
        on_examined: told what was found before anything is fetched or painted.

    Raises:
        EngineError: no such engine, preset, control or device, or packages are missing.
        OutputError: the folder cannot be written.
    """
    folder = None if output is None else made(output)
    check = examined(asked)
    on_examined(check)
    if check.works and (fetch or check.is_here):
        check = tried(check, fetch, folder)
    return check


# What is found without painting.


def examined(asked: EngineChoice) -> Check:
    """Return what can be found out without loading weights. Raises: EngineError: as `check_and_try`."""
    if asked.engine in WEIGHTLESS:
        engine = asked.load(asked.longest_px)
        return Check(
            engine=asked.engine, said=str(engine), settings=engine.settings, longest_px=engine.longest_px, asked=asked
        )
    preset = preset_of(asked.preset)
    weights_of(asked.engine, preset)
    refuse_without_packages()
    machine = machine_for(asked)
    stocks, controls = take_stock(asked.engine, preset, asked.controls)
    saved = stocks[0].saved
    family = None if saved is None else family_of(saved.pipeline)
    plain = family or Family(name="unknown")
    check = Check(
        engine=asked.engine,
        stocks=tuple(stocks),
        machine=machine,
        family=family,
        settings=first_settings(plain, preset, controls),
        longest_px=asked.longest_px or plain.longest_px,
        multiple_px=plain.multiple_px,
        offload=asked.offload,
        classes=() if saved is None else classes_of(saved.pipeline, plain, controls),
        asked=asked,
    )
    lacking, advice = memory_of(check)
    problems = (*absent(check), *too_old_in(check.classes), *lacking)
    return replace(check, problems=problems, advice=() if problems else advice)


def machine_for(asked: EngineChoice) -> Machine:
    """Return what there is to compute with. Raises: EngineError: the device is absent."""
    from huggingface_hub import constants

    from embedding.device import device_name, free_device_bytes

    device, precision = placed(asked.device, asked.precision)
    cache = Path(constants.HF_HUB_CACHE)
    there = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), None)
    return Machine(
        device=device,
        name=device_name(device),
        precision=precision,
        free_bytes=free_device_bytes(device),
        host_free_bytes=free_memory_bytes(),
        disk_folder=str(cache),
        disk_free_bytes=None if there is None else shutil.disk_usage(there).free,
    )


def classes_of(saved_as: str, family: Family, controls: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of diffusers that a model is loaded as and painted with, each once."""
    from restyle.engines.pipelines import classes_for

    return tuple(dict.fromkeys([saved_as, *classes_for(family, controls)]))


def too_old_in(classes: Sequence[str]) -> list[str]:
    """Return what the installed diffusers lacks of classes."""
    from restyle.engines.pipelines import too_old

    return [problem for name in classes if (problem := too_old(name))]


def absent(check: Check) -> list[str]:
    """Return what of the weights cannot be had, or not be fetched to this disk."""
    told = [stock.problem for stock in check.stocks if stock.problem]
    unasked = [stock for stock in check.stocks if not stock.is_here and not stock.problem and stock.why]
    if unasked:
        names = ", ".join(stock.need.name for stock in unasked)
        folder = check.machine.disk_folder if check.machine else ""
        told.append(
            f"{names} {'is' if len(unasked) == 1 else 'are'} not here{' as a whole' * (unasked[0].source == 'cache')}, "
            f"and {unasked[0].why}. Fetch on a machine that has a network, by the commands that "
            f"`aliens restyle --check {shell_word(check.engine)}` tells, and copy its {folder} to the same place here; "
            "or restyle without weights: `--engine regrade`"
        )
    missing, machine = check.to_fetch_bytes, check.machine
    if machine and missing and machine.disk_free_bytes is not None and missing > machine.disk_free_bytes:
        told.append(
            f"{size_in_words(missing)} are to be fetched, and the disk of {machine.disk_folder} has "
            f"{size_in_words(machine.disk_free_bytes)} free: make room, or name a folder on a larger disk by HF_HOME"
        )
    return told


def memory_of(check: Check) -> tuple[list[str], tuple[str, ...]]:
    """Return why the weights do not fit into the memory, and what would be better where they nearly do not."""
    machine, held, memory = check.machine, check.device_bytes, check.memory
    if machine is None or held is None or memory is None or machine.free_bytes is None:
        return [], ()
    whole = sum(memory.values())
    has = f"{machine.device} has {size_in_words(machine.free_bytes)} of memory free"
    if held > machine.free_bytes:
        takes = f"the weights take {size_in_words(held)} in {machine.precision}, and {has}"
        return [f"{takes}: take {', '.join(remedies(check, machine, memory))}"], ()
    if machine.device != "cpu" and machine.host_free_bytes is not None and whole > machine.host_free_bytes:
        return [
            f"the weights pass through the computer's own memory, of which {size_in_words(machine.host_free_bytes)} "
            f"are free, and they take {size_in_words(whole)}: end other programs, or take --engine regrade"
        ], ()
    if held > FULL * machine.free_bytes:
        return [], (
            f"memory is tight, since the weights take {size_in_words(held)} and {has}: if it does not suffice, take "
            f"{', '.join(remedies(check, machine, memory))}",
        )
    return [], ()


def remedies(check: Check, machine: Machine, memory: dict[str, int]) -> list[str]:
    """Return the options that would leave room, by what is known of the weights."""
    room = FULL * (machine.free_bytes or 0)
    whole, largest = sum(memory.values()), max(memory.values(), default=0)
    found = []
    if not check.offload and machine.device != "cpu" and largest <= room:
        found.append(f"--offload (the device holds {size_in_words(largest)} at a time then)")
    if machine.precision == "float32" and whole / 2 <= room:
        found.append(f"--precision bfloat16 ({size_in_words(whole // 2)})")
    if machine.device != "cpu" and whole <= FULL * (machine.host_free_bytes or 0):
        found.append("--device cpu (slow)")
    if len(check.settings.controls) > 1:
        found.append(f"one control alone, --control {check.settings.controls[0]}")
    if check.longest_px > LOOK_PX:
        found.append(f"a smaller --longest-px (it is {check.longest_px})")
    return [*found, "or --engine regrade, which needs none"]


# The one small picture.


def tried(check: Check, fetch: bool, folder: Path | None) -> Check:
    """Return a check with a look, or with why there is none."""
    from restyle.engines.weights import fetching_nothing

    nothing: AbstractContextManager[None] = nullcontext() if fetch else fetching_nothing(NOT_FETCHED)
    try:
        with nothing:
            engine = check.asked.load(min(check.longest_px, LOOK_PX))
            device = check.machine.device if check.machine else "cpu"
            photo, painted, look = paint_sample(engine, check.asked.palette, device)
    except EngineError as error:
        return replace(check, problems=(*check.problems, str(error)))
    if folder is not None:
        look = replace(look, path=str(kept(photo, painted, folder, check.engine)))
    if fetch and check.stocks:
        stocks, _ = take_stock(check.engine, preset_of(check.asked.preset), check.asked.controls)
        check = replace(check, stocks=tuple(stocks))
    return replace(check, look=look, problems=(*check.problems, *([look.problem] if look.problem else [])))


def paint_sample(engine: Engine, palette: Palette, device: str) -> tuple[Pixels, Pixels, SmallPicture]:
    """Return a sample photo, what the engine makes of it in few steps, and whether that is a picture.

    Raises: EngineError: the engine cannot paint; DeviceMemoryError: not with this memory.
    """
    whole = read_pixels(PhotoFile(str(asset(SAMPLE))))
    photo = resized(whole, engine.fit(whole.shape[1], whole.shape[0]))
    start = regrade(photo, palette) if engine.diffuses else photo
    prompt, negative = build_prompt(palette.prompt, SAMPLE_TAGS)
    settings = replace(engine.settings, steps=min(engine.settings.steps, LOOK_STEPS))
    job = Job(original=photo, start=start, prompt=prompt, negative_prompt=negative)
    painted, seconds, taken_bytes = painting(device, lambda: engine.restyle(job, settings))
    look = SmallPicture(
        width_px=painted.shape[1],
        height_px=painted.shape[0],
        steps=settings.steps,
        seconds=round(seconds, 2),
        taken_bytes=taken_bytes,
        problem=why_no_picture(start, painted),
    )
    return photo, painted, look


def painting(device: str, paint: Callable[[], Pixels]) -> tuple[Pixels, float, int | None]:
    """Return a picture, the seconds that it took, and what of a graphics card's memory; None where nobody tells."""
    from embedding.gpu_memory import CudaMemory

    made: list[Pixels] = []
    began, taken_bytes = perf_counter(), None
    if device == "cuda":
        taken_bytes = CudaMemory().taken_bytes(lambda: made.append(paint()))
    else:
        made.append(paint())
    return made[0], perf_counter() - began, taken_bytes


def why_no_picture(start: Pixels, painted: Pixels) -> str:
    """Return why a picture is none, or nothing. Numbers that are none (NaN) become black pixels."""
    if painted.max() < BLACK:
        return (
            "the picture came back black: numbers overflowed, which another --precision mends (float32 at least), or "
            "the model's safety checker took it for something else"
        )
    if painted.std() < ONE_COLOUR:
        return "the picture came back in one colour: the weights do not belong together, or are damaged"
    if float(np.abs(painted.astype(int) - start.astype(int)).mean()) < CHANGE:
        return "the picture came back as it was: the engine changes nothing"
    return ""


def made(folder: Path) -> Path:
    """Return a folder that can be written to, made where it is not there. Raises: OutputError: it cannot be."""
    try:
        make_folder(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder} cannot be written: you may not write there")
    return folder


def kept(photo: Pixels, painted: Pixels, folder: Path, engine: str) -> Path:
    """Write the photo beside what became of it, over nothing that lies there, and return the file's path.

    Raises: OutputError: it cannot be written.
    """
    from PIL import Image

    from base.copy_folder import portable

    stem = f"check-{portable(engine.rstrip('/').rpartition('/')[2])}"
    numbers = ("", *(f"-{number}" for number in range(2, 10_000)))
    path = next(path for number in numbers if not (path := folder / f"{stem}{number}.png").exists())
    between = np.full((photo.shape[0], BETWEEN_PX, 3), 255, np.uint8)
    try:
        with atomic_write(path) as file:
            Image.fromarray(np.concatenate([photo, between, painted], axis=1)).save(file, "PNG")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    return path
