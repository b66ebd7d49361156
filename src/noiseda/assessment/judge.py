"""``noiseda judge``: is one network better on your photographs than another? Estimated without any truth."""

from __future__ import annotations

import math
import tempfile
from functools import partial
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.text import Text

from noiseda.assessment.judge_page import Estimates, Judged, estimates_page, verdict_page
from noiseda.assessment.proxy_pairs import look_of, restored_by
from noiseda.assessment.sure import TILE, RiskEstimate
from noiseda.assessment.verdict import SMALLEST, Verdict, standing, trial_of, verdict
from noiseda.assessment.witness import witness_of
from noiseda.config import AdaptSettings
from noiseda.data.batches import generator
from noiseda.data.degradations import Degradation
from noiseda.data.depth import depth_of, shown
from noiseda.data.folders import spread
from noiseda.errors import UserError
from noiseda.images import find_images, list_folder, read
from noiseda.precision import FULL
from noiseda.report import write_report
from noiseda.restoration import load, task_of
from noiseda.restoration.as_trained import check_keeps_size
from noiseda.tasks import TASKS


def judge(
    adapted: Path,
    baseline: Path,
    real: Path,
    *,
    clean: Path | None = None,
    photographs: int = 12,
    seed: int = 0,
    out: Path | None = None,
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
        out: folder that gets report.html: the verdict, and some of your photographs restored by both.

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
    case = Judged(task, adapted, baseline, paths, networks, deep, seed)
    if clean is not None:
        verdict, like = _two_witnesses(case, find_images(clean), photographs)
        Console(highlight=False).print(Text.assemble((str(adapted), "bold"), f" is {verdict}"), soft_wrap=True)
        if out is not None:
            write_report(Path(out) / "report.html", verdict_page(case, verdict, like))
        return verdict
    chosen = [paths[index] for index in spread(len(paths), photographs)]
    images = [shown([read(path)], white)[0] for path in chosen]
    if len(images) < 2:
        raise UserError(f"{real} holds 1 photograph, expected at least 2")
    try:
        probes = generator("judge", seed)
        estimate = RiskEstimate(images, partial(restored_by, networks[1]), probes, levels=deep.levels)
    except UserError as error:
        raise UserError(f"{real}: {error}") from error
    found = Estimates(*(estimate(partial(restored_by, network)) for network in networks))
    _show(found, adapted, baseline, len(images))
    if out is not None:
        measured = [path.name for path, image in zip(chosen, images, strict=True) if min(image.shape[-2:]) >= TILE]
        write_report(Path(out) / "report.html", estimates_page(case, found, measured))
    return found


def _two_witnesses(case: Judged, clean: list[Path], photographs: int) -> tuple[Verdict, Degradation]:
    """The verdict of ``noiseda adapt``, of two networks; and what the photographs went through."""
    with tempfile.TemporaryDirectory() as folder:
        like = look_of(case.task, case.real, clean, Path(folder) / "look.json", case.seed, case.deep)
    tried = trial_of(like, clean, AdaptSettings().proxy_pairs, case.seed, None, case.deep)
    if not tried.judging:
        raise UserError(f"--clean holds no photograph of at least {SMALLEST} x {SMALLEST}")
    known, judge = tried.choosing, case.networks[1]
    witness = witness_of(like, case.real, judge, case.seed, photographs, deep=case.deep, pairs=known)
    own, theirs = (standing(network, tried.judging, witness, "auto") for network in case.networks)
    return verdict(own, theirs, str(case.baseline), tried.of), like


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
    console.print(f"as they are: noise of about {_steps(math.sqrt(fmean(found.baseline.noise)) * 255)}/255")
    console.print(
        Text.assemble(
            (f"{adapted} is {found.word}", "bold"),
            f" than {baseline} on these {count} photographs: its squared error is {found.lower}",
        ),
        soft_wrap=True,
    )
    if found.doubt:
        console.print(found.doubt, soft_wrap=True)
