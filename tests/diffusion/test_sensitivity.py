"""What a judge listens to: a rise where it does, exactly none where it does not."""

import pytest
import torch
from torch import nn

from noiseda.diffusion import Denoiser, NoisePredictor, Schedule
from noiseda.diffusion.sensitivity import CORRUPTIONS, another, blurred, noisy, sensitivity

ALPHA_BAR = Schedule("cosine").alpha_bar


class Listens(nn.Module):
    """Takes one of its conditions for the truth."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def forward(self, y_t, conditions, level):
        alpha_bar = (level / 1000).reshape(-1, *(1,) * (y_t.ndim - 1))
        return (y_t - alpha_bar.sqrt() * conditions[self.place]) / (1 - alpha_bar).sqrt()


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("place", [0, 1])
def test_the_error_rises_by_the_condition_that_is_listened_to_alone(place, dims):
    clean = torch.rand(3, 2, *({1: 400, 2: 20, 3: 8}[dims],) * dims, generator=torch.Generator().manual_seed(0))
    found = sensitivity(Denoiser(Listens(place)), clean, ALPHA_BAR, steps=(100, 500))
    assert found.steps == (100, 500)
    assert max(found.error) < 1e-8
    assert {*found.rises} == {(name, number) for name in CORRUPTIONS for number in (1, 2)}
    for (name, number), rises in found.rises.items():
        if number == place + 1:
            spoilt = CORRUPTIONS[name](clean, torch.Generator())
            difference = (spoilt - clean).square().mean().item() * 4  # of values in [-1, 1]
            for step, rise in zip(found.steps, rises, strict=True):
                wanted = difference * float(ALPHA_BAR[step] / (1 - ALPHA_BAR[step]))
                assert rise == pytest.approx(wanted, rel=0.2 if name == "noise" else 1e-3)
        else:
            assert rises == (0.0, 0.0)
    if place == 0:  # it passes over the image that is another
        assert found.beside == {"noise": (0.0, 0.0), "blur": (0.0, 0.0)}


def test_a_judge_that_takes_the_smoother_condition_for_the_wrong_one_would_rather_have_it_blurred():
    class Smoother(nn.Module):
        """The noise of the condition with the larger variance, and a share of the other's variance on top."""

        def forward(self, y_t, conditions, level):
            first, second = (one.flatten(1).var(dim=1) for one in conditions)
            return y_t * 0 + torch.minimum(first, second).reshape(-1, *(1,) * (y_t.ndim - 1))

    clean = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = sensitivity(Denoiser(Smoother()), clean, ALPHA_BAR)
    assert {*found.beside} == {"noise", "blur"}
    assert max(found.beside["blur"]) < 0 <= min(found.beside["noise"])
    assert found.means()["blur in another image"] < 0
    assert found.rows()[-1] == ("blur in another image", found.beside["blur"])
    one = sensitivity(Denoiser(Listens(0)), clean, ALPHA_BAR, conditions=1)
    assert one.beside == {}


def test_a_predictor_that_listens_to_nothing_raises_nothing_and_one_condition_is_enough():
    class Deaf(nn.Module):
        def forward(self, y_t, conditions, level):
            assert len(conditions) == 1
            return 0.5 * y_t

    found = sensitivity(Denoiser(Deaf()), torch.rand(2, 3, 8, 8), ALPHA_BAR, conditions=1)
    assert all(rise == 0 for rises in found.rises.values() for rise in rises)
    assert min(found.error) > 0.1
    assert {number for _, number in found.rises} == {1}


def test_it_draws_nothing_and_leaves_the_predictor_as_it_was():
    network = NoisePredictor(width=8, channel_mults=(1,), blocks=1, patch_size=2, dropout=0.5)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1)
    network.attend.eval()
    denoiser, clean = Denoiser(network), torch.rand(2, 3, 8, 8)
    state = torch.get_rng_state()
    first = sensitivity(denoiser, clean, ALPHA_BAR)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == sensitivity(denoiser, clean, ALPHA_BAR)  # without dropout
    assert network.training
    assert not network.attend.training
    assert sensitivity(denoiser, clean, ALPHA_BAR, seed=1) != first


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 1, 9), (2, 3, 2, 2), (2, 1, 3, 4, 5)])
def test_corruptions_keep_the_shape(shape):
    signals = torch.rand(shape)
    for corrupt in CORRUPTIONS.values():
        assert corrupt(signals, torch.Generator()).shape == shape


def test_what_the_corruptions_do():
    signals = torch.rand(2, 3, 64, 64)
    assert (noisy(signals, torch.Generator()) - signals).std() == pytest.approx(25 / 255, rel=0.05)
    assert blurred(signals, torch.Generator()).var() < 0.1 * signals.var()
    torch.testing.assert_close(blurred(torch.ones(1, 1, 7), torch.Generator()), torch.ones(1, 1, 7))
    assert torch.equal(another(signals, torch.Generator())[0], signals[1])
    assert torch.equal(another(signals[:1], torch.Generator()), signals[:1].flip(-1))


def test_the_table_has_a_row_for_each_corruption_and_condition():
    found = sensitivity(Denoiser(Listens(0)), torch.rand(2, 3, 8, 8), ALPHA_BAR, steps=(100, 500))
    assert len(str(found).splitlines()) == 2 + 6 + 2
    assert "noise in condition 1" in str(found)
    lines = found.markdown().splitlines()
    assert lines[0] == "| | t = 100 | t = 500 |"
    assert all(line.count("|") == 4 for line in lines)
    assert found.means()["noise in condition 2"] == 0
    assert found.means()["noise in condition 1"] > 0
