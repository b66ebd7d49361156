import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from noiseda.training import adapt, checkpoints
from noiseda.training.interrupt import END, StopRequest
from noiseda.training.logger import read_log
from tests.training.photographs import as_flags, small


def test_a_first_signal_is_noted_and_a_second_stops_at_once() -> None:
    with StopRequest() as stop:
        assert stop.signal_number is None
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal_number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_sigterm_does_not_stop_what_is_being_written() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_beside_the_main_thread_no_signal_is_touched() -> None:
    seen = []

    def listen() -> None:
        with StopRequest() as stop:
            seen.append(stop.signal_number)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [None]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_keeps_a_checkpoint_and_says_how_to_continue(
    where: Path, number: signal.Signals, status: int
) -> None:
    settings = small(where, steps=2000, checkpoint_every=2000, workers=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "noiseda", *as_flags(settings)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(read_log(settings.out / "log.jsonl")) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)  # a terminal sends Ctrl-C to all processes: to the loader's worker, too
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert "the same command continues from here" in said
    assert "Traceback" not in said
    state = checkpoints.latest(settings.out / "checkpoints")
    assert state is not None
    steps = state["step"]
    assert 4 <= steps < 2000
    assert f"stopped after step {steps}" in said
    assert not (settings.out / "restorer.safetensors").exists()


def test_a_second_ctrl_c_stops_a_command_within_its_step(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from noiseda.cli import main
    from noiseda.training.ema import MovingAverage

    def twice(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        pytest.fail("went on")

    settings = small(where)
    words = as_flags(settings)
    with monkeypatch.context() as patch:
        patch.setattr(MovingAverage, "update", twice)
        assert main(words) == 130
    assert checkpoints.latest(settings.out / "checkpoints") is None
    assert adapt(settings).steps == 6


@pytest.mark.slow
@pytest.mark.skipif(END is None, reason="this system has no SIGUSR1")
def test_a_command_that_is_asked_to_end_keeps_its_weights_as_a_whole_run_does(where: Path) -> None:
    settings = small(where, steps=2000, checkpoint_every=2000, validate_every=2000, workers=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "noiseda", *as_flags(settings)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while len(read_log(settings.out / "log.jsonl")) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)
    out, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    steps = json.loads((settings.out / "summary.json").read_text())["steps"]
    assert 4 <= steps < 2000
    assert f"ended after step {steps} of 2000, as asked" in said
    assert f"adapted network: {settings.out / 'restorer.safetensors'}" in out
    assert (settings.out / "report.html").exists()
    assert read_log(settings.out / "log.jsonl")[-1]["step"] == steps
