"""Diffusers' pipelines put together: a model's nets, adapters and scheduler."""

import math
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from PIL import Image

from base.arrays import Pixels
from base.errors import EngineError
from restyle.controls import CONTROLS, DEFAULT_DEPTH, DETAILED
from restyle.engines.engine import KLEIN, SD15, SDXL, Family, Job, Settings
from restyle.engines.weights import are_here, digest_of, load_weights

UNION, ESTIMATOR = "union", "estimator"  # what weights can be named for besides the control maps


class ControlNets:
    """The ControlNets that fit one model.

    available: names of control maps whose weights are on this machine. asked_for: those that the user named, or the
    family's own. depth_weights: of the depth estimator.
    """

    def __init__(self, family: Family, text_width: int, controls: Sequence[str] | None, dtype: Any) -> None:
        """Find the weights; none are loaded yet.

        Args:
            family: of the model.
            text_width: of the model: the family's own ControlNets fit one width only.
            controls: names of control maps, `NAME=WEIGHTS` for others than the family's own weights; `union=` names
                the one ControlNet of an SDXL, `estimator=` the depth estimator. None: as the family has it.
            dtype: torch's, to load them in.

        Raises: EngineError: no such control, or no weights are known for it.
        """
        self._family = family
        self._dtype = dtype
        self._loaded: dict[str, Any] = {}
        self._text_width = text_width
        self.weights = dict(family.nets) if text_width == family.text_width else {}
        named = dict(entry.partition("=")[::2] for entry in controls or ())
        self.depth_weights = named.pop(ESTIMATOR, "") or DEFAULT_DEPTH
        if union := named.pop(UNION, ""):
            self._refuse_unless(bool(family.modes), f"{UNION}={union}")
            self.weights[UNION] = union
        for control, weights in named.items():
            self._refuse_unless(control in CONTROLS and bool(family.controlled), control)
            if weights:
                self._refuse_unless(not family.modes, f"{control}={weights}")
                self.weights[control] = weights
        own = family.controls if self.weights and (controls is None or union) else ()
        self.asked_for = tuple(named) or own
        for control in self.asked_for:
            self.weights_of(control)

    @property
    def available(self) -> tuple[str, ...]:
        """Names of the control maps whose weights are on this machine, those that were asked for first."""
        known = [control for control in DETAILED if control not in self.asked_for and self._is_known(control)]
        here = [control for control in known if are_here(self.weights_of(control))]
        has_depth = "depth" in here and are_here(self.depth_weights)
        return (*self.asked_for, *(control for control in here if control != "depth" or has_depth))

    def digests(self) -> list[str]:
        """Return what tells the available weights from others."""
        names = {self.weights_of(control) for control in self.available}
        names |= {self.depth_weights} if "depth" in self.available else set()
        return [digest_of(name) for name in sorted(names)]

    def load(self, controls: Sequence[str]) -> list[Any]:
        """Return the ControlNet of each of these maps; one may be there for several, as a union is for all.

        Raises: EngineError: none is known for a map, its weights cannot be had, or it is made for another model.
        """
        return [self._load(self.weights_of(control)) for control in controls]

    def modes(self, controls: Sequence[str]) -> list[int]:
        """Return a union's numbers of these maps."""
        return [self._family.modes[control] for control in controls]

    def weights_of(self, control: str) -> str:
        """Return hub name or folder of a map's ControlNet. Raises: EngineError: none is known."""
        if not self._is_known(control):
            what = "union" if self._family.modes else control
            raise EngineError(
                f"no ControlNet is known for {control!r} with this model: name its weights, "
                f"`--control {what}=ORG/NAME` or `--control {what}=FOLDER`, or take another control"
            )
        return self.weights[UNION if self._family.modes else control]

    def _is_known(self, control: str) -> bool:
        if not self._family.modes:
            return control in self.weights
        if control not in self._family.modes or UNION not in self.weights:
            return False
        union = self._loaded.get(self.weights[UNION])  # only then is it known what it was taught
        return union is None or self._family.modes[control] < union.config.num_control_type

    def _refuse_unless(self, fits: bool, entry: str) -> None:
        if not fits:
            choices = ", ".join([*CONTROLS, *([UNION] if self._family.modes else []), ESTIMATOR])
            kinds = "no controls are known for this model" if not self._family.controlled else f"there are {choices}"
            raise EngineError(f"no control {entry!r}: {kinds}")

    def _load(self, name: str) -> Any:
        if name not in self._loaded:
            import diffusers

            net_class = getattr(diffusers, self._family.net)

            def load(local: bool) -> Any:
                net, loading = net_class.from_pretrained(
                    name, dtype=self._dtype, local_files_only=local, output_loading_info=True
                )
                if loading["missing_keys"]:
                    raise OSError(f"incomplete: {len(loading['missing_keys'])} weights are missing")
                return net.eval()

            net = load_weights(name, load, f"--control {self._option_of(name)}=")
            if self._text_width != net.config.cross_attention_dim:
                raise EngineError(f"the ControlNet {name!r} is made for another model than this one")
            self._loaded[name] = net
        return self._loaded[name]

    def _option_of(self, name: str) -> str:
        return next(control for control, weights in self.weights.items() if weights == name)


FURTHER_SCALE = 0.75  # of the first control's scale: what the second and third bind with
KLEIN_PART = "Flux2KleinInpaintPipeline"  # repaints a part: here all of it, which is how klein knows a strength
CALL = ("prompt", "image", "num_inference_steps", "guidance_scale", "generator")
SIZED, FROM_IMAGE = (*CALL, "width", "height"), (*CALL, "negative_prompt", "strength")
CONTROLLED = (*FROM_IMAGE, "width", "height", "control_image", "controlnet_conditioning_scale")
# Of each class, the arguments without which it would paint something else than what was asked.
NEEDED: Mapping[str, tuple[str, ...]] = {
    SD15.plain: FROM_IMAGE,
    SD15.controlled: CONTROLLED,
    SDXL.plain: FROM_IMAGE,
    SDXL.controlled: (*CONTROLLED, "control_mode"),
    KLEIN.plain: SIZED,
    KLEIN_PART: (*SIZED, "mask_image", "strength"),
}


class Pipelines:
    """The pipelines of one model; all share its weights, and one is ready at a time."""

    def __init__(self, base: Any, family: Family, nets: ControlNets, *, device: str, offload: bool) -> None:
        """Take the model's own pipeline, `base`, on the CPU; nothing is moved yet."""
        self.family = family
        self.device = device
        self._base = base
        self._nets = nets
        self._offload = offload
        self._ready: tuple[tuple[str, ...], Any] | None = None  # what it was made for, and a pipeline

    def multiple_px(self) -> int:
        """Return what sides must be multiples of."""
        return max(self.family.multiple_px, int(getattr(self._base, "vae_scale_factor", 1)))

    def takes_strength(self) -> bool:
        """Tell whether the model knows a strength: one that only edits does not."""
        return bool(self.family.plain) or "strength" in signature(self.for_controls(()).__call__).parameters

    def paint(self, job: Job, settings: Settings, maps: Mapping[str, Pixels]) -> list[Any]:
        """Return the pipeline's pictures for a job: one PIL image.

        Raises:
            EngineError: a ControlNet cannot be had or was not taught a map.
            ValueError, TypeError, RuntimeError, MemoryError: whatever the pipeline and the device raise.
        """
        controls = tuple(maps)
        start = Image.fromarray(job.start)
        arguments: dict[str, Any] = {
            "prompt": job.prompt,
            "negative_prompt": job.negative_prompt,
            "image": start,
            "width": start.width,
            "height": start.height,
            "guidance_scale": settings.guidance,
            "generator": torch.Generator("cpu").manual_seed(settings.seed),  # the same noise on every device
            "num_inference_steps": settings.steps,
        }
        if self.family.name == "klein":
            pipeline = self.for_controls((KLEIN_PART,) if settings.strength < 1 else ())
            arguments["mask_image"] = Image.new("L", start.size, 255)
        else:
            pipeline = self.for_controls(controls)
        known = signature(pipeline.__call__).parameters
        if "strength" in known:
            arguments["strength"] = settings.strength
            arguments["num_inference_steps"] = schedule_steps(settings.steps, settings.strength)
        if controls:
            further = settings.control_scale * FURTHER_SCALE
            arguments["control_image"] = [Image.fromarray(maps[control]) for control in controls]
            arguments["controlnet_conditioning_scale"] = [settings.control_scale] + [further] * (len(controls) - 1)
        if controls and self.family.modes:
            arguments["control_mode"] = self._nets.modes(controls)
        output = pipeline(**{name: value for name, value in arguments.items() if name in known})
        images: list[Any] = output.images
        return images

    def for_controls(self, controls: tuple[str, ...]) -> Any:
        """Return the pipeline for these control maps, on its device.

        Raises: EngineError: a ControlNet cannot be had, or diffusers is too old for this model.
        """
        if self._ready is None or self._ready[0] != controls:
            if self._ready is not None and self._offload:
                self._ready[1].remove_all_hooks()
            self._ready = None
            self._ready = controls, self._placed(self._built(controls))
        return self._ready[1]

    def freed(self) -> None:
        """Give back what the last call left on the device, so that the next one can be made."""
        if self._ready is not None:
            self._ready[1].maybe_free_model_hooks()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _built(self, controls: tuple[str, ...]) -> Any:
        if controls == (KLEIN_PART,):
            return rebuilt(self._base, KLEIN_PART)
        if not self.family.plain:
            return for_any(self._base)
        if not controls:
            return rebuilt(self._base, self.family.plain)
        nets = self._nets.load(controls)
        return rebuilt(self._base, self.family.controlled, controlnet=nets[0] if self.family.modes else nets)

    def _placed(self, pipeline: Any) -> Any:
        pipeline.set_progress_bar_config(disable=True)
        if self._offload:
            pipeline.enable_attention_slicing()
            for economy in ("enable_slicing", "enable_tiling"):
                getattr(pipeline.vae, economy, lambda: None)()
        if self._offload and self.device != "cpu":
            pipeline.enable_model_cpu_offload(device=self.device)
            return pipeline
        return pipeline.to(self.device)


def rebuilt(base: Any, class_name: str, **parts: Any) -> Any:
    """Return another pipeline of the same model: its own parts and settings, and further parts.

    Raises: EngineError: diffusers has no such pipeline, or one that does not take what it is to be told.
    """
    import diffusers

    if problem := too_old(class_name):
        raise EngineError(problem)
    pipeline_class = getattr(diffusers, class_name)
    known = signature(pipeline_class.__init__).parameters
    # An invisible watermark would depend on whether a package is installed: pictures must not.
    everything = {**base.config, **base.components, "add_watermarker": False, **parts}
    return pipeline_class(**{name: value for name, value in everything.items() if name in known})


def too_old(class_name: str) -> str:
    """Return in words what the installed diffusers lacks of a class, or nothing."""
    import diffusers

    remedy = "`pip install -U diffusers`"
    known = getattr(diffusers, class_name, None)
    if known is None:
        return f"diffusers {diffusers.__version__} has no {class_name}: {remedy}"
    taken = signature(known.__call__).parameters
    lacking = [name for name in NEEDED.get(class_name, ()) if name not in taken]
    if lacking:
        return f"{class_name} of diffusers {diffusers.__version__} takes no {' and no '.join(lacking)}: {remedy}"
    return ""


def classes_for(family: Family, controls: Sequence[str]) -> tuple[str, ...]:
    """Return the names of diffusers' classes that a family paints with: without controls, and with some."""
    plain = (family.plain, *([KLEIN_PART] if family.name == "klein" else [])) if family.plain else ()
    return (*plain, *([family.controlled, family.net] if family.controlled and controls else []))


def for_any(base: Any) -> Any:
    """Return the pipeline that makes pictures of pictures with a model of no family known here.

    Raises: EngineError: diffusers has none for it.
    """
    import diffusers

    if {"image", "strength"} <= set(signature(base.__call__).parameters):
        return base
    try:
        return diffusers.AutoPipelineForImage2Image.from_pipe(base)
    except ValueError as error:
        name = type(base).__name__
        raise EngineError(f"a {name} makes no pictures of pictures: take a model for image-to-image") from error


def schedule_steps(steps: int, strength: float) -> int:
    """Return the steps to ask a pipeline for so that `steps` are really run: it runs int(asked * strength).

    Both int() and floating-point division round down: 4 / 0.8 steps could be 3.
    """
    asked = math.ceil(steps / strength)
    while int(asked * strength) < steps:
        asked += 1
    return asked


def pixels_of(picture: Any) -> Pixels:
    """Return a PIL image's pixels, (h, w, 3) uint8."""
    return np.asarray(picture.convert("RGB"))
