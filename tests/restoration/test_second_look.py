"""What a second look sees, mixes and learns; and the network that takes one."""

import math

import pytest
import torch

from noiseda.restoration import Groups, ResidualUNet, SecondLook
from noiseda.restoration.second_look import seen_through


def draws(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def looked(channels=3, height=16, width=24, count=2):
    """A look, and what a network of that many channels would give it."""
    images, groups = draws(count, channels, height, width), Groups(channels=channels)
    changes = groups(images)
    mixed = changes.unflatten(1, (4, channels))[:, 1]
    return SecondLook(channels), (images, images + 0.7 * mixed, mixed, changes, groups, None)


@pytest.mark.parametrize("channels", [1, 3])
def test_before_it_is_trained_the_network_has_all_of_the_say(channels):
    look, given = looked(channels)
    torch.testing.assert_close(look(*given), given[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_shares_are_of_voices(channels):
    look, given = looked(channels)
    images, restored, mixed, changes, groups, _ = given
    strength = torch.full((2, 2, 3), math.prod(SecondLook.strengths) ** 0.5)  # halfway, where what is said is 0
    wanted = [restored, images + mixed, *(images[:, None] + changes.unflatten(1, (4, channels))).unbind(1)]
    wanted += [seen_through(restored, 0.5), images + groups.again(images, restored, strengths=strength)]
    assert len(wanted) == look.voices
    for number, one in enumerate(wanted):
        with torch.no_grad():
            look.last.bias.zero_()
            look.last.bias[number * look.kinds : (number + 1) * look.kinds] = 1
        torch.testing.assert_close(look(*given), one, atol=1e-5, rtol=0)


def test_brightness_and_colour_have_shares_of_their_own():
    look, given = looked()
    images, restored, mixed = given[:3]
    with torch.no_grad():
        look.last.bias[:4] = torch.tensor([1.0, 0.0, 0.0, 1.0])  # brightness of the network, colour of the mixture
    bright, rest = (restored - images).mean(1, keepdim=True), mixed - mixed.mean(1, keepdim=True)
    torch.testing.assert_close(look(*given), images + bright + rest)


def test_all_of_an_image_is_seen_up_to_168_pixels_and_so_far_of_a_larger_one():
    look = SecondLook(1)
    small, large = draws(1, 1, 168, 16), draws(1, 1, 400, 16)
    seen = look.seen(small, draws(1, 7, 1, 168, 16, seed=1) - 0.5)
    torch.testing.assert_close(seen, seen[..., :1, :1].expand_as(seen))
    voices = draws(1, 7, 1, 400, 16, seed=1) - 0.5
    changed = voices.clone()
    changed[..., 200:208, :] *= 10
    differs = (look.seen(large, voices) - look.seen(large, changed)).abs().amax((0, 1, 3)) > 1e-3
    further = 2  # cells that the largest Gaussian reaches into
    assert differs[25 - 20 : 25 + 21].all()
    assert not differs[: 25 - 20 - further].any()
    assert not differs[25 + 21 + further :].any()


def test_how_strong_what_is_taken_away_is_and_how_alike():
    look, flat = SecondLook(1), torch.full((1, 1, 64, 64), 0.5)
    noise = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(2))
    noise /= noise.square().mean((1, 2), keepdim=True).sqrt()
    voices = torch.stack([noise[0], noise[0] / 2, noise[1], -noise[0], noise[1], noise[1], noise[1]])[None, :, None]
    seen = look.seen(flat, 20 / 255 * voices)[0, :, 0, 0]
    least = (0.25 / 255) ** 2
    sizes = [math.log((20 / 255 * size) ** 2 + least) / 2 + 4 for size in (1, 0.5, 1, 1, 1, 1)]
    torch.testing.assert_close(seen[:6], torch.tensor(sizes), atol=1e-4, rtol=0)
    alike = (seen[6:9] + 1) / 2  # of the first with the second, third and fourth
    torch.testing.assert_close(alike, torch.tensor([1.0, float((noise[0] * noise[1]).mean()), -1.0]), atol=2e-3, rtol=0)


def test_strengths_of_cells_are_those_of_the_groups_that_begin_there():
    images, guesses = draws(2, 3, 24, 40), draws(2, 3, 24, 40, seed=1)
    groups, strengths = Groups((10, 60)), torch.full((2, 3, 5), 10.0)
    found = groups.search(images)
    both = groups.again(images, guesses, found).unflatten(1, (2, 3))
    torch.testing.assert_close(groups.again(images, guesses, found, strengths), both[:, 0])
    strengths[1] = 60
    torch.testing.assert_close(groups.again(images, guesses, found, strengths), torch.stack([both[0, 0], both[1, 1]]))
    left = torch.full((2, 3, 5), 10.0)
    left[:, :, 2:] = 60
    mixed = groups.again(images, guesses, found, left)
    assert (mixed - both[:, 0]).abs().max() > 1e-3
    assert (mixed - both[:, 1]).abs().max() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(8, 8), (24, 40)])
def test_strengths_of_cells_as_a_whole_are_the_same(height, width):
    groups, planes = Groups(), draws(2, 3, height, width)
    found = groups._found(planes[:, :1], False)
    each = 5 + 50 * draws(*found.shape[:2], seed=2)
    alike = (shrink(planes, planes.flip(0), found, each) for shrink in (groups._shrunk_whole, groups._shrunk_in_strips))
    torch.testing.assert_close(*alike, atol=1e-5, rtol=0)


def test_it_is_computed_in_fp32_and_learns_with_the_network():
    look, given = looked()
    wanted = look(*given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(look(*given), wanted)
    halves = [one.bfloat16() for one in given[:4]]
    assert look.bfloat16()(*halves, *given[4:]).dtype == torch.bfloat16
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1), groups=True, look=True)
    network(draws(2, 3, 16, 24)).square().mean().backward()
    assert network.head.bias.grad.any()
    assert network.look.last.bias.grad[4:-1].all()  # of all but network and mixture, which are nothing yet
    assert not network.look.last.bias.grad[-1]  # none goes through the second stage


def test_a_network_with_one_is_found_by_its_weights():
    network = ResidualUNet(width=4, blocks=(1, 1, 1), groups=True, look=True)
    found = ResidualUNet.detect(network.state_dict())
    assert found.arguments == network.arguments
    assert found.arguments["look"] is True
    images = draws(1, 3, 16, 24)
    assert torch.equal(found(images), network(images))


def test_it_asks_for_groups():
    with pytest.raises(ValueError, match="look asks for groups"):
        ResidualUNet(look=True)
    with pytest.raises(ValueError, match="look must be true or false"):
        ResidualUNet.outline({"groups": True, "look": 1})


def test_what_is_repeated_beyond_a_border_would_mislead_it():
    """Pixels that go on have noise along the border, but none across it."""
    assert ResidualUNet(groups=True, width=4, blocks=(1,)).border == 0
    assert ResidualUNet(pilots=True, width=4, blocks=(1,)).border == 0
    assert ResidualUNet(width=4, blocks=(1,)).border == 8
    look, noise = SecondLook(1), torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    noise = 20 / 255 * noise
    more = torch.nn.functional.pad(noise, (8,) * 4, mode="replicate")
    neighbours = {}
    for name, own in (("as it is", noise), ("repeated", more)):
        seen = look.seen(0.5 + own, -own[:, None].expand(-1, 7, -1, -1, -1))
        neighbours[name] = float(seen[0, -17:-15, 0, 0].max()) / 2  # where it is flat, with the next pixel
    assert neighbours["as it is"] < 0.01
    assert neighbours["repeated"] > 0.1
