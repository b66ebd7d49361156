"""The bank of noise: what is kept of which patches, and what comes out for which brightness."""

import pytest
import torch

from noiseda.estimation.noise_bank import NoiseBank

P = 24


def correlated(count, seed):
    g = torch.Generator().manual_seed(seed)
    white = torch.randn(count, 3, P + 2, P + 2, generator=g)
    noise = torch.nn.functional.avg_pool2d(white, 3, stride=1)
    return noise / noise.std()


def patches(count=8, level=0.4, seed=0, strength=0.05):
    """Flat ones first, then as many with a pattern; noise of neighbouring pixels alike."""
    ramp = torch.linspace(-0.05, 0.05, P)
    shading = level + ramp[:, None] + 0.5 * ramp[None]
    flat = shading.expand(count // 2, 3, P, P)
    g = torch.Generator().manual_seed(seed)
    pattern = torch.rand(count // 2, 3, 6, 6, generator=g).repeat_interleave(4, 2).repeat_interleave(4, 3)
    clean = torch.cat([flat, level + 0.6 * (pattern - 0.5)])
    noise = strength * correlated(count, seed)
    return clean, noise


def test_flat_patches_are_kept_with_all_their_noise_and_no_others():
    bank = NoiseBank(channels=3, patch=P, share=0.5)
    for seed in range(6):
        clean, noise = patches(seed=seed)
        accepted, found, shape = bank.keep(clean + noise, clean)
        bank.settle()
    assert accepted.tolist() == [True] * 4 + [False] * 4
    flat = noise[:4]
    likeness = torch.corrcoef(torch.stack([found[:4].flatten(), flat.flatten()]))[0, 1]
    assert likeness > 0.93
    torch.testing.assert_close(found + shape, clean + noise)
    drawn, origin, there = bank.draw(clean, torch.rand(8))
    assert there.all()
    assert drawn.std() == pytest.approx(0.05, rel=0.15)
    assert origin.mean() == pytest.approx(0.4, abs=0.02)


def test_noise_comes_from_the_nearest_brightness():
    bank = NoiseBank(channels=3, patch=P, share=0.9, depth=2)
    for level, strength in ((0.2, 0.02), (0.8, 0.08)):
        clean, noise = patches(level=level, strength=strength)
        bank.keep(clean[:4] + noise[:4], clean[:4])
    dark, bright = torch.full((3, 3, P, P), 0.3), torch.full((3, 3, P, P), 1.0)
    assert bank.draw(dark, torch.rand(3))[0].std() == pytest.approx(0.02, rel=0.3)
    assert bank.draw(bright, torch.rand(3))[0].std() == pytest.approx(0.08, rel=0.3)


def test_an_empty_bank_says_so_and_a_clipped_patch_is_not_kept():
    bank = NoiseBank(channels=3, patch=P, share=0.9)
    black = torch.zeros(4, 3, P, P)
    assert not bank.keep(black, black)[0].any()
    noise, _, there = bank.draw(torch.rand(2, 3, P, P), torch.tensor([0.0, 0.999]))
    assert not there.any()
    assert noise.abs().max() == 0


def test_the_newest_replace_the_oldest():
    bank = NoiseBank(channels=1, patch=P, share=0.99, bands=1, depth=3)
    for number in range(5):
        noise = torch.randn(1, 1, P, P, generator=torch.Generator().manual_seed(number)) * (number + 1) * 0.01
        bank.keep(0.5 + noise, torch.full((1, 1, P, P), 0.5))
    assert bank.count.tolist() == [5]
    held = sorted(round(float(noise.std()) * 100) for noise in bank.noise)
    assert held == [3, 4, 5]
