"""``noiseda judge``: is one network better on your photographs than another? Estimated without any truth."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.text import Text

from noiseda.assessment.proxy_pairs import look_of
from noiseda.assessment.sure import Risk, RiskEstimate
from noiseda.assessment.verdict import SMALLEST, Verdict, standing, trial_of, verdict, witness_of
from noiseda.config import AdaptSettings, Task
from noiseda.data.batches import generator
from noiseda.data.depth import Depth, depth_of, shown
from noiseda.data.folders import spread
from noiseda.errors import UserError
from noiseda.evaluation.interval import interval
from noiseda.images import find_images, list_folder, read
from noiseda.inference import restore_tensor
from noiseda.precision import FULL
from noiseda.restoration import Restorer, load, task_of
from noiseda.restoration.as_trained import check_keeps_size
from noiseda.tasks import TASKS


@dataclass(frozen=True)
class Estimates:
    """What was estimated of two networks on the same photographs.

    Attributes:
        adapted: the risk of the network in question.
        baseline: that of the one it is compared with.
    """

    adapted: Risk
    baseline: Risk

    @property
    def gain(self) -> tuple[float, float, float]:
        """How much lower the squared error is, as a share of the baseline's: mean, and 95% interval over photographs.

        Photographs with much noise and with little count alike: each difference is divided by the deviation of the
        noise in it.
        """
        rows = list(zip(self.baseline.restored, self.adapted.restored, self.baseline.noise, strict=True))
        scale = fmean(max(base, 0.0) / math.sqrt(noise) for base, _, noise in rows)
        mean, low, high = interval([(base - own) / math.sqrt(noise) for base, own, noise in rows])
        scale = max(scale, 1e-9)
        return mean / scale, low / scale, high / scale

    @property
    def better(self) -> bool:
        """Whether the whole interval lies above 0.

        There is no verdict "worse": of cameras that smooth flat places, too little noise is found, and a network that
        rightly removes much of it looks worse than one that does not (docs/results.md counts both).
        """
        return self.gain[1] > 0


def judge(
    adapted: Path, baseline: Path, real: Path, *, clean: Path | None = None, photographs: int = 12, seed: int = 0
) -> Estimates | Verdict:
    """Tell, without ground truth, whether an adapted network is better on some photographs than another one.

    The squared error of both is estimated from the photographs alone (Stein's unbiased risk estimate, with the noise of
    their flat places; docs/explanation/verdict.md). That is for noise: networks for rain and blur are judged with clean
    photographs. With these, both are also tried on them, degraded as yours look, and the verdict is that of
    ``noiseda adapt``. How often it was right, docs/results.md reports. It must not judge a network trained with
    ``--strategy sure``, which learnt from it.

    Args:
        adapted: weights file of the network in question.
        baseline: weights file it is compared with, such as that of ``--strategy synthetic``; it was not adapted to the
            photographs, and estimates how strong their noise is.
        real: folder of degraded photographs, best such that neither network was trained on.
        clean: folder of clean photographs, of anything.
        photographs: how many of your photographs the error is estimated on, evenly spread.
        seed: seed of the noise they are probed with.

    Raises:
        UserError: where weights or photographs cannot be used, or the photographs show no noise.
    """
    if photographs < 2:
        raise UserError(f"--photographs must be at least 2, not {photographs}")
    networks = [load(path) for path in (adapted, baseline)]
    white = networks[0].white_level
    for path, network in zip((adapted, baseline), networks, strict=True):
        check_keeps_size(network, str(path))
    for network in networks:  # their images are divided by it already
        network.white_level = FULL
    paths = find_images(real)
    for folder in (real, *([] if clean is None else [clean])):
        list_folder(folder).warn()
    deep = depth_of(paths, white)
    task = task_of(adapted)
    if clean is None and not TASKS[task].estimates_risk:
        raise UserError(f"{adapted} is for --task {task}, and judged on clean photographs too: give --clean DIR")
    if clean is not None:
        verdict = _two_witnesses(task, networks, paths, find_images(clean), str(baseline), photographs, seed, deep)
        Console(highlight=False).print(Text.assemble((str(adapted), "bold"), f" is {verdict}"), soft_wrap=True)
        return verdict
    images = [shown([read(paths[index])], white)[0] for index in spread(len(paths), photographs)]
    if len(images) < 2:
        raise UserError(f"{real} holds 1 photograph, expected at least 2")
    try:
        probes = generator("judge", seed)
        estimate = RiskEstimate(images, lambda x: restore_tensor(networks[1], x), probes, levels=deep.levels)
    except UserError as error:
        raise UserError(f"{real}: {error}") from error
    found = Estimates(*(estimate(lambda x, network=network: restore_tensor(network, x)) for network in networks))  # type: ignore[misc]
    _show(found, adapted, baseline, len(images))
    return found


def _two_witnesses(
    task: Task,
    networks: list[Restorer],
    real: list[Path],
    clean: list[Path],
    baseline: str,
    photographs: int,
    seed: int,
    deep: Depth,
) -> Verdict:
    """The verdict of ``noiseda adapt``, of two networks."""
    with tempfile.TemporaryDirectory() as folder:
        like = look_of(task, real, clean, Path(folder) / "look.json", seed, deep)
    witness = witness_of(like, real, networks[1], seed, photographs, deep=deep)
    tried = trial_of(like, clean, AdaptSettings().proxy_pairs, seed, witness, deep)
    if not tried.judging:
        raise UserError(f"--clean holds no photograph of at least {SMALLEST} x {SMALLEST}")
    own, theirs = (standing(network, tried.judging, witness, "auto") for network in networks)
    return verdict(own, theirs, baseline, tried.of)


def _steps(deviation: float) -> str:
    """Two places, or two digits where that is more: files of 16 bits show noise far below a step of 8.

    >>> _steps(12.345), _steps(0.00123)
    ('12.35', '0.0012')
    """
    return f"{deviation:.2g}" if 0 < deviation < 0.1 else f"{deviation:.2f}"


def _show(found: Estimates, adapted: Path, baseline: Path, count: int) -> None:
    console = Console(highlight=False)
    for name, risk in ((baseline, found.baseline), (adapted, found.adapted)):
        left = math.sqrt(max(risk.mean, 0.0)) * 255
        console.print(f"{name}: estimated error {_steps(left)}/255", soft_wrap=True, markup=False)
    mean, low, high = found.gain
    console.print(f"as they are: noise of about {_steps(math.sqrt(fmean(found.baseline.noise)) * 255)}/255")
    word = "better" if found.better else "not shown to be better"
    console.print(
        Text.assemble(
            (f"{adapted} is {word}", "bold"),
            f" than {baseline} on these {count} photographs: its squared error is lower by "
            f"{100 * mean:.0f}% (95%: {100 * low:.0f} to {100 * high:.0f})",
        ),
        soft_wrap=True,
    )
    if high < 0:
        console.print(
            "It may still be: where a camera smooths flat places, less noise is found than there is, and networks that "
            "remove much look worse than they are. Look at the pictures.",
            soft_wrap=True,
        )
