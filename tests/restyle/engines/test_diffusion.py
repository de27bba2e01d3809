import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from base.errors import DeviceMemoryError, EngineError
from embedding.colour import Pixels
from restyle.engines.diffusion import DiffusionEngine
from restyle.engines.engine import Job, Preset, Settings
from restyle.engines.loading import lay_preset, load_engine, saved_as
from restyle.engines.pipelines import schedule_steps
from tests.conftest import raising

PATHS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("sd15", {}),
    "one ControlNet": ("sd15", {"controls": ["softedge={net}"]}),
    "two ControlNets": ("sd15", {"controls": ["softedge={net}", "lines={other_net}"]}),
    "LCM": ("lcm", {"preset": "lcm"}),
    "turbo": ("turbo", {"preset": "turbo"}),
    "SDXL": ("sdxl", {}),
    "SDXL union": ("sdxl", {"controls": ["union={union}", "softedge", "lines"]}),
    "klein": ("klein", {}),
    "another": ("sd3", {}),
}
LOADED: dict[str, DiffusionEngine] = {}


def load(model: str, **options: Any) -> DiffusionEngine:
    engine = load_engine(model, **{"device": "cpu", "precision": "float32", "longest_px": 64, **options})
    assert isinstance(engine, DiffusionEngine)
    return engine


@pytest.fixture
def engine(request: pytest.FixtureRequest, folders: Any) -> DiffusionEngine:
    """The engine of a path, loaded once for all tests."""
    path = request.param
    if path not in LOADED:
        model, options = PATHS[path]
        nets = {name: getattr(folders, name) for name in ("net", "other_net", "union")}
        controls = [entry.format(**nets) for entry in options.get("controls", [])]
        LOADED[path] = load(getattr(folders, model), **options | ({"controls": controls} if controls else {}))
    return LOADED[path]


@pytest.fixture(scope="module", autouse=True)
def forget_engines() -> Iterator[None]:
    yield
    LOADED.clear()


def few(engine: DiffusionEngine, **changes: Any) -> Settings:
    return replace(engine.settings, **{"steps": min(engine.settings.steps, 3), **changes})


def difference(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("engine", PATHS, indirect=True)
def test_seed_start_prompt_and_strength_decide_the_picture(engine: DiffusionEngine, job: Job) -> None:
    first = engine.restyle(job, few(engine))
    assert first.shape == job.start.shape and first.dtype == np.uint8
    assert first.std() > 1
    assert (engine.restyle(job, few(engine)) == first).all()
    assert difference(engine.restyle(job, few(engine, seed=1)), first) > 0.5
    assert difference(engine.restyle(replace(job, start=255 - job.start), few(engine)), first) > 0
    assert (engine.restyle(job, few(engine, strength=0.0)) == job.start).all()
    whole = engine.restyle(job, few(engine, strength=1.0, steps=4))
    assert difference(engine.restyle(job, few(engine, strength=0.2)), whole) > 0
    other = replace(job, prompt="snow and ice at night", negative_prompt="leaves")
    assert (engine.restyle(other, few(engine, strength=1.0, steps=4)) != whole).any()


@pytest.mark.parametrize("engine", PATHS, indirect=True)
def test_results_have_the_job_s_size_and_only_editors_move_the_picture(engine: DiffusionEngine, job: Job) -> None:
    tall = np.resize(job.original, (128, 64, 3))
    assert engine.restyle(replace(job, original=tall, start=tall), few(engine, steps=1)).shape == tall.shape
    assert engine.diffuses and engine.moves_picture == engine.name.endswith("klein")


@pytest.mark.parametrize("engine", ["one ControlNet", "two ControlNets", "SDXL union"], indirect=True)
def test_control_maps_of_the_original_decide_the_picture(engine: DiffusionEngine, job: Job) -> None:
    controlled = engine.restyle(job, few(engine, control_scale=1.0))
    assert difference(engine.restyle(job, few(engine, control_scale=0.0)), controlled) > 0.1
    assert difference(engine.restyle(job, few(engine, control_scale=0.3)), controlled) > 0
    assert difference(engine.restyle(job, few(engine, controls=(), control_scale=1.0)), controlled) > 0.1
    flat = replace(job, original=np.full_like(job.original, 128))
    assert difference(engine.restyle(flat, few(engine, control_scale=1.0)), controlled) > 0


@pytest.mark.parametrize("engine", ["two ControlNets", "SDXL union"], indirect=True)
def test_each_control_counts_and_their_order_too(engine: DiffusionEngine, job: Job) -> None:
    both = engine.restyle(job, few(engine, control_scale=1.0))
    for controls in (("softedge",), ("lines",), ("lines", "softedge")):
        assert difference(engine.restyle(job, few(engine, controls=controls, control_scale=1.0)), both) > 0


@pytest.mark.parametrize("engine", ["SDXL union"], indirect=True)
def test_a_union_takes_the_maps_that_it_was_taught(engine: DiffusionEngine, job: Job) -> None:
    # depth: no estimator here; tile: a "promax" only
    assert engine.controls_available == ("softedge", "lines", "edges")
    three = engine.restyle(job, few(engine, controls=engine.controls_available))
    assert difference(three, engine.restyle(job, few(engine))) > 0
    with pytest.raises(EngineError, match="no ControlNet is known for 'tile'"):
        engine.restyle(job, few(engine, controls=("tile",)))


@pytest.mark.parametrize("engine", ["plain"], indirect=True)
def test_a_control_without_weights_is_refused(engine: DiffusionEngine, job: Job) -> None:
    assert engine.controls_available == ()
    with pytest.raises(EngineError, match=r"no ControlNet is known for 'softedge'.*--control softedge=FOLDER"):
        engine.restyle(job, few(engine, controls=("softedge",)))
    engine.restyle(job, few(engine))


@pytest.mark.parametrize("engine", ["plain", "klein", "another"], indirect=True)
def test_odd_sizes_are_refused_and_never_cropped(engine: DiffusionEngine, job: Job) -> None:
    for shape in ((64, 67, 3), (8, 64, 3), (1, 1, 3)):
        odd = np.zeros(shape, np.uint8)
        with pytest.raises(EngineError, match=r"multiples of .* ask fit\(\)"):
            engine.restyle(replace(job, original=odd, start=odd), few(engine))
    with pytest.raises(EngineError, match="differ in size"):
        engine.restyle(replace(job, original=np.zeros((128, 64, 3), np.uint8)), few(engine))


@pytest.mark.parametrize("engine", ["plain", "klein"], indirect=True)
@pytest.mark.parametrize("size", [(1, 1), (1024, 768), (7_680, 5_120), (10_000, 30), (3, 900), (1023, 769)])
def test_fit_keeps_the_aspect_ratio_of_all_but_panoramas(engine: DiffusionEngine, size: tuple[int, int]) -> None:
    engine = DiffusionEngine(
        engine._identity, engine._pipelines, engine._nets, settings=engine.settings, longest_px=768
    )
    width, height = engine.fit(*size)
    m = engine._multiple_px
    assert width % m == height % m == 0
    assert max(width, height) == 768 and min(width, height) >= 96
    if 1 / 8 <= size[0] / size[1] <= 8:
        assert abs(math.log((width / height) / (size[0] / size[1]))) < m / min(width, height)
    assert engine.fit(width, height) == (width, height)


@given(steps=st.integers(1, 60), strength=st.floats(0.01, 1.0))
def test_the_steps_that_are_asked_for_are_really_run(steps: int, strength: float) -> None:
    asked = schedule_steps(steps, strength)
    assert min(int(asked * strength), asked) == steps


@pytest.mark.parametrize("engine", ["plain", "SDXL union", "klein", "another"], indirect=True)
@pytest.mark.parametrize(("steps", "strength"), [(1, 0.05), (1, 1.0), (3, 0.3), (7, 0.7)])
def test_as_many_steps_are_run(engine: DiffusionEngine, job: Job, steps: int, strength: float) -> None:
    base = engine._pipelines._base
    model = base.unet if hasattr(base, "unet") else base.transformer
    calls: list[int] = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    engine.restyle(job, few(engine, strength=strength, steps=steps))
    hook.remove()
    assert len(calls) == steps


@pytest.mark.parametrize("engine", ["plain", "LCM"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"strength": 1.5}, "strength of 1.5"),
        ({"strength": -0.1}, "strength of -0.1"),
        ({"steps": 0}, "0 steps"),
        ({"steps": 2000}, "cannot paint with"),
        ({"steps": 20, "strength": 0.001}, "cannot paint with"),
    ],
)
def test_settings_that_nothing_can_be_made_with(
    engine: DiffusionEngine, job: Job, changes: dict[str, float], match: str
) -> None:
    with pytest.raises(EngineError, match=match):
        engine.restyle(job, replace(engine.settings, **changes))


@pytest.mark.parametrize("engine", ["two ControlNets", "klein"], indirect=True)
def test_too_little_memory_offers_remedies_and_the_next_photo_works(
    engine: DiffusionEngine, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engine.restyle(job, few(engine))
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(engine._pipelines._base.vae, "decode", raising(error))
            with pytest.raises(DeviceMemoryError, match=r"64 x 64 px.*--longest-px \(it is 64\), --offload") as caught:
                engine.restyle(job, few(engine))
        assert caught.value.__context__ is None and caught.value.__cause__ is None  # whose frames would hold tensors
    assert (engine.restyle(job, few(engine)) == before).all()


@pytest.mark.parametrize("engine", ["plain"], indirect=True)
def test_other_failures_of_the_device_are_told(
    engine: DiffusionEngine, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._pipelines._base.vae, "decode", raising(RuntimeError("cuDNN error: no kernel\nmore")))
    with pytest.raises(EngineError, match=r"failed on cpu: cuDNN error: no kernel$"):
        engine.restyle(job, few(engine))


@pytest.mark.parametrize("engine", ["plain"], indirect=True)
def test_a_result_of_another_size_is_an_error(
    engine: DiffusionEngine, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = engine._pipelines._base.vae.decode

    def cropped(*arguments: object, **options: object) -> tuple[torch.Tensor, ...]:
        return tuple(part[..., :-8] for part in decode(*arguments, **options))

    monkeypatch.setattr(engine._pipelines._base.vae, "decode", cropped)
    with pytest.raises(EngineError, match="made a picture of 56 x 64 px where 64 x 64"):
        engine.restyle(job, few(engine))


@pytest.mark.parametrize("engine", ["plain"], indirect=True)
def test_what_a_safety_checker_blackens_comes_back_black(
    engine: DiffusionEngine, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = engine._pipelines.for_controls(())

    def checked(image: torch.Tensor, device: object, dtype: object) -> tuple[torch.Tensor, list[bool]]:
        return torch.zeros_like(image), [True]

    monkeypatch.setattr(pipeline, "run_safety_checker", checked)
    assert not engine.restyle(job, few(engine)).any()


def test_offloading_paints_in_slices(folders: Any, job: Job) -> None:
    whole, sliced = load(folders.sd15), load(folders.sd15, offload=True)
    assert sliced._pipelines._base.vae.use_tiling
    assert sliced.fingerprint != whole.fingerprint
    painted, other = whole.restyle(job, few(whole)), whole.restyle(job, few(whole, seed=1))
    assert difference(sliced.restyle(job, few(sliced)), painted) < difference(other, painted) / 3  # but for seams


def test_bfloat16(folders: Any, job: Job) -> None:
    engine = load(folders.sd15, precision="bfloat16")
    assert str(engine) == f"{folders.sd15} on cpu, bfloat16"
    assert engine._pipelines._base.unet.dtype == torch.bfloat16
    assert engine.restyle(job, few(engine)).shape == job.start.shape


def test_maps_are_drawn_once_for_a_photo(folders: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from restyle.engines import diffusion

    engine = load(folders.sd15, controls=[f"tile={folders.net}"])
    drawn: list[str] = []
    draw = diffusion.control_map
    monkeypatch.setattr(diffusion, "control_map", lambda name, *rest: drawn.append(name) or draw(name, *rest))
    for seed in range(2):
        engine.restyle(job, few(engine, seed=seed))
    assert drawn == ["tile"]
    engine.restyle(replace(job, original=job.original.copy()), few(engine))
    assert drawn == ["tile", "tile"]


def test_threads_are_left_alone(folders: Any, job: Job) -> None:
    before = torch.get_num_threads()
    engine = load(folders.sd15)
    engine.restyle(job, few(engine))
    assert torch.get_num_threads() == before


def test_a_lora_is_laid_over_the_model(folders: Any, job: Job, lora: Path) -> None:
    plain = load(folders.sd15)
    before = plain.restyle(job, few(plain))
    preset = Preset(steps=2, guidance=1.0, scheduler="LCMScheduler", loras={"sd15": str(lora)})
    pipeline = plain._pipelines._base
    assert lay_preset(pipeline, saved_as(pipeline), preset) == str(lora)
    assert type(pipeline.scheduler).__name__ == "LCMScheduler"
    plain._pipelines._ready = None
    assert difference(plain.restyle(job, few(plain)), before) > 0.1
    assert lay_preset(pipeline, saved_as(pipeline), preset) == ""  # what needs few steps already gets no LoRA


def test_pipelines_are_not_made_anew_between_attempts(folders: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(folders.sd15, controls=[f"softedge={folders.net}"])
    made: list[tuple[str, ...]] = []
    build = engine._pipelines._built
    monkeypatch.setattr(engine._pipelines, "_built", lambda controls: made.append(controls) or build(controls))
    for seed in range(2):
        engine.restyle(job, few(engine, seed=seed))
        assert not engine.moves_picture
    assert made == []
