"""Likeness: soft like the example, never sharper than it was, and as bright."""

import pytest
import torch
import torch.nn.functional as F

from noiseda.adaptation.likeness import _power, in_the_likeness


def sharp(seed=0):
    """Edges of all directions."""
    g = torch.Generator().manual_seed(seed)
    return torch.rand(4, 3, 12, 12, generator=g).repeat_interleave(4, 2).repeat_interleave(4, 3)


def soft(images):
    line = torch.exp(-torch.arange(-6.0, 7.0).square() / (2 * 1.5**2))
    kernel = torch.outer(line, line) / line.sum() ** 2
    padded = F.pad(images, (6, 6, 6, 6), mode="reflect").flatten(0, 1)[:, None]
    images = F.conv2d(padded, kernel[None, None]).view_as(images)
    return 0.5 + 0.5 * (images - 0.5)


def test_it_becomes_as_soft_and_as_flat_as_the_example():
    images, examples = sharp(0), soft(sharp(1))
    found = in_the_likeness(images, examples)
    mine, theirs, before = (_power(x).mean(0) for x in (found, examples, images))
    rough = slice(2, 7)  # beyond these hardly anything is left, and gains have a least value
    assert (before[rough] > 10 * theirs[rough]).all()
    assert ((mine / theirs)[rough] < 4).all()
    assert ((mine / theirs)[rough] > 0.2).all()
    torch.testing.assert_close(found.mean((2, 3)), images.mean((2, 3)), rtol=0, atol=1e-3)


def test_its_own_likeness_is_itself_and_a_sharper_example_changes_nothing():
    images = soft(sharp(0))
    torch.testing.assert_close(in_the_likeness(images, images), images, rtol=0, atol=1e-4)
    sharper = in_the_likeness(images, sharp(0))
    assert (sharper - images).square().mean().sqrt() < 0.1 * images.std()


@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_any_size(size):
    assert in_the_likeness(torch.rand(2, 1, *size), torch.rand(2, 1, *size)).shape == (2, 1, *size)
    flat = torch.full((1, 3, *size), 0.5)
    assert in_the_likeness(flat, flat).isfinite().all()
