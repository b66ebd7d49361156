"""The studies: each says how it is called, and reads what commands leave."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

import noiseda_research.studies
from noiseda_research.comparison.matrix import cells
from noiseda_research.comparison.scores import name_of, score
from noiseda_research.studies import quickstarts, verdicts

STUDIES = sorted(Path(noiseda_research.studies.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_it_says_how_it_is_called(path):
    called = f"python -m noiseda_research.studies.{path.stem}"
    assert called in path.read_text()
    assert f"| `{path.stem}` |" in (Path(__file__).parents[1] / "README.md").read_text()


def test_quickstarts_become_a_table(tmp_path, capsys):
    made_by = {"made_by": {"commit": "abc", "threads": "1", "torch": "2"}}
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        scores = {"input": 20.0, "ready": 25.0 + seed, "adapted": 26.0 + seed}
        summary = {"seed": seed, "psnr": scores, "ssim": dict.fromkeys(scores, 0.5), "seconds": {"total": 60}} | made_by
        (folder / "summary.json").write_text(json.dumps(summary))
    quickstarts.main([str(tmp_path / "0"), str(tmp_path / "1")])
    shown = capsys.readouterr().out.splitlines()
    assert shown[2].startswith("| 0 | 20.00 | 25.00 | 26.00 | 1.00 | 60 |")
    assert shown[4].startswith("| **mean** | 20.00 | 25.50 | 26.50 | 1.00 |")


@pytest.mark.parametrize(("protocol", "measure"), [("rgb", "psnr"), ("deblur", "psnr_best_shift")])
def test_verdicts_read_the_scores_that_a_comparison_keeps(matrix, protocol, measure):
    settings = replace(matrix, sets={"dark": replace(matrix.sets["dark"], protocol=protocol)})
    cell = next(cells(settings))
    assert verdicts.psnr_of(settings, "dark", cell.job) is None
    test = matrix.data / "pairs"
    kept = settings.out / "scores" / cell.job.name / f"{name_of(test, protocol)}.json"
    scored = score(None, test, protocol, kept)
    found = verdicts.psnr_of(settings, "dark", cell.job)
    assert found == pytest.approx(fmean(image[measure] for image in scored.values()))


def test_a_study_is_started_as_a_module():
    command = [sys.executable, "-m", "noiseda_research.studies.curves", "--help"]
    assert "Draw the terms" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
