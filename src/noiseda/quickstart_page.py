"""The quickstart's page: what was gained over what a user has already, and the held-out photographs to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from noiseda.evaluation.comparisons import compared
from noiseda.images import read
from noiseda.report import Comparison, Report, Table

_LOOKING = "Held-out photographs: nothing was trained on them. Drag the line, or show all side by side; + and - zoom."


def quickstart_page(
    psnr: Mapping[str, Mapping[str, float]],
    folders: Mapping[str, Path],
    target: Path,
    *,
    note: str,
    seconds: float,
    made_by: Mapping[str, str],
) -> Report:
    """What the page shows.

    Args:
        psnr: column -> image -> PSNR in dB.
        folders: column -> folder with its images.
        target: folder with the truth.
        note: what the photographs are.
        seconds: of everything.
        made_by: name -> version, commit, machine.
    """
    names = list(psnr["input"])
    mean = {column: sum(scores.values()) / len(scores) for column, scores in psnr.items()}
    return Report(
        title="noiseda quickstart",
        verdict=sentence(mean),
        tone="good" if mean["adapted"] > mean["ready"] else "bad",
        because=note,
        facts={column: f"{value:.2f} dB" for column, value in mean.items()} | {"minutes": f"{seconds / 60:.1f}"},
        comparisons=[_shown(name, folders, target) for name in names],
        looking=_LOOKING,
        table=Table(
            list(psnr),
            [(name, [scores[name] for scores in psnr.values()]) for name in names],
            [2] * len(psnr),
            (f"mean of {len(names)}", list(mean.values())),
            "PSNR in dB (RGB, 8 bits). nl-means: scikit-image's non-local means, at the best of four strengths for "
            "these photographs, which only the truth can tell. ready: the weights that come with noiseda. The others "
            "were trained from these, for as many steps each: on synthetic pairs alone, by the published noise-space "
            "form, and as noiseda adapt does where nothing is asked for.",
        ),
        made_by=made_by,
    )


def sentence(mean: Mapping[str, float]) -> str:
    """What was gained, in a sentence; lost, where it was.

    >>> sentence({"input": 20.0, "nl-means": 26.0, "ready": 27.0, "adapted": 26.5})
    'Adapted to its photographs, the network scores 26.50 dB: 0.50 dB below the ready weights, 0.50 dB above nl-means.'
    """
    gains = {name: mean["adapted"] - mean[column] for column, name in _BEFORE.items()}
    gained = ", ".join(f"{abs(gain):.2f} dB {'above' if gain >= 0 else 'below'} {name}" for name, gain in gains.items())
    return f"Adapted to its photographs, the network scores {mean['adapted']:.2f} dB: {gained}."


_BEFORE = {"ready": "the ready weights", "nl-means": "nl-means"}


def _shown(name: str, folders: Mapping[str, Path], target: Path) -> Comparison:
    def one(folder: Path) -> Path:
        return folder / f"{name}.png"

    images = {column: read(one(folder)).pixels for column, folder in folders.items()}
    truth = read(one(target)).pixels
    return compared(
        name, images | {"target": truth}, truth, opens=("input", "adapted"), differs=("input", "adapted"), taken=True
    )
