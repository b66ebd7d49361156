"""Whatever computes a network, its images are the same but for rounding; the choice is a rule, not a stopwatch."""

import pytest
import torch

from noiseda.errors import UserError
from noiseda.images import Picture, read, write
from noiseda.inference import backends, onnx_runtime, restore_files, restore_tensor
from noiseda.inference.backends import WORTH_PREPARING, choose, prepare
from noiseda.restoration import Restorer, UNet, load, save_weights

pytestmark = pytest.mark.slow

CPU, GPU = torch.device("cpu"), torch.device("cuda")
JOB = {"device": CPU, "precision": "auto", "megapixels": 0.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = UNet(width=4, depth=3)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    arguments = {"width": 4, "depth": 3, "channels": 3}
    save_weights(path, network.state_dict(), architecture="unet", arguments=arguments, task="denoise")
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_runtime.pooch, "os_cache", lambda project: folder / project)
        yield folder


@pytest.fixture(scope="module")
def translated(weights, cache):
    return prepare(load(weights), weights, "onnxruntime", **JOB)


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (1, 3, 37, 64), (3, 3, 16, 50)])
def test_onnxruntime_gives_what_torch_gives_at_any_size_and_batch(weights, translated, shape):
    images = torch.rand(shape)
    with torch.inference_mode():
        expected = load(weights)(images)
    assert (expected - images).abs().mean() > 1e-3, "the network must do something to be compared"
    torch.testing.assert_close(translated(images), expected, rtol=0, atol=1e-5)


def test_tiles_and_grey_images_go_through_it_as_through_torch(weights, translated):
    for pixels in (torch.rand(3, 70, 90), torch.rand(1, 40, 33)):
        expected = restore_tensor(load(weights), pixels, tile=32, overlap=8, precision="fp32")
        found = restore_tensor(translated, pixels, tile=32, overlap=8, precision="fp32")
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_translation_is_kept_and_made_once_for_each_network(weights, translated, cache, monkeypatch):
    (kept,) = (cache / "noiseda" / "onnx").iterdir()
    monkeypatch.setattr(onnx_runtime, "to_onnx", lambda model: pytest.fail("it was kept"))
    again = prepare(load(weights), weights, "onnxruntime", **JOB)
    images = torch.rand(1, 3, 24, 24)
    assert torch.equal(again(images), translated(images))
    monkeypatch.undo()
    other = load(weights)
    with torch.no_grad():
        other.head.bias += 0.25
    changed = kept.with_name("changed.safetensors")
    arguments = {"width": 4, "depth": 3, "channels": 3}
    save_weights(changed, other.state_dict(), architecture="unet", arguments=arguments, task="denoise")
    assert onnx_runtime.translation_of(changed) != onnx_runtime.translation_of(weights) == kept


def test_a_damaged_translation_is_made_anew(weights, translated, cache, caplog, monkeypatch):
    kept = onnx_runtime.translation_of(weights)
    whole = kept.read_bytes()
    monkeypatch.setattr(onnx_runtime, "to_onnx", lambda model: whole)
    kept.write_bytes(whole[:100])
    images = torch.rand(1, 3, 24, 24)
    assert torch.equal(prepare(load(weights), weights, "onnxruntime", **JOB)(images), translated(images))
    assert str(kept) in caplog.text
    assert kept.read_bytes() == whole


def test_a_translation_that_differs_is_refused(weights, translated, monkeypatch):
    model = load(weights)
    with torch.no_grad():
        model.head.bias += 0.25  # what the cache holds is now another network
    graph = onnx_runtime.translation_of(weights).read_bytes()
    monkeypatch.setattr(onnx_runtime, "translation_of", lambda weights: weights.with_name("none.onnx"))
    monkeypatch.setattr(onnx_runtime, "to_onnx", lambda model: graph)
    with pytest.raises(UserError, match=r"--backend onnxruntime this network differs from itself by 0\.25"):
        prepare(model, weights, "onnxruntime", **JOB)


class Stubborn(Restorer):
    """A network that cannot be translated: what it does depends on the values it sees."""

    channels, multiple_of = 3, 1

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def restore(self, images):
        return images * self.gain if float(images.mean()) > 0.1 else images


def test_a_network_that_cannot_be_translated_stays_with_torch_unless_asked_for(weights, cache, caplog, monkeypatch):
    monkeypatch.setattr(onnx_runtime, "translation_of", lambda weights: weights.with_name("none.onnx"))
    monkeypatch.setattr(backends, "in_bf16", lambda precision, device: False)
    model = Stubborn()
    with pytest.raises(UserError, match="cannot be translated for --backend onnxruntime"):
        prepare(model, weights, "onnxruntime", **JOB)
    assert prepare(model, weights, "auto", device=CPU, precision="fp32", megapixels=WORTH_PREPARING) is model
    assert "cannot be translated" in caplog.text


def test_the_choice(monkeypatch):
    for in_hardware, expected in ((False, "onnxruntime"), (True, "eager")):
        monkeypatch.setattr("noiseda.precision.computes_bf16", lambda device, found=in_hardware: found)
        assert choose("auto", CPU, "auto", WORTH_PREPARING) == expected
        assert choose("auto", CPU, "fp32", WORTH_PREPARING) == "onnxruntime"
        assert choose("auto", CPU, "bf16", WORTH_PREPARING) == "eager"
        assert choose("auto", CPU, "auto", WORTH_PREPARING - 1) == "eager"
        assert choose("auto", GPU, "fp32", WORTH_PREPARING) == "eager"
    for backend in ("eager", "compiled"):
        assert choose(backend, GPU, "auto", 0.0) == choose(backend, CPU, "auto", 0.0) == backend
    with pytest.raises(UserError, match="not on --device cuda"):
        choose("onnxruntime", GPU, "auto", 0.0)
    with pytest.raises(UserError, match="not in --precision bf16"):
        choose("onnxruntime", CPU, "bf16", 0.0)


def test_a_compiled_network_is_asked_of_torch(weights, monkeypatch):
    asked = []
    monkeypatch.setattr(UNet, "compile", lambda self: asked.append(self))
    model = load(weights)
    assert prepare(model, weights, "compiled", **JOB) is model
    assert asked == [model]


def test_files_are_restored_with_each(weights, translated, tmp_path):
    write(Picture(torch.rand(3, 60, 80)), tmp_path / "noisy.png")
    for backend in ("eager", "onnxruntime"):
        restore_files(weights, str(tmp_path / "noisy.png"), tmp_path / backend, backend=backend, precision="fp32")
    eager, runtime = (read(tmp_path / name / "noisy.png").pixels for name in ("eager", "onnxruntime"))
    assert (eager - runtime).abs().max() <= 1.01 / 255
    assert (eager != runtime).float().mean() < 0.001  # a value on the edge between two steps


def test_bf16_stays_above_50_db_from_fp32(weights):
    """The promise behind choosing bf16 by itself, for a network that takes away noise of sigma 25/255."""
    pixels = torch.rand(3, 48, 48) / 2 + 0.25
    model = load(weights)
    with torch.no_grad():
        model.head.weight *= (25 / 255) / (model(pixels[None]) - pixels).square().mean().sqrt()
    fp32, bf16 = (restore_tensor(model, pixels, precision=precision) for precision in ("fp32", "bf16"))
    assert not torch.equal(fp32, bf16)
    assert -10 * (fp32 - bf16).square().mean().log10() > 50
