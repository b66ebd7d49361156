"""How far an adaptation is followed, given what the network knew before."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from noiseda.assessment.retention import blend, keep, known_pairs
from noiseda.config import DegradationSettings, RestorerSettings
from noiseda.data.noise import White
from noiseda.errors import UserError
from noiseda.evaluation.metrics import psnr
from noiseda.inference import restore_tensor
from noiseda.restoration import Restorer, load, save_weights
from noiseda.restoration.residual_unet import ResidualUNet
from noiseda.strategies import Neighbor2NeighborSettings
from noiseda.tasks import TASKS
from noiseda.training import adapt
from tests.training.photographs import CLEAN, pairs, save, small


class Brightens(Restorer):
    """Adds a constant, which is its only weight: every loss along a line of networks is known by hand."""

    channels, multiple_of = 3, 1

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def restore(self, images: torch.Tensor) -> torch.Tensor:
        return images + self.by


KNOWN = [(torch.full((3, 8, 8), 0.4), torch.full((3, 8, 8), 0.5))]


@pytest.mark.parametrize(
    ("allowed", "share"),
    [(0.0, 0.0), (1.6, 0.1), (6.0, 0.4), (6.9, 0.6), (8.95, 0.9), (100.0, 1.0)],
    # 0.02 off before, 0.06 after: with share s, 0.02 + 0.04 s, and so 20 log10(1 + 2 s) dB lost
)
def test_it_goes_as_far_as_the_loss_allows(allowed: float, share: float) -> None:
    old, new = Brightens(0.08), Brightens(0.04)
    network, kept = keep([old], new, KNOWN, allowed, "fp32")
    assert kept.share == pytest.approx(share)
    assert network.by.item() == pytest.approx(0.08 - 0.04 * share)
    assert (old.by.item(), new.by.item()) == pytest.approx((0.08, 0.04)), "both are left as they were"
    assert kept.before == pytest.approx(33.979, abs=1e-2)
    assert kept.last == pytest.approx(24.437, abs=1e-2)
    assert kept.before - kept.after == pytest.approx(20 * torch.tensor(1 + 2 * share).log10().item(), abs=1e-2)
    assert kept.before - kept.after <= allowed
    assert (f"{share:.0%} of the way" in str(kept)) == (share < 1)
    assert f"{kept.after - kept.before:+.2f} dB" in str(kept)


def test_weights_that_give_no_numbers_have_not_kept_everything() -> None:
    with pytest.raises(UserError, match="cannot be scored"):
        keep([Brightens(0.08)], Brightens(math.nan), KNOWN, 0.1, "fp32")


@pytest.mark.parametrize(("between", "share"), [(0.09, 0.65), (0.06, 0.25), (0.08, 0.5)])
def test_what_came_first_counts_beside_what_came_between(between: float, share: float) -> None:
    """The better of both is 0.01, 0.02 and 0.02 off; four times, one and a half times, and as much is allowed."""
    allowed = {0.09: 12.05, 0.06: 3.53, 0.08: 0.01}[between]
    network, kept = keep([Brightens(0.08), Brightens(between)], Brightens(0.0), KNOWN, allowed, "fp32")
    assert kept.share == pytest.approx(share)
    first, second = (0.08, between) if share < 0.5 else (between, 0.0)
    assert network.by.item() == pytest.approx(first + (second - first) * (2 * share % 1))
    assert kept.before == pytest.approx(-20 * torch.tensor(0.1 - max(0.08, between)).log10().item(), abs=1e-2)


def test_a_network_that_gained_is_followed_all_the_way() -> None:
    network, kept = keep([Brightens(0.04)], Brightens(0.1), KNOWN, 0.0, "fp32")
    assert (network.by.item(), kept.share) == pytest.approx((0.1, 1.0))
    assert kept.after > kept.before + 10


class Moves(Restorer):
    """Moves an image by a pixel, wholly at 1 and not at all at 0: in between there are two of it."""

    channels, multiple_of = 3, 1

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def restore(self, images: torch.Tensor) -> torch.Tensor:
        return torch.lerp(images, images.roll(1, -1), self.by)


def test_what_is_gained_at_its_place_may_be_lost_at_the_best_shift() -> None:
    """Half moved, an image is nearer to its place and less sharp; so far as to double it, nobody asked it to go."""
    sharp = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    moved = [(sharp.roll(-1, -1), sharp)]
    still, doubles = Moves(0.0), Moves(0.5)
    network, kept = keep([still], doubles, moved, 0.1, "fp32")
    assert (network.by.item(), kept.share, kept.measure) == (0.5, 1.0, "PSNR")
    assert kept.after > kept.before + 4
    assert "shift" not in str(kept)
    network, kept = keep([still], doubles, moved, 0.1, "fp32", shifted=True)
    assert (network.by.item(), kept.share, kept.measure) == (0.0, 0.0, "PSNR at the best shift")
    network, kept = keep([still], doubles, moved, math.inf, "fp32", shifted=True)
    assert (network.by.item(), kept.share) == (0.5, 1.0), "told, and not asked for"
    assert kept.before == 100.0, "nothing but a shift is wrong"
    assert kept.last == kept.after < 20
    assert "dB (PSNR at the best shift)" in str(kept)
    # One that was right, and now is a pixel off, has lost at its place alone.
    _, kept = keep([Moves(1.0)], Moves(0.0), moved, math.inf, "fp32", shifted=True)
    assert kept.measure == "PSNR"
    # Smaller than the largest shift.
    tiny = [(x[:, :4, :4], y[:, :4, :4]) for x, y in moved]
    assert keep([still], still, tiny, 0.1, "fp32", shifted=True)[1].share == 1


def test_buffers_are_blended_too_and_counters_are_taken_from_the_later_one() -> None:
    def network(mean: float, count: int) -> nn.BatchNorm2d:
        norm = nn.BatchNorm2d(3)
        norm.running_mean.fill_(mean)
        norm.num_batches_tracked.fill_(count)
        return norm

    mixed = network(0.0, 0)
    blend(network(1.0, 5), network(3.0, 9), 0.25, into=mixed)
    assert mixed.running_mean.tolist() == pytest.approx([1.5] * 3)
    assert mixed.num_batches_tracked.item() == 9


def test_known_pairs_are_of_the_kind_trained_on_but_not_matched(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / f"clean/{index}.png", CLEAN[:200, 100 * index : 100 * index + 200])
    files = sorted((tmp_path / "clean").iterdir())
    settings = small(tmp_path)
    white = DegradationSettings(kind="white+3*matched")
    made = known_pairs(replace(settings, degradation=white), files, [])
    assert len(made) == TASKS["denoise"].retention.pairs
    assert all(x.shape == y.shape == (3, 128, 128) for x, y in made)
    again = known_pairs(replace(settings, degradation=DegradationSettings(kind="white")), files, [])
    assert all(torch.equal(x, other) for (x, _), (other, _) in zip(made, again, strict=True))
    usual = known_pairs(replace(settings, degradation=DegradationSettings()), files, [])
    assert all(torch.equal(x, other) for (x, _), (other, _) in zip(made, usual, strict=True)), "matched, beside white"
    noise = [255 * float((x - y).std()) for x, y in made]
    assert noise == pytest.approx(
        [(15, 25, 50)[index % 3] for index in range(TASKS["denoise"].retention.pairs)], rel=0.2
    )
    some = DegradationSettings(kind="white", strength=(20.0, 30.0))
    noise = [255 * float((x - y).std()) for x, y in known_pairs(replace(settings, degradation=some), files, [])]
    assert noise == pytest.approx([25] * TASKS["denoise"].retention.pairs, rel=0.1), "only what lies in the range"
    weak = known_pairs(replace(settings, degradation=DegradationSettings(kind="white", strength=(1.0, 1.0))), files, [])
    assert max((x - y).abs().max() for x, y in weak) < 8 / 255
    assert White().strength[1] > 8
    assert not known_pairs(settings, [], [])
    blurred = known_pairs(replace(settings, task="deblur", degradation=DegradationSettings()), files, [])
    assert len(blurred) == TASKS["deblur"].retention.pairs == 128
    tiny = save(tmp_path / "tiny.png", CLEAN[:12, :12])
    camera = replace(settings, degradation=DegradationSettings(kind="camera"))
    assert not known_pairs(camera, [tiny], []), "nothing is left within the margins"
    assert len(known_pairs(camera, [tiny, files[0]], [])) == TASKS["denoise"].retention.pairs


def test_of_pairs_the_middle_is_taken(tmp_path: Path) -> None:
    pairs(tmp_path / "pairs", count=2, size=160)
    files = [(tmp_path / f"pairs/input/{i}.png", tmp_path / f"pairs/target/{i}.png") for i in range(2)]
    (x, y), _ = known_pairs(small(tmp_path, pairs=tmp_path / "pairs", clean=None), [], files)
    assert x.shape == y.shape == (3, 128, 128)
    target = torch.from_numpy(CLEAN[16:144, 216:344]).permute(2, 0, 1) / 255
    torch.testing.assert_close(y, target)
    assert (x - y / 2).abs().max() < 1 / 255


WHITE = DegradationSettings(kind="white")
LATE = Neighbor2NeighborSettings(weight=1e4, start=0.5)


def test_a_run_keeps_the_weights_before_the_real_images_and_goes_no_further_than_allowed(where: Path) -> None:
    weak = DegradationSettings(kind="white", strength=(1.0, 5.0))  # what a network smooths away at once
    usual = {"degradation": weak, "learning_rate": 0.002, "lr_schedule": "constant", "ema_decay": 0.0}
    settings = small(where, strategy="neighbor2neighbor", neighbor2neighbor=LATE, steps=8, **usual)
    bold = adapt(replace(settings, training=replace(settings.training, max_regression_db=None), out=where / "bold"))
    assert bold.kept is not None
    assert (bold.kept.share, bold.kept.after) == (1, bold.kept.last), "told, and not asked for"
    careful = adapt(replace(settings, training=replace(settings.training, max_regression_db=0.01)))
    kept = careful.kept
    assert kept is not None
    assert kept.share < 1
    assert kept.before - kept.after <= 0.01 < kept.before - kept.last
    assert json.loads((settings.out / "summary.json").read_text())["kept"]["share"] == kept.share
    before, last, shipped = (
        load_file(path) for path in (where / "out/before.safetensors", bold.weights, careful.weights)
    )
    for name, value in shipped.items():
        torch.testing.assert_close(value, torch.lerp(before[name], last[name], kept.share))
    # The weights before are those of a shorter run on synthetic pairs alone.
    short = adapt(small(where, strategy="synthetic", steps=4, out=where / "short", **usual))
    alone = load_file(short.weights)
    assert all(torch.equal(alone[name], value) for name, value in before.items())
    assert adapt(replace(settings, training=replace(settings.training, max_regression_db=0.01))).kept == kept, (
        "run again"
    )


def test_a_run_from_given_weights_keeps_what_they_knew(where: Path) -> None:
    start = adapt(small(where, strategy="synthetic", degradation=WHITE, out=where / "start"))
    assert start.kept is None
    from_it = RestorerSettings(width=4, depth=2, start=start.weights)
    own = Neighbor2NeighborSettings(weight=1e4, start=0.0)
    settings = small(
        where,
        strategy="neighbor2neighbor",
        neighbor2neighbor=own,
        degradation=WHITE,
        restorer=from_it,
        max_regression_db=0.0,
    )
    kept = adapt(replace(settings, training=replace(settings.training, learning_rate=0.05))).kept
    assert kept is not None
    assert kept.share < 1
    assert kept.after >= kept.before
    assert not (where / "out/before.safetensors").exists()
    plain = replace(settings, strategy="synthetic", out=where / "plain")
    assert adapt(plain).kept is None, "nothing was learnt from real images"


def test_what_is_kept_is_measured_on_the_pairs_that_are_said(where: Path) -> None:
    """The figures of the summary, computed again from its files."""
    settings = small(
        where, strategy="neighbor2neighbor", neighbor2neighbor=LATE, degradation=WHITE, max_regression_db=100.0
    )
    summary = adapt(settings)
    known = known_pairs(settings, sorted((where / "clean").iterdir()), [])
    for path, value in ((where / "out/before.safetensors", "before"), (summary.weights, "after")):
        network = load(path)
        mean = sum(float(psnr(restore_tensor(network, x)[None], y[None])) for x, y in known) / len(known)
        assert mean == pytest.approx(getattr(summary.kept, value), abs=1e-3)


def moving(path: Path) -> Path:
    """Weights that move an image by a pixel, and do nothing else."""
    network = ResidualUNet(width=4, blocks=(1,))
    with torch.no_grad():
        for convolution in (network.intro, network.head):
            convolution.weight.zero_()
            convolution.bias.zero_()
        for colour in range(3):
            network.intro.weight[colour, colour, 1, 1] = 1.0
            network.head.weight[colour, colour, 1, 0] = 1.0
            network.head.weight[colour, colour, 1, 1] = -1.0
    save_weights(
        path, network.state_dict(), architecture=network.architecture, arguments=network.arguments, task="deblur"
    )
    return path


@pytest.mark.slow
def test_blurred_photographs_are_held_at_the_best_shift_too(where: Path) -> None:
    """The figures of the summary again, of a task in which images move.

    Training pulls what moves images back to their place: it gains there, and loses at the best shift on the way.
    """
    start = moving(where / "moving.safetensors")
    settings = small(
        where,
        task="deblur",
        strategy="mean-teacher",
        restorer=RestorerSettings(weights=start),
        learning_rate=3e-5,  # so small that the first slope decides, on every machine
        max_regression_db=None,
    )
    summary = adapt(settings)
    known = known_pairs(settings, sorted((where / "clean").iterdir()), [])
    of = [load(start)], load(summary.weights), known, math.inf, settings.training.precision
    assert summary.kept == keep(*of, shifted=True)[1]
    assert summary.kept != keep(*of)[1], "or this test would not tell"
    assert json.loads((settings.out / "summary.json").read_text())["kept"]["measure"] == "PSNR at the best shift"
