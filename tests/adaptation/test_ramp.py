import pytest

from noiseda.adaptation.ramp import ramp
from tests.reference import paper


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.5, 1.0])
def test_the_ramp_is_the_papers(progress):
    assert ramp(progress, weight=0.2, steepness=5.0) == pytest.approx(paper.weight(progress), abs=1e-12)


def test_it_rises_from_zero_towards_its_weight():
    values = [ramp(p / 10, weight=1.0, steepness=5.0) for p in range(11)]
    assert values[0] == 0
    assert values == sorted(values)
    assert 0.98 < values[-1] < 1
