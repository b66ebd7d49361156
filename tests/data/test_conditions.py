"""Conditions of a noise predictor: the clean image, or anything between it and a corrupted one; sometimes another."""

import pytest
import torch

from noiseda.data.conditions import CORRUPTIONS, ConditionBatches, Partly, mixed
from noiseda.data.degradations import degraded


class Flat:
    """Images of one value each, drawn by the generator alone."""

    levels = 255.0

    def __len__(self):
        return 10

    def draw(self, sample, size, generator, channels=3):
        value = torch.rand((), generator=generator)
        return (f"{value:.4f}",), (value.expand(channels, size, size).clone(),)


class Add:
    margin = 2

    def __call__(self, clean, generator):
        return clean + 1 + torch.rand((), generator=generator)


def batches(degradation, **changes):
    usual = {"unrelated": 0.0, "size": 40, "patch": 8, "channels": 3, "seed": 0}
    return ConditionBatches(Flat(), degradation, **usual | changes)


def test_untouched_related_conditions_are_the_image():
    one = batches(Partly(Add(), untouched=1.0))[0]
    assert one.y_syn.shape == (40, 3, 8, 8)
    assert torch.equal(one.x_syn, one.y_syn)
    assert torch.equal(one.x_real, one.y_syn)


def test_each_condition_is_degraded_by_itself_from_not_at_all_to_wholly():
    one = batches(Partly(Add(), untouched=0.25), size=400)[0]
    first, second = ((shown - one.y_syn).flatten(1).mean(dim=1) for shown in (one.x_syn, one.x_real))
    for share in (first, second):
        assert 0.15 < (share.abs() < 1e-6).float().mean() < 0.35
        assert share.min() > -1e-6
        assert share.max() > 1.5
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.2


@pytest.mark.parametrize("unrelated", [0.5, 1.0])
def test_one_condition_shows_another_image_either_as_often(unrelated):
    one = batches(Partly(Add(), untouched=1.0), unrelated=unrelated, size=400)[0]
    other = torch.stack([(shown - one.y_syn).abs().amax(dim=(1, 2, 3)) > 0 for shown in (one.x_syn, one.x_real)])
    assert not other.all(dim=0).any()
    assert other.any(dim=0).float().mean() == pytest.approx(unrelated, abs=0.1)
    assert other[0].sum() / other.sum() == pytest.approx(0.5, abs=0.1)


def test_a_batch_is_a_function_of_its_number_and_two_processes_see_what_one_would():
    whole = batches(Partly(Add()), unrelated=0.5)
    assert torch.equal(whole[3].x_syn, batches(Partly(Add()), unrelated=0.5)[3].x_syn)
    assert not torch.equal(whole[3].y_syn, whole[4].y_syn)
    halves = [batches(Partly(Add()), unrelated=0.5, size=20, rank=rank, processes=2)[3] for rank in (0, 1)]
    for name in ("x_syn", "y_syn", "x_real"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(whole[3], name))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: type(one).__name__)
def test_every_corruption_takes_a_patch_with_its_margin(corruption, channels):
    side = 16 + 2 * corruption.margin
    clean = torch.rand(channels, side, side, generator=torch.Generator().manual_seed(0))
    before = clean.clone()
    changed = degraded(corruption, clean, torch.Generator().manual_seed(1))
    assert changed.isfinite().all()
    assert not torch.equal(changed, clean)
    assert torch.equal(clean, before)


def test_the_usual_mixture_needs_the_largest_margin():
    assert mixed().margin == max(corruption.margin for corruption in CORRUPTIONS)
