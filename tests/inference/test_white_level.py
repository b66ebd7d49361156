"""Networks that learnt from dark files of 16 bits: what they restore is brought into their range, and back, exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from noiseda.errors import WeightsError
from noiseda.images import FULL, Picture, from_integers, read, to_uint16, write
from noiseda.inference import files, restore_files, restore_tensor
from noiseda.inference.card import card
from noiseda.inference.onnx_runtime import OnnxRestorer
from noiseda.restoration import Restorer, UNet, load, save_weights

RAMP = torch.from_numpy(np.resize(np.arange(4096, dtype=np.uint16), (1, 70, 90)))


class Halve(Restorer):
    """Notes the brightest value it was given, and halves what is brighter than mid-grey."""

    channels, multiple_of = 1, 1
    brightest = 0.0

    def restore(self, images):
        self.brightest = max(self.brightest, float(images.max()))
        return torch.where(images > 0.5, images / 2, images)


@pytest.fixture
def net(monkeypatch):
    model = Halve()
    model.white_level = 4095
    monkeypatch.setattr(files, "load", lambda path, device: model)
    return model


def save(path: Path, samples: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(Picture(from_integers(samples), bits=8 * samples.element_size()), path)
    return path


def restored(path: Path, out: Path, **options) -> torch.Tensor:
    restore_files(Path("w"), str(path), out, **options)
    return to_uint16(read(out).pixels).int()


@pytest.mark.parametrize("tile", [None, 64])
def test_a_dark_file_is_brought_into_the_networks_range_and_back(tmp_path, net, tile):
    found = restored(save(tmp_path / "dark.tif", RAMP), tmp_path / "out.tif", tile=tile, overlap=16)
    given = RAMP.int()
    assert net.brightest == pytest.approx(1.0)
    low = given < 2048
    assert torch.equal(found[low], given[low]), "what the network leaves alone is not changed by a single step"
    assert (found[~low] - given[~low] / 2).abs().max() <= 0.51


def test_a_brighter_file_is_restored_as_it_is_and_that_is_said(tmp_path, net, capfd):
    found = restored(save(tmp_path / "bright.tif", (RAMP.int() * 16).to(torch.uint16)), tmp_path / "out.tif")
    assert net.brightest == pytest.approx(4095 * 16 / FULL)
    assert found.max() <= FULL // 2 + 1
    told = " ".join(capfd.readouterr().err.split())
    assert "goes up to 65520, beyond the white level 4095 of the photographs that the network learnt from" in told


def test_a_file_of_eight_bits_is_restored_as_it_is(tmp_path, net):
    samples = (RAMP.int() % 16).to(torch.uint8)
    restored(save(tmp_path / "dark.png", samples), tmp_path / "out.png")
    assert net.brightest == pytest.approx(15 / 255)


def test_tensors_too(net):
    dark = from_integers(RAMP)
    found = restore_tensor(net, dark, precision="fp32")
    assert net.brightest == pytest.approx(1.0)
    assert torch.equal(to_uint16(found)[RAMP.int() < 2048], RAMP[RAMP.int() < 2048])
    net.brightest = 0.0
    restore_tensor(net, 2 * dark)
    assert net.brightest == pytest.approx(2 * 4095 / FULL), "beyond the white level: as it is"


def test_the_weights_file_tells_it(tmp_path):
    def saved(**notes):
        network = UNet(width=4, depth=2, channels=1)
        path = tmp_path / "w.safetensors"
        arguments = {"width": 4, "depth": 2, "channels": 1}
        save_weights(path, network.state_dict(), architecture="unet", arguments=arguments, task="denoise", notes=notes)
        return path

    assert load(saved()).white_level == FULL
    path = saved(white_level="4095")
    assert load(path).white_level == 4095
    for wrong in ("0", "65536", "-3", "4095.0", "x", "9" * 500):
        with pytest.raises(WeightsError, match=r"w\.safetensors states a white_level of .*from 1 to 65535"):
            load(saved(white_level=wrong))


def test_another_backend_has_it_too(monkeypatch, net):
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *arguments, **options: None)
    assert OnnxRestorer(b"", net).white_level == 4095


def test_files_of_other_programs_have_none(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({name: value.clone() for name, value in UNet(width=4, depth=2).state_dict().items()}, path)
    assert load(path).white_level == FULL


def test_the_model_card_tells_it_to_other_programs(tmp_path):
    path = tmp_path / "w.safetensors"
    network = UNet(width=4, depth=2)
    arguments = {"width": 4, "depth": 2, "channels": 3}
    told = []
    for notes in ({}, {"white_level": "4095"}):
        save_weights(path, network.state_dict(), architecture="unet", arguments=arguments, task="denoise", notes=notes)
        told.append(card(path, load(path), path, None))
    assert "16-bit files" not in told[0]
    assert "go up to 4095 at most are divided by 4095" in told[1]
