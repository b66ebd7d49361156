"""Objects handed in: the weights that score best on one's own pairs are the ones written."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import noiseda
from noiseda.errors import UserError


def draw(generator: torch.Generator) -> noiseda.Sample:
    target = torch.rand(3, 16, 16, generator=generator)
    return noiseda.Sample(target + 0.1 * torch.randn(target.shape, generator=generator), target)


PAIRS = [(one.x_syn, one.y_syn) for one in (draw(torch.Generator().manual_seed(seed)) for seed in (100, 101))]


def fitted(out: Path, **kwargs: object) -> noiseda.Summary:
    torch.manual_seed(0)
    model = noiseda.UNet(width=4, depth=2)
    # The rate is far too high: what comes first is better than what comes last.
    training = noiseda.TrainingSettings(
        steps=12, batch=2, patch=16, validate_every=4, learning_rate=0.3, ema_decay=0.0, precision="fp32", device="cpu"
    )
    return noiseda.fit(model, noiseda.SyntheticOnly(model), draw, out=out, training=training, **kwargs)


def test_pairs_choose_the_weights(tmp_path):
    summary = fitted(tmp_path / "chosen", validation=PAIRS)
    lines = [json.loads(line) for line in (tmp_path / "chosen" / "log.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["validation_psnr"] for line in lines if "validation_psnr" in line}
    assert set(scores) == {4, 8, 12}
    assert summary.validation["step"] == max(scores, key=scores.get) != 12
    assert summary.validation["psnr"] == pytest.approx(max(scores.values()), abs=1e-3)
    last = fitted(tmp_path / "last")
    assert last.validation is None
    chosen, without = load_file(summary.weights), load_file(last.weights)
    assert any(not torch.equal(chosen[name], without[name]) for name in chosen)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "there is none"),
        ([(torch.rand(3, 8, 8), torch.rand(3, 8, 9))], "of one size"),
        ([(torch.rand(8), torch.rand(8))], "C, H, W"),
    ],
)
def test_pairs_that_cannot_be_scored_are_refused(tmp_path, pairs, said):
    with pytest.raises(UserError, match=said):
        fitted(tmp_path / "out", validation=pairs)
