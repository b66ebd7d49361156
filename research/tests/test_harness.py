"""The smallest matrix, end to end: every file it promises, continued, stopped, and a run that fails."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import yaml
from PIL import Image

from noiseda import UserError
from noiseda_research.comparison import runs
from noiseda_research.comparison.harness import compare, plan_of
from noiseda_research.comparison.matrix import cells

pytestmark = pytest.mark.slow


@pytest.fixture
def alone(matrix):
    """One set, two strategies beside the reference."""
    return replace(matrix, only_sets=["dark"], strategies={k: v for k, v in matrix.strategies.items() if k[0] in "sno"})


def test_the_smallest_matrix(alone):
    report = compare(replace(alone, parallel=2))
    assert report.ok
    out = alone.out
    results = json.loads((out / "results.json").read_text())
    dark = results["sets"]["dark"]
    assert [line["strategy"] for line in dark["lines"]] == ["input", "start", "synthetic", "oracle", "noise-space"]
    assert {"noiseda", "commit", "torch"} <= set(results["made_by"])
    for line in dark["lines"][2:]:
        measured = [image["psnr"] for image in dark["scores"]["test"][line["strategy"]]["0"].values()]
        assert line["psnr"] == [pytest.approx(sum(measured) / len(measured))]
        cost = dark["costs"][line["strategy"]]["0"]
        assert cost["steps"] == 4
        assert 0.05 < cost["peak_gib"] < 8
        assert [point["step"] for point in dark["curves"][line["strategy"]]["0"]] == [2, 4]
    assert dark["also"]["phone-test"][0]["strategy"] == "input"
    assert report.table in (out / "table.md").read_text()
    assert "| noise-space | 0 |" in report.table
    page = (out / "report.html").read_text()
    assert "dark: noise-space" in page
    assert page.count('class="comparison"') == len(dark["scores"]["test"]["input"]["0"])
    for name in ("curves-dark.png", "sheet-dark.png"):
        assert Image.open(out / name).size[0] > 300

    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/summary.json")}
    assert len(before) == 4
    again = compare(alone)  # everything is there
    assert again.table == report.table
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert plan_of(alone).count(" done ") == 4


def test_a_run_that_fails_is_reported_and_the_others_go_on(alone):
    broken = {"training": {"learning_rate": 1e15, "max_grad_norm": 0.0}}
    settings = replace(alone, strategies={"synthetic": {"strategy": "synthetic"}, "broken": broken}, curve_images=0)
    report = compare(settings)
    assert not report.ok
    ((name, why),) = report.failed.items()
    assert name.startswith("broken-")
    assert "not finite" in why
    assert "failed: broken-" in str(report)
    assert "| synthetic | 0 |" in report.table
    assert "| broken |" not in report.table


def test_what_goes_on_from_a_failed_start_is_not_run(alone):
    settings = replace(
        alone, start={"strategy": "synthetic", "training": {"learning_rate": 1e15, "max_grad_norm": 0.0}}
    )
    plan = list(cells(settings))
    wanted = {plan[0].start: None, **{cell.job: cell.start for cell in plan}}
    ended = list(runs.carry_out(list(wanted.items()), replace(settings, parallel=2)))
    assert len(ended) == len(wanted)
    assert "not finite" in ended[0].failure
    assert all("which failed" in one.failure for one in ended[1:])
    assert not any(cell.job.settings.out.exists() for cell in plan)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_reaches_the_runs_and_the_same_command_continues(alone, tmp_path, number):
    long = {"training": {**alone.settings["training"], "steps": 100_000, "log_every": 1}}
    settings = replace(alone, settings={**alone.settings, **long}, start=None, curve_images=0)
    tree = json.loads(json.dumps(asdict(settings), default=str))
    file = tmp_path / "matrix.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    process = subprocess.Popen([sys.executable, "-m", "noiseda", "compare", "--config", str(file)])
    log = None
    try:
        for _ in range(3000):
            log = next(iter(settings.out.glob("runs/synthetic-*/log.jsonl")), None)
            if log and log.read_text().count("\n") > 2:
                break
            time.sleep(0.1)
        assert log is not None
        process.send_signal(number)
        assert process.wait(120) == 128 + number
    finally:
        process.terminate()
        process.wait(60)
    assert list(log.parent.glob("checkpoints/*"))
    assert not (log.parent / "summary.json").exists()
    children = subprocess.run(["pgrep", "-f", str(settings.out)], capture_output=True, text=True).stdout.split()
    assert set(children) <= {str(os.getpid())}


def test_simulated_images_are_kept_and_not_mixed(matrix):
    runs.render(matrix, "phone")
    folder = matrix.out / "simulated/phone"
    assert len(list((folder / "input").iterdir())) == len(list((folder / "target").iterdir())) == 2
    first = (folder / "input/0.png").read_bytes()
    runs.render(matrix, "phone")
    assert (folder / "input/0.png").read_bytes() == first
    runs.render(replace(matrix, simulated={"large": replace(matrix.simulated["phone"], scale=2)}), "large")
    sizes = [Image.open(matrix.out / f"simulated/{name}/target/0.png").size for name in ("phone", "large")]
    assert sizes[1] == (2 * sizes[0][0], 2 * sizes[0][1])
    other = replace(matrix.simulated["phone"], count=1)
    with pytest.raises(UserError, match="simulated with other settings"):
        runs.render(replace(matrix, simulated={"phone": other}), "phone")


def test_some_images_of_a_set_are_chosen(matrix):
    few = replace(matrix, sets={"dark": replace(matrix.sets["dark"], images=1)})
    runs.choose(few, "dark")
    copies = sorted(path.relative_to(few.out / "chosen/dark") for path in (few.out / "chosen/dark").rglob("*.png"))
    assert [path.as_posix() for path in copies] == ["input/1.png", "target/1.png"]
    assert (few.out / "chosen/dark/input/1.png").read_bytes() == (matrix.data / "pairs/input/1.png").read_bytes()
    runs.choose(matrix, "dark")
    with pytest.raises(UserError, match=r"sets.dark.images is 9, but .*pairs holds 2"):
        runs.choose(replace(few, sets={"dark": replace(few.sets["dark"], images=9)}), "dark")
    (few.out / "chosen/dark/input/other.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds other images than sets\.dark asks for"):
        runs.choose(few, "dark")
