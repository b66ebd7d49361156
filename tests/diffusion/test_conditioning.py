"""Ways of looking at the conditions: what each is, that sets have no order, and that all begin as nothing."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from noiseda.diffusion import (
    Concatenation,
    Conditioning,
    CrossAttention,
    Modulation,
    NoisePredictor,
    PixelPredictor,
    PredictorLayout,
    Summed,
    TransformerPredictor,
)
from noiseda.diffusion.conditioning import CONDITIONING, AttentionToSet, Encoder, SpatialNorm, build_conditioning
from noiseda.diffusion.layers import NormSiLU
from noiseda.diffusion.positions import sine_cosine
from noiseda.diffusion_settings import ConditionByName
from tests.diffusion.test_predictor import moved

LEVEL = torch.tensor([5.0, 800.0])
MAKERS = {
    "unet": lambda **k: NoisePredictor(width=8, channel_mults=(1, 2), blocks=1, patch_size=2, dropout=0.0, **k),
    "transformer": lambda **k: TransformerPredictor(width=12, blocks=2, patch_size=2, **k),
    "pixel": lambda **k: PixelPredictor(width=12, blocks=2, **k),
}
PAIRS = sorted({*itertools.product(MAKERS, CONDITIONING)} - {("pixel", "cross-attention")})


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def signals(count, *shape, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g) for _ in range(count)]


def test_the_table_holds_the_names_that_can_be_asked_for():
    assert set(CONDITIONING) == set(ConditionByName.__args__)
    assert {name for name in CONDITIONING if getattr(CONDITIONING[name], "ordered", True)} == {"concatenation"}


# -- what holds for each predictor with each of them -------------------------------------------------------------------


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_it_begins_as_nothing_and_then_every_weight_and_condition_is_reached(kind, by, dims):
    predictor = MAKERS[kind](channels=2, dims=dims, condition_by=by)
    y, *conditions = signals(3, 2, 2, *(8,) * dims)
    conditions = tuple(one.requires_grad_() for one in conditions)
    assert torch.equal(predictor(y, conditions, LEVEL), torch.zeros_like(y))
    moved(predictor)
    found = predictor(y, conditions, LEVEL)
    assert found.shape == y.shape
    found.square().mean().backward()
    assert [n for n, p in predictor.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
    assert all((one.grad.abs().flatten(1).amax(1) > 0).all() for one in conditions)


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_training_reaches_the_conditions_from_the_start(kind, by):
    """The zeros at the end of each branch move first, what is behind them next."""
    predictor = MAKERS[kind](condition_by=by)
    y, *conditions = signals(3, 2, 3, 8, 8)
    optimizer = torch.optim.SGD(predictor.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (predictor(y, tuple(conditions), LEVEL) - conditions[0]).square().mean().backward()
        optimizer.step()
    conditions = tuple(one.requires_grad_() for one in conditions)
    predictor(y, conditions, LEVEL).square().mean().backward()
    assert all(one.grad.abs().max() > 0 for one in conditions)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_exchanging_the_conditions_changes_nothing_but_where_they_are_in_order(kind, by, dims):
    predictor = moved(MAKERS[kind](channels=2, dims=dims, condition_by=by))
    y, one, other = signals(3, 2, 2, *(8,) * dims)
    first, second = predictor(y, (one, other), LEVEL), predictor(y, (other, one), LEVEL)
    assert torch.equal(first, second) == (by != "concatenation")
    assert not torch.allclose(first, predictor(y, (one, one), LEVEL), atol=1e-3)
    assert predictor.conditioning.ordered == (by == "concatenation")


@settings(deadline=None, max_examples=10)
@given(order=st.permutations(range(4)), by=st.sampled_from(["summed", "modulation", "cross-attention"]))
def test_more_conditions_have_no_order_either(order, by):
    predictor = moved(MAKERS["unet"](conditions=4, condition_by=by))
    y, *conditions = signals(5, 2, 3, 8, 8)
    torch.testing.assert_close(
        predictor(y, tuple(conditions), LEVEL),
        predictor(y, tuple(conditions[i] for i in order), LEVEL),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_each_sample_of_any_size_sees_its_own_conditions_alone(kind, by):
    predictor = moved(MAKERS[kind](condition_by=by)).eval()
    y, *conditions = signals(3, 2, 3, 12, 20)
    together = predictor(y, tuple(conditions), LEVEL)
    assert together.shape == y.shape
    for i in range(2):
        alone = predictor(y[i : i + 1], tuple(one[i : i + 1] for one in conditions), LEVEL[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_what_is_computed_anew_is_the_same(kind, by):
    predictor = moved(MAKERS[kind](condition_by=by))
    y, *conditions = signals(3, 2, 3, 8, 8)
    conditions[0].requires_grad_()
    found = []
    for recompute in (False, True):
        predictor.recompute = recompute
        output = predictor(y, tuple(conditions), LEVEL)
        weights = [conditions[0], *predictor.parameters()]
        found.append([output, *torch.autograd.grad(output.square().mean(), weights)])
    for plain, anew in zip(*found, strict=True):
        torch.testing.assert_close(plain, anew)


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_it_computes_in_half_the_bits(kind, by):
    predictor = moved(MAKERS[kind](condition_by=by))
    y, *conditions = signals(3, 2, 3, 8, 8)
    exact = predictor(y, tuple(conditions), LEVEL)
    with torch.autocast("cpu", torch.bfloat16):
        half = predictor(y, tuple(conditions), LEVEL)
    assert (half.float() - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_without_conditions_there_is_nothing_to_look_at(kind, by):
    predictor = MAKERS[kind](conditions=0, condition_by=by)
    assert predictor.state_dict().keys() == MAKERS[kind](conditions=0).state_dict().keys()
    y = signals(1, 2, 3, 8, 8)[0]
    assert moved(predictor)(y, (), LEVEL).std() > 0


# -- the default -------------------------------------------------------------------------------------------------------


def test_the_default_is_what_it_was_before_there_were_others():
    """Weights by name, and drawn in the same order: figures of the predictor as it first was."""
    predictor = NoisePredictor(width=8, channel_mults=(1, 2), blocks=1, patch_size=2, dropout=0.0)
    after = torch.rand(())
    names = {name.partition(".")[0] for name in predictor.state_dict()}
    assert names == {"embed", "first", "down", "middle", "attend", "up", "norm", "last"}
    parts = {name.split(".")[2] for name in predictor.state_dict() if name.startswith(("down.", "up.", "middle."))}
    assert parts == {"norm_in", "conv_in", "scale_shift", "norm_out", "conv_out", "skip"}
    total = sum(p.detach().double().abs().sum() for p in predictor.parameters())
    assert total.item() == pytest.approx(2334.47394, rel=1e-6)
    assert after.item() == pytest.approx(0.3154311, rel=1e-5)


def test_concatenation_has_no_weights_and_stacks_channels():
    layout = PredictorLayout(3, 2, (8,))
    by = Concatenation(layout)
    y, *conditions = signals(3, 2, 3, 4, 4)
    assert not list(by.parameters())
    assert by.joined == 3
    assert torch.equal(by.join(y, tuple(conditions)), torch.cat([y, *conditions], 1))
    assert by(tuple(conditions)) == ()


# -- each of the others ------------------------------------------------------------------------------------------------


def test_the_encoder_is_its_formula_for_each_condition():
    layout = PredictorLayout(3, 2, (4, 6), patch_size=2)
    encoder = moved(Encoder(layout, levels=2))
    conditions = signals(2, 2, 3, 8, 12)
    fine, coarse = encoder(tuple(conditions))
    for number, condition in enumerate(conditions):
        x = F.conv2d(F.pixel_unshuffle(condition, 2), encoder.first.weight, encoder.first.bias, padding=1)
        x = F.conv2d(F.silu(x), encoder.levels[0].weight, encoder.levels[0].bias, padding=1)
        torch.testing.assert_close(fine[number], x)
        x = F.conv2d(F.silu(x), encoder.levels[1].weight, encoder.levels[1].bias, stride=2)
        torch.testing.assert_close(coarse[number], x)
    assert fine.shape == (2, 2, 4, 4, 6)
    assert coarse.shape == (2, 2, 6, 2, 3)


def test_summed_adds_the_features_of_all_behind_the_first_layer():
    by = moved(Summed(PredictorLayout(3, 2, (4, 6), patch_size=2)))
    conditions, x = signals(2, 2, 3, 8, 8), torch.randn(2, 4, 4, 4)
    each = [by.encoder((one,))[0][0] for one in conditions]
    torch.testing.assert_close(by.add(x, by(tuple(conditions))), x + each[0] + each[1])
    assert by.join(conditions[0], tuple(conditions)) is conditions[0]
    assert len(by.encoder.levels) == 1


def test_a_modulated_norm_is_its_formula_and_plain_at_first():
    by = Modulation(PredictorLayout(3, 2, (8, 16)))
    norm = by.norm(16, level=1)
    x, scale, shift = torch.randn(2, 16, 4, 4), torch.randn(2, 16), torch.randn(2, 16)
    seen = by(tuple(signals(2, 2, 3, 8, 8)))
    torch.testing.assert_close(norm(x, scale, shift, seen), NormSiLU(16, 16)(x, scale, shift))
    moved(norm)
    gamma, beta = norm.modulator.convolution(F.silu(seen[1])).chunk(2, 1)
    plain = F.group_norm(x, 16, norm.weight, norm.bias)
    scaled = plain * (1 + scale[..., None, None]) + shift[..., None, None]
    torch.testing.assert_close(norm(x, scale, shift, seen), F.silu(scaled * (1 + gamma) + beta))
    torch.testing.assert_close(norm(x, seen=seen), F.silu(plain * (1 + gamma) + beta))


def test_every_block_is_modulated_at_the_level_of_its_features():
    predictor = MAKERS["unet"](condition_by="modulation")
    found = {name: m.modulator.level for name, m in predictor.named_modules() if isinstance(m, SpatialNorm)}
    assert found == {
        "down.0.norm_in": 0, "down.0.norm_out": 0, "down.1.norm_in": 0, "down.1.norm_out": 1, "down.2.norm_in": 1,
        "down.2.norm_out": 1, "middle.0.norm_in": 1, "middle.0.norm_out": 1, "middle.1.norm_in": 1,
        "middle.1.norm_out": 1, "up.0.norm_in": 1, "up.0.norm_out": 1, "up.1.norm_in": 1, "up.1.norm_out": 1,
        "up.2.norm_in": 1, "up.2.norm_out": 0, "up.3.norm_in": 0, "up.3.norm_out": 0, "up.4.norm_in": 0,
        "up.4.norm_out": 0,
    }  # fmt: skip


def test_attention_to_a_set_is_one_softmax_over_all_places_of_all_maps():
    attend = AttentionToSet(8, 6, step=0.5)
    x, maps = torch.randn(2, 8, 4, 6), signals(2, 2, 6, 2, 3)
    assert torch.equal(attend(x, tuple(maps)), x)
    moved(attend)
    query = attend.to_query(attend.norm(x)) + sine_cosine((4, 6), 8, step=0.5)
    pairs = [attend.to_key_value(one).chunk(2, dim=1) for one in maps]
    keys = torch.cat([(key + sine_cosine((2, 3), 8)).flatten(2) for key, _ in pairs], dim=2)  # (B, C, all places)
    values = torch.cat([value.flatten(2) for _, value in pairs], dim=2)
    weights = torch.softmax(query.flatten(2).transpose(1, 2) @ keys / math.sqrt(8), dim=2)
    mixed = (weights @ values.transpose(1, 2)).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(attend(x, tuple(maps)), x + attend.project(mixed), rtol=1e-4, atol=1e-5)


def test_scores_of_any_size_stay_finite():
    attend = moved(AttentionToSet(8, 6))
    with torch.no_grad():
        attend.to_query.weight.mul_(1e4)
    x, maps = torch.randn(2, 8, 4, 4), signals(2, 2, 6, 4, 4)
    x.requires_grad_()
    attend(x, tuple(maps)).sum().backward()
    assert x.grad.isfinite().all()


def test_cross_attention_is_at_the_coarsest_level_unless_others_are_asked_for():
    def looking(by):
        predictor = MAKERS["unet"](condition_by=by)
        return {name: m.step for name, m in predictor.named_modules() if isinstance(m, AttentionToSet)}

    coarse = {f"{name}.look": 1.0 for name in ("down.2", "middle.0", "middle.1", "up.0", "up.1")}
    assert looking("cross-attention") == coarse
    fine = {f"{name}.look": 0.5 for name in ("down.0", "up.3", "up.4")}
    assert looking(lambda layout: CrossAttention(layout, levels=(0, 1))) == coarse | fine
    with pytest.raises(ValueError, match="levels must be of 0 to 1, not"):
        looking(lambda layout: CrossAttention(layout, levels=(2,)))


def test_a_place_first_attends_most_to_its_own():
    """Before anything is learnt, places alone decide."""
    attend = AttentionToSet(64, 4, step=0.5)
    with torch.no_grad():
        for layer in (attend.to_query, attend.to_key_value):
            layer.weight.zero_(), layer.bias.zero_()
    query, key = sine_cosine((8, 8), 64, step=0.5).flatten(1), sine_cosine((4, 4), 64).flatten(1)
    nearest = (query.T @ key).argmax(1).reshape(8, 8)
    assert torch.equal(nearest, torch.arange(16).reshape(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1))


# -- objects -----------------------------------------------------------------------------------------------------------


def test_a_way_of_ones_own_is_handed_in_as_what_makes_it():
    class Mean(Conditioning):
        """The mean of the conditions, added to the noised signal."""

        def join(self, y_t, conditions):
            return y_t + sum(conditions) / len(conditions)

    for make in MAKERS.values():
        predictor = moved(make(condition_by=Mean))
        y, one, other = signals(3, 2, 3, 8, 8)
        plain = predictor(y + 0.5 * (one + other), (torch.zeros_like(y),) * 2, LEVEL)
        torch.testing.assert_close(predictor(y, (one, other), LEVEL), plain, rtol=1e-4, atol=1e-5)


def test_what_there_is_none_of_is_refused():
    layout = PredictorLayout(3, 2, (8,))
    with pytest.raises(ValueError, match=r"condition_by must be one of concatenation, summed, .*, not film"):
        build_conditioning("film", layout)
    with pytest.raises(ValueError, match="cross-attention looks at all places"):
        PixelPredictor(condition_by="cross-attention")


def test_the_base_looks_at_nothing():
    base = Conditioning(PredictorLayout(3, 2, (8,)))
    x = torch.randn(2, 8, 4, 4)
    assert base.add(x, ()) is x
    assert (base.joined, base(()), base.modulator(4, 0), base.look(8, 0)) == (1, (), None, None)
    assert type(base.norm(8, 0)) is NormSiLU
    assert isinstance(base.norm(8, 0), nn.GroupNorm)
