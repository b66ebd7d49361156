import time
from pathlib import Path

import pytest

from noiseda.restoration import load
from noiseda.web import words
from noiseda.web.adapting import Adaptation, Progress
from tests.web.photographs import photograph

SMALL = (
    "strategy: noise-space\nproxy_pairs: 0\ndegradation: {kind: white+camera}\n"
    "predictor: {width: 8, channel_mults: [1, 2], patch_size: 2}\ntraining: {batch: 2, patch: 32}\n"
)


def test_how_far_it_is_and_what_is_escaped() -> None:
    assert "measuring this machine" in words.adapting(Progress(seconds=5))
    lines = [{"step": step, "loss": 0.5, "validation_psnr": 30.0} for step in (10.0, 20.0)]
    now = Progress(20, 40, lines, "looks like <b>", 75)
    assert now.share == 0.5
    shown = words.adapting(now)
    assert "Step 20 of 40, 1:15 so far" in shown
    assert 'value="50"' in shown
    assert "&lt;b&gt;" in shown
    assert words.curves(lines).count("<figure") == 2
    assert words.curves([]) == ""


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for index in range(3):
        photograph(tmp_path / f"in/{index}.png", 96 + index, 96)
    return tmp_path / "in"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a run with quick steps."""
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


@pytest.mark.slow
def test_it_can_be_stopped_and_keeps_what_it_learnt(photographs: Path, config: Path, tmp_path: Path) -> None:
    run = Adaptation(photographs, 60, tmp_path / "run", config)
    try:
        while run.running and run.latest() is None:
            time.sleep(0.2)
        now = run.progress()
        assert now.steps is not None, run.trouble()
        assert 0 < now.done < now.steps
        assert run.weights is None
        assert run.keep()
        for _ in range(600):
            if not run.running:
                break
            time.sleep(0.2)
        assert run.weights is not None, run.trouble()
        assert load(run.weights).channels == 3
        assert run.report is not None
        assert len(list((tmp_path / "run/snapshots").iterdir())) <= 2
    finally:
        run.kill()


@pytest.mark.slow
def test_before_anything_is_learnt_there_is_nothing_to_keep(photographs: Path, config: Path, tmp_path: Path) -> None:
    run = Adaptation(photographs, 60, tmp_path / "run", config)
    assert not run.keep()
    assert not run.running
    assert run.weights is None
    assert run.trouble() == "It was stopped before anything was learnt."


@pytest.mark.slow
def test_why_a_run_failed_is_said_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    run = Adaptation(tmp_path / "in", 1, tmp_path / "run")
    while run.running:
        time.sleep(0.1)
    assert run.trouble().startswith("what was sent holds no image")
