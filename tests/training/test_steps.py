"""Steps: draws keyed on the sample, and what moves to a device."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import torch

from noiseda.config import AdaptSettings
from noiseda.data.batches import DomainBatches
from noiseda.strategies import StrategyName
from noiseda.training.build import build_objective, list_images, load_domains
from noiseda.training.steps import Steps
from tests.training.photographs import small


def steps(settings: AdaptSettings, where: Path, *, size: int, rank: int = 0) -> Steps:
    domains, _, _ = load_domains(settings, list_images(settings), where / "cache")
    batches = DomainBatches(domains, size=size, patch=16, channels=3, seed=0, rank=rank)
    return Steps(batches, build_objective(settings), settings.training.steps)


def test_two_processes_draw_what_one_of_twice_the_batch_draws(where: Path) -> None:
    settings = small(where)
    whole = steps(settings, where, size=4)[7]
    halves = [steps(settings, where, size=2, rank=rank)[7] for rank in (0, 1)]
    for field in dataclasses.fields(whole.draws):
        joined = torch.cat([getattr(half.draws, field.name) for half in halves])
        assert torch.equal(getattr(whole.draws, field.name), joined), field.name
    assert torch.equal(whole.batch.x_real, torch.cat([half.batch.x_real for half in halves]))
    assert not torch.equal(halves[0].draws.eps, halves[1].draws.eps)


def test_it_moves_to_a_device_in_the_memory_format_asked_for(where: Path) -> None:
    step = steps(small(where), where, size=2)[0].to(torch.device("cpu"), torch.channels_last)
    for images in (step.batch.x_syn, step.batch.x_real, step.draws.eps):
        assert images.is_contiguous(memory_format=torch.channels_last)
    assert step.batch.y_ref is None
    assert step.draws.order.shape == (2, 6)
    assert len(step.batch.files) == 4


def test_a_strategy_without_draws_has_none(where: Path) -> None:
    assert steps(small(where, strategy="synthetic"), where, size=2)[0].to(torch.device("cpu")).draws is None


def test_a_hybrids_draws_are_those_of_its_parts_one_after_the_other(where: Path) -> None:
    hybrid = steps(small(where, also=["synthetic"]), where, size=2)[3]
    noise_space, nothing = hybrid.draws
    assert nothing is None
    assert noise_space.eps.shape == hybrid.batch.y_syn.shape
    torch.testing.assert_close(noise_space.eps, steps(small(where), where, size=2)[3].draws.eps)
    assert hybrid.to(torch.device("cpu"), torch.channels_last).draws[0].eps.stride(1) == 1


@pytest.mark.parametrize("name", sorted(get_args(StrategyName)))
def test_the_draws_of_every_strategy_are_joined_sample_by_sample(where: Path, name: str) -> None:
    """A field that is None in each stays None; what a strategy is given can be used."""
    drawn = steps(small(where, strategy=name), where, size=2)
    step = drawn[1]
    draws = step.draws if isinstance(step.draws, tuple) else (step.draws,)
    assert {len(value) for own in draws if own for value in vars(own).values() if value is not None} <= {2}
    terms = build_objective(small(where, strategy=name))(step.batch, step.draws)
    assert all(error.shape[0] == 2 for error in terms.errors.values())
