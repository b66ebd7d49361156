"""Killed at any moment, a restore is finished by the same command, to the same bytes."""

import os
import random
import time
from pathlib import Path

import pytest
import torch

from noiseda.images import Picture, from_uint8, write
from noiseda.inference import restore_files
from noiseda.restoration import UNet, save_weights
from tests.forks import PROCESSES

IMAGES, KILLS = 30, 4
LEDGER = ".noiseda-restored.jsonl"


def restore(out):
    """In a process of its own, which may be killed."""
    torch.set_num_threads(1)
    restore_files(Path("w.safetensors"), "in", Path(out), precision="fp32", device="cpu")


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = UNet(width=8, depth=2, channels=3)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    arguments = {"width": 8, "depth": 2, "channels": 3}
    save_weights(Path("w.safetensors"), model.state_dict(), architecture="unet", arguments=arguments, task="denoise")
    for index in range(IMAGES):
        samples = torch.randint(0, 256, (3, 40, 60), generator=torch.Generator().manual_seed(index))
        path = Path("in", ("", "sub")[index % 2], f"{index:02}{('.png', '.jpg', '.tif', '.webp')[index % 4]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(Picture(from_uint8(samples)), path)


def contents(folder):
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    assert found.pop(LEDGER)
    return found


def outputs(folder):
    return [name for _, _, names in os.walk(folder) for name in names if not name.startswith(".")]


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(job):
    restore("whole")
    expected = contents("whole")
    assert len(expected) == IMAGES
    moments = random.Random(0)
    for kill in range(KILLS):
        process = PROCESSES.Process(target=restore, args=("out",))
        process.start()
        wanted = len(outputs("out")) + 1 + moments.randrange(3)
        while process.is_alive() and len(outputs("out")) < wanted:
            time.sleep(0.001)
        time.sleep(moments.random() * 0.03)
        process.kill()
        process.join()
        assert process.exitcode == -9, f"kill {kill} came too late"
    assert 0 < len(outputs("out")) < IMAGES
    restore("out")
    assert contents("out") == expected
    assert not restore_files(Path("w.safetensors"), "in", Path("out"), precision="fp32", device="cpu").restored


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the line", "after the line", "after the name"])
def test_each_side_of_the_moment_an_output_takes_its_name(job, moment):
    """A process that ends at once, as a kill ends it, right there at the seventh output."""
    restore("whole")
    process = PROCESSES.Process(target=ending, args=(moment,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert len(outputs("out")) == 6 + (moment == "after the name")
    assert len(list(Path("out").glob(".*.part"))) == (moment != "after the name")
    report = restore_files(Path("w.safetensors"), "in", Path("out"), precision="fp32", device="cpu")
    assert len(report.done) == 6 + (moment == "after the name")
    assert contents("out") == contents("whole")


def ending(moment):
    from noiseda.inference.ledger import Ledger

    note, replace, counts = Ledger.note, Path.replace, [0]

    def at_seventh(when):
        if when == moment and counts[0] == 7:
            os._exit(9)

    def noted(self, entry):
        counts[0] += 1
        at_seventh("before the line")
        note(self, entry)
        at_seventh("after the line")

    def named(self, target):
        replace(self, target)
        at_seventh("after the name")

    Ledger.note, Path.replace = noted, named
    restore("out")
