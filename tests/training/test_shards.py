"""Runs on shards, from a folder or an address: the same as any other run, stopped or not."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from noiseda import cli
from noiseda.address import Url
from noiseda.config import AdaptSettings, ShardSettings
from noiseda.data import download
from noiseda.data.pack import pack
from noiseda.errors import Interrupted, UserError
from noiseda.training import adapt
from noiseda.training.build import fingerprint, list_images
from noiseda.training.ema import MovingAverage
from tests.data.served import Server, served
from tests.training.photographs import REAL, as_flags, folder, pairs, small
from tests.training.test_processes import COMMAND, DEVICE, TOLERANCE, launch
from tests.training.test_resume import assert_same_result, start, steps_of


@pytest.fixture
def server(tmp_path: Path):
    """Five shards of clean and of real photographs, and two of pairs, at an address."""
    folder(tmp_path / "clean", count=6)
    folder(tmp_path / "real", REAL, count=5)
    pairs(tmp_path / "pairs")
    for name in ("clean", "real", "pairs"):
        pack(tmp_path / name, tmp_path / "served" / name, shard_megabytes=0.007)
    assert [len(list((tmp_path / "served" / n).glob("*.tar"))) for n in ("clean", "real", "pairs")] == [6, 5, 2]
    with served(tmp_path / "served") as found:
        yield found


def streamed(where: Path, server: Server, **changes: Any) -> AdaptSettings:
    options = {"shards": ShardSettings(window=2, draws=2), "cache_gigabytes": 1e-9, **changes}
    settings = small(where, clean=Url(f"{server.url}/clean"), real=Url(f"{server.url}/real/"), **options)
    return replace(settings, reference=settings.real)


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch, settings: AdaptSettings) -> None:
    """Run until a signal that comes in a step."""
    update = MovingAverage.update

    def stop(self: MovingAverage, network: torch.nn.Module, done: int) -> None:
        update(self, network, done)
        if done + 1 == step:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(MovingAverage, "update", stop)
        with pytest.raises(Interrupted):
            adapt(settings)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.slow
def test_a_stopped_run_continues_exactly(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """The cache holds nothing but the window, and the second half begins with an empty one."""
    whole = streamed(tmp_path, server, out=tmp_path / "whole", steps=9, cache_gigabytes=1.0)
    adapt(whole)
    broken = streamed(tmp_path, server, out=tmp_path / "broken", steps=9, workers=workers)
    stop_after(5, monkeypatch, broken)
    adapt(replace(broken, cache=tmp_path / "another"))
    assert_same_result(whole.out, broken.out)
    assert steps_of(broken.out) == list(range(1, 10))
    assert len(list((tmp_path / "another/shards").glob("*.pixels"))) < 11


@pytest.mark.slow
def test_a_killed_run_continues_exactly(tmp_path: Path, server: Server) -> None:
    whole = streamed(tmp_path, server, out=tmp_path / "whole", steps=20)
    broken = replace(whole, out=tmp_path / "broken")
    unbroken, killed = start(whole), start(broken)
    while max(steps_of(broken.out) if (broken.out / "log.jsonl").exists() else [0], default=0) < 8:
        assert killed.is_alive()
        time.sleep(0.01)
    killed.kill()
    killed.join()
    last = start(broken)
    for process in (unbroken, last):
        process.join()
        assert process.exitcode == 0
    assert_same_result(whole.out, broken.out)


@pytest.mark.slow
def test_two_processes_share_a_cache_and_train_what_one_of_twice_the_batch_trains(
    tmp_path: Path, server: Server
) -> None:
    common = {"steps": 5, "precision": "fp32", "device": DEVICE, "cache_gigabytes": 1.0}
    two = streamed(tmp_path, server, batch=2, out=tmp_path / "two", **common)
    done = launch(tmp_path, COMMAND, *as_flags(two))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"of {server.url}/clean") == 1, "one of them speaks"
    asked = [path for path in server.asked if path.endswith(".tar")]
    assert len(asked) == len(set(asked)), "nothing is fetched twice"
    one = adapt(streamed(tmp_path, server, batch=4, out=tmp_path / "one", **common))
    expected = load_file(one.weights)
    for key, tensor in load_file(two.out / "restorer.safetensors").items():
        torch.testing.assert_close(tensor, expected[key], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_a_dry_run_counts_from_the_index_alone(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"clean": None, "pairs": Url(f"{server.url}/pairs"), "real": Url(f"{server.url}/real")}
    before = set(tmp_path.rglob("*"))
    assert cli.main(as_flags(small(tmp_path, **given, dry_run=True))) == 0
    assert "--real 5, --pairs 2" in capsys.readouterr().out
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "out.yaml"}
    assert server.shards() == []


def test_where_shards_lie_does_not_matter_but_what_they_hold(tmp_path: Path, server: Server) -> None:
    def listed(base: str) -> str:
        return fingerprint(list_images(small(tmp_path, clean=f"{base}/clean", real=f"{base}/real")))

    folder = f"{tmp_path}/served"
    before = listed(folder)
    assert listed(server.url) == listed(f"file://{folder}") == before
    pack(tmp_path / "real", tmp_path / "served/clean", overwrite=True)
    assert listed(folder) == listed(server.url) != before


def test_other_shards_are_refused_when_a_run_continues(tmp_path: Path, server: Server) -> None:
    settings = streamed(tmp_path, server)
    summary = adapt(settings)
    assert summary.images == {"clean": 6, "real": 5, "reference": 5}
    assert json.loads((settings.out / "summary.json").read_text())["images"]["clean"] == 6
    pack(tmp_path / "real", tmp_path / "served/clean", overwrite=True)
    with pytest.raises(UserError, match=r"images of the run .* have changed"):
        adapt(settings)


@pytest.mark.parametrize(("flag", "kind"), [("clean", "pairs"), ("real", "pairs"), ("pairs", "single")])
def test_pairs_and_single_images_are_separated(tmp_path: Path, server: Server, flag: str, kind: str) -> None:
    wrong = tmp_path / "served" / ("pairs" if kind == "pairs" else "clean")
    settings = small(tmp_path, **{**({"clean": None} if flag == "pairs" else {}), flag: wrong})
    with pytest.raises(UserError, match=rf"^--{flag} {wrong}: its shards hold {kind}, expected (single images|pairs)$"):
        list_images(settings)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_cannot_be_had_ends_the_command_with_a_message(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    monkeypatch.setattr(download, "RETRIES", 0)
    for shard in (tmp_path / "served/real").glob("*.tar"):
        shard.write_bytes(b"another")
    assert cli.main(as_flags(streamed(tmp_path, server, workers=workers))) == 2
    said = capsys.readouterr().err
    assert f"noiseda: error: --real: {server.url}/real/shard-00000" in said
    assert "its sha256 is another" in said
    assert "Traceback" not in said


def test_an_address_that_does_not_answer_is_named_with_its_flag(tmp_path: Path) -> None:
    settings = small(folder(tmp_path / "clean").parent, real=Url("http://127.0.0.1:9/real"))
    with pytest.raises(UserError, match=r"^--real http://127\.0\.0\.1:9/real: cannot be reached: Connection refused"):
        list_images(settings)
