"""The blind spot: a pixel of the output does not depend on that pixel of the input, and on all those around it."""

import pytest
import torch

from noiseda_research.rivals.blind_network import BlindSpotNetwork, mean_around


def network(**changes):
    torch.manual_seed(0)
    made = BlindSpotNetwork(**{"width": 8, "blocks": 2, **changes})
    with torch.no_grad():
        for parameter in made.parameters():  # those that start at zero too
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return made.double()


@pytest.mark.parametrize("size", [(15, 15), (3, 3), (9, 4)])
@pytest.mark.parametrize("blocks", [0, 1, 4])
def test_no_pixel_sees_itself(blocks, size):
    """By gradient, at every pixel: its own is exactly zero in all channels, its neighbours' is not."""
    made = network(blocks=blocks)
    image = torch.rand(1, 3, *size, dtype=torch.float64, requires_grad=True)
    out = made(image).sum(dim=1)[0]
    for y in range(size[0]):
        for x in range(size[1]):
            (gradient,) = torch.autograd.grad(out[y, x], image, retain_graph=True)
            assert (gradient[0, :, y, x] == 0).all(), (y, x)
            around = gradient[0, :, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].abs().sum(dim=0)
            assert (around > 0).sum() == around.numel() - 1


def test_it_starts_as_the_mean_around():
    made = BlindSpotNetwork(width=8, blocks=1)
    image = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(made(image), mean_around(image))
    inner = torch.nn.functional.unfold(image, 3).view(2, 3, 9, 36)
    expected = (inner.sum(dim=2) - inner[:, :, 4]) / 8
    torch.testing.assert_close(mean_around(image)[..., 1:-1, 1:-1].flatten(2), expected)


def test_grey_images_are_served():
    assert BlindSpotNetwork(channels=1, width=4, blocks=1)(torch.rand(1, 1, 6, 6)).shape == (1, 1, 6, 6)
