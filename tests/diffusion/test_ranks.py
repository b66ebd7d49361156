"""Schedule, denoiser, permutation, objective and networks on signals of any rank: sound, images, clips."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseda.adaptation import MeanTeacher, NoiseSpace, charbonnier
from noiseda.adaptation.permutation import draw_order, shuffle
from noiseda.config import ObjectiveSettings
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor, add_noise
from noiseda.dims import append_dims, fold, unfold
from noiseda.orientations import turn, turn_back
from noiseda.restoration import UNet
from noiseda.strategies import MeanTeacherSettings

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


def signal(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(SHAPES, st.integers(1, 3))
def test_any_rank_is_what_its_flattened_places_are(spatial, channels):
    """No operation looks at where a place is: a signal laid out in one row gives the same."""
    shape = (4, channels, *spatial)
    y, one, other, eps = (signal(*shape, seed=seed) for seed in range(4))
    level = torch.tensor([0.9, 0.5, 0.1, 0.01])
    flat = [values.flatten(2) for values in (y, one, other, eps)]
    assert torch.equal(add_noise(y, eps, level).flatten(2), add_noise(flat[0], flat[3], level))
    torch.testing.assert_close(charbonnier(y, one), charbonnier(flat[0], flat[1]))
    order = draw_order("channels", 4, channels, torch.Generator().manual_seed(1))
    for whole, row in zip(shuffle(one, other, order), shuffle(flat[1], flat[2], order), strict=True):
        assert torch.equal(whole.flatten(2), row)
    assert append_dims(level, y.ndim).shape == (4, *(1,) * (y.ndim - 1))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3))
def test_folded_blocks_unfold_to_what_they_were(blocks, channels, side):
    y = signal(2, channels, *(side * count for count in blocks))
    folded = fold(y, side)
    assert folded.shape == (2, channels * side ** len(blocks), *blocks)
    assert torch.equal(unfold(folded, side), y)
    # The first place of every block, in the first of its channels.
    first = y[(slice(None), slice(None), *(slice(0, None, side) for _ in blocks))]
    assert torch.equal(folded[:, :: side ** len(blocks)], first)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("attention", [False, True])
def test_a_step_of_noise_space_on_signals_of_any_rank(dims, attention):
    torch.manual_seed(0)
    restorer = UNet(width=4, depth=2, channels=1, dims=dims)
    predictor = NoisePredictor(
        channels=1, width=8, channel_mults=(1, 2), blocks=1, patch_size=2, attention=attention, dropout=0.1, dims=dims
    )
    with torch.no_grad():
        for parameter in [*restorer.parameters(), *predictor.parameters()]:
            parameter.add_(0.05 * torch.randn(parameter.shape))
    objective = NoiseSpace(restorer, Denoiser(predictor), ObjectiveSettings())
    shape = (2, 1, *(8,) * dims)
    one = Batch(*(signal(*shape, seed=seed) for seed in range(3)), None, ())
    terms = objective(one, objective.draw(one.y_syn, torch.Generator().manual_seed(0)))
    assert terms.restored_real.shape == shape
    losses = objective.losses(terms, 0.5)
    losses["loss"].backward()
    assert losses["loss"].isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in objective.parameters())


@pytest.mark.parametrize(("dims", "shape"), [(1, (37,)), (3, (5, 9, 11))])
def test_a_restorer_pads_and_crops_any_rank(dims, shape):
    network = UNet(width=4, depth=3, channels=2, dims=dims)
    x = signal(1, 2, *shape)
    assert torch.equal(network(x), x), "an untrained one returns its input"
    with pytest.raises(ValueError, match=r"expected images of shape \(B, 2, "):
        network(signal(1, 2, 4, 4))


def test_there_are_three_ranks():
    for make in (lambda: UNet(dims=4), lambda: NoisePredictor(dims=0)):
        with pytest.raises(ValueError, match="dims must be 1, 2 or 3"):
            make()


def test_a_restorer_of_sounds_is_read_from_its_file(tmp_path):
    from noiseda.restoration import load, save_weights

    torch.manual_seed(0)
    network = UNet(width=4, depth=2, channels=2, dims=1)
    torch.nn.init.normal_(network.head.weight)
    path = tmp_path / "sound.safetensors"
    save_weights(path, network.state_dict(), architecture="unet", arguments=network.arguments, task="denoise")
    again = load(path)
    assert again.dims == 1
    x = signal(1, 2, 24)
    assert torch.equal(again(x), network.eval()(x))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("number", range(8))
def test_orientations_of_any_rank_are_undone(dims, number):
    signals = torch.rand(2, 1, *range(3, 3 + dims))
    turned = turn(signals, number)
    assert torch.equal(turn_back(turned, number), signals)
    assert torch.equal(turned, signals) == (dims == 1 or number == 0)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_mean_teacher_on_signals_of_any_rank(dims):
    torch.manual_seed(0)
    objective = MeanTeacher(UNet(width=4, depth=2, channels=1, dims=dims), MeanTeacherSettings(sigma=10.0))
    batch = Batch(*(torch.rand(3, 1, *(8,) * dims) for _ in range(3)), None, ())
    draws = objective.draw(batch.y_syn, torch.Generator().manual_seed(0))
    losses = objective.losses(objective(batch, draws), 1.0)
    losses["loss"].backward()
    assert losses["teacher"] > 0
    assert all(weight.grad is not None for weight in objective.restorer.parameters())
