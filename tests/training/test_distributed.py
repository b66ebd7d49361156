"""Processes that wait for one another and compare what they see, played by threads."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noiseda.errors import UserError
from noiseda.training import distributed


@dataclass
class Process:
    """What an accelerator knows of a process: the first two are on one machine, the others on a second."""

    process_index: int
    others: tuple[tuple[int, int], ...] = ()
    num_processes: int = 4
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    @property
    def local_process_index(self) -> int:
        return self.process_index % 2

    def gather(self, mine: Tensor) -> Tensor:
        return torch.cat([mine, torch.tensor(self.others)])


def test_one_goes_first_then_one_of_each_other_machine_and_all_leave_together(monkeypatch: pytest.MonkeyPatch) -> None:
    store, happened = torch.distributed.HashStore(), []
    monkeypatch.setattr(distributed, "common_store", lambda: store)
    monkeypatch.setattr(distributed, "NUMBERS", iter([7] * 4))
    monkeypatch.setattr(distributed, "_PAUSE", 0.005)

    def work(rank: int) -> None:
        with distributed.main_first(Process(rank)):  # type: ignore[arg-type]
            happened.append(f"begins {rank}")
            time.sleep(0.02)
            happened.append(f"ends {rank}")
        happened.append("left")

    threads = [threading.Thread(target=work, args=(rank,)) for rank in (3, 2, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert happened[:2] == ["begins 0", "ends 0"]
    assert happened.index("ends 2") < happened.index("begins 3")
    assert happened[-4:] == ["left"] * 4


def test_different_checkpoints_or_images_are_refused() -> None:
    files, other = "0" * 63 + "1", "f" * 64
    digest, others = int(files[:15], 16), int(other[:15], 16)
    same = Process(0, ((digest, 3),) * 3)
    distributed.check_same(same, Path("o"), files=files, done=3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"different checkpoints in --out o \(after steps \[0, 3, 3, 3\]\)"):
        distributed.check_same(same, Path("o"), files=files, done=0)  # type: ignore[arg-type]
    apart = Process(0, ((digest, 3), (others, 3), (digest, 3)))
    with pytest.raises(UserError, match=r"processes \[2\] found other images"):
        distributed.check_same(apart, Path("o"), files=files, done=3)  # type: ignore[arg-type]


def test_the_loss_of_a_peer_is_reported_and_nothing_else_is_taken_for_it() -> None:
    with pytest.raises(UserError, match="the same command continues"), distributed.losing_peers(Path("o")):
        raise RuntimeError("[/gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    with pytest.raises(UserError, match="has gone"), distributed.losing_peers(Path("o")):
        raise torch.distributed.DistBackendError("NCCL communicator was aborted")
    with pytest.raises(RuntimeError, match="shape"), distributed.losing_peers(Path("o")):
        raise RuntimeError("shape mismatch")


def test_one_process_alone_waits_for_nobody() -> None:
    alone = Process(0, num_processes=1)
    with distributed.main_first(alone):  # type: ignore[arg-type]
        distributed.check_same(alone, Path("o"), files="", done=0)  # type: ignore[arg-type]
