"""Pixel shuffles, labels, and a restorer that learns from them after a head start."""

import pytest
import torch

from noiseda.data.batches import Batch
from noiseda.restoration import UNet
from noiseda_research.rivals.blind_network import BlindSpotNetwork
from noiseda_research.rivals.blind_spot import BlindSpot, assembled, cropped, taken_apart
from noiseda_research.rivals.settings import BlindSpotSettings


def model(**settings):
    torch.manual_seed(0)
    network = BlindSpotNetwork(width=4, blocks=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return BlindSpot(UNet(width=4, depth=2), network, BlindSpotSettings(**settings))


def batch(count=2, side=16):
    return Batch(*(torch.rand(count, 3, side, side) for _ in range(3)), None, ())


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_a_pixel_shuffle_is_undone(stride):
    images = torch.rand(2, 3, 10, 20)
    parts = taken_apart(images, stride)
    assert parts.shape == (2 * stride**2, 3, 10 // stride, 20 // stride)
    assert torch.equal(assembled(parts, stride), images)
    for index in range(stride**2):  # those of the second image
        row, column = divmod(index, stride)
        assert torch.equal(parts[stride**2 + index], images[1, :, row::stride, column::stride])


def test_patches_that_are_no_multiple_are_cropped_to_learn_from_and_padded_for_labels():
    assert cropped(torch.rand(1, 3, 48, 51), 5).shape == (1, 3, 45, 50)
    strategy = model(test_stride=3)
    assert strategy.label(torch.rand(1, 3, 16, 16), torch.zeros(1, 0, 16, 16, dtype=torch.bool)).shape == (1, 3, 16, 16)


def test_under_the_shuffle_a_pixel_sees_none_nearer_than_the_stride():
    strategy = model().double()
    images = torch.rand(1, 3, 20, 20, dtype=torch.float64, requires_grad=True)
    predicted = taken_apart(images, 5)
    out = assembled(strategy.network(predicted), 5).sum(dim=1)[0]
    (gradient,) = torch.autograd.grad(out[7, 12], images)
    seen = gradient.abs().sum(dim=(0, 1)).nonzero()
    assert ((seen - torch.tensor([7, 12])) % 5 == 0).all()
    assert not (seen == torch.tensor([7, 12])).all(dim=1).any()


def test_labels_send_the_blind_network_no_gradient_and_the_restorer_none_into_it():
    strategy, one = model(), batch()
    terms = strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
    of_network, of_restorer = list(strategy.network.parameters()), list(strategy.restorer.parameters())
    distilled = terms.errors["distilled"].sum()
    gradients = torch.autograd.grad(distilled, [*of_restorer, *of_network], allow_unused=True, retain_graph=True)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients[: len(of_restorer)])
    assert all(gradient is None for gradient in gradients[len(of_restorer) :])
    blind = torch.autograd.grad(terms.errors["blind"].sum(), [*of_network, *of_restorer], allow_unused=True)
    assert all(gradient is not None and gradient.isfinite().all() for gradient in blind[: len(of_network)])
    assert all(gradient is None for gradient in blind[len(of_network) :])


def test_the_restorer_waits_for_the_head_start():
    strategy, one = model(start=0.25, weight=2.0, ramp=0.0), batch()
    terms = strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
    before, after = (strategy.losses(terms, progress) for progress in (0.2, 0.25))
    torch.testing.assert_close(before["loss"], before["restoration"] + before["blind"])
    torch.testing.assert_close(after["loss"], before["loss"] + 2 * after["distilled"])


def test_a_refinement_puts_pixels_back_and_averages():
    strategy = model(refinements=2)
    x_real = torch.rand(1, 3, 16, 16)
    masks = strategy.draw(x_real, torch.Generator().manual_seed(0)).masks
    assert masks.shape == (1, 2, 16, 16)
    plain = strategy.label(x_real, masks[:, :0])
    found = strategy.label(x_real, masks)
    once = assembled(strategy.network(taken_apart(x_real, 2)), 2)
    mixed = [torch.where(masks[:, i : i + 1], x_real, once) for i in range(2)]
    expected = (strategy.network(mixed[0]) + strategy.network(mixed[1])) / 2
    torch.testing.assert_close(found, expected.clamp(0, 1).detach())
    torch.testing.assert_close(plain, once.clamp(0, 1).detach())
    many = model(refinements=8).draw(torch.zeros(1, 3, 64, 64), torch.Generator().manual_seed(0)).masks
    assert abs(many.float().mean() - 0.16) < 0.01


def test_it_runs_on_real_images_alone():
    strategy, one = model(synthetic=False), batch(count=1)
    terms = strategy(one, strategy.draw(one.y_syn, torch.Generator().manual_seed(0)))
    assert set(terms.errors) == {"blind", "distilled"}
    assert terms.restored_syn is None
    assert strategy.losses(terms, 0.5)["loss"].isfinite()


def test_the_blind_network_learns_to_denoise_real_images_without_targets():
    """Stripes under white noise: after some steps what it predicts is nearer to the clean image than the noisy one."""
    torch.manual_seed(0)
    clean = (0.5 + 0.3 * torch.sin(torch.arange(48) * 0.3)).expand(2, 3, 48, 48)
    strategy = BlindSpot(
        UNet(width=4, depth=2), BlindSpotNetwork(width=8, blocks=1), BlindSpotSettings(train_stride=2, test_stride=2)
    )
    optimizer = torch.optim.Adam(strategy.network.parameters(), lr=1e-2)
    none = torch.zeros(2, 0, 48, 48, dtype=torch.bool)
    for _ in range(60):
        noisy = clean + 0.1 * torch.randn(clean.shape)
        loss = (strategy.predict(noisy, 2) - noisy).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    noisy = clean + 0.1 * torch.randn(clean.shape)
    error = (strategy.label(noisy, none) - clean).square().mean()
    assert error < 0.3 * (noisy - clean).square().mean()
