"""Photographs restored and blurred again: the truth matches best."""

import pytest
import skimage.data
import torch

from noiseda.assessment.reblur import BlurredAgain
from noiseda.data.blur import exposed, shake_kernel
from noiseda.errors import UserError


@pytest.fixture(scope="module", params=[True, False], ids=["light", "values"])
def blurred(request):
    """Photographs shaken by some ten pixels, what they were, and whether light was blurred."""
    draws = torch.Generator().manual_seed(3)
    sharp = [
        torch.from_numpy(image[:300, :300].copy()).permute(2, 0, 1) / 255
        for image in (skimage.data.astronaut(), skimage.data.coffee())
    ]
    images = [exposed(y, shake_kernel(10.0, draws), request.param, (0.5, 0.5), draws) for y in sharp]
    return images, sharp, request.param


def test_the_truth_matches_better_than_the_photographs_and_these_than_worse_ones(blurred):
    images, sharp, linear = blurred
    error = BlurredAgain(images, linear=linear)
    truth = iter(sharp)
    of_truth = error(lambda x: next(truth))
    as_they_are = error(lambda x: x)
    darker = error(lambda x: 0.9 * x)
    assert len(of_truth.restored) == len(images)
    assert as_they_are.restored == as_they_are.noise == of_truth.noise
    for true, same, dark in zip(of_truth.restored, as_they_are.restored, darker.restored, strict=True):
        assert true < 0.5 * same
        assert same < dark


def test_grey_ones_count_and_those_without_edges_do_not(blurred):
    images, _, linear = blurred
    error = BlurredAgain([images[0].mean(0, keepdim=True), torch.full((3, 300, 300), 0.5)], linear=linear)
    assert len(error(lambda x: x).restored) == 1
    with pytest.raises(UserError, match="no photograph is large enough, and has edges"):
        BlurredAgain([images[0][:, :62, :62]], linear=linear)
