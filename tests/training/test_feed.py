"""Steps come whole whatever carries them, and waiting for one never hangs."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from noiseda.data.batches import DomainBatches
from noiseda.data.prefetch import Ahead
from noiseda.errors import Interrupted, UserError
from noiseda.training import adapt, checkpoints, feed, parcel
from noiseda.training.build import build_objective, list_images, load_domains
from noiseda.training.ema import MovingAverage
from noiseda.training.feed import Feed, Starved, lost
from noiseda.training.interrupt import StopRequest
from noiseda.training.parcel import free_bytes, size_of
from noiseda.training.steps import Step, Steps
from tests.training.photographs import small
from tests.training.test_resume import assert_same_result


@pytest.fixture
def steps(where: Path) -> Steps:
    settings = small(where)
    domains, _, _ = load_domains(settings, list_images(settings), where / "cache")
    return Steps(
        DomainBatches(domains, size=2, patch=16, channels=3, seed=0), build_objective(settings), settings.training.steps
    )


def fed(steps: Steps, *, workers: int, stop: StopRequest | None = None, count: int = 5, **options: object) -> Feed:
    ahead = Ahead(steps.batches, range(count), behind=2 * workers + 2)
    return Feed(steps, ahead, workers=workers, pinned=False, stop=stop or StopRequest(), **options)  # type: ignore[arg-type]


def take_all(stream: Feed) -> None:
    while stream.take():
        pass


def same(first: Step, second: Step) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parcel._tensors(first), parcel._tensors(second), strict=True))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_steps_come_in_order_and_leave_no_worker(steps: Steps, workers: int) -> None:
    before = multiprocessing.active_children()
    with fed(steps, workers=workers) as stream:
        taken = [stream.take() for _ in range(5)]
        assert len(multiprocessing.active_children()) - len(before) <= workers
    assert all(same(step, steps[number]) for number, step in enumerate(taken))
    assert multiprocessing.active_children() == before


def test_without_shared_memory_the_same_steps_come_through_a_pipe(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(feed, "free_bytes", lambda: 64e3)
    with fed(steps, workers=2, say=said.append) as stream:
        taken = [stream.take() for _ in range(5)]
    assert all(same(step, steps[number]) for number, step in enumerate(taken))
    assert not any(tensor.is_shared() for step in taken for tensor in parcel._tensors(step))
    (line,) = said
    assert line.startswith("shared memory is small (/dev/shm has 0 MB free; 2 workers could fill ")


def test_shared_memory_is_used_where_it_has_room(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(feed, "free_bytes", lambda: 1e12)
    with fed(steps, workers=1, say=said.append) as stream:
        assert stream.take().batch.x_syn.is_shared()
    assert said == []


def test_shared_memory_that_runs_out_during_a_run_takes_nothing_away(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: torch.Tensor) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    monkeypatch.setattr(feed, "free_bytes", lambda: 1e12)
    with fed(steps, workers=1) as stream:
        assert same(stream.take(), steps[0])


def test_the_size_of_a_step_is_known_before_it_is_made(steps: Steps) -> None:
    assert size_of(steps) == sum(tensor.nbytes for tensor in parcel._tensors(steps[0]))
    assert free_bytes(Path("/no such folder")) == float("inf")


@pytest.fixture
def another_loader() -> Iterator[None]:
    """The process had a data loader before, which leaves a handler of dead workers behind."""
    list(DataLoader(list(range(2)), num_workers=1))  # type: ignore[arg-type]
    handler = signal.getsignal(signal.SIGCHLD)
    assert callable(handler)
    yield
    assert signal.getsignal(signal.SIGCHLD) is handler


@pytest.mark.usefixtures("another_loader")
@pytest.mark.parametrize("shared", [1e12, 0])
def test_a_killed_worker_is_noticed_at_once(steps: Steps, monkeypatch: pytest.MonkeyPatch, shared: float) -> None:
    monkeypatch.setattr(feed, "free_bytes", lambda: shared)
    with fed(steps, workers=2, count=1000) as stream:
        stream.take()
        multiprocessing.active_children()[0].kill()
        began = time.monotonic()
        with pytest.raises(Starved) as caught:
            take_all(stream)
        assert time.monotonic() - began < 5
    assert "a data worker was ended by SIGKILL" in str(caught.value.error)
    assert "--training.workers" in str(caught.value.error)
    assert multiprocessing.active_children() == []


def test_workers_that_cannot_be_started_are_done_without(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no shared memory at all there are not even locks."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    monkeypatch.setattr("multiprocessing.synchronize.Lock", full)
    with fed(steps, workers=2, say=said.append) as stream:
        taken = [stream.take() for _ in range(5)]
        assert multiprocessing.active_children() == []
    assert all(same(step, steps[number]) for number, step in enumerate(taken))
    assert "data workers cannot be started (No space left on device; /dev/shm has " in said[-1]


def _never_take(steps: Steps, told: Any) -> None:
    steps.batches.size, steps.batches.patch = 8, 64  # more than a pipe holds
    with fed(steps, workers=2):
        told.send([child.pid for child in multiprocessing.active_children()])
        time.sleep(60)


def test_workers_go_when_the_run_is_killed(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "free_bytes", lambda: 0.0)
    forks = multiprocessing.get_context("fork")
    here, there = forks.Pipe()
    process = forks.Process(target=_never_take, args=(steps, there))
    process.start()
    pids = here.recv()
    assert len(pids) == 2
    time.sleep(1)
    process.kill()
    process.join()
    until = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("exitcode", "free", "words"),
    [
        (-signal.SIGBUS, 1e12, ["SIGBUS", "shared memory is used up", "--training.workers than 4", "--shm-size"]),
        (-signal.SIGKILL, 1e5, ["SIGKILL", "shared memory is used up (/dev/shm has 0 MB left)"]),
        (-signal.SIGKILL, 1e12, ["SIGKILL", "memory is short", "--training.workers than 4", "--training.batch"]),
        (-signal.SIGSEGV, 1e12, ["SIGSEGV", "--training.workers than 4"]),
        (1, 1e12, ["status 1", "--training.workers than 4"]),
    ],
)
def test_what_ended_a_worker_is_named(exitcode: int, free: float, words: list[str]) -> None:
    assert all(word in str(lost(exitcode, 4, free)) for word in words)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_signal_is_heard_while_no_step_comes(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, workers: int
) -> None:
    monkeypatch.setattr(feed, "PATIENCE", 0.3)
    monkeypatch.setattr(Steps, "__getitem__", lambda self, number: time.sleep(60))
    with StopRequest() as stop, fed(steps, workers=workers, stop=stop) as stream:
        os.kill(os.getpid(), number)
        began = time.monotonic()
        with pytest.raises(Starved) as caught:
            stream.take()
        assert caught.value.error is None
    assert time.monotonic() - began < 5
    assert multiprocessing.active_children() == []


def _raise(error: BaseException) -> Callable[[Steps, int], Step]:
    def fail(self: Steps, number: int) -> Step:
        raise error

    return fail


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("a.png: what is wrong"), "a.png: what is wrong"),
        (FileNotFoundError(2, "No such file or directory", "c/a.npy"), "c/a.npy cannot be read: No such file"),
        (MemoryError(), "not enough memory for a batch"),
    ],
)
def test_what_a_worker_cannot_do_is_a_sentence(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, workers: int, error: BaseException, message: str
) -> None:
    monkeypatch.setattr(Steps, "__getitem__", _raise(error))
    with fed(steps, workers=workers) as stream, pytest.raises(Starved) as caught:
        stream.take()
    assert str(caught.value.error).startswith(message)
    assert "\n" not in str(caught.value.error)


def test_a_fault_of_the_program_stays_one(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "__getitem__", _raise(ZeroDivisionError("oh")))
    with fed(steps, workers=0) as stream, pytest.raises(ZeroDivisionError):
        stream.take()


@pytest.mark.slow
def test_a_run_whose_worker_dies_keeps_its_steps_and_continues_exactly(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small(where, steps=12, checkpoint_every=12, proxy_pairs=0, out=where / "whole", cache=where / "cache")
    broken = replace(whole, out=where / "broken", training=replace(whole.training, workers=1))
    adapt(whole)
    update = MovingAverage.update

    def kill(self: MovingAverage, network: torch.nn.Module, done: int) -> None:
        update(self, network, done)
        if done == 2:
            for child in multiprocessing.active_children():
                child.kill()

    with monkeypatch.context() as patch:
        patch.setattr(MovingAverage, "update", kill)
        with pytest.raises(UserError, match=r"ended by SIGKILL.* The same command continues after step \d+$"):
            adapt(broken)
    state = checkpoints.latest(broken.out / "checkpoints")
    assert state is not None
    assert 3 <= state["step"] < 12
    adapt(broken)
    assert_same_result(whole.out, broken.out)


def test_a_run_stopped_while_it_waits_keeps_its_steps(
    where: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feed, "PATIENCE", 0.2)
    get = Steps.__getitem__

    def slow(self: Steps, number: int) -> Step:
        if number == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return get(self, number)

    settings = small(where, steps=30, checkpoint_every=30, proxy_pairs=0)
    with monkeypatch.context() as patch:
        patch.setattr(Steps, "__getitem__", slow)
        with pytest.raises(Interrupted, match="SIGTERM"):
            adapt(settings)
    assert "stopped while waiting for data; the same command continues after step 4" in capsys.readouterr().err
    state = checkpoints.latest(settings.out / "checkpoints")
    assert state is not None
    assert state["step"] == 4
