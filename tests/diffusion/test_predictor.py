"""The noise predictor against the paper's size, its parts against plain formulas, and the paper's premise."""

import functools
import itertools
import math

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from noiseda.diffusion import Denoiser, NoisePredictor, Schedule
from noiseda.diffusion.denoiser import LEVEL_SCALE
from noiseda.diffusion.predictor import Attention, LevelEmbedding, ResidualBlock
from noiseda.images import from_uint8
from tests.diffusion.stacked import Stacked

SMALL = {"width": 8, "channel_mults": (1, 2), "blocks": 1, "patch_size": 2, "dropout": 0.0}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def moved(module, seed=0):
    """The same module with every parameter moved, zero-initialised ones too."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    return module


# -- size and start ----------------------------------------------------------------------------------------------------


def test_the_default_is_of_the_papers_size():
    with torch.device("meta"):
        predictor, x, level = NoisePredictor(), torch.empty(1, 9, 128, 128), torch.empty(1)
    assert sum(p.numel() for p in predictor.parameters()) == 62_643_075  # the paper: 62.6 million
    with FlopCounterMode(display=False) as counter:
        assert Stacked(predictor)(x, level).shape == (1, 3, 128, 128)
    assert counter.get_total_flops() / 2 == pytest.approx(51.5e9, rel=1e-3)


def test_nothing_is_predicted_before_training():
    predictor = NoisePredictor(**SMALL)
    x = torch.randn(2, 9, 16, 16)
    assert torch.equal(Stacked(predictor)(x, torch.tensor([1.0, 900.0])), torch.zeros(2, 3, 16, 16))


@pytest.mark.parametrize("resample", ["", "down", "up"])
def test_every_residual_branch_starts_at_zero(resample):
    block = ResidualBlock(8, 8, embedding=16, resample=resample, dropout=0.0)
    x = torch.randn(2, 8, 6, 10)
    plain = {"": x, "down": F.avg_pool2d(x, 2), "up": x.repeat_interleave(2, 2).repeat_interleave(2, 3)}[resample]
    torch.testing.assert_close(block(x, torch.randn(2, 16)), plain, rtol=0, atol=0)
    attention = Attention(8)
    torch.testing.assert_close(attention(x), x, rtol=0, atol=0)


def test_the_zeros_of_the_whole_predictor_are_exactly_these():
    predictor = NoisePredictor(**SMALL)
    zero = [name for name, p in predictor.named_parameters() if p.dim() == 4 and not p.any()]
    expected = [n for n, m in predictor.named_modules() if isinstance(m, ResidualBlock)]
    assert sorted(zero) == sorted(
        [*(f"{name}.conv_out.weight" for name in expected), "attend.project.weight", "last.weight"]
    )


# -- shapes and gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch_size", [1, 2, 4])
@pytest.mark.parametrize(("channels", "conditions"), [(3, 2), (1, 2), (3, 0)])
def test_patch_sizes_keep_the_shape_and_fold_the_work(patch_size, channels, conditions):
    predictor = moved(NoisePredictor(**SMALL | {"patch_size": patch_size}, channels=channels, conditions=conditions))
    assert predictor.multiple_of == 2 * patch_size
    assert predictor.first.in_channels == (1 + conditions) * channels * patch_size**2
    x = torch.randn(2, (1 + conditions) * channels, 16, 24)
    shapes = []
    predictor.first.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    found = Stacked(predictor)(x, torch.rand(2) * 1000)
    assert found.shape == (2, channels, 16, 24)
    assert shapes == [(2, 8, 16 // patch_size, 24 // patch_size)]
    assert found.std() > 0


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("channel_mults", [(1,), (1, 2), [1, 2, 3]])
def test_a_gradient_reaches_every_parameter(channel_mults, attention):
    predictor = moved(NoisePredictor(**SMALL | {"channel_mults": channel_mults}, attention=attention))
    Stacked(predictor)(torch.randn(2, 9, 16, 16), torch.tensor([10.0, 700.0])).square().mean().backward()
    dead = [n for n, p in predictor.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert dead == []


@pytest.mark.parametrize("width", [3, 24, 48])
def test_any_width_finds_its_groups(width):
    predictor = NoisePredictor(**SMALL | {"width": width})
    assert Stacked(predictor)(torch.randn(1, 9, 16, 16), torch.ones(1)).shape == (1, 3, 16, 16)
    norms = [module for module in predictor.modules() if isinstance(module, nn.GroupNorm)]
    assert all(n.num_channels % n.num_groups == 0 and n.num_groups == math.gcd(32, n.num_channels) for n in norms)


def test_samples_do_not_see_each_other():
    predictor = moved(NoisePredictor(**SMALL)).eval()
    x, level = torch.randn(3, 9, 16, 16), torch.tensor([5.0, 300.0, 999.0])
    together = Stacked(predictor)(x, level)
    alone = torch.cat([Stacked(predictor)(x[i : i + 1], level[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


# -- parts -------------------------------------------------------------------------------------------------------------


def test_a_residual_block_is_its_formula():
    block = moved(ResidualBlock(8, 16, embedding=12, resample="", dropout=0.0))
    x, embedding = torch.randn(2, 8, 6, 6), torch.randn(2, 12)

    def norm(z, layer):
        grouped = z.reshape(2, layer.num_groups, -1)
        mean, var = grouped.mean(2, keepdim=True), grouped.var(2, keepdim=True, unbiased=False)
        z = ((grouped - mean) / (var + 1e-5).sqrt()).reshape(z.shape)
        return z * layer.weight[:, None, None] + layer.bias[:, None, None]

    def silu(z):
        return z / (1 + torch.exp(-z))

    h = block.conv_in(silu(norm(x, block.norm_in)))
    both = block.scale_shift(silu(embedding))
    h = norm(h, block.norm_out) * (1 + both[:, :16, None, None]) + both[:, 16:, None, None]
    expected = block.skip(x) + block.conv_out(silu(h))
    torch.testing.assert_close(block(x, embedding), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("resample", "size"), [("", (6, 10)), ("down", (3, 5)), ("up", (12, 20))])
@pytest.mark.parametrize("out_channels", [8, 16])
def test_residual_blocks_resample(resample, size, out_channels):
    block = moved(ResidualBlock(8, out_channels, embedding=16, resample=resample, dropout=0.0))
    assert block(torch.randn(2, 8, 6, 10), torch.randn(2, 16)).shape == (2, out_channels, *size)


def test_attention_is_an_explicit_softmax():
    attention = moved(Attention(8))
    x = torch.randn(2, 8, 3, 5)
    normed = F.group_norm(x, 8, attention.norm.weight, attention.norm.bias)
    weight, bias = attention.to_qkv.weight[:, :, 0, 0], attention.to_qkv.bias
    expected = x.clone()
    for b in range(2):
        q, k, v = (weight @ normed[b].reshape(8, 15) + bias[:, None]).split(8)  # (C, HW) each
        scores = torch.exp(q.T @ k / math.sqrt(8))
        mixed = (scores / scores.sum(dim=1, keepdim=True)) @ v.T  # (HW, C)
        out = attention.project.weight[:, :, 0, 0] @ mixed.T + attention.project.bias[:, None]
        expected[b] += out.reshape(8, 3, 5)
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_the_waves_are_sinusoids_of_geometric_wavelengths():
    waves = LevelEmbedding(64, 256).sinusoidal_embedding(torch.tensor([0.0, 500.0]))
    assert torch.equal(waves[0], torch.cat([torch.ones(32), torch.zeros(32)]))
    expected = [f(500.0 * 1e4 ** (-i / 32)) for f in (math.cos, math.sin) for i in range(32)]
    assert waves[1].tolist() == pytest.approx(expected, abs=1e-3)


def test_neighbouring_levels_look_different():
    """A sinusoid of a number in (0, 1) hardly moves; spread over a thousand, levels are told apart."""
    embedding = LevelEmbedding(64, 256)
    alpha_bar = torch.tensor([0.50, 0.52])

    def similarity(level):
        return F.cosine_similarity(*embedding.sinusoidal_embedding(level)[:, None]).item()

    assert similarity(alpha_bar) > 0.9999
    assert similarity(alpha_bar * LEVEL_SCALE) < 0.9


def test_the_level_changes_the_prediction():
    predictor = moved(NoisePredictor(**SMALL)).eval()
    x = torch.randn(1, 9, 16, 16).expand(2, -1, -1, -1)
    first, second = Stacked(predictor)(x, LEVEL_SCALE * torch.tensor([0.50, 0.52]))
    assert (first - second).abs().mean() > 0.01 * first.abs().mean()


# -- the paper's premise -----------------------------------------------------------------------------------------------


def patches(count, generator):
    """(count, 3, 16, 16) random cuts of photographs."""
    photos = [from_uint8(torch.from_numpy(load()).permute(2, 0, 1)) for load in PHOTOGRAPHS]
    cuts = []
    for photo in (photos[i] for i in torch.randint(len(photos), (count,), generator=generator)):
        top, left = (int(torch.randint(side - 16, (), generator=generator)) for side in photo.shape[1:])
        cuts.append(photo[:, top : top + 16, left : left + 16])
    return torch.stack(cuts)


PHOTOGRAPHS = [functools.cache(load) for load in (skimage.data.astronaut, skimage.data.coffee, skimage.data.chelsea)]


@pytest.fixture(scope="module")
def judge():
    """A denoiser that was trained for a moment with the clean image as its condition."""
    torch.manual_seed(0)
    network = NoisePredictor(
        conditions=1, width=8, channel_mults=(1, 2), blocks=1, patch_size=1, attention=False, dropout=0.0
    )
    denoiser, schedule, g = Denoiser(network), Schedule(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    clean = patches(256, g)
    for _ in range(150):
        y = clean[torch.randint(len(clean), (8,), generator=g)]
        optimizer.zero_grad()
        denoiser.error(y, (y,), torch.randn(y.shape, generator=g), schedule.draw(8, g)).mean().backward()
        optimizer.step()
    return denoiser.requires_grad_(False)


def blurred(images, side):
    return F.avg_pool2d(F.pad(images, (side // 2,) * 4, mode="reflect"), side, stride=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("corrupt", "strengths", "factor"),
    [
        (lambda y, noise, sigma: y + sigma * noise, (0.0, 0.05, 0.1, 0.2, 0.4), 1.25),
        (lambda y, noise, side: blurred(y, side), (1, 3, 5, 7), 1.03),
        (lambda y, noise, share: (1 - share) * y + share * y.roll(1, 0), (0.0, 0.1, 0.2, 0.4), 1.1),
    ],
    ids=["noise", "blur", "another image"],
)
def test_the_error_rises_with_how_corrupted_the_condition_is(judge, corrupt, strengths, factor):
    """The premise of arXiv 2406.18516: a conditional noise predictor tells how good its condition is."""
    g = torch.Generator().manual_seed(1)
    y = patches(64, g)
    eps, noise, alpha_bar = torch.randn(y.shape, generator=g), torch.randn(y.shape, generator=g), Schedule().draw(64, g)
    errors = [judge.error(y, (corrupt(y, noise, s),), eps, alpha_bar).mean().item() for s in strengths]
    assert all(worse > factor * better for better, worse in itertools.pairwise(errors)), errors


@pytest.mark.slow
@pytest.mark.parametrize("corruption", ["noise", "blur"])
def test_the_gradient_of_the_error_restores_the_condition(judge, corruption):
    """What adaptation lives on: descending the error in the condition brings it closer to the clean image."""
    g = torch.Generator().manual_seed(2)
    y = patches(32, g)
    condition = y + 0.1 * torch.randn(y.shape, generator=g) if corruption == "noise" else blurred(y, 5)
    distances = []
    for _ in range(11):
        distances.append((condition - y).square().mean().item())
        condition.requires_grad_()
        error = judge.error(y, (condition,), torch.randn(y.shape, generator=g), Schedule().draw(len(y), g)).sum()
        (gradient,) = torch.autograd.grad(error, condition)
        condition = (condition - gradient).detach()
    assert distances[-1] < 0.9 * distances[0]
