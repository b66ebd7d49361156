"""How often the verdict that needs no truth is right: all networks of a comparison, against the truth.

    python -m noiseda_research.studies.verdicts --config denoise --data DIR --out runs/compare-denoise --sets polyu,sidd-small --seeds 0

Every finished row of the comparison is judged against the reference of its set and seed as ``noiseda adapt`` judges
(--baseline: the reference), and the verdict is held against the difference of their true PSNR on the test.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from pathlib import Path
from statistics import fmean

import torch
from scipy.stats import spearmanr

from noiseda import find_images, load
from noiseda.assessment import Verdict, look_of, standing, trial_of, verdict, witness_of
from noiseda.cli import parse
from noiseda.restoration import task_of
from noiseda_research.comparison.matrix import CompareSettings, Job, cells, clean_of, protocol_of, weights_of, words_of
from noiseda_research.comparison.scores import name_of

APART = 0.05
"""Difference of PSNR (dB) from which one network counts as better than another."""

LOOK_ALIKES = 32


def main() -> None:
    """Judge, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="denoise")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the comparison")
    parser.add_argument("--sets", type=lambda text: text.split(","), required=True)
    parser.add_argument("--seeds", type=lambda text: [*map(int, text.split(","))], default=[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="rows to judge; all by default")
    parser.add_argument("--without", type=lambda text: text.split(","), default=[], help="rows to leave out")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    words = ["compare", "--config", given.config, "--data", str(given.data), "--out", str(given.out)]
    settings = dataclasses.replace(CompareSettings(**parse(words)[1]), seeds=given.seeds, only_sets=given.sets)
    found: list[tuple[str, str, int, float, Verdict]] = []
    for name in given.sets:
        for seed in given.seeds:
            found += _judged(settings, name, seed, given.only, given.without)
    print(_table(found))


def _judged(
    settings: CompareSettings, name: str, seed: int, only: list[str], without: list[str]
) -> list[tuple[str, str, int, float, Verdict]]:
    finished = {
        cell.strategy: cell.job
        for cell in cells(settings)
        if (cell.set, cell.seed) == (name, seed)
        and weights_of(cell.job).exists()
        and cell.strategy not in without
        and (not only or cell.strategy in {*only, settings.reference})
    }
    found = {row: psnr_of(settings, name, job) for row, job in finished.items()}
    truth = {row: psnr for row, psnr in found.items() if psnr is not None}
    real = find_images(Path(words_of(settings, name)["adapt"]) / "input")
    clean = find_images(clean_of(settings, name))
    reference = load(weights_of(finished[settings.reference]))
    task = task_of(weights_of(finished[settings.reference]))
    like = look_of(task, real, clean, settings.out / "cache" / f"verdict-{name}-{seed}.json", seed)
    tried = trial_of(like, clean, LOOK_ALIKES, seed, None)
    witness = witness_of(like, real, reference, seed, pairs=tried.choosing)
    before = standing(reference, tried.judging, witness, "auto")
    rows = []
    for row, job in finished.items():
        if row != settings.reference and row in truth:
            own = standing(load(weights_of(job)), tried.judging, witness, "auto")
            gain = truth[row] - truth[settings.reference]
            rows.append((name, row, seed, gain, verdict(own, before, settings.reference, tried.of)))
    return rows


def psnr_of(settings: CompareSettings, name: str, job: Job) -> float | None:
    """Mean PSNR (dB) of a run on a set's own test, as the comparison scored it; None where it did not."""
    scored = name_of(Path(words_of(settings, name)["test"]), protocol_of(settings.sets[name], name))
    path = settings.out / "scores" / job.name / f"{scored}.json"
    if not path.exists():
        return None
    scores = json.loads(path.read_text())["scores"].values()
    return fmean(image.get("psnr_best_shift", image["psnr"]) for image in scores)


def _table(found: list[tuple[str, str, int, float, Verdict]]) -> str:
    lines = [
        "| set | row | seed | true gain, dB | estimated (95%) | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    counts: dict[str, Counter[str]] = {}
    for name, row, seed, gain, ruled in sorted(found, key=lambda one: (one[0], one[2], -one[3])):
        mean, low, high = ruled.gain
        lines.append(
            f"| {name} | {row} | {seed} | {gain:+.2f} | {mean:+.2f} ({low:+.2f} to {high:+.2f}) | {ruled.word} |"
        )
        truly = "better" if gain > APART else "worse" if gain < -APART else "the same"
        counts.setdefault(name, Counter())[f"{ruled.word}, truly {truly}"] += 1
    for name, of in counts.items():
        rank = spearmanr(*zip(*((gain, ruled.gain[0]) for one, _, _, gain, ruled in found if one == name), strict=True))
        text = "; ".join(f"{words}: {count}" for words, count in sorted(of.items()))
        lines += ["", f"{name} (rank correlation {rank.statistic:.2f}): {text}"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
