"""What is exported computes what torch computes, in the program that will read it; else nothing is written."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open

from noiseda import cli
from noiseda.errors import UserError, WeightsError
from noiseda.inference import export as exporting
from noiseda.inference.export import HALF_TOLERANCE, export
from noiseda.inference.onnx_runtime import TOLERANCE
from noiseda.restoration import load, read_metadata, save_weights
from noiseda.restoration.ready import READY
from noiseda.restoration.spandrel_models import theirs
from tests.restoration.networks import built, enlarging

SIZES = [(64, 64), (45, 70), (17, 130)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of small networks, in folders of their own."""
    found = {}
    for name in ("unet-tiny", "dncnn", "nafnet", "swinir"):
        torch.manual_seed(0)
        network = built(name)
        if name == "unet-tiny":
            torch.nn.init.normal_(network.head.weight, std=0.1)
        path = tmp_path_factory.mktemp(name) / "restorer.safetensors"
        save_weights(
            path, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise",
            notes={"strategy": "noise-space", "steps": "7", "seed": "3"},
        )  # fmt: skip
        found[name] = path
    return found


def expected(path, images):
    with torch.inference_mode():
        return load(path)(images).clamp(0, 1)


def by_onnxruntime(path, images):
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, returned.name, returned.type) == (
        "images", "tensor(float)", "restored", "tensor(float)",
    )  # fmt: skip
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet-tiny", "dncnn"])
def test_onnx_takes_images_of_any_size(files, tmp_path, name):
    made = export(files[name], format="onnx", out=tmp_path)
    assert made.path == tmp_path / "restorer.onnx"
    assert made.size is None
    assert made.difference <= TOLERANCE
    assert len(made.checked) == 3
    for size in [*SIZES, (8, 9)]:
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(by_onnxruntime(made.path, images), expected(files[name], images), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_ready_weights_compute_the_same_in_onnx_but_for_near_equals(tmp_path):
    ready = READY["denoise"]
    made = export(ready, format="onnx", out=tmp_path)
    assert made.size is None
    assert "on average" in str(made)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 8), (61, 90), mode="bicubic").clamp(0, 1)
    apart = (by_onnxruntime(made.path, smooth) - expected(ready, smooth)).abs()
    # Of blocks that are nearly equally alike, another one may be taken; which, differs from processor to processor.
    assert float((apart > 2 / 255).float().mean()) < 0.01
    assert float(apart.mean()) < 1e-3


@pytest.mark.slow
def test_onnx_of_windows_takes_the_size_that_is_asked_for_alone(files, tmp_path):
    made = export(files["swinir"], format="onnx", out=tmp_path, size=(40, 56))
    assert made.size == (40, 56)
    images = torch.rand(1, 3, 40, 56)
    torch.testing.assert_close(by_onnxruntime(made.path, images), expected(files["swinir"], images), atol=1e-5, rtol=0)
    with pytest.raises(Exception, match="dimension"):
        by_onnxruntime(made.path, torch.rand(1, 3, 48, 56))
    assert "H = 40 and W = 56" in made.card.read_text()
    assert "40 x 56 pixels alone" in str(made)


@pytest.mark.slow
def test_pt2_needs_no_code_of_ours(files, tmp_path):
    made = export(files["unet-tiny"], format="pt2", out=tmp_path)
    module = torch.export.load(made.path).module()
    for size in SIZES:
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(module(images), expected(files["unet-tiny"], images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["dncnn", "nafnet", "swinir"])
def test_spandrel_reads_what_is_made_for_it(files, tmp_path, name):
    made = export(files[name], format="spandrel", out=tmp_path)
    import spandrel

    descriptor = spandrel.ModelLoader().load_from_file(made.path)
    for size in SIZES:
        images = torch.rand(1, 3, *size)
        assert torch.equal(descriptor(images), expected(files[name], images))


@pytest.mark.slow
def test_what_spandrel_does_not_know_is_refused_with_another_way(files, tmp_path):
    """In a process of its own: this one may have been taught our networks by another test."""
    words = ["export", str(files["unet-tiny"]), "--format", "spandrel", "--out", str(tmp_path / "new")]
    run = subprocess.run([sys.executable, "-m", "noiseda", *words], capture_output=True, text=True)
    assert run.returncode == 2
    assert "--format spandrel cannot have this network: spandrel does not know it; --format onnx" in run.stderr
    assert not (tmp_path / "new").exists()


def test_our_own_format_keeps_what_the_file_says_of_itself(files, tmp_path):
    made = export(files["nafnet"], format="safetensors", out=tmp_path)
    assert read_metadata(made.path) == read_metadata(files["nafnet"])
    images = torch.rand(1, 3, 33, 40)
    assert torch.equal(expected(made.path, images), expected(files["nafnet"], images))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["safetensors", "spandrel", "onnx"])
def test_half_precision_is_half_the_size_and_within_a_step_of_8_bits(files, tmp_path, format):
    whole = export(files["dncnn"], format=format, out=tmp_path / "whole")
    made = export(files["dncnn"], format=format, half=True, out=tmp_path / "half")
    assert 0 < made.difference <= HALF_TOLERANCE
    if format == "onnx":
        images = torch.rand(1, 3, 30, 40)
        found = by_onnxruntime(made.path, images)
        assert float((found - expected(files["dncnn"], images)).abs().max()) <= HALF_TOLERANCE
    else:
        with safe_open(made.path, framework="pt") as file:
            assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16, torch.int64}  # noqa: SIM118
    assert made.path.stat().st_size < whole.path.stat().st_size


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_not_kept(files, tmp_path, monkeypatch):
    whole = exporting.to_onnx

    def wrong(model, size):
        with torch.no_grad():
            model.network.model[0].bias.add_(0.01)
        made = whole(model, size)
        with torch.no_grad():
            model.network.model[0].bias.sub_(0.01)
        return made

    monkeypatch.setattr(exporting, "to_onnx", wrong)
    with pytest.raises(UserError, match=r"--format onnx cannot have this network.*from torch by .*more than 0\.0001"):
        export(files["dncnn"], format="onnx", out=tmp_path / "new", size=(32, 32))
    assert not (tmp_path / "new").exists()


def test_half_precision_that_shows_is_refused(files, tmp_path):
    network = load(files["dncnn"])
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
        network.network.model[-1].weight.mul_(50)
    path = tmp_path / "large.safetensors"
    save_weights(path, network.tensors(), architecture="DnCNN", arguments={}, task="denoise")
    with pytest.raises(UserError, match=r"differs from torch by .*more than 0\.0039"):
        export(path, format="safetensors", half=True, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_replaced_unless_asked_for(files, tmp_path):
    export(files["dncnn"], format="safetensors", out=tmp_path)
    for name in ("restorer.safetensors", "README.md"):
        other = tmp_path / ("README.md" if name != "README.md" else "restorer.safetensors")
        kept = other.read_bytes()
        other.unlink()
        with pytest.raises(UserError, match=rf"{name} exists already; --overwrite"):
            export(files["dncnn"], format="safetensors", out=tmp_path)
        other.write_bytes(kept)
    export(files["dncnn"], format="safetensors", out=tmp_path, overwrite=True)
    with pytest.raises(UserError, match=r"would replace .* itself"):
        export(files["dncnn"], format="safetensors", out=files["dncnn"].parent, overwrite=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"format": "spandrel", "size": (8, 8)}, ["--size", "onnx"]),
        ({"format": "onnx", "size": (0, 8)}, ["--size", "[0, 8]"]),
        ({"format": "pt2", "half": True}, ["--half", "pt2"]),
    ],
)
def test_what_makes_no_sense_is_refused(files, tmp_path, given, words):
    with pytest.raises(UserError) as refused:
        export(files["dncnn"], out=tmp_path, **given)
    assert all(word in str(refused.value) for word in words)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth does not exist"):
        export(tmp_path / "none.pth")


def test_the_card_says_what_the_run_measured_and_what_it_does_not_know(files, tmp_path):
    summary = {
        "weights": str(files["nafnet"]),
        "images": {"clean": 200, "real": 70},
        "kept": {"share": 0.6, "before": 28.8, "after": 28.7, "last": 28.0},
        "verdict": {"word": "better", "than": "restorer.start", "gain": [0.5, 0.2, 0.8], "because": "A, and B"},
        "validation": {"step": 500, "psnr": 30.25},
    }
    beside = files["nafnet"].with_name("summary.json")
    beside.write_text(json.dumps(summary))
    text = export(files["nafnet"], format="spandrel", out=tmp_path).card.read_text()
    beside.unlink()
    for said in (
        "Denoising with NAFNet", "Strategy: noise-space", "Steps: 7, seed 3", "200 of --clean, 70 of --real",
        "Better than restorer.start: by +0.50 dB (95%: +0.20 to +0.80)", "28.80 dB before the adaptation, 28.70 after",
        "30.25 dB at step 500", "arXiv 2204.04676): MIT", "library_name: noiseda", "noiseda does not know",
    ):  # fmt: skip
        assert said in text, said
    alone = export(files["nafnet"], format="spandrel", out=tmp_path, overwrite=True).card.read_text()
    assert "None: no summary of its run" in alone


def test_from_the_command_line(files, tmp_path, capsys):
    words = ["export", str(files["dncnn"]), "--format", "safetensors", "--half", "--out", str(tmp_path)]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert f"exported network: {tmp_path / 'restorer.safetensors'} (takes images of any size)" in shown
    assert f"model card: {tmp_path / 'README.md'}" in shown
    assert cli.main(words) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.slow
def test_grey_images_go_through_a_grey_network(tmp_path):
    torch.manual_seed(0)
    network = built("dncnn", channels=1)
    torch.save(network.tensors(), path := tmp_path / "grey.pth")  # another's, with no description
    made = export(path, format="onnx", out=tmp_path / "new")
    images = torch.rand(1, 1, 20, 30)
    np.testing.assert_allclose(by_onnxruntime(made.path, images), expected(path, images), atol=1e-5)
    assert "Not by noiseda" in made.card.read_text()
    assert "grey images, (1, 1, H, W)" in made.card.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "pt2", "spandrel"])
def test_a_network_that_enlarges_is_exported_with_its_scale(tmp_path, format):
    torch.manual_seed(0)
    torch.save(enlarging(4).state_dict(), path := tmp_path / "large.pth")
    made = export(path, format=format, out=tmp_path / "new")
    assert (made.size, made.scale) == (None, 4)
    assert made.difference <= TOLERANCE
    assert ", enlarges them by 4)" in str(made).splitlines()[0]
    text = made.card.read_text()
    for said in (
        "# Super-resolution by 4 with ESRGAN", "tags: [super-resolution", "restored, 4 times as high and wide",
        "Enlarges images by 4 (its scale): what it returns is (1, 3, 4 H, 4 W)",
    ):  # fmt: skip
        assert said in text, said
    if format == "onnx":
        images = torch.rand(1, 3, 19, 40)
        torch.testing.assert_close(by_onnxruntime(made.path, images), expected(path, images), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_what_is_padded_inside_is_cropped_to_the_larger_size(tmp_path):
    """SwinIR takes windows of 8: its graph is of one size, and 20 x 30 lies between two."""
    torch.manual_seed(0)
    swin = theirs("SwinIR")(
        in_chans=3, embed_dim=12, depths=[2] * 4, num_heads=[2] * 4, window_size=8, upsampler="pixelshuffledirect",
        upscale=2,
    )  # fmt: skip
    torch.save(swin.state_dict(), path := tmp_path / "large.pth")
    made = export(path, format="onnx", size=(20, 30), out=tmp_path / "new")
    images = torch.rand(1, 3, 20, 30)
    restored = by_onnxruntime(made.path, images)
    assert restored.shape == (1, 3, 40, 60)
    torch.testing.assert_close(restored, expected(path, images), atol=1e-5, rtol=0)
