"""Patches that vary in light and colours, and a network that is given pilots."""

import pytest
import torch

from noiseda import UNet, UserError, load, save_weights
from noiseda.data import generator
from noiseda.restoration import ResidualUNet
from noiseda_research.ready import publish
from noiseda_research.ready.mixture import Coarse, Speckle, Wide
from noiseda_research.ready.train import with_groups, with_pilots
from noiseda_research.ready.varied import Varied

NOTHING = {"swapped": 0.0, "bent": 0.0, "faded": 0.0, "doubled": 0.0, "soft": 0.0, "grey": 0.0}


class Two:
    """Two images of one colour each."""

    levels = 255.0

    def __len__(self):
        return 2

    def draw(self, sample, size, generator, channels=3):
        colour = torch.tensor([[0.8, 0.4, 0.2], [0.1, 0.3, 0.7]])[sample % 2]
        return (f"{sample % 2}.png",), (colour[:, None, None].expand(3, size, size).clone(),)


def drawn(share, times=40):
    images = Varied(images=Two(), **NOTHING | share)
    return torch.stack([images.draw(0, 4, generator(0, n))[1][0][:, 0, 0] for n in range(times)])


def test_nothing_changes_where_nothing_may():
    assert (drawn({}) == torch.tensor([0.8, 0.4, 0.2])).all()
    assert len(Varied(images=Two())) == 2
    assert Varied(images=Two()).levels == 255


def test_channels_change_places():
    found = {tuple(round(float(one), 3) for one in colour) for colour in drawn({"swapped": 1.0})}
    assert len(found) == 6
    assert {tuple(sorted(one)) for one in found} == {(0.2, 0.4, 0.8)}


def test_light_keeps_the_order_of_values_and_stays_in_range():
    found = drawn({"bent": 1.0})
    assert (found[:, 0] > found[:, 1]).all()
    assert (found[:, 1] > found[:, 2]).all()
    assert found.min() > 0
    assert found.max() <= 1
    assert found.std(dim=0).min() > 0.03


def test_patches_become_soft_and_are_sharpened():
    class Step(Two):
        def draw(self, sample, size, generator, channels=3):
            return ("step.png",), ((torch.arange(size) >= size // 2).float().expand(3, size, size).clone() * 0.6 + 0.2,)

    drawn = [Varied(images=Step(), **NOTHING | {"soft": 1.0}).draw(0, 48, generator(0, n))[1][0] for n in range(20)]
    steep = torch.stack([(one[:, :, 1:] - one[:, :, :-1]).abs().max() for one in drawn])
    assert steep.median() < 0.4
    assert steep.min() < 0.3
    assert min(float(one.min()) for one in drawn) < 0.19  # sharpening goes below the darker side
    assert all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in drawn)


def test_texture_keeps_more_of_a_cameras_noise_than_flat_places_do():
    clean = torch.full((3, 64, 64), 0.5)
    clean[..., 32:] += 0.4 * (torch.rand(1, 64, 32, generator=generator(0, "texture")) - 0.5)
    clean[0] += 0.01  # not grey

    def ratio(textured):
        degrade = Wide(parts=(Coarse(compressed=0.0),), white=0, weaker=0.0, textured=textured, sharpened=0.0)
        noise = torch.stack([degrade(clean, generator(1, n)) - clean for n in range(40)])
        return float(noise[..., 36:].square().mean() / noise[..., :28].square().mean())

    assert ratio(1.0) > 1.5 * ratio(0.0)


def test_colours_fade_to_grey_and_brightness_stays():
    found = drawn({"faded": 1.0})
    torch.testing.assert_close(found.mean(dim=1), torch.full((40,), 1.4 / 3))
    ranges = found.amax(1) - found.amin(1)
    assert ranges.min() < 0.1
    assert 0.5 < ranges.max() <= 0.6


def test_some_images_are_grey():
    found = drawn({"grey": 0.5})
    grey = (found == found[:, :1]).all(dim=1)
    assert 10 < grey.sum() < 30
    torch.testing.assert_close(found[grey].mean(), torch.tensor(1.4 / 3))
    assert (found[~grey] == torch.tensor([0.8, 0.4, 0.2])).all()


def test_two_images_lie_over_each_other():
    share = (0.8 - drawn({"doubled": 1.0})) / 0.7  # of the other image, by the red channel
    assert share[:, 0].min() > 0.29
    assert share[:, 0].max() < 0.71


def test_part_of_the_images_has_next_to_no_noise():
    clean = torch.rand(3, 32, 32, generator=generator(0, "clean"))

    def strengths(weaker):
        degrade = Wide(weaker=weaker)
        return torch.stack([(degrade(clean, generator(0, n)) - clean).square().mean().sqrt() for n in range(60)])

    full, weak = strengths(0.0), strengths(1.0)
    assert (weak <= full + 1e-6).all()
    assert (weak < 1 / 255).float().mean() > 0.15
    assert (full < 1 / 255).float().mean() < 0.05


def test_a_network_given_pilots_makes_what_it_made_without():
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1))
    torch.nn.init.normal_(network.head.weight, std=0.1)
    images = torch.rand(1, 3, 24, 32)  # with pilots, sides are padded to multiples of 8
    seeing = with_pilots(network)
    assert seeing.arguments["pilots"] is True
    torch.testing.assert_close(seeing(images), network(images))
    for other in (seeing, UNet(width=8, depth=2)):
        with pytest.raises(UserError, match="weights of a residual U-Net that sees none"):
            with_pilots(other)


def test_a_network_given_groups_keeps_what_it_sees_and_adds_nothing():
    torch.manual_seed(0)
    known = ResidualUNet(width=4, blocks=(1, 1, 1), pilots=True)
    torch.nn.init.normal_(known.head.weight)
    seeing = with_groups(known)
    assert seeing.arguments == {"width": 4, "blocks": [1, 1, 1], "channels": 3, "fold": 1, "groups": True}
    images = torch.rand(1, 3, 16, 24)
    assert torch.equal(seeing(images), images)
    assert torch.equal(seeing.intro.weight[:, :15], known.intro.weight)
    assert not seeing.intro.weight[:, 15:].any()
    assert torch.equal(seeing.up[0][0].first.weight, known.up[0][0].first.weight)
    for other in (seeing, ResidualUNet(width=4, blocks=(1, 1, 1))):
        with pytest.raises(UserError, match="weights of a residual U-Net that sees pilots"):
            with_groups(other)


def test_the_mean_of_two_networks_is_published(tmp_path):
    torch.manual_seed(0)
    blind = ResidualUNet(width=4, blocks=(1, 1, 1))
    torch.nn.init.normal_(blind.head.weight, std=0.1)
    seeing = with_pilots(blind)
    torch.nn.init.normal_(seeing.intro.weight)
    for name, network in (("blind", blind), ("seeing", seeing)):
        save_weights(
            tmp_path / f"{name}.safetensors", network.tensors(), architecture=network.architecture,
            arguments=network.arguments, task="denoise",
        )  # fmt: skip
    out = tmp_path / "out.safetensors"
    one, other = (str(tmp_path / f"{name}.safetensors") for name in ("seeing", "blind"))
    publish.main([one, str(out), "a mean", "--mean", other])
    found = load(out)
    assert found.arguments["pilots"] is True
    wanted = (seeing.intro.weight + with_pilots(blind).intro.weight) / 2
    torch.testing.assert_close(found.intro.weight, wanted, atol=2e-3, rtol=0)


def test_the_noise_of_a_grey_image_is_grey():
    clean = torch.rand(1, 48, 48, generator=generator(0, "clean")).expand(3, -1, -1)
    for speckled in (0.0, 1.0):
        degrade = Wide(weaker=0.0, speckled=speckled)
        noisy = torch.stack([degrade(clean, generator(0, n)) for n in range(30)])
        assert (noisy == noisy[:, :1]).all()
        assert ((noisy - clean).flatten(1).std(dim=1) > 0).all()
    coloured = Wide(weaker=0.0)(clean * torch.tensor([1.0, 0.9, 0.8]).view(3, 1, 1), generator(0, 1))
    assert not torch.equal(coloured[0], coloured[1])


def test_speckle_is_added_or_multiplied():
    clean = torch.full((3, 96, 96), 0.5)
    clean[..., 48:] = 0.25
    ratios, deviations = [], []
    for number in range(20):
        speckled = Speckle(strength=(10.0, 10.0), compressed=0.0)(clean, generator(0, number))
        bright, dark = ((speckled - clean)[0, :, half].std() for half in (slice(48), slice(48, None)))
        ratios.append(float(dark / bright))
        deviations.append(255 * float(bright))
    added = [abs(ratio - 1) < 0.15 for ratio in ratios]
    assert all(one or abs(ratio - 0.5) < 0.1 for one, ratio in zip(added, ratios, strict=True))
    assert 4 < sum(added) < 16
    for one, deviation in zip(added, deviations, strict=True):
        assert abs(deviation - (10 if one else 5)) < 0.5
