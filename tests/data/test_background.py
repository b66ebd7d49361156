"""Shading: quadratic surfaces, and nothing else."""

import torch

from noiseda.data.background import background


def test_a_quadratic_surface_is_found_whole_and_noise_hardly():
    y, x = torch.meshgrid(torch.arange(24) / 24, torch.arange(20) / 20, indexing="ij")
    surface = (0.3 + 0.2 * x - 0.1 * y * x + 0.4 * y**2).expand(2, 3, 24, 20)
    torch.testing.assert_close(background(surface), surface)
    noise = torch.randn(2, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    assert background(noise).square().mean() < 0.05  # six numbers of 480
    torch.testing.assert_close(background(surface + noise), surface + background(noise), rtol=1e-4, atol=1e-5)
