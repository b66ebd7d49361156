"""What every objective leaves to one place: averages, weights, sums."""

import math
from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import Sum, Terms, charbonnier, weigh
from noiseda.adaptation.catalogue import build
from noiseda.adaptation.objective import decibels
from noiseda.config import AdaptSettings
from noiseda.evaluation.metrics import psnr
from noiseda.restoration import UNet
from tests.adaptation.examples import batch

TERMS = Terms({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([10.0, 20.0]), "watched": torch.tensor([7.0, 7.0])})


def test_errors_are_averaged_weighted_and_added():
    values = weigh(TERMS, {"a": 1.0, "b": -0.5})
    assert {name: value.item() for name, value in values.items()} == {"loss": -5.5, "a": 2.0, "b": 15.0, "watched": 7.0}


def test_sums_within_are_weighted_as_one_and_noted():
    values = weigh(TERMS, {"a": 2.0, "both": Sum(0.1, {"a": 0.5, "inner": Sum(2.0, {"b": 1.0})})})
    assert values["both"].item() == 31.0
    assert values["inner"].item() == 15.0
    assert values["loss"].item() == pytest.approx(7.1)


def test_a_weight_of_nothing_is_an_error():
    with pytest.raises(KeyError, match="c"):
        weigh(TERMS, {"c": 1.0})
    with pytest.raises(ValueError, match="at least one"):
        weigh(TERMS, {})


@pytest.mark.parametrize("error", [torch.tensor(1.0), torch.ones(2, 1), torch.ones(2, 3, 4, 4)])
def test_an_error_that_is_not_one_of_each_sample_is_refused(error):
    with pytest.raises(ValueError, match=r"edges must be one error for each sample, \(B,\), not of shape"):
        Terms({"edges": error})


def test_decibels_are_psnr_of_each_sample_and_pull_about_as_charbonnier_does():
    generator = torch.Generator().manual_seed(0)
    target = 0.3 + 0.4 * torch.rand(3, 3, 16, 16, generator=generator)
    restored = target + 10 ** (-30 / 20) * torch.randn(target.shape, generator=generator)
    wanted = torch.stack([psnr(restored[i : i + 1], target[i : i + 1]).squeeze() for i in range(3)])
    torch.testing.assert_close(decibels(restored, target), -0.003 * wanted.float(), atol=2e-4, rtol=0)
    assert decibels(target, target).tolist() == pytest.approx([0.03 * math.log10(2e-6)] * 3)
    lengths = []
    for distance in (decibels, charbonnier):
        moved = restored.clone().requires_grad_()
        distance(moved, target).sum().backward()
        lengths.append(float(moved.grad.norm()))
    assert 0.5 < lengths[0] / lengths[1] < 2


@pytest.mark.parametrize("name", ["synthetic", "noise-space", "neighbor2neighbor", "mean-teacher", "source-free"])
def test_each_strategy_has_the_loss_that_is_asked_for(name):
    errors = {}
    for loss in ("charbonnier", "psnr"):
        torch.manual_seed(0)
        objective = build(UNet(width=4, depth=2), AdaptSettings(strategy=name, loss=loss))
        one = replace(batch(count=2, channels=3), progress=1.0)
        drawn = objective.draw(one.y_syn, torch.Generator().manual_seed(0))
        found = objective(one, drawn).errors
        errors[loss] = found["teacher" if name == "source-free" else "restoration"]
    assert bool((errors["charbonnier"] > 0).all())
    assert bool((errors["psnr"] < 0).all())
