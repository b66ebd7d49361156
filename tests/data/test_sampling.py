import math

import pytest
import torch

from noiseda.data.sampling import check_strength, integer, log_uniform, uniform
from noiseda.errors import UserError


def test_uniform_covers_its_range_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([uniform((2, 6), generator) for _ in range(2000)])
    assert drawn.min() >= 2
    assert drawn.max() <= 6
    assert drawn.mean().item() == pytest.approx(4, abs=0.1)
    assert drawn.std().item() == pytest.approx(4 / math.sqrt(12), rel=0.05)


def test_log_uniform_draws_each_octave_as_often() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.tensor([log_uniform((1, 16), generator) for _ in range(2000)])
    shares = torch.histc(drawn.log2(), bins=4, min=0, max=4) / len(drawn)
    assert torch.allclose(shares, torch.full((4,), 0.25), atol=0.04)


def test_integer_includes_both_ends() -> None:
    generator = torch.Generator().manual_seed(0)
    assert {integer(3, 5, generator) for _ in range(60)} == {3, 4, 5}


def test_a_refused_range_is_shown_with_its_unit() -> None:
    with pytest.raises(UserError, match=r"--degradation\.strength \(ISO\) must satisfy 0 < low <= high.*not 0, 5"):
        check_strength((0, 5), "ISO", positive=True)
    check_strength((0, 0), "ISO")
