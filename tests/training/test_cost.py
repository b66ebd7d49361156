from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noiseda.adaptation.remembering import Remembering
from noiseda.cli import main
from noiseda.config import DegradationSettings, PredictorSettings, RestorerSettings
from noiseda.errors import UserError
from noiseda.restoration import UNet, save_weights
from noiseda.training import adapt, cost, describe
from tests.training.photographs import as_flags, pairs, small

PAPER = PredictorSettings(width=64, channel_mults=[1, 2, 4, 8], blocks=2, patch_size=1, attention=True, dropout=0.2)


@pytest.mark.slow
def test_the_papers_sizes_cost_what_the_paper_and_its_code_say(where: Path) -> None:
    """8.56 M and 62.6 M parameters; 12.4 GMAC for a restoration; about 0.77 TFLOP a sample and step."""
    settings = small(
        where, restorer=RestorerSettings(network="unet", width=64), predictor=PAPER, patch=128, batch=24, steps=1000
    )
    description = describe(settings)
    assert description.parameters["restorer"] == pytest.approx(8.56e6, rel=1e-3)
    assert description.parameters["thrown_away"] == pytest.approx(62.6e6, rel=1e-2)
    assert description.sample_tflop == pytest.approx(0.77, rel=0.02)
    assert description.samples == 24
    assert description.run_pflop == pytest.approx(24 * description.sample_tflop, rel=1e-6)
    alone = describe(replace(settings, strategy="synthetic"))
    assert alone.forward_gmac == pytest.approx(12.4, rel=0.01)
    assert alone.parameters["thrown_away"] == 0


def test_it_counts_what_the_run_has(where: Path) -> None:
    settings = small(where, validation=pairs(where / "validation"), gradient_accumulation=3)
    description = describe(settings)
    summary = adapt(settings)
    assert description.parameters == summary.parameters
    assert description.images == summary.images == {"clean": 3, "real": 3, "validation": 2}
    assert description.samples == 6
    assert description.minutes is None


@pytest.mark.slow
def test_the_command_prints_it_and_writes_nothing(where: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = as_flags(small(where))
    before = sorted(where.rglob("*"))
    assert main([*words, "--dry-run"]) == 0
    assert sorted(where.rglob("*")) == before
    said = capsys.readouterr().out
    for part in ("--clean 3, --real 3", "parameters", "GMAC a sample", "6 steps", "PFLOP", "nothing is written"):
        assert part in said


def test_what_the_network_made_before_is_counted_where_it_is_remembered(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, sizes = where / "start.safetensors", {"width": 4, "depth": 2}
    save_weights(file, UNet(**sizes).state_dict(), architecture="unet", arguments=sizes, task="denoise")
    start = RestorerSettings(network="unet", **sizes, start=file)
    remembering = DegradationSettings(kind="white", remembered=0.5)
    settings = small(where, strategy="synthetic", restorer=start, degradation=remembering)
    plain = describe(replace(settings, degradation=replace(remembering, remembered=0.0)))
    asked, forward = [], Remembering.forward
    monkeypatch.setattr(
        Remembering, "forward", lambda self, batch, draws: asked.append(batch.known) or forward(self, batch, draws)
    )
    found = describe(settings, timed=True)
    assert found.forward_gmac == pytest.approx(2 * plain.forward_gmac)
    assert found.run_pflop > 1.2 * plain.run_pflop
    counted, *timed = asked
    assert counted.all()
    assert 0 < torch.cat(timed).float().mean() < 1


def test_minutes_are_those_of_some_steps_where_these_take_seconds(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small(where, strategy="synthetic", steps=1000)
    found = describe(settings, timed=True)
    assert found.minutes is not None
    assert 0 < found.minutes < 100
    assert f", about {found.minutes:.2g} minutes on this machine (by 6 of them" in str(found)
    monkeypatch.setattr(cost, "CHEAP", found.samples * found.sample_tflop / 2)
    assert describe(settings, timed=True).minutes is None


def test_what_would_stop_the_run_stops_the_dry_run(where: Path) -> None:
    settings = small(where)
    with pytest.raises(UserError, match="--real"):
        describe(replace(settings, real=where / "nowhere"))
    with pytest.raises(UserError, match=r"--training\.patch"):
        describe(small(where, patch=17))
    with pytest.raises(UserError, match=r"none\.safetensors"):
        describe(replace(settings, restorer=RestorerSettings(width=4, depth=2, start=where / "none.safetensors")))
    adapt(settings)
    with pytest.raises(UserError, match="--seed was 0, now is 1"):
        describe(replace(settings, seed=1))
