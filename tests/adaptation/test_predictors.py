"""The paper's objective with each noise predictor and each way of looking at the conditions."""

from dataclasses import replace

import pytest
import torch

from noiseda.adaptation import NoiseSpace
from noiseda.config import ObjectiveSettings, PredictorSettings
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, build_predictor
from noiseda.restoration import UNet
from noiseda.training import describe
from noiseda.training.build import build_objective
from tests.diffusion.test_conditioning import PAIRS
from tests.training.photographs import folder, small


def judged(kind, by, seed=0, **settings):
    """An objective whose zero-initialised parts were moved, so that gradients flow."""
    torch.manual_seed(seed)
    predictor = build_predictor(PredictorSettings(kind=kind, condition_by=by, width=8, patch_size=2))
    model = NoiseSpace(UNet(width=4, depth=2), Denoiser(predictor), ObjectiveSettings(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return model


def batch(seed=1):
    g = torch.Generator().manual_seed(seed)
    return Batch(*(torch.rand(4, 3, 16, 16, generator=g) for _ in range(3)), None, ("a.png",))


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_the_judge_teaches_the_restorer_through_real_images(kind, by):
    model, one = judged(kind, by), batch()
    draws = model.draw(one.y_syn, torch.Generator().manual_seed(0))
    restored = []
    model.restorer.register_forward_hook(lambda _, __, out: restored.append(out) or out.retain_grad())
    model.losses(model(one, draws), 0.5)["diffusion"].backward()
    assert all(grad.flatten(1).abs().amax(1).gt(0).all() for grad in restored[0].grad.chunk(2))
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize(("kind", "by"), PAIRS)
def test_shuffling_blocks_changes_only_a_judge_that_knows_an_order(kind, by):
    one, found = batch(), []
    for mode in ("blocks", "off"):
        model = judged(kind, by, shuffle=mode)
        draws = judged(kind, by, shuffle="off").draw(one.y_syn, torch.Generator().manual_seed(0))
        if mode == "blocks":
            exchanged = draws.order.roll(3, dims=1)
            assert exchanged[0].tolist() == [3, 4, 5, 0, 1, 2]
            draws = replace(draws, order=exchanged, order_swapped=exchanged)
        terms = model(one, draws)
        weights = [*model.restorer.parameters()]
        found.append([*terms.errors.values(), *torch.autograd.grad(model.losses(terms, 0.5)["loss"], weights)])
    same = [torch.allclose(plain, other, rtol=1e-5, atol=1e-8) for plain, other in zip(*found, strict=True)]
    assert all(same) == (by != "concatenation")
    assert torch.equal(found[0][1], found[1][1]) == (by != "concatenation")


@pytest.mark.parametrize(
    ("kind", "by"), [("unet", "summed"), ("transformer", "modulation"), ("pixel", "concatenation")]
)
def test_a_run_is_counted_and_built(tmp_path, kind, by):
    folder(tmp_path / "clean")
    folder(tmp_path / "real")
    predictor = PredictorSettings(kind=kind, condition_by=by, width=8, patch_size=2)
    settings = small(tmp_path, predictor=predictor)
    objective = build_objective(settings)
    own = sum(p.numel() for p in build_predictor(predictor).parameters())
    assert describe(settings).parameters["thrown_away"] == own
    assert sum(p.numel() for p in objective.denoiser.parameters()) == own
