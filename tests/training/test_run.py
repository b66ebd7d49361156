import errno
import json
import resource
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from noiseda.adaptation import SyntheticOnly, Terms
from noiseda.config import DegradationSettings, ObjectiveSettings, RestorerSettings
from noiseda.data.noise import White
from noiseda.errors import UserError
from noiseda.restoration import load, read_metadata
from noiseda.settings_file import to_tree
from noiseda.storage import atomic
from noiseda.training import adapt, checkpoints
from noiseda.training.logger import read_log
from tests.training.photographs import CLEAN, REAL, pairs, save, small


def checkpoint(out: Path) -> dict[str, Any]:
    state = checkpoints.latest(out / "checkpoints")
    assert state is not None
    return state


def test_a_run_leaves_exactly_its_files(where: Path) -> None:
    settings = small(where, validation=pairs(where / "validation"), picture_every=3)
    summary = adapt(settings)
    assert {path.name for path in settings.out.iterdir()} == {
        "best.safetensors",
        "cache",
        "checkpoints",
        "log.jsonl",
        "plan.yaml",
        "report.html",
        "restorer.safetensors",
        "sensitivity.json",
        "settings.yaml",
        "summary.json",
        "tensorboard",
    }
    assert yaml.safe_load((settings.out / "settings.yaml").read_text()) == to_tree(settings)
    written = json.loads((settings.out / "summary.json").read_text())
    assert written["weights"] == str(summary.weights) == str(settings.out / "restorer.safetensors")
    assert written["images"] == {"clean": 3, "real": 3, "validation": 2}
    assert (written["steps"], written["seed"], written["skipped"]) == (6, 0, [])
    assert set(written["terms"]) == {
        "loss",
        "restoration",
        "noise",
        "noise_swapped",
        "contrast",
        "diffusion",
        "gradient_norm",
    }
    last = [line for line in read_log(settings.out / "log.jsonl") if "loss" in line][-1]
    assert written["terms"]["loss"] == pytest.approx(last["loss"])


def test_both_networks_learn(where: Path) -> None:
    settings = small(where, steps=4)
    adapt(replace(settings, training=replace(settings.training, learning_rate=1e-12), out=where / "still"))
    adapt(settings)
    still, trained = checkpoint(where / "still")["strategy"], checkpoint(settings.out)["strategy"]
    moved = {key.split(".")[0] for key in still if not torch.allclose(still[key], trained[key])}
    assert moved == {"restorer", "denoiser"}


def test_the_average_of_the_weights_is_what_is_shipped(where: Path) -> None:
    settings = small(where)
    shipped = load_file(adapt(settings).weights)
    state = checkpoint(settings.out)
    assert all(torch.equal(shipped[key], state["average"][key]) for key in state["average"])
    assert not all(torch.equal(shipped[key], state["strategy"][f"restorer.{key}"]) for key in shipped)
    assert not load(settings.out / "restorer.safetensors").training


def test_the_best_scored_weights_are_shipped(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([20.0, 20.0, 30.0, 32.0, 25.0, 25.0, *[31.0] * 4])  # two pairs, three times, and for the verdict
    monkeypatch.setattr(import_module("noiseda.assessment.verdict"), "psnr", lambda *_: torch.tensor([next(scores)]))
    settings = small(where, validation=pairs(where / "validation"), validate_every=2)
    summary = adapt(settings)
    assert summary.validation == {"step": 4, "psnr": 31.0, "score": 31.0}
    lines = {line["step"]: line["validation_psnr"] for line in read_log(settings.out / "log.jsonl") if len(line) == 2}
    assert lines == {2: 20.0, 4: 31.0, 6: 25.0}
    shipped, last = load_file(summary.weights), checkpoint(settings.out)["average"]
    assert not all(torch.equal(shipped[key], last[key]) for key in last)
    shorter = small(where, out=where / "four", steps=4, lr_schedule="constant")
    constant = small(
        where, out=where / "six", validation=where / "validation", validate_every=2, lr_schedule="constant", steps=6
    )
    ramp_free = ObjectiveSettings(ramp=0.0)  # so that nothing depends on the share of the run that is done
    adapt(replace(shorter, objective=ramp_free))
    scores = iter([20.0, 20.0, 30.0, 32.0, 25.0, 25.0, *[31.0] * 4])
    adapt(replace(constant, objective=ramp_free))
    best, four = load_file(where / "six/restorer.safetensors"), load_file(where / "four/restorer.safetensors")
    assert all(torch.equal(best[key], four[key]) for key in best)


def test_the_rate_falls_from_random_weights_and_at_the_end_alone_from_given_ones(where: Path) -> None:
    def rates(out: Path) -> list[float]:
        return [line["learning_rate"] for line in read_log(out / "log.jsonl")]

    first = adapt(small(where, strategy="synthetic", learning_rate=0.01, out=where / "first"))
    fallen = rates(where / "first")
    assert fallen[0] == pytest.approx(0.01)
    assert fallen == sorted(fallen, reverse=True)
    assert fallen[-1] < 0.001
    given = RestorerSettings(width=4, depth=2, start=first.weights)
    for decay, steps in (("constant", 5), ("cosine", first.steps), ("auto", 20)):
        own = small(where, strategy="synthetic", restorer=given, lr_schedule=decay, steps=steps, out=where / decay)
        adapt(replace(own, training=replace(own.training, learning_rate=0.01, log_every=1)))
    assert set(rates(where / "constant")) == {0.01}
    assert rates(where / "cosine")[-1] == pytest.approx(fallen[-1])
    late = [0.01 * (1 - (past / 4) ** 0.5) for past in range(4)]
    assert rates(where / "auto") == pytest.approx([0.01] * 16 + late), "from weights, in the last fifth alone"


@pytest.mark.slow
def test_runs_in_one_process_do_not_disturb_one_another(where: Path) -> None:
    first = load_file(adapt(small(where, out=where / "1")).weights)
    adapt(small(where, out=where / "2", gradient_accumulation=4, seed=7))
    torch.manual_seed(1234)
    again = load_file(adapt(small(where, out=where / "3")).weights)
    assert all(torch.equal(first[key], again[key]) for key in first)


# -- images ------------------------------------------------------------------------------------------------------------


def test_images_that_cannot_be_used_are_named_and_left_out(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = {
        "empty.png": (b"", "the file is empty"),
        "cut.png": ((where / "real/0.png").read_bytes()[:900], "cannot be read"),
        "text.png": (b"this is not a picture", "not a PNG"),
    }
    for name, (content, _) in broken.items():
        (where / "real" / name).write_bytes(content)
    save(where / "clean/tiny.png", CLEAN[:15, :60])
    summary = adapt(small(where))
    skipped = {Path(image["path"]).name: image["reason"] for image in summary.skipped}
    assert skipped.keys() == {*broken, "tiny.png"}
    for name, (_, reason) in broken.items():
        assert reason in skipped[name]
        assert str(where / "real" / name) in caplog.text
    assert "60 x 15 pixels; each side needs 16" in skipped["tiny.png"]
    assert summary.images == {"clean": 3, "real": 3}, "only what is used counts"
    assert json.loads((where / "out/summary.json").read_text())["skipped"] == summary.skipped


def test_images_of_every_kind_train(where: Path) -> None:
    grey, colour = REAL[:50, :60, 0], REAL[:50, :60]
    rotated = Image.Exif()
    rotated[0x0112] = 6
    save(where / "real/grey.png", grey)
    save(where / "real/deep.png", grey.astype(np.uint16) * 257)
    save(where / "real/deep.tif", grey.astype(np.uint16) * 257)
    save(where / "real/alpha.png", np.dstack([colour, grey]))
    save(where / "real/rotated.jpg", colour[:24], exif=rotated)
    Image.fromarray(colour).convert("CMYK").save(where / "real/cmyk.jpg")
    Image.fromarray(colour).convert("P").save(where / "real/palette.png")
    Image.fromarray(grey > 128).save(where / "real/one-bit.png")
    Image.fromarray(colour).save(where / "real/web.webp", lossless=True)
    for channels in (1, 3):
        settings = small(where, out=where / str(channels), batch=16, steps=2)
        summary = adapt(replace(settings, restorer=replace(settings.restorer, channels=channels)))
        assert summary.skipped == []
        assert summary.images["real"] == 12


def test_images_smaller_than_a_patch_train_and_are_named(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder in ("clean", "real"):
        for path in (where / folder).iterdir():
            path.unlink()
        save(where / folder / "small.png", CLEAN[:16, :20])
    assert adapt(small(where, patch=64)).skipped == []
    assert f"smaller than --training.patch 64 and continued by reflection: {where / 'clean/small.png'}, " in caplog.text
    assert adapt(small(where, out=where / "blur", task="deblur", patch=32)).skipped == []


def test_a_bomb_is_left_out_before_it_is_decoded(where: Path) -> None:
    """A file of some hundred bytes that claims 20000 x 10001 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20000, 10001, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    (where / "real/bomb.png").write_bytes(content + chunk(b"IEND", b""))
    began = time.perf_counter()
    summary = adapt(small(where))
    (skipped,) = summary.skipped
    assert "bomb.png: 20000 x 10001 are 200.0 megapixels" in skipped["reason"]
    assert time.perf_counter() - began < 20


# -- numbers -----------------------------------------------------------------------------------------------------------


def assert_last_checkpoint_is_sound(out: Path, step: int) -> None:
    state = checkpoint(out)
    assert state["step"] == step
    assert all(tensor.isfinite().all() for tensor in state["strategy"].values())
    assert not (out / "restorer.safetensors").exists()


def test_a_loss_that_is_not_finite_stops_with_step_terms_and_files(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    degrade = White.__call__

    def poisoned(self: White, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        calls.append(1)
        return degrade(self, clean, generator) * (torch.nan if len(calls) == 2 * 4 + 1 else 1.0)  # in the fifth batch

    monkeypatch.setattr(White, "__call__", poisoned)
    with pytest.raises(UserError) as stopped:
        adapt(small(where, checkpoint_every=2, degradation=DegradationSettings(kind="white")))
    message = str(stopped.value)
    assert message.startswith("step 5: the loss or its gradient is not finite (")
    for term in ("loss nan", "restoration nan", "noise nan", "contrast"):
        assert term in message
    assert str(where / "clean") in message
    assert str(where / "real") in message
    assert "--training.learning_rate" in message
    assert_last_checkpoint_is_sound(where / "out", 4)


def test_a_gradient_that_is_not_finite_stops_too(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = SyntheticOnly.losses

    def with_a_vertical_tangent(self: SyntheticOnly, terms: Terms, progress: float) -> dict[str, torch.Tensor]:
        found = losses(self, terms, progress)
        if progress >= 0.5:
            weight = next(self.restorer.parameters())
            found["loss"] = found["loss"] + (weight - weight.detach()).sum().clamp(min=0).sqrt()
        return found

    monkeypatch.setattr(SyntheticOnly, "losses", with_a_vertical_tangent)
    with pytest.raises(UserError, match=r"^step 4: the loss or its gradient is not finite \(loss 0\..*gradient_norm"):
        adapt(small(where, strategy="synthetic", checkpoint_every=1))
    assert_last_checkpoint_is_sound(where / "out", 3)


@pytest.mark.usefixtures("thrown_away")
def test_a_run_that_blows_up_says_so_and_goes_on_from_its_averaged_weights(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # a finished run knows it, too
        summary = adapt(small(where, strategy="synthetic", steps=80, lr_schedule="constant"))
        assert (summary.blew_up, summary.rate) == (66, 0.5)  # the fifth such step
    written = json.loads((where / "out/summary.json").read_text())
    assert (written["blew_up"], written["rate"]) == (66, 0.5)
    lines = [line for line in read_log(where / "out/log.jsonl") if "loss" in line]
    losses, rates = ([line[name] for line in lines] for name in ("loss", "learning_rate"))
    assert min(losses[61:67]) > 3 * max(losses[41:61])  # steps 62 to 67
    assert max(losses[67:]) < 2 * max(losses[41:61])
    assert rates == [2e-3] * 67 + [1e-3] * 13
    said = capsys.readouterr().err
    assert said.count("times as large as usual") == 1
    assert "step 66: the gradient stays" in said
    assert "--training.learning_rate" in said


@pytest.mark.parametrize("rate", [1e13, 1e15])
def test_a_learning_rate_beyond_reason_ends_with_a_message(where: Path, rate: float) -> None:
    with pytest.raises(UserError, match=r"^step [123]: .* finite.*--training\.learning_rate"):
        adapt(small(where, learning_rate=rate, checkpoint_every=1, steps=3))
    assert not (where / "out/restorer.safetensors").exists()


def test_weights_that_are_not_finite_are_never_kept(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step has no loss after it that would tell."""
    from noiseda.training.ema import MovingAverage

    update = MovingAverage.update

    def overflow(self: MovingAverage, network: torch.nn.Module, step: int) -> None:
        if step == 5:
            with torch.no_grad():
                next(network.parameters()).fill_(torch.inf)
        update(self, network, step)

    monkeypatch.setattr(MovingAverage, "update", overflow)
    with pytest.raises(UserError, match="step 6: the weights are no longer finite"):
        adapt(small(where))
    assert_last_checkpoint_is_sound(where / "out", 3)


# -- the machine -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="has what the test takes for missing")
def test_a_device_that_is_not_there_is_refused(where: Path) -> None:
    with pytest.raises(UserError, match=r"--training\.device cuda .* offers cpu"):
        adapt(small(where, device="cuda"))


class Full:
    """A file on a full disk."""

    def write(self, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        pass


FULL = {
    "cache": ("noiseda.data.cache.atomic", "--cache .*cache cannot be written"),
    "settings": ("noiseda.settings_file.atomic", "--out .* cannot be written"),
    "log": ("noiseda.training.logger.atomic", "the log in --out .* cannot be written"),
    "checkpoint": ("noiseda.training.checkpoints.atomic", r"the checkpoint .*step-00000003\.pt"),
    "weights": ("noiseda.restoration.weights.atomic", r"the weights file .*(trained|restorer)\.safetensors"),
    "summary": ("noiseda.training.finish.atomic", r"cannot write .*summary\.json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FULL)
def test_a_full_disk_is_reported_and_the_same_command_continues(
    where: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    target, message = FULL[kind]

    @contextmanager
    def full(path: Path) -> Iterator[BinaryIO]:
        with atomic(path):
            yield Full()  # type: ignore[misc]

    settings = small(where)
    with monkeypatch.context() as patch:
        patch.setattr(target, full)
        with pytest.raises(UserError, match=rf"{message}.*No space left on device"):
            adapt(settings)
    assert not [path for path in settings.out.rglob("*") if path.name.endswith(".part")]
    assert not (settings.out / "summary.json").exists()
    if kind in ("weights", "summary"):
        assert checkpoint(settings.out)["step"] == 6
    assert adapt(settings).steps == 6


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_earlier_checkpoint(where: Path) -> None:
    """With a true limit on the size of files, which the system answers as it answers a full disk."""
    settings = small(where)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    stage = small(where, steps=6)
    adapt(replace(stage, out=where / "sizes"))
    size = (where / "sizes/checkpoints/step-00000006.pt").stat().st_size
    adapt_until_3(settings)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
        with pytest.raises(UserError, match=r"step-00000006\.pt"):
            adapt(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (settings.out / "checkpoints").iterdir()] == ["step-00000003.pt"]
    weights, again = load_file(where / "sizes/restorer.safetensors"), load_file(adapt(settings).weights)
    assert all(torch.equal(weights[key], again[key]) for key in weights)


def adapt_until_3(settings: Any) -> None:
    """Leave a run as a kill after its checkpoint at step 3 does."""
    adapt(settings)
    (settings.out / "checkpoints/step-00000006.pt").unlink()
    (settings.out / "restorer.safetensors").unlink()


def test_a_finished_run_keeps_saying_what_made_it(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small(where)
    first = adapt(settings)
    monkeypatch.setattr(import_module("noiseda.provenance"), "commit", lambda: "another")
    assert adapt(settings).made_by == first.made_by
    assert read_metadata(first.weights)["commit"] == first.made_by["commit"]
