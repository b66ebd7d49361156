"""Look-alikes: patches that hold their clean photograph, degraded and in steps of 1/255; the same for the same seed."""

import pytest
import torch

from noiseda.assessment.proxy_pairs import SIDE, proxy_pairs
from noiseda.data.batches import generator
from noiseda.data.degradations import degradation
from noiseda.evaluation.metrics import psnr


def test_pairs_are_cut_from_the_photographs_in_turn_and_degraded() -> None:
    clean = [torch.rand(3, 200, 150, generator=generator(n)) for n in range(2)]
    pairs = proxy_pairs(degradation("denoise", "white", (25, 25)), clean, 3, generator("test"))
    for (x, y), source in zip(pairs, [clean[0], clean[1], clean[0]], strict=True):
        assert x.shape == y.shape == (3, SIDE, SIDE)
        patches = source.unfold(1, SIDE, 1).unfold(2, SIDE, 1)[:, :, :, 0, 0]
        assert (patches == y[:, None, None, 0, 0]).all(0).any()
        assert torch.equal(x, (x * 255).round() / 255)
        assert float(psnr(x[None], y[None])) == pytest.approx(20.5, abs=0.7)
    again = proxy_pairs(degradation("denoise", "white", (25, 25)), clean, 3, generator("test"))
    assert all(
        torch.equal(one, other)
        for pair, same in zip(pairs, again, strict=True)
        for one, other in zip(pair, same, strict=True)
    )


def test_what_a_degradation_needs_beyond_the_patch_is_cut_off() -> None:
    small = torch.rand(3, 60, 300, generator=generator(0))
    degrade = degradation("denoise", "camera")
    ((x, y),) = proxy_pairs(degrade, [small], 1, generator("test"))
    assert x.shape == y.shape == (3, 60 - 2 * degrade.margin, SIDE)
