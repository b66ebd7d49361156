"""The settings of ``noiseda pretrain-predictor``: a noise predictor that is trained before any adaptation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from noiseda.address import Location, location
from noiseda.diffusion_settings import PredictionName, PredictorSettings, ScheduleName
from noiseda.errors import UserError
from noiseda.limits import Levels, Limits, NonNegativeInt, PositiveFloat, PositiveInt, Share


@dataclass(frozen=True, kw_only=True)
class PretrainSettings:
    """Everything that ``noiseda pretrain-predictor`` needs to know."""

    clean: Location | None = None
    """Folder of clean photographs, searched recursively. It may also be a folder of shards, or its address. By default
    noiseda:clean, the free photographs that come with noiseda."""

    out: Path = Path("runs/predictor.safetensors")
    """File of the trained noise predictor. Log and checkpoints lie beside it, in a folder of the same name without
    suffix, so that the same command run again continues."""

    steps: PositiveInt = 5000
    """Number of optimiser steps."""

    minutes: PositiveFloat | None = None
    """How long it may take, in place of --steps. The machine is measured for some seconds, and as many steps as fit are
    chosen, once."""

    batch: PositiveInt = 16
    """Samples in a batch."""

    patch: Annotated[int, Limits(least=8)] = 48
    """Side of the square patches, in pixels."""

    learning_rate: PositiveFloat = 3e-4
    """Adam's learning rate; it falls along half a cosine."""

    ema_decay: Share = 0.999
    """Decay of the moving average of the weights, which is what is written."""

    seed: NonNegativeInt = 0
    """Seed of every random draw."""

    channels: Literal[1, 3] = 3
    """Channels of the images: 3 (colour) or 1 (grey)."""

    conditions: Literal[0, 1, 2] = 2
    """Images that it is shown beside the noised one: 2, as noise-space wants; 1 for pseudo-targets, and for
    --objective.conditions synthetic or real; 0 for score-distillation, a model of clean images."""

    untouched: Annotated[float, Limits(least=0, most=1)] = 0.25
    """Share of the conditions that are the clean image itself. The others lie anywhere between it and the image after
    white noise, noise of cameras and phones, blur or JPEG of a random strength."""

    unrelated: Annotated[float, Limits(least=0, most=1)] = 0.5
    """Share of the samples in which one of two conditions shows another photograph, as the real one does in
    adaptation."""

    schedule: ScheduleName = "linear"
    """Schedule of alpha_bar over the diffusion steps, as --objective.schedule."""

    levels: Levels = (1, 999)
    """Lowest and highest diffusion step t (of 1..999) that noise levels are drawn from."""

    prediction: PredictionName = "eps"
    """What the network predicts, as --objective.prediction: the noise (eps), v, or the clean image."""

    predictor: PredictorSettings = field(default_factory=PredictorSettings)

    checkpoint_every: PositiveInt = 250
    """Steps between two checkpoints; the last two are kept."""

    log_every: PositiveInt = 25
    """Steps between two log lines."""

    workers: NonNegativeInt = 0
    """Processes that prepare batches beside the training. The batches do not depend on their number."""

    device: str = "auto"
    """Where to train: auto, cpu, cuda, mps."""

    cache: Path | None = None
    """Folder for the decoded images; by default cache/ in the folder beside --out."""

    max_megapixels: PositiveFloat = 200.0
    """Photographs with more pixels are skipped."""

    def __post_init__(self) -> None:
        """Take texts for paths and addresses, as one writes them in Python."""
        for name in ("clean", "out", "cache"):
            value = getattr(self, name)
            if isinstance(value, str):
                try:
                    found = location(value) if name == "clean" else Path(value)
                except ValueError as error:
                    raise UserError(f"--{name} {error}") from error
                object.__setattr__(self, name, found)

    @property
    def folder(self) -> Path:
        """Where log and checkpoints lie.

        >>> PretrainSettings(out="runs/judge.safetensors").folder.as_posix()
        'runs/judge'
        """
        return self.out.with_suffix("")
