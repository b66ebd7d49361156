"""What is restored: one row a task. Nothing else asks which task it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["INCLUDED", "MATCHED", "PAIRS", "TASKS", "Retention", "Task", "TaskName"]

TaskName = Literal["denoise", "derain", "deblur", "dejpeg"]

MATCHED = "matched"
"""The name of a degradation that is found from the user's photographs."""

INCLUDED = "noiseda:clean"
"""The name of the clean photographs that come with noiseda (src/noiseda/ready/clean); no folder is called so."""

PAIRS = "pairs"
"""The name, in a mixture, of what the inputs of the user's own pairs went through."""


@dataclass(frozen=True)
class Retention:
    """How it is measured what a network still knows of synthetic pairs.

    Attributes:
        pairs: on how many. What is lost differs from blurred pair to blurred pair by half a decibel: on 32, a tenth
            drowns in it (docs/results.md).
        at_best_shift: also at the best shift between restored and target, as blur is scored.
        general: what ready weights are good at, as a mixture. Where a run starts from them, each part counts.
    """

    pairs: int = 32
    at_best_shift: bool = False
    general: str = ""


@dataclass(frozen=True)
class Task:
    """A row of :data:`TASKS`.

    Attributes:
        degradations: names of the degradations that make sense (:data:`noiseda.data.degradations.DEGRADATIONS`).
        usual: the degradation, or the mixture, where none is asked for and no photographs can be matched.
        strategy: what trains where nothing is asked for (docs/results.md has what was measured).
        estimator: what is looked for in the photographs: their noise, rain, blur or JPEG quality, or nothing.
        learning_rate: from random weights, where none is asked for.
        gentle_rate: from the ready weights, where none is asked for.
        gentle_patch: side of the patches then, in pixels.
        remembered: then, and where the degradation is matched, the share of the images that remind the network of what
            it was good at; where it is 0, ``beside_matched`` does.
        network: the network where none is asked for, as far as it has the sizes that are.
        ready: the ready weights that a run starts from where nothing is said of the network; none where empty.
        strategy_matched: what trains where the degradation is matched to the photographs.
        beside_matched: what every other image gets then, so that a network remains good at it.
        loss: the error that a run from the ready weights lowers, unless the strategy is the paper's.
        paired: what the inputs of the user's own pairs are mixed with where nothing is asked for.
        proxies_from_pairs: whether the targets of pairs serve as clean photographs, from which proxy pairs are made.
        estimates_risk: whether the squared error on real photographs can be estimated from them (SURE: noise alone).
        has_depth: whether files of more than 8 bits change what is simulated: no rounding, no JPEG.
        retention: how it is measured what a network still knows.
    """

    degradations: tuple[str, ...]
    usual: str
    strategy: str
    estimator: Literal["noise", "rain", "blur", "jpeg"] | None = None
    learning_rate: float = 1e-3
    gentle_rate: float = 1e-3
    gentle_patch: int = 48
    remembered: float = 0.0
    network: str = "unet"
    ready: str = ""
    strategy_matched: str = ""
    beside_matched: str = ""
    loss: Literal["charbonnier", "psnr"] = "charbonnier"
    paired: str = PAIRS
    proxies_from_pairs: bool = True
    estimates_risk: bool = False
    has_depth: bool = False
    retention: Retention = Retention()


TASKS: dict[TaskName, Task] = {
    "denoise": Task(
        degradations=("white", "poisson-gaussian", "shot", "camera", "shrunk", "phone", MATCHED),
        usual="white+camera",
        strategy="noise-space",
        estimator="noise",
        learning_rate=2e-3,
        network="unet-residual",
        ready="denoise",
        strategy_matched="neighbor2neighbor",
        beside_matched="white",
        remembered=0.2,
        proxies_from_pairs=False,
        estimates_risk=True,
        has_depth=True,
        retention=Retention(general="white+shot+camera+phone"),
    ),
    "derain": Task(
        degradations=("rain", "streaks", "drops", MATCHED),
        usual="rain",
        strategy="mean-teacher",
        estimator="rain",
        ready="derain",
        strategy_matched="mean-teacher",
        beside_matched="rain",
        gentle_rate=3e-4,  # at 1e-3 half of what adapting gains is lost
        gentle_patch=96,  # in 48 pixels streaks have no ends, and adapting gains nothing
        loss="psnr",
        paired=f"{PAIRS}+streaks",  # a network for rain that knows two renderings does better on a third
        retention=Retention(general="rain"),
    ),
    "deblur": Task(
        degradations=("camera-shake", "defocus", "frame-average", MATCHED),
        usual="camera-shake",
        strategy="mean-teacher",
        estimator="blur",
        ready="deblur",
        strategy_matched="mean-teacher",
        beside_matched="camera-shake",
        retention=Retention(pairs=128, at_best_shift=True, general="camera-shake+defocus"),
    ),
    "dejpeg": Task(
        degradations=("jpeg", MATCHED),
        usual="jpeg",
        strategy="mean-teacher",
        estimator="jpeg",
        strategy_matched="mean-teacher",
        beside_matched="jpeg",
        network="unet-residual",
        ready="dejpeg",
        retention=Retention(general="jpeg"),
    ),
}
