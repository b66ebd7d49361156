"""JPEG as a degradation: its qualities, a second pass, colours, and what is refused."""

import pytest
import torch

from noiseda import UserError
from noiseda.data import Jpeg, generator
from noiseda.images import jpeg

CLEAN = torch.nn.functional.interpolate(
    torch.rand(1, 3, 16, 16, generator=generator(0, "clean")), scale_factor=4, mode="bicubic"
)[0].clamp(0, 1)


def error(degraded):
    return float((degraded - CLEAN).square().mean())


def test_a_lower_quality_is_worse_and_twice_is_worse_than_once():
    bad, good, twice = (
        Jpeg(strength=(quality, quality), twice=twice, colours=("4:2:0",))
        for quality, twice in ((10, 0.0), (90, 0.0), (10, 1.0))
    )
    errors = [[error(one(CLEAN, generator(0, n))) for n in range(10)] for one in (bad, good, twice)]
    assert min(errors[0]) > 2 * max(errors[1])
    assert sum(errors[2]) > sum(errors[0])


def test_it_is_jpeg_on_a_grid_that_lies_anywhere():
    one = Jpeg(strength=(20, 20), twice=0.0, colours=("4:4:4",))
    made = [one(CLEAN, generator(0, n)) for n in range(300)]
    assert any(torch.equal(image, jpeg(CLEAN, 20, "4:4:4")) for image in made)
    assert len({image.numpy().tobytes() for image in made}) > 30
    assert torch.equal(one(CLEAN, generator(0, 7)), made[7])


def test_colours_keep_more_without_subsampling():
    grey = CLEAN.mean(0, keepdim=True)

    def colour(kind):
        made = Jpeg(strength=(95, 95), twice=0.0, colours=(kind,))(CLEAN, generator(0))
        return float(((made - made.mean(0)) - (CLEAN - grey)).square().mean())

    assert colour("4:4:4") < 0.5 * colour("4:2:0")
    assert Jpeg()(grey, generator(0)).shape == grey.shape


@pytest.mark.parametrize("strength", [(0, 50), (50, 101), (60, 50)])
def test_a_quality_that_there_is_not_is_refused(strength):
    with pytest.raises(UserError, match=r"--degradation\.strength"):
        Jpeg(strength=strength)
