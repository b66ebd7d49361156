"""ST-LPIPS against the code that published it, and what is said where it cannot be had."""

import importlib
import json
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from noiseda.errors import UserError
from noiseda.evaluation import shift_tolerant
from noiseda.evaluation.report import evaluate
from noiseda.evaluation.shift_tolerant import SMALLEST, StLpips
from noiseda.restoration.torchvision_schema import import_torchvision


@pytest.fixture(scope="module")
def distance():
    return StLpips()


def picture(top=0, side=96):
    return torch.from_numpy(data.astronaut()[top : top + side, 100 : 100 + side]).permute(2, 0, 1).float() / 255


def noisy(image, strength=0.1):
    return (image + strength * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


@pytest.mark.parametrize(("height", "width"), [(96, 96), (64, 91), (SMALLEST, SMALLEST)])
def test_it_is_what_its_authors_code_computes(distance, monkeypatch, height, width):
    import_torchvision()
    for name, attribute in (("IPython", "embed"), ("torchsummary", "summary")):  # imported there and never used
        module = types.ModuleType(name)
        setattr(module, attribute, None)
        monkeypatch.setitem(sys.modules, name, module)
    published = importlib.import_module("stlpips_pytorch.stlpips")
    theirs = published.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    x, y = (noisy(picture())[:, :height, :width], picture()[:, :height, :width])
    with torch.no_grad():
        wanted = theirs(x[None], y[None], normalize=True)
    assert distance(x, y) == pytest.approx(float(wanted), rel=1e-4)


def test_nearer_images_have_a_smaller_distance(distance):
    clean = picture()
    assert distance(clean, clean) == 0
    assert 0 < distance(noisy(clean, 0.03), clean) < distance(noisy(clean, 0.1), clean)
    grey = clean.mean(0, keepdim=True)
    assert distance(noisy(grey), grey) == pytest.approx(distance(noisy(grey).expand(3, -1, -1), grey.expand(3, -1, -1)))


def test_smaller_images_are_refused(distance):
    with pytest.raises(UserError, match="needs images of 21x21 or more, not 40x20"):
        distance(picture()[:, :20, :40], picture()[:, :20, :40])


def test_without_the_package_or_with_another_file_it_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(shift_tolerant, "SHA256", "0" * 64)
    with pytest.raises(UserError, match="not the weights of ST-LPIPS as published"):
        StLpips()
    monkeypatch.setattr(shift_tolerant, "PACKAGE", "no_such_package")
    with pytest.raises(UserError, match="needs its weights: pip install"):
        StLpips()


def test_it_stands_in_for_lpips_in_a_column_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "nothing"))
    for folder in ("restored", "target"):
        (tmp_path / folder).mkdir()
        shown = noisy(picture()) if folder == "restored" else picture()
        pixels = (255 * shown).round().permute(1, 2, 0).numpy().astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / "a.png")
    report = evaluate(tmp_path / "restored", tmp_path / "target", lpips=True, out=tmp_path / "out")
    assert report.rows["a.png"]["st_lpips"] > 0
    assert "lpips" not in report.rows["a.png"]
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert document["lpips"]["measure"] == "ST-LPIPS, AlexNet"
    assert "ST-LPIPS" in (tmp_path / "out" / "report.html").read_text()
