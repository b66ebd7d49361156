"""Strengths of noise: what is taken, divided by the share of noise that is taken where it is known."""

import pytest
import torch

from noiseda.estimation.noise_strengths import LARGEST, NoiseStrengths, traces_of


def test_a_strength_is_relative_to_flat_patches_and_corrected_for_what_the_restorer_leaves():
    strengths = NoiseStrengths(bands=2)
    traces = torch.tensor([[0.5, 0.2], [9.0, 9.0]])  # of the flat one: a quarter of its noise, and a tenth
    strengths.observe(traces, torch.tensor([2.0, 1.0]), torch.tensor([True, False]))
    strengths.settle()
    strengths.keep(torch.tensor([[2.0, 0.2], [1e6, 1e6]]), torch.tensor([1.0, 1.0]), torch.tensor([0.1, 0.9]))
    dark, bright = strengths.draw(torch.tensor([0.2, 0.8]), torch.tensor([0.0, 0.99]))
    assert dark == pytest.approx(5**0.5)  # 8 and 2 are what the traces tell of its noise's power
    assert bright == LARGEST


def test_before_a_flat_patch_was_seen_all_noise_keeps_its_strength():
    strengths = NoiseStrengths(bands=2)
    strengths.keep(torch.tensor([[5.0, 5.0]]), torch.tensor([1.0]), torch.tensor([0.1]))
    assert strengths.count.sum() == 0
    assert strengths.draw(torch.tensor([0.1, 0.9]), torch.rand(2)).tolist() == [1.0, 1.0]


def test_a_band_without_patches_borrows_from_the_nearest_and_the_newest_replace_the_oldest():
    strengths = NoiseStrengths(bands=4, depth=2)
    strengths.observe(torch.ones(1, 2), torch.tensor([1.0]), torch.tensor([True]))
    for strength in (1.0, 2.0, 3.0):
        strengths.keep(torch.full((1, 2), strength**2), torch.tensor([1.0]), torch.tensor([0.1]))
    drawn = strengths.draw(torch.full((50,), 0.9), torch.linspace(0, 0.99, 50))
    assert sorted(set(drawn.tolist())) == pytest.approx([2.0, 3.0])


def test_the_traces_of_noise_grow_with_its_power_and_a_wave_adds_to_neither_much():
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, 48, 48, generator=g)
    wave = 0.2 * torch.sin(torch.linspace(0, 6, 48)).expand(1, 3, 48, 48)
    weak, strong = (traces_of(0.5 + wave + sigma * noise, 0.5 + wave) for sigma in (0.02, 0.06))
    torch.testing.assert_close(strong / weak, torch.full((1, 2), 9.0), rtol=0.15, atol=0)
