"""Flat places: found where they are, and made smooth there alone."""

import torch

from noiseda.adaptation.flatness import Flatness


def scene(noise=0.02, seed=0):
    """Left half flat, right half a coarse pattern; correlated noise over all."""
    g = torch.Generator().manual_seed(seed)
    clean = torch.full((2, 3, 48, 64), 0.4)
    pattern = torch.rand(2, 3, 6, 4, generator=g).repeat_interleave(8, 2).repeat_interleave(8, 3)
    clean[..., 32:] = pattern
    white = torch.randn(2, 3, 48, 64, generator=g)
    blurred = torch.nn.functional.avg_pool2d(white, 3, stride=1, padding=1)
    return clean, clean + noise * blurred / blurred.std()


def test_noise_in_flat_places_is_taken_whole_and_structure_is_left():
    clean, noisy = scene()
    found = noisy - Flatness(0.3)(noisy)
    inside, outside = (slice(0, 18), slice(44, 64))
    noise = noisy - clean
    flat = found[..., inside]
    assert torch.corrcoef(torch.stack([flat.flatten(), noise[..., inside].flatten()]))[0, 1] > 0.95
    assert 0.85 < flat.std() / noise[..., inside].std() < 1.05
    assert found[..., outside].abs().max() < 1e-6


def test_it_remembers_what_is_usual():
    """A batch without flat places does not make its flattest places flat."""
    _, noisy = scene()
    flatness = Flatness(0.3)
    for _ in range(3):
        flatness(noisy)
        flatness.settle()
    rough = noisy[..., 40:]
    assert (rough - flatness(rough)).abs().max() < 1e-6
    fresh = Flatness(0.3)
    assert (rough - fresh(rough)).abs().max() > 0.01
    fresh.load_state_dict(flatness.state_dict())
    assert (rough - fresh(rough)).abs().max() < 1e-6
