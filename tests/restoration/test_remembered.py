"""Results that are kept while there is room."""

import torch

from noiseda.restoration.remembered import Remembered


def counted():
    """A function of images, and a list of what it was asked."""
    asked = []

    def double(images):
        asked.append(images)
        return 2 * images

    return double, asked


def test_the_same_image_is_computed_once_and_another_anew():
    known, (double, asked) = Remembered(10_000), counted()
    image = torch.rand(1, 3, 4, 4)
    for one in (image, image.clone(), image.transpose(2, 3), image + 1e-6):
        assert torch.equal(known.of(one, "doubled", double), 2 * one)
    assert len(asked) == 3
    known.of(image, "otherwise", double)
    known.of(image.double(), "doubled", double)
    assert len(asked) == 5


def test_what_was_asked_for_longest_ago_is_forgotten_first():
    known, (double, asked) = Remembered(2 * 64), counted()
    first, second, third = torch.rand(3, 16).unbind()
    for one in (first, second, first, third, first, second):
        known.of(one, None, double)
    assert len(asked) == 4  # the second was forgotten for the third
    assert len(known) == 2
    known.of(torch.rand(33), None, double)  # larger than all the room
    assert len(known) == 2
