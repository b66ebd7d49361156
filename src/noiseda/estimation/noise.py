"""A degradation like the user's own: which noise their photographs have.

Noise that differs from pixel to pixel is measured (:mod:`noiseda.estimation.independent_noise`). For all other noise,
clean photographs are degraded by every candidate at many strengths; how the noise of flat places behaves is summed
up in a few figures, for these as for the real photographs; how often each candidate and strength occurs among the real
ones is estimated from all of them together (:mod:`noiseda.estimation.empirical_bayes`).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.config import DegradationSettings
from noiseda.data.degradations import DEGRADATIONS, Degradation, Grey, Prepare
from noiseda.data.depth import EIGHT_BITS, Depth
from noiseda.data.phone import gaussian
from noiseda.data.sampling import integer, log_uniform, one_thread, uniform
from noiseda.errors import UserError
from noiseda.estimation.empirical_bayes import RULES, occurring
from noiseda.estimation.independent_noise import MEASURED, IndependentNoise, measured_noise
from noiseda.estimation.noise_looks import (
    CANDIDATES,
    OPPONENT,
    PHOTOGRAPHS,
    SIMULATIONS,
    candidate,
    middles,
    noise_statistics,
    simulated,
)
from noiseda.estimation.softness import softness
from noiseda.storage import atomic

LENIENCE = 0.25
"""Noise that smoothing allows for, as a share of that which is there: places count as flat that have less structure."""

PROCESSED = ("camera", "phone")
"""Candidates whose noise has gone through a camera; variance rises with their strength, an ISO number."""

SHARPENING, RADIUS = (0.0, 2.0), (0.6, 1.4)
"""Ranges of how much a camera sharpens, and over how many pixels."""

SHARPENED = 1.4
"""How much softer clean photographs become than the user's, before they are sharpened."""


@dataclass(frozen=True)
class Matched:
    """Degrades as the user's photographs were, as far as could be estimated.

    Attributes:
        found: candidates and strengths, each as likely as the others; none where noise was measured.
        smoothed: up to how many times as strong noise that went through a camera is where there is texture.
        alike: whether the photographs look like what is found; else it is the nearest that is simulated.
        soft: how soft they are, in pixels, each as likely as the others (:func:`~noiseda.estimation.softness`).
        levels: steps from black to white that their files have; those of more than 8 bits were no JPEGs.
        grey: whether all of them are grey. Then what is degraded is to be so too
            (:class:`~noiseda.data.degradations.Grey`).
        measured: noise that was measured in single photographs, each as likely as the others. Where there is some, it
            takes the place of the candidates.
    """

    found: tuple[tuple[str, float], ...]
    smoothed: float = DegradationSettings.smoothed
    alike: bool = True
    soft: tuple[float, ...] = ()
    levels: float = 255.0
    grey: bool = False
    measured: tuple[IndependentNoise, ...] = ()

    @property
    def prepare(self) -> Prepare | None:
        """Makes clean photographs as soft as the user's, where those come from a camera that is not simulated.

        Pictures that were shrunk are sharper than a camera's, whose lens and demosaicing leave little in the highest
        frequencies: what is there is noise.
        """
        return self._as_soft if self.soft and self.processed and not self.alike else None

    def _as_soft(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        wanted, own = self.soft[integer(0, len(self.soft) - 1, generator)], softness(clean) or 0.0
        if wanted > own:
            clean = gaussian(clean, max(SHARPENED * math.sqrt(wanted**2 - own**2), 0.1))
        return sharpened(clean, generator).clamp(0, 1)

    @property
    def processed(self) -> bool:
        """Whether most of the noise went through a camera, so that neighbours share it."""
        return not self.measured and 2 * sum(kind in PROCESSED for kind, _ in self.found) > len(self.found)

    @property
    def margin(self) -> int:
        """The largest of theirs."""
        if self.measured:
            return 0
        return max(DEGRADATIONS[kind]().margin for kind in {kind for kind, _ in self.found})

    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        if self.measured:
            return self.measured[integer(0, len(self.measured) - 1, generator)](clean, generator)
        kind, strength = self.found[integer(0, len(self.found) - 1, generator)]
        stronger = strength
        if kind in PROCESSED:  # in cameras that smooth much and little alike, which flat places do not separate
            stronger = min(strength * log_uniform((1.0, self.smoothed), generator) ** 2, CANDIDATES[kind][1])
        noisy = candidate(kind, stronger, deep=Depth(self.levels).deep)(clean, generator)
        if stronger > strength:
            noisy = smoothed_where_flat(noisy, clean, math.sqrt(stronger / strength))
        return noisy if self.prepare is None else clean + sharpened(noisy - clean, generator)

    def __str__(self) -> str:
        """Candidates, most frequent first, with their share and the range of their strengths; or what was measured."""
        if self.measured:
            deviations = sorted(noise.strength for noise in self.measured)
            low, middle, high = map(_short, (deviations[0], median(deviations), deviations[-1]))
            text = f"noise that differs from pixel to pixel, as measured in {len(deviations)} of them"
            text += f" (deviation {low} to {high} of 255 at mid-grey, median {middle})"
            return text + ("; grey, as they are" if self.grey else "")
        counts = Counter(kind for kind, _ in self.found)
        parts = []
        for kind, count in counts.most_common():
            strengths = sorted(strength for other, strength in self.found if other == kind)
            low, middle, high = map(_short, (strengths[0], median(strengths), strengths[-1]))
            parts.append(f"{kind} {100 * count / len(self.found):.0f}% (strength {low} to {high}, median {middle})")
        up_to = f"; up to {_short(self.smoothed)} times as strong where there is texture"
        text = ", ".join(parts) + (up_to if self.smoothed > 1 and counts.keys() & set(PROCESSED) else "")
        text += "; grey, as they are" if self.grey else ""
        text += "" if self.alike else "; nothing simulated quite resembles them"
        return text + ("" if self.prepare is None else f"; their edges are {median(self.soft):.1f} pixels soft")


@one_thread()
def smoothed_where_flat(noisy: Tensor, clean: Tensor, times: float) -> Tensor:
    """What a camera that smooths by local statistics leaves of noise.

    Where the luma of what is shown has variance v, that is the share v / (v + ``LENIENCE`` n) of noise of variance n,
    and no less than 1 / ``times`` (Lee, "Digital image enhancement and noise filtering by use of local statistics",
    PAMI 1980).

    Args:
        noisy: (C, H, W), C = 1 or 3.
        clean: the same without noise.
        times: how many times as strong noise is in texture as in flat places, at least 1.

    Returns:
        (C, H, W).
    """
    noise = noisy - clean
    weights = OPPONENT[0].to(clean) if len(clean) == 3 else torch.ones(1).to(clean)
    shown, rough = (torch.tensordot(weights, image, dims=1)[None, None] for image in (clean, noise))
    sides = [min(3, length - 1) for length in shown.shape[-1:-3:-1] for _ in range(2)]

    def local(image: Tensor) -> Tensor:
        padded = F.pad(image, sides, mode="reflect")
        return F.avg_pool2d(padded, (2 * sides[2] + 1, 2 * sides[0] + 1), stride=1)

    structure = (local(shown.square()) - local(shown).square()).clamp(min=0)
    share = structure / (structure + LENIENCE * rough.square().mean()).clamp(min=1e-12)
    left: Tensor = clean + share[0].clamp(min=1 / times) * noise
    return left


@one_thread()
def sharpened(image: Tensor, generator: torch.Generator) -> Tensor:
    """An image (C, H, W), or noise, sharpened by a random amount and over a random distance, as cameras do.

    Unsharp masking: image + a (image - the image seen through a Gaussian of r pixels).
    """
    amount, scale = uniform(SHARPENING, generator), uniform(RADIUS, generator)
    return image + amount * (image - gaussian(image, scale))


def as_grey(degrade: Degradation, like: Degradation | None) -> Degradation:
    """A degradation, of grey photographs where those that were matched are grey.

    Args:
        degrade: what clean photographs go through.
        like: what was found from the user's.
    """
    return Grey(degrade) if isinstance(like, Matched) and like.grey else degrade


def _short(number: float) -> str:
    """Three digits, and all of those before the point.

    >>> _short(8123.4), _short(2.345)
    ('8123', '2.35')
    """
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def matched(real: Sequence[Path], clean: Sequence[Path], kept: Path, *, depth: Depth = EIGHT_BITS) -> Matched:
    """Find what real photographs have gone through; what was found before for the same photographs is read again.

    Args:
        real: real photographs; 64 of them, evenly spread, are looked at.
        clean: clean photographs.
        kept: file for what is found.
        depth: of the real ones.

    Raises:
        UserError: where no photograph of either has flat places to look at.
    """
    rules: dict[str, object] = {"candidates": CANDIDATES, "simulations": SIMULATIONS, "rules": RULES}
    rules |= {"soft": 1, "grey": 1, "measured": [3, MEASURED]}
    if depth != EIGHT_BITS:
        rules["depth"] = [depth.levels, depth.white]
    asked = json.loads(json.dumps(rules))
    if kept.exists():
        document = json.loads(kept.read_text())
        if document["asked"] == asked:
            found = tuple((kind, strength) for kind, strength in document["found"])
            alike, colourless, widths = document["alike"], document["grey"], tuple(document["soft"])
            noise = tuple(IndependentNoise.again(one) for one in document["measured"])
            return Matched(found, alike=alike, soft=widths, levels=depth.levels, grey=colourless, measured=noise)
    photographs = middles(real, PHOTOGRAPHS, depth.white)
    colourless = all(bool((image - image[:1]).abs().max() < 0.5 / depth.levels) for image in photographs)
    noise = measured_noise(photographs, depth.levels, colourless=colourless)
    likeliest, alike = ([], True) if noise else _likeliest(photographs, clean, depth, colourless=colourless)
    soft = [width for image in photographs if (width := softness(image)) is not None]
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic(kept) as file:
        document = {"asked": asked, "found": likeliest, "alike": alike, "soft": soft, "grey": colourless}
        document["measured"] = [one.kept() for one in noise]
        file.write(json.dumps(document, indent=1).encode())
    found, widths = tuple(likeliest), tuple(soft)
    return Matched(found, alike=alike, soft=widths, levels=depth.levels, grey=colourless, measured=noise)


def _likeliest(
    photographs: Sequence[Tensor], clean: Sequence[Path], depth: Depth, *, colourless: bool
) -> tuple[list[tuple[str, float]], bool]:
    """Candidates and strengths that photographs (C, H, W) may have gone through, and whether they look like them."""
    looks = [look for image in photographs if (look := noise_statistics(image, depth.levels)) is not None]
    if not looks:
        raise UserError(
            "--degradation.kind matched: no photograph of --real has flat places with noise, of 32 x 32 pixels and "
            "more: there is nothing to match"
        )
    known, looked = simulated(clean, depth=depth, colourless=colourless)
    return occurring(torch.stack(looks), looked, known, CANDIDATES)
