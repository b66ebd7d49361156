"""Restoring over several views and to a degree: the arithmetic, and that nothing that restores is left out."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from noiseda import Modality, restore, restore_signals
from noiseda.cli import main
from noiseda.errors import UserError
from noiseda.images import Picture, enlarged, read, to_uint8, to_uint16, write
from noiseda.inference import onnx_runtime, restore_files, restore_tensor
from noiseda.inference.adjusted import adjusted
from noiseda.modalities import MODALITIES, Audio, Images, Signal
from noiseda.restoration import Restorer, UNet, load, save_weights
from tests.restoration.networks import Doubling


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Leaning(Restorer):
    """Takes the pixel to the left and a share of the one above: what it gives depends on how the image is turned."""

    channels, multiple_of = 3, 1

    def restore(self, images):
        return 0.7 * images.roll(1, -1) + 0.3 * images.roll(1, -2)


class Overshooting(Restorer):
    """Gives twice what it gets."""

    channels, multiple_of = 3, 1

    def restore(self, images):
        return 2 * images


def unet(channels=3, **sizes):
    torch.manual_seed(0)
    model = UNet(**{"width": 8, "depth": 2, "channels": channels, **sizes}).eval()
    nn.init.normal_(model.head.weight, std=0.05)
    model.border = 0  # tests/inference/test_tiling.py sees to that
    return model


def saved(path, model):
    save_weights(path, model.state_dict(), architecture="unet", arguments=model.arguments, task="denoise")
    return path


def eight_views(network, pixels):
    """The mean over the eight views, spelt out with numpy."""
    total = 0
    for quarter in range(4):
        for mirrored in (False, True):
            seen = np.rot90(pixels.numpy(), quarter, (-2, -1))
            seen = np.flip(seen, -1) if mirrored else seen
            with torch.inference_mode():
                found = network(torch.from_numpy(seen.copy())[None])[0].numpy()
            found = np.flip(found, -1) if mirrored else found
            total = total + np.rot90(found, -quarter, (-2, -1))
    return torch.from_numpy(total / 8).float()


# --- self-ensemble ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [Leaning(), unet()])
@pytest.mark.parametrize("size", [(24, 40), (16, 16)])
def test_it_is_the_mean_of_eight_views(network, size):
    pixels = draw(3, *size)
    found = restore(network, pixels, self_ensemble=True)
    torch.testing.assert_close(found, eight_views(network, pixels).clamp(0, 1), atol=1e-6, rtol=0)
    assert (found - restore(network, pixels)).abs().max() > 1e-3


def test_it_does_not_depend_on_how_the_image_is_turned():
    network, pixels = unet(), draw(3, 24, 40)
    found = restore(network, pixels, self_ensemble=True)
    turned = restore(network, torch.rot90(pixels, 1, (1, 2)).flip(2), self_ensemble=True)
    torch.testing.assert_close(turned, torch.rot90(found, 1, (1, 2)).flip(2), atol=1e-6, rtol=0)


class Halving(Restorer):
    """Averages blocks of 4 x 4: what it gives depends on where the blocks start."""

    channels, multiple_of = 3, 4

    def restore(self, images):
        small = nn.functional.avg_pool2d(images, 4)
        return nn.functional.interpolate(small, scale_factor=4)


@pytest.mark.parametrize("network", [Leaning(), Halving(), unet(), Doubling().eval()])
def test_in_tiles_as_on_the_whole_image_of_any_sides(network):
    pixels = draw(3, 107, 150)
    whole = restore(network, pixels, tile=None, self_ensemble=True)
    tiled = restore(network, pixels, tile=70, overlap=32, self_ensemble=True)
    inner = (slice(None), *(slice(whole.shape[1] // 107, -1),) * 2)  # the edge of a tile is not that of the image
    torch.testing.assert_close(tiled[inner], whole[inner], atol=2e-3 if isinstance(network, UNet) else 1e-6, rtol=0)


def test_one_view_at_a_time():
    seen = []

    class Counting(nn.Module):
        channels = 3

        def forward(self, images):
            seen.append(tuple(images.shape))
            return images

    restore(Counting(), draw(2, 3, 20, 30), self_ensemble=True)
    assert sorted(seen) == sorted([(2, 3, 20, 30), (2, 3, 30, 20)] * 4)


@pytest.mark.parametrize("wanted", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_through_networks_of_either(channels, wanted):
    network, pixels = unet(wanted), draw(channels, 24, 40)
    found = restore(network, pixels, self_ensemble=True)
    if wanted == channels:
        expected = eight_views(network, pixels)
    elif wanted == 3:
        expected = eight_views(network, pixels.expand(3, -1, -1)).mean(0, keepdim=True)
    else:
        expected = torch.cat([eight_views(network, one[None]) for one in pixels])
    torch.testing.assert_close(found, expected.clamp(0, 1), atol=1e-6, rtol=0)


def test_a_network_of_another_shape_is_named():
    for options in ({"self_ensemble": True}, {"strength": 0.5}):
        with pytest.raises(UserError, match=r"the network turned .* expected the same shape"):
            restore(nn.AvgPool2d(2), draw(3, 8, 12), **options)


def test_a_white_level_is_heeded():
    network, dark = unet(), draw(3, 24, 40) / 100
    network.white_level = 1023
    found = restore_tensor(adjusted(network, self_ensemble=True, strength=0.5), dark)
    share = 1023 / 65535
    expected = (dark + share * eight_views(network, dark / share)) / 2
    torch.testing.assert_close(found, expected.clamp(0, 1), atol=1e-6, rtol=0)


@pytest.mark.slow
def test_onnx_runtime_computes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_runtime.pooch, "os_cache", lambda name: tmp_path / name)
    network, pixels = unet(), draw(3, 21, 40)
    translated = onnx_runtime.with_onnxruntime(network, saved(tmp_path / "w.safetensors", network))
    found, expected = (restore(one, pixels, self_ensemble=True, strength=1.2) for one in (translated, network))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


# --- strength --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.9, 1.5])
def test_it_goes_so_far_from_the_input_towards_the_output(strength):
    network, pixels = Leaning(), draw(3, 40, 50)
    expected = pixels + strength * (network(pixels[None])[0] - pixels)
    found = restore(network, pixels, tile=32, overlap=8, strength=strength)
    inner = (slice(None), slice(1, None), slice(1, None))
    torch.testing.assert_close(found[inner], expected.clamp(0, 1)[inner], atol=1e-6, rtol=0)


def test_it_clips_once_at_the_end():
    pixels = torch.full((3, 20, 20), 0.6)
    assert restore(Overshooting(), pixels, strength=0.5).unique().tolist() == pytest.approx([0.9])  # not (0.6 + 1) / 2


@pytest.mark.parametrize("bits", [8, 16])
def test_none_of_it_leaves_integers_as_they_are(bits):
    samples = (to_uint8 if bits == 8 else to_uint16)(draw(3, 70, 90))
    found = restore(unet(), samples, tile=64, overlap=16, strength=0)
    assert torch.equal(found.int(), samples.int())


def test_all_of_it_is_the_network_itself():
    network = unet()
    assert adjusted(network, self_ensemble=False, strength=1) is network


def test_a_network_that_enlarges_goes_away_from_the_enlarged_input():
    network, pixels = Doubling().eval(), draw(3, 90, 70)
    found = restore(network, pixels, tile=64, overlap=16, strength=0.75)
    with torch.inference_mode():
        expected = 0.25 * enlarged(pixels, 2) + 0.75 * network(pixels[None])[0]
    torch.testing.assert_close(found, expected.clamp(0, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("strength", [-0.1, 1.51, float("nan"), float("inf")])
def test_what_is_no_strength_is_refused(strength):
    with pytest.raises(UserError, match=r"^--strength must be at least 0 and at most 1\.5, not "):
        restore(unet(), draw(3, 8, 8), strength=strength)
    with pytest.raises(UserError, match=r"^--strength must be a number, not 'half'\Z"):
        restore(unet(), draw(3, 8, 8), strength="half")


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    write(Picture(draw(3, 40, 70)), folder / "a.png")
    alpha = to_uint16(draw(1, 30, 20, seed=2))
    write(Picture(draw(3, 30, 20, seed=1), bits=16, alpha=alpha), folder / "deep.png")
    write(Picture(draw(1, 20, 30, seed=3)), folder / "grey.tif")
    return folder


OPTIONS = {"self_ensemble": True, "strength": 0.8}


def test_files_of_any_kind_hold_what_memory_holds(photos, tmp_path):
    weights = saved(tmp_path / "w.safetensors", unet())
    network = load(weights)
    restore_files(weights, str(photos), tmp_path / "out", tile=32, overlap=8, precision="fp32", **OPTIONS)
    for name in ("a.png", "deep.png", "grey.tif"):
        before, after = read(photos / name), read(tmp_path / "out" / name)
        expected = restore(network, before.pixels, tile=32, overlap=8, precision="fp32", **OPTIONS)
        step = 255 if before.bits == 8 else 65535
        torch.testing.assert_close(after.pixels, expected, atol=0.51 / step, rtol=0)
        assert after.bits == before.bits
        assert before.alpha is None or torch.equal(after.alpha.int(), before.alpha.int())


def test_a_folder_is_not_mixed_of_several_settings(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "w.safetensors", unet())
    given = ["restore", "w.safetensors", "photos", "out"]
    for number, (flags, change) in enumerate(
        [
            ([], None),
            (["--self-ensemble"], "self-ensemble False, now True"),
            (["--self-ensemble", "--strength", "0.5"], "strength 1.0, now 0.5"),
            (["--strength", "1"], "self-ensemble True, now False, strength 0.5, now 1.0"),
        ]
    ):
        if number:
            assert main([*given, *flags]) == 2
            assert f"restored with other settings ({change})" in capsys.readouterr().err
        assert main([*given, *flags, "--overwrite"]) == 0
        assert main([*given, *flags]) == 0
        assert "nothing to do" in capsys.readouterr().out


def test_what_was_restored_before_there_was_a_choice_is_left_alone(photos, tmp_path):
    weights, out = saved(tmp_path / "w.safetensors", unet()), tmp_path / "out"
    restore_files(weights, str(photos), out)
    account = out / ".noiseda-restored.jsonl"
    lines = [json.loads(line) for line in account.read_text().splitlines()]
    for line in lines:
        for name in ("self_ensemble", "strength"):
            line.get("way", {}).pop(name, None)
    account.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert len(restore_files(weights, str(photos), out).done) == 3
    with pytest.raises(UserError, match=r"other settings \(strength 1\.0, now 0\.5\)"):
        restore_files(weights, str(photos), out, strength=0.5)


def test_a_strength_that_is_none_is_refused_before_any_work(photos, tmp_path, capsys):
    assert main(["restore", str(tmp_path / "none"), str(photos), str(tmp_path / "out"), "--strength", "2"]) == 2
    assert "--strength must be at least 0 and at most 1.5, not 2" in capsys.readouterr().err


# --- signals of other kinds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODALITIES.values(), ids=list(MODALITIES))
def test_what_a_modality_turns_comes_back(kind):
    values = draw(3, *(5, 8)[: kind.dims])
    for way in range(kind.symmetries()):
        torch.testing.assert_close(kind.turned_back(kind.turned(values, way), way), values)


class Rows(Modality):
    """Texts of one number a line."""

    name, dims, suffixes, tile, overlap = "row", 1, frozenset({".txt"}), 4096, 256

    def read(self, path):
        return Signal(torch.tensor([[float(line) for line in path.read_text().split()]]))

    def write(self, signal, path):
        path.write_text("\n".join(str(value) for value in signal.values[0].tolist()))


class TwoWays(Rows):
    """Whose sign may be turned, as a recording's."""

    def symmetries(self):
        return 2

    def turned(self, values, way):
        return 1 - values if way else values


class Lossy(TwoWays):
    """Who does not find back."""

    def turned(self, values, way):
        return values / 2 if way else values


class Squares(Restorer):
    channels, multiple_of, dims = 1, 1, 1

    def restore(self, images):
        return images**2


def test_signals_are_turned_as_their_kind_is(tmp_path):
    (tmp_path / "in").mkdir()
    values = draw(20)
    (tmp_path / "in" / "a.txt").write_text("\n".join(str(value) for value in values.tolist()))
    (out,) = restore_signals(Squares(), tmp_path / "in", tmp_path / "out", TwoWays(), self_ensemble=True, strength=0.5)
    ensemble = (values**2 + 1 - (1 - values) ** 2) / 2
    torch.testing.assert_close(TwoWays().read(out).values[0], (values + ensemble) / 2, atol=1e-6, rtol=0)


def test_kinds_that_cannot_be_turned_are_named(tmp_path):
    for kind, words in (
        (Rows(), "--self-ensemble needs ways to turn what is restored, and a row has none"),
        (Lossy(), r"turned_back of Lossy does not undo its turned\(1\)"),
    ):
        with pytest.raises(UserError, match=words):
            restore_signals(Squares(), tmp_path, tmp_path / "out", kind, self_ensemble=True)


def test_a_strength_is_not_for_signals_that_grow():
    class Longer(Squares):
        scale = 2

        def restore(self, images):
            return images.repeat_interleave(2, -1)

    model = adjusted(Longer(), self_ensemble=False, strength=0.5, modality=Audio())
    with pytest.raises(UserError, match="--strength is for images alone where the network enlarges"):
        model(draw(1, 1, 8))


def test_images_have_eight_views_of_their_own():
    square = torch.arange(16.0).reshape(1, 4, 4)
    assert len({tuple(Images().turned(square, way).flatten().tolist()) for way in range(8)}) == 8
