"""What is restored, degraded once more and restored again, must be the same."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from noiseda.adaptation import Redegradation, charbonnier
from noiseda.adaptation.redegradation import Offsets, rolled
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer, UNet
from noiseda.strategies import RedegradationSettings
from tests.adaptation.examples import batch, gradients, overfit, restorer, size


class Flat(Restorer):
    """A projection that knows no place: each channel's mean."""

    def __init__(self):
        super().__init__()
        self.scale_by = torch.nn.Parameter(torch.ones(()))

    channels = 3
    multiple_of = 1

    def restore(self, images):
        axes = tuple(range(2, images.ndim))
        return (self.scale_by * images.mean(dim=axes, keepdim=True)).expand_as(images)


def model(network=None, **settings):
    return Redegradation(network or restorer(), RedegradationSettings(**settings))


def measured(strategy, one, seed=0):
    return strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(seed)))


FLOOR = 1e-3  # of Charbonnier's error


def test_a_projection_has_no_error():
    """f(f(x) + n) = f(x) wherever n lies, for f(n) = 0."""
    errors = measured(model(Flat()), batch()).errors
    torch.testing.assert_close(errors["again"], torch.full((4,), FLOOR), atol=1e-5, rtol=0)
    assert errors["restoration"].min() > 0.1


def test_one_that_leaves_a_share_of_the_noise_has_that_error():
    """f(x) = mean + (x - mean) / 2 leaves half of what varies; then half of f(x) + n's, rolled, is left."""

    class Half(Flat):
        def restore(self, images):
            return (super().restore(images) + images) / 2

    one, strategy = batch(), model(Half())
    places = torch.tensor([[3, 5], [0, 1], [7, 0], [2, 2]])
    terms = strategy(one, Offsets(places))
    varying = one.x_real - one.x_real.mean(dim=(2, 3), keepdim=True)
    moved = torch.stack([v.roll(tuple(p), dims=(1, 2)) for v, p in zip(varying, places.tolist(), strict=True)])
    # first = mean + v / 2, n = v / 2; again = mean + (v / 2 + roll(v) / 2) / 2; again - first = (roll(v) - v) / 4
    torch.testing.assert_close(terms.errors["again"], charbonnier((moved - varying) / 4, torch.zeros_like(varying)))


def test_the_residual_of_the_synthetic_pair_may_degrade_again():
    one, places = batch(), torch.zeros(4, 2, dtype=torch.int64)
    strategy = model(residual="synthetic")
    first = strategy.restorer(one.x_real).clamp(0, 1)
    again = strategy.restorer(first + one.x_syn - one.y_syn)
    torch.testing.assert_close(strategy(one, Offsets(places)).errors["again"], charbonnier(again, first))
    real = model().restorer(first + one.x_real - first)
    torch.testing.assert_close(model()(one, Offsets(places)).errors["again"], charbonnier(real, first))


def test_the_first_restoration_is_a_constant():
    """Its gradient is that of the second restoration alone, at a fixed input and target."""
    strategy, one = model(), batch()
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    terms = strategy(one, draws)
    found = gradients(terms.errors["again"].sum(), strategy.restorer)
    with torch.no_grad():
        first = strategy.restorer(one.x_real).clamp(0, 1)
        seen = first + rolled(one.x_real - first, draws.places)
    expected = gradients(charbonnier(strategy.restorer(seen), first).sum(), strategy.restorer)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-3)
    assert size(found) > 0
    assert not terms.restored_real.requires_grad


@hypothesis_settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 99))
def test_rolling_is_torchs_for_each_signal_at_any_rank(shape, seed):
    g = torch.Generator().manual_seed(seed)
    signals = torch.rand(3, 2, *shape, generator=g)
    places = torch.stack([torch.randint(side, (3,), generator=g) for side in shape], dim=1)
    for mine, one, offsets in zip(rolled(signals, places), signals, places.tolist(), strict=True):
        assert torch.equal(mine, one.roll(offsets, dims=list(range(1, one.ndim))))


def test_offsets_reach_every_place_and_no_other():
    strategy = model()
    found = strategy.draw(torch.zeros(500, 1, 3, 5), torch.Generator().manual_seed(0)).places
    assert [set(column.tolist()) for column in found.unbind(dim=1)] == [set(range(3)), set(range(5))]


def test_weights_ramp_and_each_sample_is_measured_by_itself():
    strategy, one = model(weight=2.0), batch()
    assert strategy.weights(0.0) == {"restoration": 1.0, "again": 0.0}
    assert strategy.weights(1.0)["again"] == pytest.approx(2 * 0.98661429815)
    assert strategy.by_sample
    places = torch.tensor([[1, 2], [3, 4], [5, 6], [7, 8]])
    whole = strategy(one, Offsets(places)).errors["again"]
    second = replace(one, **{name: getattr(one, name)[1:2] for name in ("x_syn", "y_syn", "x_real")})
    torch.testing.assert_close(strategy(second, Offsets(places[1:2])).errors["again"], whole[1:2])


def test_it_learns_to_agree_with_itself():
    history = overfit(model(), steps=30)
    assert history["again"][-1] < history["again"][0]
    assert history["restoration"][-1] < history["restoration"][0]


@pytest.mark.parametrize("shape", [(8,), (8, 12), (4, 8, 4)])
def test_signals_of_any_rank_and_of_unequal_sides(shape):
    torch.manual_seed(0)
    strategy = model(UNet(width=4, depth=2, channels=1, dims=len(shape)))
    torch.nn.init.normal_(strategy.restorer.head.weight, std=0.1)
    one = Batch(*(torch.rand(2, 1, *shape) for _ in range(3)), None, ())
    losses = strategy.losses(measured(strategy, one), 1.0)
    losses["loss"].backward()
    assert losses["again"] > 0
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in strategy.restorer.parameters())
