"""The settings of an adaptation run: one typed tree, one docstring per field.

The command line (``noiseda adapt --training.steps 2000``), the YAML presets in ``configs/`` and :func:`noiseda.adapt`
all fill the same dataclasses, and the resolved tree is saved beside every result. Defaults suit one modest machine;
the paper's own sizes and rates are presets.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from noiseda import extensions
from noiseda.address import Location, location
from noiseda.choices import choices_of, flag_of
from noiseda.diffusion_settings import SIDES
from noiseda.diffusion_settings import ObjectiveSettings as ObjectiveSettings
from noiseda.diffusion_settings import PredictorSettings as PredictorSettings
from noiseda.errors import UserError
from noiseda.limits import (
    Limits,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
    check_limits,
)
from noiseda.numbers import check_numbers
from noiseda.restorer_settings import RestorerSettings as RestorerSettings
from noiseda.strategies import StrategyChoice, StrategyName, StrategySections
from noiseda.tasks import INCLUDED, TASKS, TaskName

Task = TaskName
Precision = Literal["auto", "fp32", "bf16"]
LrScaling = Literal["fan_in", "none"]
LrScheduleName = Literal["auto", "constant", "cosine", "cooldown"]
MemoryFormat = Literal["auto", "channels_last", "channels_first"]


@dataclass(frozen=True)
class DegradationSettings:
    """How clean photographs are degraded into the synthetic pairs (with --clean)."""

    kind: str | None = None
    """Name of the degradation, or several joined by +. One of them is drawn for each image (white+3*matched: matched
    three times as often as white; with --pairs, pairs+streaks: their own inputs, and streaks anew). By default the
    task's own, and matched, which looks for what --real went through (denoise: white+matched, from the ready weights
    matched, without --real white+camera; derain: rain; deblur: camera-shake; dejpeg: jpeg; with --pairs, what
    the pairs have, for rain pairs+streaks)."""

    strength: tuple[float, float] | None = None
    """Range of the degradation's strength, in its own unit. That of white is sigma in 1/255. By default the
    degradation's own range."""

    smoothed: Annotated[float, Limits(least=1)] = 4.0
    """How many times as strong as in flat places, where it is looked for, matched noise may be where there is texture:
    cameras smooth flat places."""

    remembered: Share | None = None
    """Share of the synthetic images that are degraded in all the ways that the weights a run starts from are good at.
    Their target is what these weights make of them, so that it is not forgotten (Li and Hoiem 2016). By default 0.2
    from the ready weights of denoising where noise is matched and no --degradation.kind is asked for, else 0."""

    @property
    def usual(self) -> bool:
        """Whether no other kind or strength is asked for than the task's own."""
        return self.kind is None and self.strength is None


@dataclass(frozen=True)
class TrainingSettings:
    """The run: how long, how large, how often."""

    steps: PositiveInt = 5000
    """Number of optimiser steps."""

    batch: PositiveInt = 6
    """Samples of each domain in a batch, per process. A step has batch x gradient_accumulation x processes of them, and
    a run that is continued must keep that product."""

    patch: int | None = None
    """Side of the square training patches, in pixels; by default 48. For rain it is 96 from the ready weights."""

    learning_rate: PositiveFloat | None = None
    """Learning rate; by default 1e-3, for noise from scratch 2e-3. For rain it is 3e-4 from the ready weights. It is
    Adam's, for the restorer. The paper: 1e-4 for denoising, else 5e-5."""

    predictor_learning_rate: PositiveFloat | None = None
    """Adam's learning rate for the noise predictor; by default the restorer's, with --predictor.training fine-tune a
    tenth of it."""

    lr_schedule: LrScheduleName = "auto"
    """Course of the learning rate over the run. constant (the paper); cosine: it falls to zero along half a cosine;
    cooldown: it falls in the last fifth alone (Hägele et al. 2024); auto: cooldown from weights of your own,
    else cosine."""

    lr_scaling: LrScaling = "fan_in"
    """Learning rates of single layers. fan_in: a layer whose units have more than 216 inputs (24 channels, 3x3) learns
    slower in proportion, since a step moves what it gives by the rate times their number (Yang et al.,
    arXiv 2203.03466); none (the paper): all learn alike."""

    gradient_accumulation: PositiveInt = 1
    """Micro-batches whose gradients are averaged into one step."""

    max_grad_norm: NonNegativeFloat = 1.0
    """Largest norm of the gradient; 0 leaves it as it is."""

    ema_decay: Share = 0.999
    """Decay of the moving average of the weights, which is what is validated and shipped (the paper: 0.9999)."""

    max_regression_db: NonNegativeFloat | None = 0.1
    """Largest loss, in dB, on what was known before. The loss is one of PSNR on synthetic pairs of the kind trained on.
    The weights shipped lie as far as that allows on the way from those before the real images were learnt from
    (Wortsman et al. 2022) to the last; null: all the way. Of no effect where there are none before: without
    --restorer.start, in strategies without a head start."""

    precision: Precision = "auto"
    """Arithmetic of the networks: auto, fp32 or bf16. bf16 is autocast; auto is bf16 where the processor has it."""

    memory_format: MemoryFormat = "auto"
    """Order of tensors in memory: channels_last, channels_first, or auto (channels_last, but for fp32 on CPUs without
    AVX-512)."""

    compile: bool = False
    """Compile the networks (torch.compile); meant for GPUs. It takes minutes before the first step of a machine, and is
    then kept in its cache."""

    recompute: bool = False
    """Recompute activations in the backward pass instead of keeping them: less memory, about a fifth more
    arithmetic (a third, while the contrastive term is active)."""

    shard: bool = False
    """Spread the noise predictor's weights, gradients and optimiser state over the processes (FSDP) instead of keeping
    all of them on each: for predictors that do not fit (docs/how-to/many-machines.md)."""

    validate_every: PositiveInt = 500
    """Steps between two scorings of the run. It is scored on the --validation pairs, or on look-alikes."""

    checkpoint_every: PositiveInt = 250
    """Steps between two checkpoints; the last two are kept."""

    log_every: PositiveInt = 25
    """Steps between two log lines."""

    picture_every: PositiveInt = 500
    """Steps between two sets of sample pictures in TensorBoard."""

    snapshot_every: NonNegativeInt = 0
    """Steps between two copies of the averaged weights in snapshots/, for curves over the run; 0: none."""

    workers: NonNegativeInt = 0
    """Processes that prepare batches beside the training. The batches do not depend on their number."""

    device: str = "auto"
    """Where to train: auto, cpu, cuda, mps."""

    @property
    def side(self) -> int:
        """The side of the patches; 48 where none was asked for, and no task has settled it."""
        return 48 if self.patch is None else self.patch

    @property
    def rate(self) -> float:
        """The learning rate; 1e-3 where none was asked for, and no task has settled it."""
        return self.learning_rate or 1e-3


@dataclass(frozen=True)
class ShardSettings:
    """How samples are drawn from shards (docs/how-to/check-and-pack.md)."""

    window: PositiveInt = 4
    """Shards that samples are drawn from at a time; sets of no more are drawn from as a whole."""

    draws: PositiveInt = 16
    """How often each image is drawn, on average, while the window moves once through all shards."""


@dataclass(frozen=True, kw_only=True)
class AdaptSettings(StrategySections):
    """Everything that ``noiseda adapt`` needs to know."""

    task: Task = "denoise"
    """What the network restores."""

    real: Location | None = None
    """Folder of your own degraded photographs, searched recursively. No ground truth is needed. This and the next three
    may also be folders of shards (noiseda data pack), or their addresses."""

    clean: Location | None = None
    """Folder of clean photographs, degraded into synthetic pairs. They are degraded anew whenever they are drawn. By
    default noiseda:clean, the free photographs that come with noiseda."""

    pairs: Location | None = None
    """Folder with input/ and target/, instead of --clean. Files of equal stems are a pair."""

    reference: Location | None = None
    """Folder of unpaired clean photographs (the paper's extension). They are noised in place of the synthetic
    targets."""

    validation: Path | None = None
    """Folder with input/ and target/ to score the run on. The best scored weights are then the ones shipped."""

    proxy_pairs: NonNegativeInt = 32
    """How many look-alikes to score the run on; 0: none. A look-alike is a clean photograph degraded as yours look.
    They are used where there is no --validation, and as many others for the verdict. With none, the last weights are
    shipped."""

    white_level: Annotated[int, Limits(least=1, most=65535)] | None = None
    """Value that is white in your files of 16 bits. It is 4095 for those that hold the numbers of a 12-bit sensor:
    files with none above it are divided by it here, and in noiseda restore, which multiplies by it again. By default
    the full range, 65535, unless no photograph uses more than the lowest quarter of it: then what its bits can count
    to."""

    baseline: Path | None = None
    """Weights that the verdict compares with. By default those that the run starts from, else the photographs."""

    ship_worse: bool = False
    """Ship the trained weights even if they are worse. Without it a run ships the weights that it started from where
    the verdict finds the trained ones worse than those."""

    out: Path = Path("runs/adapt")
    """Folder of the run and its weights. Settings, logs and checkpoints lie there too, so that the same command run
    again continues it."""

    strategy: StrategyChoice = "auto"
    """How to learn from the real photographs. noise-space lets a diffusion model judge; synthetic trains on synthetic
    pairs alone; the others are other ways of adapting (docs/reference/strategies.md). auto: noise-space with
    --reference, else mean-teacher for rain, blur and JPEG, neighbor2neighbor for noise that is matched to --real, and
    noise-space for other noise."""

    also: list[StrategyName] = field(default_factory=list)
    """Strategies to add to --strategy. Their losses are summed, the restorer is one."""

    loss: Literal["auto", "charbonnier", "psnr"] = "auto"
    """Error of restored synthetic images (and of a student, against its teacher): Charbonnier's, or PSNR. auto: PSNR
    for rain from the ready weights; else, and for noise-space, the paper's Charbonnier."""

    minutes: PositiveFloat | None = None
    """How long the run may take, in place of --training.steps. The machine is measured for
    some seconds, and as many steps as fit are chosen, once."""

    seed: NonNegativeInt = 0
    """Seed of every random draw. Initial weights, batches, degradations and noise are drawn."""

    cache: Path | None = None
    """Folder for the decoded images; by default cache/ inside --out."""

    cache_gigabytes: PositiveFloat = 100.0
    """Room in the cache for decoded shards, in 1e9 bytes; beyond it, those not needed now are removed. A photograph
    takes 3 bytes a pixel, one of 16 bits 6."""

    max_megapixels: PositiveFloat = 200.0
    """Photographs with more pixels are skipped."""

    dry_run: bool = False
    """Say what the run would do and cost, and stop. Everything is checked, and the networks are built."""

    restorer: RestorerSettings = field(default_factory=RestorerSettings)
    predictor: PredictorSettings = field(default_factory=PredictorSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    degradation: DegradationSettings = field(default_factory=DegradationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    shards: ShardSettings = field(default_factory=ShardSettings)

    def __post_init__(self) -> None:
        """Take texts for paths and addresses, as one writes them in Python."""
        for name in ("real", "clean", "pairs", "reference", "validation", "baseline", "out", "cache"):
            value = getattr(self, name)
            if isinstance(value, str):
                try:
                    found = location(value) if name in ("real", "clean", "pairs", "reference") else Path(value)
                except ValueError as error:
                    raise UserError(f"--{name} {error}") from error
                object.__setattr__(self, name, found)

    @property
    def adapts(self) -> bool:
        """Whether anything is learnt from the real photographs."""
        return {self.strategy, *self.also} != {"synthetic"}

    @property
    def photographs(self) -> Location | None:
        """The clean photographs: where nothing is given, those that come with noiseda; None beside pairs."""
        return self.clean or (Path(INCLUDED) if self.pairs is None else None)

    @property
    def matches(self) -> bool:
        """Whether the degradation is found from the real photographs, unless another is asked for."""
        usual = self.degradation.usual and TASKS[self.task].estimator is not None
        asked = "matched" in re.split(r"[+*]", self.degradation.kind or "")
        return asked or (usual and None not in (self.photographs, self.real))

    @property
    def looks(self) -> bool:
        """Whether the real photographs are looked at in any way."""
        return self.adapts or self.matches

    @property
    def is_tried(self) -> bool:
        """Whether look-alikes of the real photographs are wanted, and can be made."""
        clean = self.photographs or (self.pairs if TASKS[self.task].proxies_from_pairs else None)
        return self.looks and None not in (clean, self.real) and self.proxy_pairs > 0 and self.validation is None

    def check(self) -> None:
        """Check the settings against each other.

        Raises:
            UserError: naming the flag, what was given and what was expected.
        """
        for flag, (value, choices) in choices_of(self).items():
            if value not in choices:
                why = extensions.why_no_strategy(str(value)) if flag in ("strategy", "also") else ""
                raise UserError(f"{flag_of(flag)} must be one of {', '.join(map(str, choices))}, not {value}{why}")
        if len({self.strategy, *self.also}) < 1 + len(self.also):
            raise UserError(f"--also names each strategy once, and not --strategy {self.strategy} again: {self.also}")
        if self.real is None and self.looks:
            without = "another --degradation.kind" if self.matches else "--strategy synthetic"
            raise UserError(f"--real is missing: give the folder of your own degraded photographs (or {without})")
        if None not in (self.clean, self.pairs):
            raise UserError("give either --clean (clean photographs) or --pairs (input/ and target/), not both")
        if self.minutes is not None and self.training.steps != TrainingSettings().steps:
            raise UserError("give either --minutes or --training.steps, not both")
        mixed = "pairs" in re.split(r"[+*]", self.degradation.kind or "")
        if self.pairs is not None and not self.degradation.usual and not mixed:
            raise UserError(
                "--pairs brings its own degraded images: --degradation.* applies to --clean, or as a mixture with them "
                f"(--degradation.kind pairs+{self.degradation.kind or 'NAME'})"
            )
        if mixed and (self.pairs is None or self.degradation.strength is not None):
            raise UserError("--degradation.kind pairs+… is for --pairs, and has no --degradation.strength")
        check_numbers(self)
        check_limits(self)
        task = TASKS[self.task]
        self.restorer.check(task.network)
        if self.degradation.remembered and self.restorer.settled(task.network, task.ready).origin is None:
            raise UserError(
                f"--degradation.remembered {self.degradation.remembered:g} needs a network that knows something: the "
                "ready weights, or --restorer.start"
            )
        self.predictor.check()
        if self.predictor.training != "joint" and self.predictor.start is None:
            raise UserError(f"--predictor.training {self.predictor.training} needs --predictor.start: a trained one")
        kinds = extensions.strategies()
        whole = sorted(
            name for name in {self.strategy, *self.also} & set(kinds) if not getattr(kinds[name], "SHARDS", True)
        )
        if self.training.shard and whole:
            raise UserError(f"--training.shard is for large predictors, and not for --strategy {whole[0]}")
        if self.predictor.start is None or self.predictor.from_folder:
            self.check_patch()

    def check_patch(self) -> None:
        """Check the side of the patches; of a predictor that begins with a file, once its sizes are known.

        Raises:
            UserError: the networks do not take it.
        """
        task, shrink = TASKS[self.task], self.predictor.multiple_of
        restorer = self.restorer.settled(task.network, task.ready)
        if restorer.network.startswith("unet"):
            depth = restorer.depth or len(restorer.blocks or [1]) // 2 + 1
            shrink = math.lcm(shrink, 2 ** (depth - 1))
        if self.training.side < 16 or self.training.side % shrink:
            sides = "" if self.predictor.from_folder else SIDES[self.predictor.kind]
            why = f"{sides}2 per further --restorer.depth"
            least = f"at least 16 and a multiple of {shrink} ({why})"
            raise UserError(f"--training.patch must be {least}, not {self.training.side}")


extensions.check_free(AdaptSettings.__annotations__)
