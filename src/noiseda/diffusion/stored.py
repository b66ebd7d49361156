"""Noise predictors as files: one ``.safetensors`` whose metadata says how to rebuild the network.

The file needs nothing beside it and holds no pickle. It is no restoration network, and nothing that restores reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from noiseda.diffusion.catalogue import PREDICTORS, build
from noiseda.diffusion.denoiser import Denoiser
from noiseda.diffusion.prediction import PREDICTIONS
from noiseda.diffusion.schedule import SCHEDULES
from noiseda.diffusion_settings import PredictionName, PredictorKind, PredictorSettings, ScheduleName
from noiseda.errors import UserError, WeightsError
from noiseda.limits import check_limits
from noiseda.restoration.layout import laid_out
from noiseda.storage import put, utf8_named

FORMAT = "noiseda-predictor/1"

JUDGE = "noiseda:judge"
"""Stands for the file of the noise predictor that comes with noiseda."""

_JUDGE = Path(__file__).resolve().parent.parent / "ready" / "judge.safetensors"
_EXPECTED = "expected a .safetensors file that noiseda pretrain-predictor wrote"
_LONGEST = 2**22  # bytes of a header


@dataclass(frozen=True)
class Predictor:
    """A noise predictor with what rebuilds it.

    Attributes:
        network: called with noised signals, a tuple of conditions and levels, as :class:`noiseda.diffusion.Denoiser`
            does.
        kind: its name in :data:`noiseda.diffusion.catalogue.PREDICTORS`.
        arguments: what rebuilds it: ``channels``, ``conditions`` and ``dims``, and the settings of its kind, as
            :class:`noiseda.config.PredictorSettings` names them.
        schedule: of the noise levels that it was trained on.
        prediction: what it predicts.
        notes: more texts (how it was trained, say).
    """

    network: nn.Module
    kind: PredictorKind
    arguments: Mapping[str, Any]
    schedule: ScheduleName = "linear"
    prediction: PredictionName = "eps"
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def denoiser(self) -> Denoiser:
        """The network with the algebra around it."""
        return Denoiser(self.network, PREDICTIONS[self.prediction])


def save_predictor(path: str | Path, predictor: Predictor) -> None:
    """Write a noise predictor to a file, whole or not at all; the same one as the same bytes.

    Args:
        path: the file; its name ends in ``.safetensors``.
        predictor: the network, and what rebuilds it.

    Raises:
        WeightsError: when the file cannot be written; what stood there before is kept.
    """
    tensors = predictor.network.state_dict()
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    described = {
        **predictor.notes,
        "format": FORMAT,
        "kind": predictor.kind,
        "arguments": json.dumps(dict(predictor.arguments), sort_keys=True),
        "schedule": predictor.schedule,
        "prediction": predictor.prediction,
        "noiseda": version("noiseda"),
    }
    try:
        put(Path(path), laid_out(state, described))
    except OSError as error:
        raise WeightsError(f"cannot write the noise predictor {path}: {error.strerror or error}") from error


def located(path: Path) -> Path:
    """The file that a path stands for.

    >>> located(Path("noiseda:judge")).name, located(Path("mine.safetensors")).name
    ('judge.safetensors', 'mine.safetensors')
    """
    return _JUDGE if str(path) == JUDGE else path


def sized(settings: PredictorSettings) -> PredictorSettings:
    """Settings of a noise predictor that begins with a file: what they leave at its default is as in the file.

    Args:
        settings: as they were asked for.

    Returns:
        The same without a file, with a folder, and with a file that is none: what reads it says so.
    """
    if settings.start is None or settings.from_folder:
        return settings
    try:
        described = _described(located(settings.start))
        found = {**_arguments(described.get("arguments", "")), "kind": described.get("kind")}
    except (WeightsError, ValueError):
        return settings
    usual = PredictorSettings()
    taken = {name: found[name] for name in _SIZES if name in found and getattr(settings, name) == getattr(usual, name)}
    return replace(settings, **taken)


_SIZES = ("kind", "condition_by", "width", "channel_mults", "blocks", "patch_size", "attention", "attention_levels")


def load_predictor(path: str | Path) -> Predictor:
    """Read a noise predictor from a file.

    What the file says of itself is checked against its tensors before any memory is taken or any number is read.

    Args:
        path: a file that :func:`save_predictor` wrote, or :data:`JUDGE`.

    Returns:
        The predictor on the CPU, in evaluation mode.

    Raises:
        WeightsError: when the file is missing, damaged or of something else; when it does not fit its own description,
            or its numbers are not finite.
    """
    path = located(Path(path))
    described = _described(path)
    if (kind := described.get("kind", "")) not in PREDICTORS:
        known = ", ".join(PREDICTORS)
        raise WeightsError(f"{path} holds a noise predictor of the unknown kind {kind[:40]!r}; known: {known}")
    if described.get("schedule") not in SCHEDULES:
        raise WeightsError(f"{path} states no schedule of noise levels; expected one of {', '.join(SCHEDULES)}")
    if described.get("prediction") not in PREDICTIONS:
        raise WeightsError(f"{path} states no prediction; expected one of {', '.join(PREDICTIONS)}")
    try:
        arguments = _arguments(described.get("arguments", ""))
        with torch.device("meta"):  # without memory or random draws: a damaged file may ask for any size
            check_shapes(_built(kind, arguments), shapes_of(path))
        with torch.random.fork_rng(devices=[]):
            network = _built(kind, arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError, ArithmeticError, LookupError, UserError) as error:
        raise WeightsError(f"{path} does not fit its own description ({kind}): {str(error)[:200]}") from error
    network.load_state_dict(tensors_of(path))
    notes = {name: text for name, text in described.items() if name not in _OWN}
    schedule, prediction = cast(ScheduleName, described["schedule"]), cast(PredictionName, described["prediction"])
    return Predictor(network.eval(), kind, arguments, schedule, prediction, notes)


_OWN = ("format", "kind", "arguments", "schedule", "prediction")


def _described(path: Path) -> dict[str, str]:
    """The metadata of a file of ours.

    Raises:
        WeightsError: it is none.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise WeightsError(f"the noise predictor {path} {found}; {_EXPECTED}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _LONGEST):
            raise WeightsError(f"{path} is no readable .safetensors file; {_EXPECTED}")
        with utf8_named(path) as named, safe_open(named, framework="pt") as opened:
            described = dict(opened.metadata() or {})
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{path} is no readable .safetensors file; {_EXPECTED}") from error
    written = described.get("format", "")
    if written == FORMAT:
        return described
    if written.startswith("noiseda-predictor/"):
        raise WeightsError(f"{path} is of the format {written[:40]!r}, and this noiseda reads {FORMAT}")
    what = "a restoration network" if written.startswith("noiseda/") else "something else"
    raise WeightsError(f"{path} holds {what}, and no noise predictor; {_EXPECTED}")


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("its arguments are no JSON") from error
    if not isinstance(found, dict):
        raise ValueError("its arguments are no mapping")
    check_bounds(found)
    return found


def check_bounds(arguments: Mapping[str, Any]) -> None:
    """Check that what a file says of a network asks for no size that none has.

    Raises:
        ValueError: some number is negative or huge, or there are too many.
    """
    counts = [each for value in arguments.values() for each in (value if isinstance(value, list) else [value])]
    if any(isinstance(each, int) and not 0 <= each <= 2**16 for each in counts) or len(counts) > 100:
        raise ValueError("its arguments are out of all bounds")


def _built(kind: str, arguments: Mapping[str, Any]) -> nn.Module:
    sizes = {name: arguments[name] for name in ("channels", "conditions", "dims")}
    own = {name: value for name, value in arguments.items() if name not in (*sizes, "start", "training")}
    settings = PredictorSettings(kind=cast(PredictorKind, kind), **own)
    check_limits(settings)
    settings.check()
    return build(settings, **sizes)


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of a ``.safetensors`` file, from its header alone."""
    with utf8_named(path) as named, safe_open(named, framework="pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


def check_shapes(network: nn.Module, found: Mapping[str, tuple[int, ...]]) -> None:
    """Check that tensors of some shapes are all that a network has.

    Raises:
        ValueError: naming the first that is not.
    """
    wanted = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    for name in {**wanted, **found}:
        if wanted.get(name) != found.get(name):
            raise ValueError(f"{name[:60]} is {found.get(name, 'missing')}, expected {wanted.get(name, 'none')}")


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Name -> tensor of a ``.safetensors`` file.

    Raises:
        WeightsError: some number is none, or infinite.
    """
    with utf8_named(path) as named, safe_open(named, framework="pt") as opened:
        state: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    for name, tensor in state.items():
        if tensor.is_floating_point() and not all(math.isfinite(end) for end in tensor.float().aminmax()):
            raise WeightsError(f"{path}: {name[:60]} holds values that are not numbers (NaN) or infinite")
    return state
