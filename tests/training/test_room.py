"""What cannot fit into memory is refused before it is built, with both numbers; what can is not."""

import dataclasses
import re
import typing

import pytest
import torch

from noiseda.adaptation import build
from noiseda.config import AdaptSettings, PredictorSettings, RestorerSettings, TrainingSettings
from noiseda.errors import UserError
from noiseda.restoration import build_restorer
from noiseda.restorer_settings import SIZES
from noiseda.strategies import StrategyName
from noiseda.training import resolve, room

MEMORY = room.memory_of


@pytest.fixture(autouse=True)
def _sixteen_gigabytes(monkeypatch):
    monkeypatch.setattr(room, "memory_of", lambda device: (16e9, "this machine"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (AdaptSettings(training=TrainingSettings(batch=65_536, patch=16_384)), "a batch of 65536 patches of 16384"),
        (AdaptSettings(restorer=RestorerSettings(width=4096, depth=10)), "the networks' weights"),
        (AdaptSettings(predictor=PredictorSettings(width=4096, channel_mults=[64] * 8)), "the networks' weights"),
        (AdaptSettings(restorer=RestorerSettings(network="nafnet", width=4096)), "the networks' weights"),
    ],
)
def test_what_cannot_fit_is_refused_with_both_numbers(settings, said):
    settings = dataclasses.replace(settings, strategy="noise-space")
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        room.check_room(resolve(settings).settings)
    assert re.search(r"need at least [\d,.]+ GB of memory, and this machine has 16\.0 GB: ", str(caught.value))


def test_what_fits_is_not_refused():
    for network in SIZES:
        room.check_room(resolve(AdaptSettings(restorer=RestorerSettings(network=network))).settings)


@pytest.mark.parametrize("strategy", typing.get_args(StrategyName))
def test_weights_are_counted_without_making_them(strategy):
    settings = AdaptSettings(strategy=strategy, restorer=RestorerSettings(width=8, depth=2))
    before = torch.get_rng_state()
    count = room._weights(resolve(settings).settings)
    assert torch.equal(before, torch.get_rng_state())
    exact = sum(parameter.numel() for parameter in build(build_restorer(settings.restorer), settings).parameters())
    assert count == pytest.approx(exact, rel=0.5)
    assert count >= sum(parameter.numel() for parameter in build_restorer(settings.restorer).parameters())


def test_ranges_have_memory_where_nothing_else_has():
    with torch.device("meta"), room._Ranges():
        assert torch.linspace(0, 1, 3)[2].item() == 1
        assert torch.zeros(3).is_meta


def test_the_machine_has_memory():
    assert 1e8 < MEMORY("cpu")[0] < float("inf")
