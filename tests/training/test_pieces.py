"""Steps in pieces: the gradient of the whole batch, and the same weights however many cores there are."""

import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from noiseda.adaptation import Combined, SyntheticOnly, Terms
from noiseda.config import AdaptSettings, RestorerSettings
from noiseda.data.batches import DomainBatches
from noiseda.training import Interrupted, StopRequest, adapt, prepare, train
from noiseda.training.build import build_objective, list_images, load_domains
from noiseda.training.pieces import Pieces, places, suits
from noiseda.training.steps import Step, Steps
from tests.restoration.networks import SMALL
from tests.training.photographs import small

CPU = torch.device("cpu")


@pytest.fixture
def cores():
    """Sets the number of torch's threads, which is put back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def first_step(settings: AdaptSettings, where: Path, progress: float) -> Step:
    domains, _, _ = load_domains(settings, list_images(settings), where / "cache")
    batches = DomainBatches(domains, size=5, patch=40, channels=3, seed=0)
    step = Steps(batches, build_objective(settings), settings.training.steps)[0]
    return replace(step, batch=replace(step.batch, progress=progress))


def moved(objective):
    """An objective whose zero-initialised parts were moved, so that gradients flow."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in objective.restorer.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return objective


@pytest.mark.parametrize("strategy", ["synthetic", "neighbor2neighbor", "mean-teacher", "source-free", "redegradation"])
@pytest.mark.parametrize(("network", "count"), [("unet", 2), ("unet-residual", 2), ("unet-residual", 5)])
def test_the_gradient_is_that_of_the_whole_batch(where, cores, strategy, network, count):
    settings = small(
        where,
        strategy=strategy,
        restorer=RestorerSettings(network=network, **SMALL.get(network, {"width": 4, "depth": 2})),
    )
    step, objective = first_step(settings, where, 0.9), moved(build_objective(settings))
    assert suits(objective, CPU)
    assert [place.stop - place.start for place in places(step)] == [3, 3]
    terms = objective(step.batch, step.draws)
    values = objective.losses(terms, 0.9)
    (0.5 * values["loss"]).backward()
    whole = [parameter.grad.clone() for parameter in objective.restorer.parameters()]
    objective.zero_grad()
    cores(count)
    with Pieces(objective, nullcontext) as pieces:
        found, losses = pieces.backward(step, 0.9, 0.5)
    assert torch.get_num_threads() == count
    for name, error in terms.errors.items():
        torch.testing.assert_close(found.errors[name], error.detach(), rtol=1e-5, atol=1e-6)
    assert losses.keys() == values.keys()
    for mine, parameter in zip(whole, objective.restorer.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, mine, rtol=1e-4, atol=1e-6 + 1e-5 * float(mine.abs().max()))
    for pictures in ("restored_syn", "restored_real"):
        mine, theirs = getattr(found, pictures), getattr(terms, pictures)
        assert (mine is None) == (theirs is None)
        assert mine is None or mine.shape == theirs.shape


def test_the_weights_of_a_run_do_not_depend_on_the_number_of_cores(where, cores):
    """Nor on being stopped: a run is continued after its first half with another number of cores."""
    weights = []
    for name, counts in (("one", (1, 1)), ("two", (2, 2)), ("both", (2, 1))):
        settings = small(where, strategy="neighbor2neighbor", out=where / name, proxy_pairs=0)
        training = replace(settings.training, patch=48, batch=4, steps=4, checkpoint_every=2, ema_decay=0.0)
        own = replace(settings.neighbor2neighbor, start=0.5)
        for count, stops in zip(counts, (True, False), strict=True):
            cores(count)
            settings = replace(settings, training=training, neighbor2neighbor=own)
            if stops:
                halfway(settings)
            else:
                adapt(settings)
        weights.append(load_file(where / name / "restorer.safetensors"))
    for other in weights[1:]:
        assert all(torch.equal(weights[0][key], value) for key, value in other.items())


def halfway(settings):
    """The first half of a run, which ends as if it were killed after its checkpoint."""
    run = prepare(settings)

    class Stops(StopRequest):
        def agreed(self, accelerator):
            return 15 if run.done == 2 else 0

    with pytest.raises(Interrupted):
        train(run, Stops())
    assert run.done == 2


class Counting(SyntheticOnly):
    """One that keeps something in its forward pass, as it may: nothing was said of it."""

    seen = 0

    def forward(self, batch, draws):
        self.seen += len(batch.x_syn)
        return super().forward(batch, draws)


class Failing(SyntheticOnly):
    """Fails in one of its threads."""

    by_sample = True

    def forward(self, batch, draws):
        if threading.current_thread().name.startswith("piece"):
            raise ArithmeticError("no such thing")
        return Terms({"restoration": batch.x_syn.flatten(1).mean(dim=1)})


def test_only_what_says_so_is_measured_in_pieces(where):
    settings = small(where, strategy="synthetic")
    plain = build_objective(settings)
    assert suits(plain, CPU)
    assert not suits(plain, torch.device("cuda"))
    assert not suits(Counting(plain.restorer), CPU)
    assert suits(Combined({"a": plain, "b": SyntheticOnly(plain.restorer)}), CPU)
    assert not suits(Combined({"a": plain, "b": Counting(plain.restorer)}), CPU)
    assert not suits(build_objective(small(where)), CPU)  # noise-space: its hinge looks at the whole batch
    for network in ("dncnn", "nafnet"):
        restorer = RestorerSettings(network=network, **SMALL[network])
        assert not suits(build_objective(replace(settings, restorer=restorer)), CPU)


def test_an_error_in_a_piece_comes_out(where):
    settings = small(where, strategy="synthetic")
    step, objective = first_step(settings, where, 0.0), Failing(build_objective(settings).restorer)
    with Pieces(objective, nullcontext) as pieces, pytest.raises(ArithmeticError, match="no such thing"):
        pieces.backward(step, 0.0, 1.0)
