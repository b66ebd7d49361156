"""The predictor of single places sees nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseda.diffusion import PixelPredictor
from tests.diffusion.test_predictor import moved

WAYS = ["concatenation", "summed", "modulation"]


@settings(deadline=None, max_examples=25)
@given(
    spatial=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    by=st.sampled_from(WAYS),
    blocks=st.integers(1, 3),
    data=st.data(),
)
def test_a_place_depends_on_that_place_alone(spatial, by, blocks, data):
    torch.manual_seed(0)
    predictor = moved(PixelPredictor(channels=2, width=8, blocks=blocks, dims=len(spatial), condition_by=by))
    given = [torch.randn(2, 2, *spatial) for _ in range(3)]
    level = torch.tensor([3.0, 700.0])
    place = (slice(None), slice(None), *(data.draw(st.integers(0, size - 1)) for size in spatial))
    others = [torch.randn_like(one) for one in given]
    for one, other in zip(given, others, strict=True):
        other[place] = one[place]
    first, second = (predictor(y, tuple(conditions), level) for y, *conditions in (given, others))
    torch.testing.assert_close(first[place], second[place], rtol=1e-4, atol=1e-5)
    if first[0, 0].numel() > 1:
        assert not torch.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("by", WAYS)
def test_a_place_depends_on_all_that_lies_there(by):
    predictor = moved(PixelPredictor(width=8, blocks=1, condition_by=by))
    given = [torch.randn(1, 3, 2, 2, requires_grad=True) for _ in range(3)]
    level = torch.tensor([300.0], requires_grad=True)
    predictor(given[0], tuple(given[1:]), level)[0, :, 1, 0].sum().backward()
    assert level.grad.abs() > 0
    for one in given:
        assert (one.grad[0, :, 1, 0].abs() > 0).all()
        one.grad[0, :, 1, 0] = 0
        assert not one.grad.any()


def test_any_size_will_do_and_places_may_be_shuffled():
    predictor = moved(PixelPredictor(width=8, blocks=2))
    y, one, other = (torch.randn(1, 3, 5, 7) for _ in range(3))
    order, level = torch.randperm(35), torch.tensor([20.0])
    rows = [x.flatten(2)[:, :, order].unflatten(2, (5, 7)) for x in (y, one, other)]
    plain = predictor(y, (one, other), level)
    torch.testing.assert_close(predictor(rows[0], tuple(rows[1:]), level).flatten(2), plain.flatten(2)[:, :, order])
    assert predictor.multiple_of == 1


def test_its_size():
    width, blocks = 64, 3
    block = 8 * width**2 + 5 * width + 3 * (width**2 + width)
    ends = 9 * width + width + 4 * (width**2 + width) + 3 * width + 3
    assert sum(p.numel() for p in PixelPredictor().parameters()) == blocks * block + ends


@pytest.mark.parametrize("dims", [0, 4])
def test_there_are_three_ranks(dims):
    with pytest.raises(ValueError, match="dims must be 1, 2 or 3"):
        PixelPredictor(dims=dims)
