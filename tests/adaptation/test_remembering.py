"""What was known is kept by the network's own example: nothing to learn at first, and a pull back later."""

import copy
from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import SyntheticOnly
from noiseda.adaptation.remembering import Remembering
from noiseda.assessment.retention import known_degradations
from noiseda.config import AdaptSettings, DegradationSettings
from noiseda.data.batches import Batch
from noiseda.errors import UserError
from noiseda.restoration import ResidualUNet
from noiseda.restorer_settings import RestorerSettings
from noiseda.strategies import Neighbor2NeighborSettings
from noiseda.training.pieces import suits
from noiseda.training.plan import settled


def batch(known):
    x, y = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Batch(x, y, None, None, (), known=known)


def untrained():
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


def test_of_known_images_there_is_nothing_to_learn_at_first():
    given = batch(torch.tensor([True, False, True]))
    given = replace(given, x_syn=given.x_syn * 0.2 + 0.4)  # so that nothing it makes leaves [0, 1]
    objective = Remembering(SyntheticOnly(untrained(), distance=lambda x, y: (x - y).abs().flatten(1).mean(1)))
    error = objective(given, None).errors["restoration"]
    assert error[0] == error[2] == 0
    assert error[1] > 0.01
    with torch.no_grad():
        next(objective.restorer.parameters()).add_(0.1)
    assert objective(given, None).errors["restoration"].min() > 1e-4


def test_without_known_images_it_is_the_objective_alone():
    network = untrained()
    alone, remembering = SyntheticOnly(network), Remembering(SyntheticOnly(copy.deepcopy(network)))
    for known in (None, torch.zeros(3, dtype=torch.bool)):
        given = batch(known)
        assert torch.equal(alone(given, None).errors["restoration"], remembering(given, None).errors["restoration"])


def test_what_it_was_before_never_learns():
    objective = Remembering(SyntheticOnly(untrained())).train()
    assert not objective.before.training
    assert objective.restorer.training
    assert {name.split(".")[0] for name, weight in objective.named_parameters() if weight.requires_grad} == {"restorer"}


def remembered(**settings):
    return settled(AdaptSettings(real="photos", **settings)).degradation.remembered


def test_it_is_the_default_where_noise_is_matched_from_the_ready_weights():
    assert remembered() == 0.2
    assert remembered(degradation=DegradationSettings(kind="white+3*matched")) == 0
    assert remembered(strategy="noise-space") == remembered(also=["noise-space"]) == 0
    assert remembered(restorer=RestorerSettings(network="unet")) == 0
    assert remembered(task="derain") == remembered(strategy="source-free") == 0
    own = Neighbor2NeighborSettings(synthetic=False)  # then no synthetic images are learnt from
    assert remembered(neighbor2neighbor=own) == remembered(strategy="neighbor2neighbor", neighbor2neighbor=own) == 0
    assert remembered(neighbor2neighbor=own, also=["mean-teacher"]) == 0.2
    assert remembered(task="derain", degradation=DegradationSettings(remembered=0.3)) == 0.3


def test_a_network_of_random_weights_has_nothing_to_remember():
    settings = AdaptSettings(
        real="photos", restorer=RestorerSettings(network="unet"), degradation=DegradationSettings(remembered=0.5)
    )
    with pytest.raises(UserError, match=r"--degradation\.remembered 0\.5 needs a network that knows something"):
        settings.check()


def test_an_objective_weighs_its_errors_as_it_would_alone():
    class Ten(SyntheticOnly):
        def losses(self, terms, progress):
            return {name: 10 * loss for name, loss in super().losses(terms, progress).items()}

    ten, plain = Remembering(Ten(untrained())), Remembering(SyntheticOnly(untrained()))
    losses = [one.losses(one(batch(None), None), 0.5)["loss"] for one in (ten, plain)]
    torch.testing.assert_close(losses[0], 10 * losses[1])
    cpu = torch.device("cpu")
    assert suits(plain, cpu)
    assert not suits(ten, cpu)


@pytest.mark.parametrize("kind", ["pairs+streaks", "pairs"])
def test_what_pairs_bring_is_not_what_was_known(kind):
    own = RestorerSettings(start="mine.safetensors", network="unet")
    degradation = DegradationSettings(kind=kind, remembered=0.3)
    settings = AdaptSettings(task="derain", real="r", pairs="p", restorer=own, degradation=degradation)
    assert [type(one).__name__ for one in known_degradations(settings)] == [{"pairs": "Rain"}.get(kind, "Streaks")]
