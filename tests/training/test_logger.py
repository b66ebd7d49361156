import json
import math
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from noiseda.errors import UserError
from noiseda.training.logger import Journal, read_log


def write(folder: Path, steps: range, start: int = 0) -> None:
    with Journal(folder, steps=10, start=start, samples=8) as journal:
        for step in steps:
            journal.note({"loss": float(step)})
            journal.note({"loss": float(step + 1)})
            journal.line(step, 1, learning_rate=0.5)


def test_a_line_holds_the_means_since_the_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, range(1, 4))
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [line["loss"] for line in lines] == [1.5, 2.5, 3.5]
    assert all(line["learning_rate"] == 0.5 and line["samples_per_second"] > 0 for line in lines)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3, "plain lines when not a terminal"
    assert said[0].startswith("step 1/10  loss 1.5000  ")
    assert said[0].endswith(" left")


def test_the_last_line_does_not_say_that_nothing_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [9, 10])
    nine, ten = capsys.readouterr().err.splitlines()
    assert nine.endswith(" left")
    assert ten.endswith(" samples/s"), "what is measured then takes its time"


def test_what_is_known_once_a_step_is_not_thinned_by_micro_batches(tmp_path: Path) -> None:
    with Journal(tmp_path, steps=10, start=0, samples=8) as journal:
        journal.note({"loss": 1.0})
        journal.note({"loss": 3.0, "gradient_norm": 0.5})
        journal.line(1, 1)
    (line,) = read_log(tmp_path / "log.jsonl")
    assert (line["loss"], line["gradient_norm"]) == (2.0, 0.5)


def test_lines_after_the_checkpoint_are_written_anew(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # cut off by a kill
    write(tmp_path, range(4, 8), start=3)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3, 4, 5, 6, 7]


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    # Its files are read in the order of their names: the second they were begun in, then a count that has no leading
    # zeros. Two runs never begin within a second of each other; two tests do.
    time.sleep(1.1)
    write(tmp_path, range(4, 8), start=3)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6, 7]


def test_pictures_stand_side_by_side(tmp_path: Path) -> None:
    images = torch.rand(6, 3, 16, 20)
    with Journal(tmp_path, steps=10, start=0, samples=8) as journal:
        journal.pictures(5, "real", [images, images])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (picture,) = events.Images("real")
    assert (picture.step, picture.height, picture.width) == (5, 4 * 16, 2 * 20)


def test_processes_beside_the_first_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(tmp_path, steps=10, start=0, samples=8, silent=True) as journal:
        journal.note({"loss": 1.0})
        journal.line(1, 1)
        journal.validation(1, 30.0, 30.0)
        journal.pictures(1, "real", [torch.rand(1, 3, 8, 8)])
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_the_speed_counts_the_samples_of_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 104.0])
    monkeypatch.setattr("noiseda.training.logger.time.perf_counter", lambda: next(clock))
    with Journal(tmp_path, steps=10, start=0, samples=24) as journal:
        journal.line(5, 5)
    (line,) = read_log(tmp_path / "log.jsonl")
    assert math.isclose(line["samples_per_second"], 5 * 24 / 4)


def test_a_log_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with Journal(tmp_path, steps=10, start=0, samples=1) as journal:
        (tmp_path / "log.jsonl").unlink()
        (tmp_path / "log.jsonl").mkdir()
        with pytest.raises(UserError, match="the log in --out"):
            journal.line(1, 1)


def test_a_cut_off_last_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step"')
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1}]
    assert read_log(tmp_path / "none.jsonl") == []
