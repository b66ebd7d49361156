"""Batches of both domains, each sample a pure function of the seed and its number.

Batch n is the same whichever process prepares it and whatever came before, so that a resumed run sees exactly what an
unbroken one would have seen. Samples are numbered within the optimiser step, over all processes that train together and
all batches accumulated into it: two processes see what one with twice the batch would, or with twice as many. The
synthetic half does not depend on which other domains there are: runs that compare strategies train on the same pairs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from noiseda.data.cache import Drawn
from noiseda.data.degradations import Degrade, degraded, prepared
from noiseda.data.sampling import uniform


@dataclass(frozen=True)
class Batch:
    """One batch; all images (B, C, P, P) float32.

    Attributes:
        x_syn: degraded synthetic images (white noise leaves [0, 1], as in the paper).
        y_syn: their clean targets, in [0, 1].
        x_real: real degraded images, in [0, 1].
        y_ref: unpaired clean images, in [0, 1].
        files: names of all files that the batch was cut from.
        progress: share of the run that is done when it is used, in [0, 1).
        known: which of the synthetic images were degraded in a way that the network was good at before, (B,) bool; None
            where that is of none.
    """

    x_syn: Tensor
    y_syn: Tensor
    x_real: Tensor | None
    y_ref: Tensor | None
    files: tuple[str, ...]
    progress: float = 0.0
    known: Tensor | None = None


class Images(Protocol):
    """Images that samples are cut from: a folder's, or those of shards."""

    @property
    def levels(self) -> float:
        """Steps from black to white in the deepest of them, 255 of 8 bits; in shards, of the first."""
        ...

    def __len__(self) -> int: ...

    def draw(self, sample: int, size: int, generator: torch.Generator, channels: int = 3) -> Drawn:
        """The names and a random patch of one image (of both of a pair).

        Args:
            sample: number of the sample in the run, over all its batches and processes.
            size: side of the patch in pixels.
            generator: source of every draw.
            channels: 1 or 3.
        """
        ...


class Batches(Protocol):
    """Batches by number, each a pure function of its number."""

    @property
    def size(self) -> int:
        """Samples of each domain in a batch."""
        ...

    @property
    def gradient_accumulation(self) -> int:
        """Batches of a process in an optimiser step."""
        ...

    def __getitem__(self, number: int) -> Batch: ...

    def generators(self, purpose: str, number: int) -> list[torch.Generator]:
        """A generator for each sample of batch ``number``, of its own for each purpose."""
        ...


@dataclass(frozen=True)
class Domains:
    """The images of a run.

    Attributes:
        synthetic: clean photographs, or (input, target) pairs where ``degradation`` is None.
        degradation: what makes inputs of clean photographs, or of the targets of some pairs.
        real: real degraded images.
        reference: unpaired clean images.
        share: of the pairs whose input is not their own but made of their target, where there is a degradation.
        known: what the network was good at before; None where it need not be remembered.
        remembered: share of the synthetic images that go through that, in place of ``degradation``.
    """

    synthetic: Images
    degradation: Degrade | None
    real: Images | None = None
    reference: Images | None = None
    share: float = 1.0
    known: Degrade | None = None
    remembered: float = 0.0


class DomainBatches(Dataset[Batch]):
    """Batches by number.

    Args:
        domains: where the images come from.
        size: samples of each domain in a batch.
        patch: side of the patches in pixels.
        channels: 1 or 3.
        seed: the run's seed.
        rank: number of this process among those that train together; each draws its own samples.
        processes: how many train together.
        gradient_accumulation: batches of a process in an optimiser step.
    """

    def __init__(
        self,
        domains: Domains,
        *,
        size: int,
        patch: int,
        channels: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        gradient_accumulation: int = 1,
    ) -> None:
        self.domains = domains
        self.size = size
        self.patch = patch
        self.channels = channels
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self.gradient_accumulation = gradient_accumulation

    def __getitem__(self, number: int) -> Batch:
        """Batch ``number``, always the same for the same seed and rank."""
        domains = self.domains
        files: list[str] = []
        draws = zip(self.samples(number), self.generators("synthetic", number), strict=True)
        pairs = [self._pair(files, sample, generator) for sample, generator in draws]
        x_syn, y_syn = (torch.stack(images) for images in zip(*((x, y) for x, y, _ in pairs), strict=True))
        known = None if domains.known is None else torch.tensor([known for _, _, known in pairs])
        return Batch(
            x_syn,
            y_syn,
            self._unlabelled(domains.real, "real", number, files),
            self._unlabelled(domains.reference, "reference", number, files),
            tuple(files),
            known=known,
        )

    def _pair(self, files: list[str], sample: int, generator: torch.Generator) -> tuple[Tensor, Tensor, bool]:
        """Input and target of a sample, and whether it is of what the network was good at before."""
        images, degrade = self.domains.synthetic, self.domains.degradation
        known = self.domains.known is not None and uniform((0.0, 1.0), generator) < self.domains.remembered
        degrade = self.domains.known if known else degrade
        margin = 0 if degrade is None else getattr(degrade, "margin", 0)
        names, patches = images.draw(sample, self.patch + 2 * margin, generator, self.channels)
        files.extend(names)
        *given, clean = patches
        inner = slice(margin, margin + self.patch)
        if degrade is None or (given and not known and uniform((0.0, 1.0), generator) >= self.domains.share):
            return given[0][:, inner, inner], clean[:, inner, inner], known
        clean = prepared(degrade, clean, generator)
        return degraded(degrade, clean, generator)[:, inner, inner], clean[:, inner, inner], known

    def _unlabelled(self, images: Images | None, domain: str, number: int, files: list[str]) -> Tensor | None:
        if images is None:
            return None
        cut = []
        for sample, generator in zip(self.samples(number), self.generators(domain, number), strict=True):
            names, (patch,) = images.draw(sample, self.patch, generator, self.channels)
            files.extend(names)
            cut.append(patch)
        return torch.stack(cut)

    def samples(self, number: int) -> range:
        """Numbers of the samples of batch ``number`` in the run, over all batches and processes before them."""
        first = (number * self.processes + self.rank) * self.size
        return range(first, first + self.size)

    def generators(self, purpose: str, number: int) -> list[torch.Generator]:
        """A generator for each sample of batch ``number``, of its own for each purpose."""
        step, micro = divmod(number, self.gradient_accumulation)
        first = (micro * self.processes + self.rank) * self.size
        return [generator(self.seed, purpose, step, first + sample) for sample in range(self.size)]


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU whose state is a function of a key.

    >>> torch.rand(1, generator=generator(0, "real", 5)) == torch.rand(1, generator=generator(0, "real", 5))
    tensor([True])
    """
    digest = hashlib.sha256("\0".join(map(str, key)).encode("utf-8", "surrogateescape")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
