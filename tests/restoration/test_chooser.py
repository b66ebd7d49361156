"""What the chooser mixes, sees and learns; and the network that has one."""

import math

import pytest
import torch

from noiseda.restoration import Chooser, ResidualUNet
from noiseda.restoration.pilots import colourless, opponent


@pytest.mark.parametrize("channels", [1, 3])
def test_it_begins_as_nothing_and_shares_are_of_pilots(channels):
    images, changes = torch.rand(2, channels, 16, 24), torch.randn(2, 4 * channels, 16, 24)
    chooser = Chooser(4, channels)
    assert not chooser(images, changes).any()
    torch.nn.init.constant_(chooser.last.bias, 0.25)
    torch.testing.assert_close(chooser(images, changes), changes.unflatten(1, (4, channels)).mean(1))


def test_brightness_and_colour_have_shares_of_their_own():
    chooser = Chooser(2)
    with torch.no_grad():
        chooser.last.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]))  # brightness of the first, colour of the second
    grey, coloured = torch.randn(1, 1, 16, 16).expand(-1, 3, -1, -1), torch.randn(1, 3, 16, 16)
    mixed = chooser(torch.rand(1, 3, 16, 16), torch.cat([grey, coloured], dim=1))
    torch.testing.assert_close(mixed, grey + coloured - coloured.mean(1, keepdim=True))


def test_it_sees_how_strong_noise_is_around_a_pixel_and_no_further():
    chooser = Chooser(1, 1)
    changes = torch.zeros(1, 1, 128, 8)
    changes[:, :, 64:72] = 20 / 255
    seen = chooser._seen(torch.full((1, 1, 128, 8), 0.5), changes[:, :, None], torch.tensor(False))
    nothing, some = (math.log(mean) / 2 for mean in ((0.25 / 255) ** 2, (20 / 255) ** 2 / 5 + (0.25 / 255) ** 2))
    wanted = torch.full((16,), (nothing + 4) / 1.5)
    wanted[6:11] = (some + 4) / 1.5
    torch.testing.assert_close(seen[0, 0, :, 0], wanted)
    assert (seen[0, 1] == 0.5).all()


def test_it_learns_which_pilot_a_noise_needs():
    generator = torch.Generator().manual_seed(0)
    sigmas = torch.tensor([5.0, 50.0]).repeat(8) / 255
    noise = sigmas.view(-1, 1, 1, 1) * torch.randn(16, 1, 32, 32, generator=generator)
    weak = -noise.clamp(-0.04, 0.04)  # right for the weak, next to nothing of the strong
    changes, images = torch.cat([weak, -noise], dim=1), torch.rand(16, 1, 32, 32, generator=generator)
    right = torch.where(sigmas.view(-1, 1, 1, 1) < 0.1, weak, -noise)
    torch.manual_seed(0)
    chooser = Chooser(2, 1)
    optimizer = torch.optim.Adam(chooser.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (chooser(images, changes) - right).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * noise.square().mean().item()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_adds_to_the_mixture(channels):
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1), channels=channels, groups=True)
    torch.nn.init.normal_(network.chooser.last.bias)
    images = torch.rand(1, channels, 16, 24)
    changes = network.pilots(images)
    mixed = images + network.chooser(images, changes)
    torch.testing.assert_close(network(images), mixed)
    with torch.no_grad():
        network.head.bias[channels + 2] = 1  # and all of the third
    wanted = mixed + changes[:, 2 * channels : 3 * channels]
    torch.testing.assert_close(network(images), wanted)


def test_grey_noise_looks_like_white_noise_as_strong_in_each_channel():
    draws = torch.Generator().manual_seed(0)
    chooser, images = Chooser(2), torch.full((1, 3, 64, 64), 0.5)
    white = torch.randn(1, 2, 3, 64, 64, generator=draws)
    grey = torch.cat([3**0.5 * white[:, :, :1], 0 * white[:, :, 1:]], dim=2)
    seen, alone = (
        chooser._seen(images, planes, torch.tensor(is_grey)) for planes, is_grey in ((white, False), (grey, True))
    )
    torch.testing.assert_close(alone[:, :3], seen[:, :3])
    torch.testing.assert_close(alone[:, 3:6], seen[:, 3:6], atol=0.1, rtol=0)


def test_an_image_is_grey_as_far_as_its_colours_differ_by_rounding_alone():
    draws = torch.Generator().manual_seed(0)
    grey = torch.rand(1, 1, 64, 64, generator=draws).expand(-1, 3, -1, -1)
    noise = torch.randn(1, 3, 64, 64, generator=draws)
    planes = torch.einsum(
        "dc,bchw->bdhw", opponent(3), torch.cat([grey, grey + noise.clamp(-0.5, 0.5) / 255, grey + 3 * noise / 255])
    )
    assert colourless(planes).flatten().tolist() == [True, True, False]
    assert colourless(grey[:, :1]).flatten().tolist() == [False]
