"""Every strategy of this package by name: how its objective is built around a restorer from the settings of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from noiseda import diffusion, extensions
from noiseda.adaptation.combined import Combined
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor
from noiseda.adaptation.noise_space import NoiseSpace
from noiseda.adaptation.objective import DISTANCES, Distance, Objective, charbonnier
from noiseda.adaptation.pseudo_targets import PseudoTargets
from noiseda.adaptation.redegradation import Redegradation
from noiseda.adaptation.remembering import Remembering
from noiseda.adaptation.score_distillation import ScoreDistillation
from noiseda.adaptation.stages import Stages
from noiseda.adaptation.synthetic import SyntheticOnly
from noiseda.config import AdaptSettings, PredictorSettings
from noiseda.diffusion import PREDICTIONS, Denoiser, load_diffusers
from noiseda.diffusion.stored import load_predictor
from noiseda.errors import UserError, WeightsError
from noiseda.restoration import Restorer

Builder = Callable[[Restorer, AdaptSettings, float], Objective[Any]]
"""A restorer, the settings of a run, and the steps from black to white that the real files have -> an objective."""


def _synthetic(restorer: Restorer, settings: AdaptSettings, levels: float) -> SyntheticOnly:
    return SyntheticOnly(restorer, distance=_distance(settings))


def _noise_space(restorer: Restorer, settings: AdaptSettings, levels: float) -> NoiseSpace:
    predictor = build_predictor(settings, conditions=conditions_of(settings))
    denoiser = Denoiser(predictor, PREDICTIONS[settings.objective.prediction])
    return NoiseSpace(
        restorer, denoiser, settings.objective, reference=settings.reference is not None, distance=_distance(settings)
    )


def _neighbor2neighbor(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.neighbor2neighbor
    return late(
        own.start if own.synthetic else 0.0,
        Neighbor2Neighbor(restorer, own, distance=_distance(settings)),
        _distance(settings),
    )


def _mean_teacher(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.mean_teacher
    return late(own.start, MeanTeacher(restorer, own, distance=_distance(settings)), _distance(settings))


def _source_free(restorer: Restorer, settings: AdaptSettings, levels: float) -> MeanTeacher:
    return MeanTeacher(restorer, settings.mean_teacher, synthetic=False, distance=_distance(settings))


def _pseudo_targets(restorer: Restorer, settings: AdaptSettings, levels: float) -> PseudoTargets:
    denoiser = Denoiser(build_predictor(settings, conditions=conditions_of(settings, "pseudo-targets")))
    return PseudoTargets(restorer, denoiser, settings.pseudo_targets, distance=_distance(settings))


def _score_distillation(restorer: Restorer, settings: AdaptSettings, levels: float) -> ScoreDistillation:
    own = settings.score_distillation
    takes = conditions_of(settings, "score-distillation")
    learns = settings.predictor
    if learns.training == "frozen":  # that of clean images alone
        learns = dataclasses.replace(learns, training="joint")
    of_restored = Denoiser(build_predictor(dataclasses.replace(settings, predictor=learns), conditions=takes))
    of_clean = Denoiser(build_predictor(settings, conditions=takes)) if own.teacher == "clean" else None
    return ScoreDistillation(restorer, of_restored, of_clean, own, distance=_distance(settings))


def _redegradation(restorer: Restorer, settings: AdaptSettings, levels: float) -> Objective[Any]:
    own = settings.redegradation
    return late(own.start, Redegradation(restorer, own, distance=_distance(settings)), _distance(settings))


STRATEGIES: dict[str, Builder] = {
    "synthetic": _synthetic,
    "noise-space": _noise_space,
    "neighbor2neighbor": _neighbor2neighbor,
    "mean-teacher": _mean_teacher,
    "source-free": _source_free,
    "pseudo-targets": _pseudo_targets,
    "score-distillation": _score_distillation,
    "redegradation": _redegradation,
}


def build(restorer: Restorer, settings: AdaptSettings, levels: float = 255.0) -> Objective[Any]:
    """The objective that ``--strategy`` and ``--also`` ask for.

    Its own networks draw their weights from torch's global generator.

    Args:
        restorer: the network to train.
        settings: of the run.
        levels: steps from black to white that the real files have; noise shows from such a step on.
    """
    names = (settings.strategy, *settings.also)
    parts: dict[str, Objective[Any]] = {
        name: (STRATEGIES.get(name) or extensions.builder_of(name))(restorer, settings, levels) for name in names
    }
    found = Combined(parts) if len(parts) > 1 else parts[settings.strategy]
    return Remembering(found) if settings.degradation.remembered else found


def late(start: float, objective: Objective[Any], distance: Distance = charbonnier) -> Objective[Any]:
    """Synthetic pairs alone for a share of the run, then an objective."""
    alone = SyntheticOnly(objective.restorer, distance=distance)
    return Stages([(0.0, alone), (start, objective)]) if start > 0 else objective


def _distance(settings: AdaptSettings) -> Distance:
    """What ``--loss`` names; what was left open is Charbonnier's."""
    return DISTANCES.get(settings.loss, charbonnier)


def build_predictor(settings: AdaptSettings, *, conditions: int) -> nn.Module:
    """A noise predictor that looks at a number of images beside the one that is noised.

    Raises:
        UserError: where ``--predictor.start`` holds none, or one of other sizes; names the flag.
    """
    own, channels = settings.predictor, settings.restorer.channels
    if own.start is not None and own.from_folder:
        network = _of_folder(own.start, settings, conditions)
    else:
        network = diffusion.build_predictor(own, channels=channels, conditions=conditions)
        if own.start is not None:
            _begin(network, settings, conditions)
    if settings.predictor.training == "frozen":
        network.requires_grad_(False).eval()  # without dropout: it judges alike whenever it is asked
    return network


def _of_folder(path: Path, settings: AdaptSettings, conditions: int) -> nn.Module:
    """The noise predictor of a diffusers folder, its input layer widened; it draws no random numbers.

    Raises:
        UserError: as :func:`build_predictor`.
    """
    own, begun = settings.predictor, f"--predictor.start {path}"
    try:
        network = load_diffusers(path, conditions=conditions)
    except UserError as error:
        raise UserError(f"--predictor.start {error}") from error
    channels, multiple = network.channels, network.multiple_of
    if channels != settings.restorer.channels:
        raise UserError(f"{begun} is of images of {channels} channel(s): it needs --restorer.channels {channels}")
    if network.prediction != (asked := settings.objective.prediction):
        raise UserError(
            f"{begun} predicts {network.prediction}: it needs --objective.prediction {network.prediction}, not {asked}"
        )
    if settings.training.side % multiple:
        raise UserError(f"--training.patch must be a multiple of {multiple} for {begun}, not {settings.training.side}")
    for name, given in (("kind", own.kind), ("condition_by", own.condition_by)):
        if given != (usual := getattr(PredictorSettings(), name)):
            raise UserError(
                f"{begun} is a U-Net whose input layer is widened: it needs --predictor.{name} {usual}, not {given}"
            )
    if network.widened and own.training == "frozen":
        raise UserError(
            f"{begun} does not look at restored images before it was trained to: --predictor.training frozen would "
            "teach nothing; choose joint or fine-tune"
        )
    return network.train()


def _begin(network: nn.Module, settings: AdaptSettings, conditions: int) -> None:
    """Give a noise predictor the weights of ``--predictor.start``.

    Raises:
        UserError: as :func:`build_predictor`.
    """
    path = settings.predictor.start
    assert path is not None
    try:
        found = load_predictor(path)
    except WeightsError as error:
        raise UserError(f"--predictor.start {error}") from error
    asked = predictor_arguments(settings, conditions=conditions)
    asked |= {"kind": settings.predictor.kind, "prediction": settings.objective.prediction}
    has = {**found.arguments, "kind": found.kind, "prediction": found.prediction}
    for name, value in asked.items():
        if name != "dropout" and name in has and has[name] != value:
            asks = _who_shows(settings, conditions) if name == "conditions" else _FLAGS.get(name, f"--predictor.{name}")
            given = "" if name == "conditions" else f" {_shown(value)}"
            raise UserError(
                f"{asks}{given} does not suit --predictor.start {path}, which is a noise predictor of {name} "
                f"{_shown(has[name])} and not {_shown(value)}"
            )
    try:
        network.load_state_dict(found.network.state_dict())
    except RuntimeError as error:
        raise UserError(f"--predictor.start {path} is of another network than --predictor.* asks for") from error


_FLAGS = {
    "channels": "--restorer.channels",
    "prediction": "--objective.prediction",
}
"""Flags of what a noise predictor is built by that are not in its own section."""


def _who_shows(settings: AdaptSettings, conditions: int) -> str:
    """What asks for a noise predictor of so many conditions."""
    names = [name for name in (settings.strategy, *settings.also) if name in JUDGED]
    found = [name for name in names if conditions_of(settings, name) == conditions]
    if not found or found[0] == "noise-space":
        return "--objective.conditions"
    return f"--strategy {found[0]}" if found[0] == settings.strategy else f"--also [{found[0]}]"


def _shown(value: object) -> str:
    """A value as it is given on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


JUDGED = ("noise-space", "pseudo-targets", "score-distillation")
"""Strategies that have noise predictors."""


def conditions_of(settings: AdaptSettings, strategy: str = "noise-space") -> int:
    """How many restored images a strategy of :data:`JUDGED` shows its noise predictors."""
    if strategy == "noise-space":
        return 2 if settings.objective.conditions == "both" else 1
    return {"pseudo-targets": 1, "score-distillation": 0}[strategy]


def predictor_arguments(settings: AdaptSettings, *, conditions: int) -> dict[str, Any]:
    """The keyword arguments that build the noise predictor of some settings, as its file keeps them."""
    wanted = dataclasses.asdict(settings.predictor)
    wanted = {name: value for name, value in wanted.items() if name not in ("kind", "start", "training")}
    return {"channels": settings.restorer.channels, "conditions": conditions, "dims": 2, **wanted}
