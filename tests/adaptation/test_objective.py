"""What every objective leaves to one place: averages, weights, sums."""

import pytest
import torch

from noiseda.adaptation import Sum, Terms, weigh

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
