"""Noise predictors by name: the table, and that each setting arrives."""

import pytest
import torch

from noiseda.config import AdaptSettings, RestorerSettings
from noiseda.diffusion import NoisePredictor, PixelPredictor, TransformerPredictor, build_predictor
from noiseda.diffusion.catalogue import PREDICTORS
from noiseda.diffusion.predictor import Attention
from noiseda.diffusion_settings import SIDES, PredictorKind, PredictorSettings

KINDS = {"unet": NoisePredictor, "transformer": TransformerPredictor, "pixel": PixelPredictor}


def names(network):
    return {name: tuple(weight.shape) for name, weight in network.state_dict().items()}


def test_the_table_holds_the_names_that_can_be_asked_for():
    assert set(PREDICTORS) == set(PredictorKind.__args__) == set(KINDS) == set(SIDES)


@pytest.mark.parametrize("kind", KINDS)
def test_what_sides_are_multiples_of_is_known_before_it_is_built(kind):
    settings = PredictorSettings(kind=kind, width=8, patch_size=3, channel_mults=[1, 1, 1])
    predictor = build_predictor(settings)
    assert type(predictor) is KINDS[kind]
    assert predictor.multiple_of == settings.multiple_of


def test_every_setting_of_the_unet_arrives():
    settings = PredictorSettings(
        width=8, channel_mults=[1, 3], blocks=2, patch_size=2, attention=True, attention_levels=[1], dropout=0.3,
        condition_by="modulation",
    )  # fmt: skip
    expected = NoisePredictor(
        channels=1, conditions=1, width=8, channel_mults=(1, 3), blocks=2, patch_size=2, attention=True,
        attention_levels=(1,), condition_by="modulation", dims=1,
    )  # fmt: skip
    found = build_predictor(settings, channels=1, conditions=1, dims=1)
    assert names(found) == names(expected)
    assert found.down[0].dropout.rate == 0.3


def test_every_setting_of_the_others_arrives():
    settings = {"width": 8, "blocks": 2, "condition_by": "summed"}
    one = build_predictor(PredictorSettings("transformer", patch_size=3, dropout=0.3, **settings), channels=1, dims=3)
    assert names(one) == names(TransformerPredictor(channels=1, patch_size=3, dims=3, **settings))
    assert one.blocks[0].perceptron[2].rate == 0.3
    other = build_predictor(PredictorSettings("pixel", dropout=0.3, **settings), channels=1, conditions=1)
    assert names(other) == names(PixelPredictor(channels=1, conditions=1, **settings))
    assert other.blocks[0].perceptron[2].rate == 0.3


def test_a_run_gets_one_for_its_colours():
    from noiseda.adaptation import build_predictor as of_a_run

    settings = AdaptSettings(restorer=RestorerSettings(channels=1), predictor=PredictorSettings(kind="pixel"))
    assert names(of_a_run(settings, conditions=1)) == names(PixelPredictor(channels=1, conditions=1, blocks=1))


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ({"width": 10, "channel_mults": (1, 2), "blocks": 1, "patch_size": 2}, 79_502),
        ({"width": 32, "channel_mults": (1, 2), "blocks": 1, "patch_size": 4}, 814_032),
        ({"width": 64, "channel_mults": (1, 2), "blocks": 1, "patch_size": 4}, 3_135_344),
        ({"width": 64, "channel_mults": (1, 2, 4), "blocks": 1, "patch_size": 2}, 11_584_844),
        ({"attention": True}, 62_643_075),
    ],
)
def test_unets_of_a_tenth_of_a_million_to_the_papers_size(size, count):
    with torch.device("meta"):
        predictor = NoisePredictor(**{"attention": False} | size)
    assert sum(p.numel() for p in predictor.parameters()) == count


@pytest.mark.parametrize(
    ("levels", "where"),
    [((), []), ((0,), ["down.0", "up.3", "up.4"]), ([1], ["down.2", "up.0", "up.1"])],
)
def test_attention_follows_the_blocks_of_the_levels_that_are_asked_for(levels, where):
    predictor = NoisePredictor(
        width=8, channel_mults=(1, 2), blocks=1, patch_size=2, attention=False, attention_levels=levels
    )
    found = [name for name, module in predictor.named_modules() if isinstance(module, Attention)]
    assert found == [f"{name}.attend" for name in where]


def test_attention_at_the_finest_level_sees_everything():
    torch.manual_seed(0)
    predictor = NoisePredictor(
        conditions=0, width=8, channel_mults=(1,), blocks=1, attention=False, attention_levels=(0,), dropout=0.0
    )
    x = torch.randn(1, 3, 40, 40, requires_grad=True)
    assert not predictor(x, (), torch.ones(1)).any(), "it starts as nothing"
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    predictor(x, (), torch.ones(1))[0, :, 0, 0].sum().backward()
    assert (x.grad[0].abs().sum(0) > 0).all()


def test_a_level_that_there_is_none_of_is_refused():
    with pytest.raises(ValueError, match="attention_levels must be of 0 to 1, not"):
        NoisePredictor(width=8, channel_mults=(1, 2), attention_levels=(2,))
