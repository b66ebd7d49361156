"""How well is it estimated what photographs went through? Simulated ones of another folder, whose truth is known.

    python -m noiseda_research.studies.matching CLEAN OTHER

Photographs of OTHER are degraded by every candidate of ``--degradation.kind matched``, at strengths within one octave,
and estimated by what is simulated on those of CLEAN: each by those nearest to it, and all of a candidate together. Prints the
share of what is found that is of the right candidate, and of that share how far off the strengths are, in octaves: the
mean and the root mean square of the error.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from statistics import fmean

import torch

from noiseda import find_images
from noiseda.data import DEGRADATIONS, generator, log_uniform
from noiseda.estimation import CANDIDATES, middle, middles, nearest, noise_statistics, occurring, simulate

PHOTOGRAPHS, SIDE = 60, 320


def main() -> None:
    """Degrade, tell, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path)
    parser.add_argument("other", type=Path)
    given = parser.parse_args()
    simulated, known = simulate(find_images(given.clean), seed=0)
    spread = known.std(dim=0)
    photographs = [middle(image, SIDE) for image in middles(find_images(given.other), PHOTOGRAPHS)]
    draws = generator("bench", "matching")
    print("| candidate | strengths | one by one: right, error | together: right, error | alike |\n" + "|---" * 5 + "|")
    for kind, (low, high) in CANDIDATES.items():
        for centre in (low * (high / low) ** share for share in (0.35, 0.7)):
            bounds = (centre / math.sqrt(2), centre * math.sqrt(2))
            looks, mean = [], math.log2(centre)
            for photograph in photographs:
                strength = log_uniform(bounds, draws)
                noisy = DEGRADATIONS[kind](strength=(strength, strength))(photograph, draws).clamp(0, 1)
                look = noise_statistics((noisy * 255).round() / 255)
                looks += [] if look is None else [look]
            found, alike = occurring(torch.stack(looks), known, simulated, CANDIDATES)
            alone = nearest(torch.stack(looks) / spread, known / spread, simulated)
            cells = [_shown(each, kind, mean) for each in (alone, found)]
            print(f"| {kind} | {bounds[0]:.3g} to {bounds[1]:.3g} | {' | '.join(cells)} | {'yes' if alike else 'no'} |")


def _shown(found: list[tuple[str, float]], kind: str, mean: float) -> str:
    errors = [math.log2(strength) - mean for name, strength in found if name == kind]
    right = f"{len(errors) / len(found):.0%}"
    return f"{right}, {fmean(errors):+.2f} ± {math.sqrt(fmean(error**2 for error in errors)):.2f}" if errors else right


if __name__ == "__main__":
    main()
