"""Objects handed in: the weights that score best on one's own pairs are the ones written."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import noiseda
from noiseda.data.drawn import DrawnBatches
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


class Own(noiseda.Restorer):
    channels, multiple_of = 3, 1

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 3, 3, padding=1)

    def restore(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.layer(images)


class Narrow(Own):
    def restore(self, images: torch.Tensor) -> torch.Tensor:
        return super().restore(images)[:, :1]


class Lost(noiseda.SyntheticOnly):
    def __init__(self, network: noiseda.Restorer) -> None:
        torch.nn.Module.__init__(self)
        self.network = network


def test_pairs_choose_the_weights_of_a_network_of_ones_own(tmp_path):
    torch.manual_seed(0)
    model = Own()
    training = noiseda.TrainingSettings(steps=4, batch=2, patch=16, validate_every=2, precision="fp32", device="cpu")
    summary = noiseda.fit(
        model, noiseda.SyntheticOnly(model), draw, out=tmp_path / "out", training=training, validation=PAIRS
    )
    Own().load_state_dict(load_file(summary.weights))
    assert summary.validation is not None
    with pytest.raises(UserError, match="load_state_dict"):
        noiseda.load(summary.weights)


@pytest.mark.parametrize(
    ("make", "objective", "training", "said"),
    [
        (Narrow, noiseda.SyntheticOnly, {}, r"the network Narrow turned \(1, 3, 16, 16\) into \(1, 1, 16, 16\)"),
        (lambda: torch.nn.Conv2d(3, 3, 1), noiseda.SyntheticOnly, {}, "model must be a noiseda.Restorer, not Conv2d"),
        (Own, Lost, {}, "must keep the network it trains as self.restorer"),
        (Own, noiseda.SyntheticOnly, {"steps": 0}, "--steps must be greater than 0, not 0"),
        (Own, noiseda.SyntheticOnly, None, "training must be a noiseda.TrainingSettings, not dict"),
    ],
)
def test_parts_that_cannot_be_trained_are_refused_before_the_first_step(tmp_path, make, objective, training, said):
    model = make()
    settings = {"steps": 2} if training is None else noiseda.TrainingSettings(device="cpu", **training)
    with pytest.raises(UserError, match=said):
        noiseda.fit(model, objective(model), draw, out=tmp_path / "out", training=settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ((torch.rand(3, 8, 8), torch.rand(3, 8, 8)), "must draw a noiseda.Sample, not tuple"),
        (noiseda.Sample(torch.rand(3, 8, 8).numpy(), torch.rand(3, 8, 8)), "x_syn of a sample must be a tensor"),
        (noiseda.Sample(torch.rand(3, 8, 8), torch.rand(3, 8, 9)), "x_syn and y_syn of a sample must be of one shape"),
    ],
)
def test_samples_that_are_none_are_refused(sample, said):
    with pytest.raises(UserError, match=said):
        DrawnBatches(lambda generator: sample, size=2, seed=0)[0]


def test_samples_of_a_batch_have_one_shape():
    def varying(generator: torch.Generator) -> noiseda.Sample:
        side = 8 + int(torch.randint(1000, (), generator=generator))
        return noiseda.Sample(torch.zeros(1, side), torch.zeros(1, side))

    with pytest.raises(UserError, match="of the samples of a batch must be of one shape"):
        DrawnBatches(varying, size=3, seed=0)[0]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "there is none"),
        ([(torch.rand(3, 8, 8), torch.rand(3, 8, 9))], "of one size"),
        ([(torch.rand(8), torch.rand(8))], "C, H, W"),
        ([(torch.ones(3, 8, 8, dtype=torch.uint8),) * 2], r"in \[0, 1\], not torch.uint8"),
        ("pairs/", "pairs .degraded, clean. of tensors"),
    ],
)
def test_pairs_that_cannot_be_scored_are_refused(tmp_path, pairs, said):
    with pytest.raises(UserError, match=said):
        fitted(tmp_path / "out", validation=pairs)
