"""Strengths of noise: what is taken, divided by the share of noise that is taken where it is known."""

import pytest
import torch

from noiseda.adaptation.noise_strengths import LARGEST, NoiseStrengths


def test_a_strength_is_relative_to_flat_patches_and_corrected_for_what_the_restorer_leaves():
    strengths = NoiseStrengths(bands=2)
    strengths.observe(torch.tensor([0.5, 9.0]), torch.tensor([2.0, 1.0]), torch.tensor([True, False]))  # takes 1/4
    strengths.settle()
    strengths.keep(torch.tensor([1.0, 1e6]), torch.tensor([1.0, 1.0]), torch.tensor([0.1, 0.9]))
    dark, bright = strengths.draw(torch.tensor([0.2, 0.8]), torch.tensor([0.0, 0.99]))
    assert dark == pytest.approx(2.0)
    assert bright == LARGEST


def test_before_a_flat_patch_was_seen_all_noise_keeps_its_strength():
    strengths = NoiseStrengths(bands=2)
    strengths.keep(torch.tensor([5.0]), torch.tensor([1.0]), torch.tensor([0.1]))
    assert strengths.count.sum() == 0
    assert strengths.draw(torch.tensor([0.1, 0.9]), torch.rand(2)).tolist() == [1.0, 1.0]


def test_a_band_without_patches_borrows_from_the_nearest_and_the_newest_replace_the_oldest():
    strengths = NoiseStrengths(bands=4, depth=2)
    strengths.observe(torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([True]))
    for strength in (1.0, 2.0, 3.0):
        strengths.keep(torch.tensor([strength**2]), torch.tensor([1.0]), torch.tensor([0.1]))
    drawn = strengths.draw(torch.full((50,), 0.9), torch.linspace(0, 0.99, 50))
    assert sorted(set(drawn.tolist())) == pytest.approx([2.0, 3.0])
