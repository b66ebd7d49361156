"""Groups of similar blocks against the same rule written plainly, block by block; and a network that sees them."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.linalg import hadamard
from skimage import data
from torch._subclasses.fake_tensor import FakeTensorMode

import noiseda.restoration.groups as module
import noiseda.restoration.rolling as rolling
from noiseda.restoration import STRENGTHS, Groups, ResidualUNet
from noiseda.restoration.remembered import Remembered
from noiseda.restoration.similar_blocks import similar

OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def plainly(image, strength, guess=None):
    """An image (C, H, W), group by group: what is left of it; with a guess, of the second stage."""
    colours = OPPONENT if len(image) == 3 else np.eye(1)

    def planes_and_blocks(image):
        planes = np.einsum("dc,chw->dhw", colours, image)
        down, right = (side - 7 for side in planes.shape[1:])
        return planes, np.array([[[dctn(plane[y : y + 8, x : x + 8], norm="ortho") for plane in planes]
                                  for x in range(right)] for y in range(down)])  # fmt: skip

    planes, blocks = planes_and_blocks(image)
    guessed = None if guess is None else planes_and_blocks(guess)[1]
    down, right = blocks.shape[:2]
    total, weights = np.zeros_like(planes), np.zeros_like(planes)
    for y in range(0, down, 4):
        for x in range(0, right, 4):
            near = [(0 if (v, u) == (y, x) else ((blocks[v, u, 0] - blocks[y, x, 0]) ** 2).sum(), v, u)
                    for v in range(max(y - 12, 0), min(y + 13, down))
                    for u in range(max(x - 12, 0), min(x + 13, right))]  # fmt: skip
            places = [(v, u) for _, v, u in sorted(near)[:16]]
            places += [(y, x)] * (16 - len(places))
            for plane in range(len(planes)):
                group = np.array([blocks[v, u, plane] for v, u in places]).reshape(16, 64)
                common = hadamard(16) / 4 @ group
                if guessed is None:
                    share = (2 * np.abs(common) / (2.7 * strength / 255) - 1.5).clip(0, 1)
                else:
                    group = np.array([guessed[v, u, plane] for v, u in places]).reshape(16, 64)
                    energy = (hadamard(16) / 4 @ group) ** 2
                    share = energy / (energy + (strength / 255) ** 2)
                share[0, 0] = 1
                weight = 1 / (share.sum() if guessed is None else (share**2).sum())
                for (v, u), block in zip(places, hadamard(16) / 4 @ (common * share), strict=True):
                    total[plane, v : v + 8, u : u + 8] += idctn(block.reshape(8, 8), norm="ortho") * weight
                    weights[plane, v : v + 8, u : u + 8] += weight
    return np.einsum("dc,dhw->chw", colours, total / weights)


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 24, 40), (1, 32, 16), (1, 8, 8), (3, 8, 16)])
def test_it_is_the_rule_group_by_group(channels, height, width):
    images = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    changes = Groups((10, 60), channels)(images).unflatten(1, (2, channels))
    for number, strength in enumerate((10, 60)):
        wanted = torch.from_numpy(plainly(images[1].double().numpy(), strength)).float()
        torch.testing.assert_close(images[1] + changes[1, number], wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 24, 40), (1, 8, 8)])
def test_again_it_is_the_second_stage_group_by_group(channels, height, width):
    draws = torch.Generator().manual_seed(4)
    images, guesses = (torch.rand(2, channels, height, width, generator=draws) for _ in range(2))
    groups = Groups((10, 60), channels)
    changes = groups.again(images, guesses, groups.search(images)).unflatten(1, (2, channels))
    for number, strength in enumerate((10, 60)):
        wanted = torch.from_numpy(plainly(images[1].double().numpy(), strength, guesses[1].double().numpy()))
        torch.testing.assert_close((images[1] + changes[1, number]).double(), wanted, atol=2e-5, rtol=0)


def test_a_grey_image_of_three_channels_is_shrunk_as_one_of_one():
    grey = torch.rand(2, 1, 24, 40, generator=torch.Generator().manual_seed(0))
    coloured = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(1))
    images = torch.cat([grey.expand(-1, 3, -1, -1), coloured])
    changes = Groups((10, 60))(images).unflatten(1, (2, 3))
    alone = Groups((10, 60), 1)(grey)
    torch.testing.assert_close(changes[:2], alone[:, :, None].expand(-1, -1, 3, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(changes[2:], Groups((10, 60))(coloured).unflatten(1, (2, 3)))


@pytest.mark.parametrize("stretch", [32, 64, 1000])
def test_an_image_in_strips_becomes_what_it_becomes_as_a_whole(monkeypatch, stretch):
    image = torch.rand(1, 3, 152, 48, generator=torch.Generator().manual_seed(1))
    whole = Groups()(image)
    monkeypatch.setattr(rolling, "_POSITIONS", 0)
    monkeypatch.setattr(rolling, "_STRETCH", stretch)
    monkeypatch.setattr(module, "_KNOWN", Remembered(0))
    torch.testing.assert_close(Groups()(image), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (24, 40), (64, 8)])
def test_all_as_a_whole_is_the_same(height, width):
    groups, planes = Groups(), torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(3))
    strips, whole = (groups._found(planes[:, :1], as_a_whole) for as_a_whole in (False, True))
    for one, other in zip(strips, whole, strict=True):
        assert torch.equal(one[one[:, 0].argsort()], other[other[:, 0].argsort()])
    for guess in (None, planes.flip(0)):
        alike = (shrink(planes, guess, strips) for shrink in (groups._shrunk_whole, groups._shrunk_in_strips))
        torch.testing.assert_close(*alike, atol=1e-5, rtol=0)


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 8, 8), torch.full((1, 3, 40, 24), 0.3)])
def test_what_is_flat_stays(image):
    torch.testing.assert_close(Groups()(image), torch.zeros(1, 3 * len(STRENGTHS), *image.shape[2:]))


def test_a_block_is_in_its_own_group_where_hundreds_are_the_same():
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(2)).repeat(1, 1, 8, 8)
    groups = Groups(channels=1)
    found = similar(groups._transformed(image[0]), 0, 57, groups.places)
    every = torch.arange(0, 57, 4)
    assert torch.equal(found[:, 0].sort().values, (every[:, None] * 57 + every).flatten())
    assert groups(image).isfinite().all()


def test_they_are_computed_in_fp32_whatever_the_precision_is_and_have_no_gradient():
    images, groups = torch.rand(1, 3, 16, 24, requires_grad=True), Groups()
    wanted = groups(images)
    assert not wanted.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(groups(images), wanted)
    assert Groups().to(torch.bfloat16)(images.to(torch.bfloat16)).dtype == torch.bfloat16


def test_what_is_remembered_can_be_learnt_from():
    torch.manual_seed(0)
    network, images = ResidualUNet(width=4, blocks=(1, 1, 1), groups=True), torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        wanted = network(images)
    found = network(images)
    assert torch.equal(found, wanted)
    found.sum().backward()
    assert network.chooser.last.bias.grad.any()


def test_their_cost_can_be_told_without_memory():
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert Groups()(torch.rand(1, 3, 16, 24)).shape == (1, 12, 16, 24)


def test_of_white_noise_they_are_better_than_single_blocks():
    clean = torch.from_numpy(data.astronaut()[:128, 128:256]).permute(2, 0, 1)[None] / 255
    noisy = clean + 28 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    scores = {}
    for name, network in (("groups", Groups((28,))), ("blocks", ResidualUNet(pilots=True).pilots)):
        changes = network(noisy).unflatten(1, (-1, 3))
        scores[name] = max(-10 * math.log10((noisy + one - clean).square().mean()) for one in changes.unbind(1))
    assert scores["groups"] > scores["blocks"] + 0.4


def test_pilots_and_groups_take_the_same_place():
    with pytest.raises(ValueError, match="one of them must be false"):
        ResidualUNet(pilots=True, groups=True)
