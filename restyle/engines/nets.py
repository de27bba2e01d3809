"""The ControlNets of a diffusion engine, loaded when they are first asked for. Draws no maps and paints nothing."""

from collections.abc import Sequence
from typing import Any

from aliens.errors import EngineError
from restyle.controls import CONTROLS, DETAILED
from restyle.depth import DEFAULT_DEPTH
from restyle.engines.presets import Family
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
        """Return the ControlNets for these maps in their order; a union is one for all.

        Raises: EngineError: none is known for a map, its weights cannot be had, or it is made for another model.
        """
        names = list(dict.fromkeys(self.weights_of(control) for control in controls))
        return [self._load(name) for name in names]

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
