"""The interval of a mean, against the textbook's."""

import numpy as np
import pytest

from noiseda.evaluation.interval import interval


def test_the_interval_is_that_of_the_mean():
    """Of many normal draws it is the textbook's, 1.96 standard errors."""
    values = np.random.default_rng(1).normal(2, 1, 400)
    mean, low, high = interval(values)
    assert mean == pytest.approx(values.mean())
    assert high - mean == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert mean - low == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert interval([1.0, 1.0]) == (1, 1, 1)
    assert interval(values) == (mean, low, high)
