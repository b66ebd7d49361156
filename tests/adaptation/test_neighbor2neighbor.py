"""Neighbour sub-samplers and the loss between what they give."""

import pytest
import torch
from torch import nn

from noiseda.adaptation.neighbor2neighbor import Neighbor2Neighbor, subsample
from noiseda.data.batches import Batch
from noiseda.restoration import Restorer, UNet
from noiseda.strategies import Neighbor2NeighborSettings


class Constant(Restorer):
    """Answers every image with one value: what the best constant is can be seen."""

    channels, multiple_of = 3, 1

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def restore(self, images):
        return self.value.expand_as(images)


def strategy(restorer, **settings):
    return Neighbor2Neighbor(restorer, Neighbor2NeighborSettings(**settings))


def batch(x_real):
    return Batch(torch.rand(x_real.shape), torch.rand(x_real.shape), x_real, None, ())


def test_two_different_neighbours_of_each_cell_are_drawn_and_all_pairs_evenly():
    draws = strategy(Constant(0.5)).draw(torch.zeros(4, 3, 128, 128), torch.Generator().manual_seed(0))
    first, second = draws.first.flatten(), draws.second.flatten()
    assert draws.first.shape == draws.second.shape == (4, 1, 64, 64)
    apart = (first // 2 - second // 2).abs() + (first % 2 - second % 2).abs()
    assert (apart == 1).all(), "they share an edge"
    shares = torch.bincount(4 * first + second, minlength=16) / len(first)
    assert (shares > 0).sum() == 8
    assert (shares[shares > 0] - 1 / 8).abs().max() < 0.01


def test_a_subsample_takes_its_pixel_of_each_cell():
    images = torch.rand(2, 3, 5, 7)  # the last row and column are in no cell
    pixel = torch.randint(4, (2, 1, 2, 3), generator=torch.Generator().manual_seed(0))
    out = subsample(images, pixel)
    assert out.shape == (2, 3, 2, 3)
    for b in range(2):
        for y in range(2):
            for x in range(3):
                row, column = divmod(int(pixel[b, 0, y, x]), 2)
                assert torch.equal(out[b, :, y, x], images[b, :, 2 * y + row, 2 * x + column])


def test_a_constant_image_under_white_noise_is_restored_best_by_itself():
    generator = torch.Generator().manual_seed(0)
    x_real = 0.4 + 0.1 * torch.randn(8, 3, 64, 64, generator=generator)
    model = strategy(Constant(0.4), synthetic=False, weight=1.0, consistency=2.0)
    draws = model.draw(x_real, generator)
    losses = {}
    for value in (0.35, 0.4, 0.45):
        model.restorer.value.data.fill_(value)
        losses[value] = model.losses(model(batch(x_real), draws), 0.5)["loss"].item()
    assert min(losses, key=losses.get) == 0.4
    # A parabola (1 + consistency) (value - mean)^2 + constant: its vertex is the clean value.
    slope = (losses[0.45] - losses[0.35]) / 0.1
    assert abs(slope / (2 * 3)) < 2e-3
    assert losses[0.45] + losses[0.35] - 2 * losses[0.4] == pytest.approx(2 * 3 * 0.05**2, rel=1e-2)


def test_the_loss_is_the_papers_and_the_whole_image_receives_no_gradient():
    torch.manual_seed(0)
    restorer = UNet(width=4, depth=2)
    nn.init.normal_(restorer.head.weight, std=0.1)
    model, one = strategy(restorer, weight=3.0, consistency=0.5), batch(torch.rand(2, 3, 16, 16))
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
    found = model.losses(model(one, draws), 0.5)["loss"]
    g1, g2 = (lambda x, pixel=pixel: subsample(x, pixel) for pixel in (draws.first, draws.second))
    f = restorer
    whole = f(one.x_real).detach()
    error = f(g1(one.x_real)) - g2(one.x_real)
    real = error.square().mean() + 0.5 * (error - (g1(whole) - g2(whole))).square().mean()
    expected = ((one.y_syn - f(one.x_syn)).square() + 1e-6).sqrt().mean() + 3.0 * real
    torch.testing.assert_close(found, expected)
    weights = list(restorer.parameters())
    gradients = zip(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights), strict=True)
    for mine, theirs in gradients:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
