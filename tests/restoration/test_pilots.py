"""Pilots against the same rule written plainly, block by block; and what a network that sees them is and keeps."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from skimage import data
from torch.func import functional_call

from noiseda.restoration import STRENGTHS, Pilots, ResidualUNet, load, save_weights
from noiseda.restoration.pilots import _overlapped, _windows


def plainly(plane, strength, step):
    """One plane (H, W), block by block: what is left of it."""
    more = 8 - step
    padded = np.pad(plane, more, mode="reflect")
    total, times = np.zeros_like(padded), np.zeros_like(padded)
    for top in range(0, padded.shape[0] - 7, step):
        for left in range(0, padded.shape[1] - 7, step):
            block = dctn(padded[top : top + 8, left : left + 8], norm="ortho")
            kept = block * (2 * np.abs(block) / (2.8 * strength / 255) - 1.5).clip(0, 1)
            kept[0, 0] = block[0, 0]
            total[top : top + 8, left : left + 8] += idctn(kept, norm="ortho")
            times[top : top + 8, left : left + 8] += 1
    inner = (slice(more, more + plane.shape[0]), slice(more, more + plane.shape[1]))
    return (total / times)[inner]


def test_it_is_the_rule_block_by_block():
    image = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    changes = Pilots((10, 60)).double()(image).unflatten(1, (2, 3))
    r, g, b = image[1].numpy()
    planes = [(r + g + b) / 3**0.5, (r - b) / 2**0.5, (r - 2 * g + b) / 6**0.5]
    for number, strength in enumerate((10, 60)):
        y, c, d = (plainly(plane, strength, step) for plane, step in zip(planes, (2, 4, 4), strict=True))
        wanted = np.stack([y / 3**0.5 + c / 2**0.5 + d / 6**0.5, y / 3**0.5 - 2 * d / 6**0.5,
                           y / 3**0.5 - c / 2**0.5 + d / 6**0.5])  # fmt: skip
        torch.testing.assert_close(image[1] + changes[1, number], torch.from_numpy(wanted), atol=1e-5, rtol=0)


def test_grey_images_have_one_plane():
    image = torch.rand(1, 1, 8, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    changes = Pilots((25,), channels=1).double()(image)
    wanted = torch.from_numpy(plainly(image[0, 0].numpy(), 25, 2))
    torch.testing.assert_close(image[0, 0] + changes[0, 0], wanted, atol=1e-5, rtol=0)


def test_they_are_computed_in_fp32_whatever_the_precision_is():
    images, pilots = torch.rand(1, 3, 16, 24), Pilots()
    wanted = pilots(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pilots(images), wanted)
    lower = Pilots().to(torch.bfloat16)(images.to(torch.bfloat16))
    assert lower.dtype == torch.bfloat16
    torch.testing.assert_close(lower.float(), wanted, atol=0.02, rtol=0)


@pytest.mark.parametrize("step", [2, 4])
def test_overlapping_is_the_transpose_of_cutting_windows(step):
    line, windows = torch.rand(3, 40, dtype=torch.float64), torch.rand(3, 32 // step + 1, 8, dtype=torch.float64)
    there, back = (_windows(line, step) * windows).sum(), (line * _overlapped(windows, step)).sum()
    torch.testing.assert_close(there, back)


def test_of_white_noise_the_pilot_of_its_strength_is_the_best_and_gains_much():
    clean = torch.from_numpy(data.astronaut()[:128, 128:256]).permute(2, 0, 1)[None].double() / 255
    noisy = clean + 28 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    pilots = noisy[:, None] + Pilots().double()(noisy).unflatten(1, (len(STRENGTHS), 3))
    scores = [-10 * math.log10((one - clean).square().mean()) for one in pilots.unbind(1)]
    assert scores.index(max(scores)) == STRENGTHS.index(28)
    assert max(scores) > -10 * math.log10((noisy - clean).square().mean()) + 8


def test_a_network_that_sees_them_learns_from_them_alone_where_nothing_else_reaches_it():
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1), pilots=True)
    assert network.intro.weight.shape[1] == 15
    assert [name for name, _ in network.named_buffers()] == [
        "pilots.strengths", "pilots.basis", "pilots.colours", "pilots.passes"
    ]  # fmt: skip
    assert not any(name.startswith("pilots") for name in network.state_dict())
    torch.nn.init.normal_(network.head.weight)
    images = torch.rand(1, 3, 21, 34)
    seen = network(images)
    blind = functional_call(network, {"intro.weight": network.intro.weight.detach().clone().index_fill_(
        1, torch.arange(3, 15), 0)}, images)  # fmt: skip
    assert not torch.allclose(seen, blind, atol=1e-4)


@pytest.mark.parametrize("kind", ["pilots", "groups"])
@pytest.mark.parametrize(("channels", "fold"), [(3, 1), (1, 2), (1, 4)])
def test_it_comes_back_from_its_file_and_from_bare_weights(tmp_path, channels, fold, kind):
    torch.manual_seed(0)
    network = ResidualUNet(width=4, blocks=(1, 1, 1), channels=channels, fold=fold, **{kind: True})
    torch.nn.init.normal_(network.head.weight, std=0.1)
    images = torch.rand(1, channels, 21, 34)
    ours, bare = tmp_path / "ours.safetensors", tmp_path / "bare.pth"
    save_weights(
        ours, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
    torch.save(network.state_dict(), bare)
    for path in (ours, bare):
        found = load(path)
        assert found.arguments == network.arguments
        assert torch.equal(found(images), network(images))
