"""The studies: each says how it is called, and reads what commands leave."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch

import noiseda
import noiseda_research.studies
from noiseda_research.comparison.matrix import cells
from noiseda_research.comparison.scores import name_of, score
from noiseda_research.studies import brightness, directions, quickstarts, soft_truths, verdicts

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


def test_directions_tell_the_truth_from_its_opposite():
    class Shift(noiseda.Restorer):
        multiple_of, channels, dims = 1, 3, 2

        def __init__(self):
            super().__init__()
            self.by = torch.nn.Parameter(torch.zeros(3, 1, 1))

        def restore(self, images):
            return images + self.by

    class Towards(noiseda.Objective):
        def __init__(self, restorer):
            super().__init__()
            self.restorer = restorer

        def forward(self, batch, draws):
            restored = self.restorer(batch.x_syn)
            brighter, darker = (restored - batch.y_syn).square(), (restored - 2 * batch.x_syn + batch.y_syn).square()
            means = (error.flatten(1).mean(dim=1) for error in (brighter, darker, brighter.detach()))
            return noiseda.Terms(dict(zip(("right", "wrong", "none"), means, strict=True)))

        def weights(self, progress):
            return {"right": 1.0}

    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) / 2
    objective = Towards(Shift())
    batches = {directions.UNSEEN + number: noiseda.Batch(images, images + 0.1, None, None, ()) for number in range(4)}
    found = directions.gradients(objective, batches, range(4))
    assert {*found} == {"right", "wrong"}
    for name, sign in (("right", 1.0), ("wrong", -1.0)):
        move = directions.moved(objective, found[name], images, images)
        assert directions.cosine(move, torch.full_like(images, 0.1)) == pytest.approx(sign, abs=1e-3)
        assert move.square().mean().sqrt() == pytest.approx(directions.TINY, rel=1e-3)
    still = directions.moved(objective, [torch.zeros(3, 1, 1)], images, images)
    assert not still.any()
    assert float(objective.restorer.by.detach().abs().max()) == 0.0


def test_a_blurred_truth_has_a_share_in_the_error_and_noise_has_none():
    draws = torch.Generator().manual_seed(0)
    sharp = noiseda.data.gaussian(torch.rand(3, 128, 128, generator=draws), 0.7)
    degraded = sharp + 0.02 * torch.randn(sharp.shape, generator=draws)
    assert soft_truths.shares(degraded, sharp) == pytest.approx([0, 0, 0], abs=0.02)
    found = soft_truths.shares(degraded, noiseda.data.gaussian(sharp, 0.8))
    # 1 / exp(-2 (pi 0.8 f)^2) - 1 at the middle of each band
    assert found == pytest.approx([0.07, 0.22, 0.47], rel=0.25)
    assert found == sorted(found)


def test_what_is_brightness_alone_is_parted_from_the_rest(tmp_path, capsys):
    draws = torch.Generator().manual_seed(0)
    truth = 0.3 + 0.4 * torch.rand(3, 32, 32, generator=draws)
    noise = 0.05 * torch.randn(3, 32, 32, generator=draws)
    noise -= noise.mean((1, 2), keepdim=True)
    score, without, error, mean = brightness.parted(truth + noise - 0.05, truth)
    assert mean == pytest.approx(0.05**2, rel=1e-3)
    assert error == pytest.approx(float(noise.square().mean()) + 0.05**2, rel=1e-3)
    assert (score, without) == pytest.approx([-10 * math.log10(one) for one in (error, error - mean)], abs=1e-3)
    for name, image in (("input", truth - 0.1), ("target", truth)):
        (tmp_path / name).mkdir()
        for number in range(2):
            noiseda.write_image(noiseda.Picture(image), tmp_path / f"{name}/{number}.png")
    brightness.main([str(tmp_path)])
    shown = capsys.readouterr().out
    assert shown.startswith("2 images, -25.")
    assert "2 of them are darker" in shown
    assert shown.splitlines()[-1].endswith("| 100% |")
