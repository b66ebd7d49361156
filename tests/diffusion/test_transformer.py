"""The transformer against the size that was published and plain formulas; places against theirs."""

import math

import pytest
import torch
import torch.nn.functional as F

from noiseda.diffusion import TransformerPredictor
from noiseda.diffusion.layers import normalise_channels
from noiseda.diffusion.positions import sine_cosine
from noiseda.diffusion.transformer import LevelModulation, SelfAttention, TokenBlock
from tests.diffusion.stacked import Stacked
from tests.diffusion.test_predictor import moved


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_the_default_has_the_size_of_dit_s():
    """DiT-S/2: 12 blocks of 384 channels, 33 million parameters (Table 1, arXiv 2212.09748)."""
    with torch.device("meta"):
        predictor = TransformerPredictor()
    count = sum(p.numel() for p in predictor.parameters())
    assert count == pytest.approx(33e6, rel=0.02)
    width = 384
    block = 18 * width**2 + 15 * width  # attention 4, perceptron 8, adaLN 6; their biases 4, 5 and 6
    ends = 36 * width + width + 2 * (width**2 + width) + 2 * (width**2 + width) + 12 * width + 12
    assert count == 12 * block + ends


@pytest.mark.parametrize("patch_size", [1, 2, 4])
def test_patches_are_tokens_of_any_number(patch_size):
    predictor = moved(TransformerPredictor(width=12, blocks=1, patch_size=patch_size))
    assert predictor.multiple_of == patch_size
    shapes = []
    predictor.blocks[0].register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    for sides in ((8, 8), (16, 12)):
        assert Stacked(predictor)(torch.randn(2, 9, *sides), torch.rand(2) * 1000).shape == (2, 3, *sides)
    assert shapes == [(2, 12, 8 // patch_size, 8 // patch_size), (2, 12, 16 // patch_size, 12 // patch_size)]


def test_every_place_sees_every_other():
    predictor = moved(TransformerPredictor(width=12, blocks=1, patch_size=2))
    x = torch.randn(1, 9, 16, 16, requires_grad=True)
    Stacked(predictor)(x, torch.ones(1))[0, :, 0, 0].sum().backward()
    assert (x.grad[0].abs().sum(0) > 0).all()


def test_tokens_know_where_they_are():
    predictor = moved(TransformerPredictor(width=12, blocks=2, patch_size=2)).eval()
    flat = torch.full((1, 9, 8, 8), 0.3)
    found = Stacked(predictor)(flat, torch.tensor([300.0]))
    assert not torch.allclose(found[..., :2, :2], found[..., 4:6, 4:6], atol=1e-4)


def test_a_block_starts_as_the_identity_and_is_its_formula():
    block = TokenBlock(64, dropout=0.0, dims=2)
    x, embedding = torch.randn(2, 64, 3, 5), torch.randn(2, 64)
    assert torch.equal(block(x, embedding), x)
    moved(block)
    rows = x.flatten(2).transpose(1, 2)  # (B, places, W)
    dense = F.linear(F.silu(embedding), block.modulate.dense.weight, block.modulate.dense.bias)
    scale, shift, gate, scale_2, shift_2, gate_2 = dense[:, None].chunk(6, dim=2)

    def linear(layer, z):
        return F.linear(z, layer.weight.flatten(1), layer.bias)

    z = F.layer_norm(rows, (64,), eps=1e-6) * (1 + scale) + shift
    q, k, v = (part.reshape(2, 15, 2, 32).transpose(1, 2) for part in linear(block.attend.to_qkv, z).chunk(3, dim=2))
    weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(32), dim=3)
    rows = rows + gate * linear(block.attend.project, (weights @ v).transpose(1, 2).reshape(2, 15, 64))
    z = F.layer_norm(rows, (64,), eps=1e-6) * (1 + scale_2) + shift_2
    hidden = F.gelu(linear(block.perceptron[0], z), approximate="tanh")
    rows = rows + gate_2 * linear(block.perceptron[3], hidden)
    expected = rows.transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(block(x, embedding), expected, rtol=1e-4, atol=1e-5)


def test_the_level_changes_the_prediction():
    predictor = moved(TransformerPredictor(width=12, blocks=1)).eval()
    x = torch.randn(1, 9, 8, 8).expand(2, -1, -1, -1)
    first, second = Stacked(predictor)(x, torch.tensor([500.0, 520.0]))
    assert (first - second).abs().mean() > 0.01 * first.abs().mean()


@pytest.mark.parametrize(("width", "heads"), [(64, 2), (96, 3), (12, 1), (100, 1), (384, 12), (80, 2)])
def test_heads_divide_the_width(width, heads):
    attention = SelfAttention(width, dims=1)
    assert attention.heads == heads
    assert attention(torch.randn(1, width, 5)).shape == (1, width, 5)


def test_dropout_is_in_training_alone():
    predictor = moved(TransformerPredictor(width=12, blocks=1, dropout=0.5))
    x, level = torch.randn(1, 9, 8, 8), torch.ones(1)
    assert not torch.equal(Stacked(predictor)(x, level), Stacked(predictor)(x, level))
    predictor.eval()
    assert torch.equal(Stacked(predictor)(x, level), Stacked(predictor)(x, level))


def test_a_modulation_adds_what_the_conditions_add():
    plain = moved(LevelModulation(4, 6))
    both = LevelModulation(4, 6, torch.nn.Identity())
    both.load_state_dict(plain.state_dict())
    embedding, seen = torch.randn(2, 4), torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(both(embedding, 2, seen), plain(embedding, 2) + seen)
    assert plain(embedding, 2).shape == (2, 6, 1, 1)


def test_channels_of_a_place_have_mean_nothing_and_variance_one():
    x = normalise_channels(3 + 2 * torch.randn(2, 50, 3, 4))
    torch.testing.assert_close(x.mean(1), torch.zeros(2, 3, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.var(1, unbiased=False), torch.ones(2, 3, 4), rtol=0, atol=1e-4)


# -- places ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spatial", [(7,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("channels", [1, 12, 26])
def test_places_are_sines_and_cosines_axis_by_axis(spatial, channels):
    found = sine_cosine(spatial, channels, step=0.5)
    assert found.shape == (channels, *spatial)
    waves = channels // (2 * len(spatial))
    place = tuple(size - 1 for size in spatial)
    expected = []
    for index in place:
        at = (index + 0.5) * 0.5 - 0.5
        angles = [at * 1e4 ** (-i / waves) for i in range(waves)]
        expected += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    expected += [0.0] * (channels - len(expected))
    assert found[(slice(None), *place)].tolist() == pytest.approx(expected, abs=1e-5)
