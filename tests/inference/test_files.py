"""Whole runs on small files, with a network whose result is known: it adds a quarter of what is missing to white."""

import errno
import inspect
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from PIL import ImageCms
from rich.console import Console

import noiseda
from noiseda import cli, images
from noiseda.errors import ImageError, UserError, WeightsError
from noiseda.formats import Extras
from noiseda.images import Picture, read, write
from noiseda.inference import files, restore_files, restore_tensor
from noiseda.inference.plan import plan
from noiseda.inference.progress import Progress
from noiseda.restoration import Restorer, UNet, save_weights
from tests.restoration.networks import Doubling, enlarging


class Brighten(Restorer):
    channels, multiple_of = 3, 1

    def restore(self, images):
        return images + (1 - images) / 4


def brighter(pixels):
    return images.from_uint8(images.to_uint8(pixels + (1 - pixels) / 4))


@pytest.fixture
def net(monkeypatch):
    """The network that any weights file gives here."""
    model = Brighten()
    monkeypatch.setattr(files, "load", lambda path, device: model)
    return model


def draw(*shape, seed=0):
    return images.from_uint8(torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    write(Picture(draw(3, 40, 50)), folder / "a.png")
    write(Picture(draw(1, 30, 20, seed=1)), folder / "grey ü.png")
    write(Picture(draw(3, 70, 90, seed=2)), folder / "trip" / "b.tif")
    return folder


def below(folder):
    """What a user sees: the ledger is hidden."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not path.name.startswith("."))


def test_restores_a_folder_and_keeps_its_tree(photos, net, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    report = restore_files(Path("w"), str(photos), out, tile=32, overlap=8)
    assert below(out) == below(photos) == ["a.png", "grey ü.png", "trip/b.tif"]
    assert [target for _, target in report.restored] == [out / name for name in below(out)]
    assert report.skipped == []
    for path, target in report.restored:
        restored, expected = read(target).pixels, brighter(read(path).pixels)
        torch.testing.assert_close(
            restored, expected, atol=1.01 / 255, rtol=0
        )  # halves round either way after blending
        assert (restored != expected).float().mean() < 0.2
    assert read(out / "grey ü.png").pixels.shape[0] == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"[{k}/3] {path} -> {target}" for k, (path, target) in enumerate(report.restored, 1)]
    assert str(report).startswith("restored 3 of 3 images in ")


def test_restores_one_file_and_a_pattern(photos, net, tmp_path):
    restore_files(Path("w"), str(photos / "a.png"), tmp_path / "one.webp")
    assert torch.equal(read(tmp_path / "one.webp").pixels, brighter(read(photos / "a.png").pixels))
    report = restore_files(Path("w"), f"{photos}/**/*.tif", tmp_path / "out", format="png")
    assert below(tmp_path / "out") == ["trip/b.png"]
    assert len(report.restored) == 1


def test_keeps_depth_alpha_profile_and_exif(net, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    block = PIL.Image.Exif()
    block[0x0112], block[0x010F] = 6, "ACME"
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 65536, (3, 9, 14), generator=generator) / 65535
    alpha = torch.randint(0, 65536, (1, 9, 14), generator=generator).to(torch.uint16)
    write(
        Picture(pixels, alpha=alpha, bits=16, icc=profile),
        tmp_path / "deep.png",
    )
    PIL.Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=block, icc_profile=profile)
    restore_files(Path("w"), f"{tmp_path}/*", tmp_path / "out")
    deep, turned = read(tmp_path / "out" / "deep.png"), PIL.Image.open(tmp_path / "out" / "turned.jpg")
    assert (deep.bits, deep.icc) == (16, profile)
    assert torch.equal(deep.alpha.int(), alpha.int())
    expected = images.to_uint16(pixels + (1 - pixels) / 4).int()
    assert torch.equal((deep.pixels * 65535).round().int(), expected)
    assert turned.size == (20, 30)
    assert (turned.getexif()[0x0112], turned.getexif()[0x010F]) == (1, "ACME")
    assert turned.info["icc_profile"] == profile


def test_broken_images_are_skipped_and_named(photos, net, tmp_path, capsys):
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.png").write_bytes(b"no image")
    (photos / "cut.png").write_bytes((photos / "a.png").read_bytes()[:3000])
    (photos / "gone.png").symlink_to("nowhere")
    write(Picture(draw(3, 200, 300)), photos / "large.png")
    report = restore_files(Path("w"), str(photos), tmp_path / "out", max_megapixels=0.05)
    assert [path.name for path, _ in report.skipped] == ["cut.png", "empty.png", "gone.png", "large.png", "text.png"]
    assert below(tmp_path / "out") == ["a.png", "grey ü.png", "trip/b.tif"]
    errors = capsys.readouterr().err
    for path, reason in report.skipped:
        assert str(path) in reason
        assert f"warning: skipped {reason}" in errors
        assert reason in str(report)


def test_nothing_restored_is_an_error(net, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"no image could be restored\n.*\n.*a\.png: the file is empty"):
        restore_files(Path("w"), str(tmp_path / "in"), tmp_path / "out")


def test_a_network_that_gives_nan_writes_nothing(photos, net, tmp_path, monkeypatch):
    monkeypatch.setattr(net, "restore", lambda images: images * torch.nan)
    with pytest.raises(UserError, match=r"a\.png: the network's output holds values that are not numbers"):
        restore_files(Path("w"), str(photos), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_format_that_cannot_hold_an_image_skips_it(net, tmp_path):
    (tmp_path / "in").mkdir()
    write(Picture(draw(1, 1, 17000)), tmp_path / "in" / "long.png")
    write(Picture(draw(1, 5, 5)), tmp_path / "in" / "short.png")
    report = restore_files(Path("w"), str(tmp_path / "in"), tmp_path / "out", format="webp")
    assert [path.name for path, _ in report.skipped] == ["long.png"]
    assert below(tmp_path / "out") == ["short.webp"]


def test_a_full_disk_ends_the_run_and_leaves_no_half_file(photos, net, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"out/a\.png: cannot be written: No space left on device") as caught:
        restore_files(Path("w"), str(photos), tmp_path / "out")
    assert not isinstance(caught.value, ImageError)
    assert below(tmp_path / "out") == []


def test_an_output_folder_that_cannot_be_made(photos, net, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="file/out: the folder cannot be made: Not a directory"):
        restore_files(Path("w"), str(photos), tmp_path / "file" / "out")


def test_ctrl_c_leaves_whole_files_only(photos, net, tmp_path, monkeypatch):
    real = Path.replace

    def interrupt(self, target):
        if Path(target).name.startswith("grey"):
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        restore_files(Path("w"), str(photos), tmp_path / "out")
    assert below(tmp_path / "out") == ["a.png"]
    assert read(tmp_path / "out" / "a.png").pixels.shape == (3, 40, 50)


def test_everything_is_checked_before_any_work(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "load", lambda *_, **__: pytest.fail("the network was loaded"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"old")
    for options, message in [
        ({}, "exists already; give --overwrite"),
        ({"tile": 8}, "--tile must be at least 32"),
        ({"overlap": 400}, "--overlap must be at most half"),
        ({"max_megapixels": 0}, "--max-megapixels must be greater than 0"),
        ({"device": "tpu9", "overwrite": True}, "--device tpu9 cannot be used"),
    ]:
        with pytest.raises(UserError, match=message):
            restore_files(Path("w"), str(photos), out, **options)
    with pytest.raises(UserError, match="the output folder is the input folder"):
        restore_files(Path("w"), str(photos), photos, overwrite=True)
    assert below(out) == ["a.png"]
    assert (out / "a.png").read_bytes() == b"old"


def test_several_pages_are_mentioned(net, tmp_path, capsys):
    page = PIL.Image.fromarray(np.zeros((8, 8), np.uint8))
    page.save(tmp_path / "p.tif", save_all=True, append_images=[page, page])
    restore_files(Path("w"), str(tmp_path / "p.tif"), tmp_path / "out")
    assert "p.tif: the first of 3 pages is read" in capsys.readouterr().err


def test_16_bit_images_are_restored_in_full_precision_unless_bf16_is_asked_for(net, tmp_path, monkeypatch):
    asked = []
    real = files.Tiler.rows
    monkeypatch.setattr(files.Tiler, "rows", lambda *a, **k: asked.append(a[3]) or real(*a, **k))
    write(Picture(draw(3, 8, 8), bits=16), tmp_path / "deep.png")
    for precision in ("auto", "bf16"):
        restore_files(Path("w"), str(tmp_path / "deep.png"), tmp_path / precision, precision=precision)
    assert asked == ["fp32", "bf16"]


def test_with_a_real_weights_file(photos, tmp_path):
    torch.manual_seed(0)
    arguments = {"width": 8, "depth": 2, "channels": 3}
    model = UNet(**arguments).eval()
    weights = tmp_path / "w.safetensors"
    save_weights(weights, model.state_dict(), architecture="unet", arguments=arguments, task="denoise")
    restore_files(weights, str(photos / "a.png"), tmp_path / "out")
    with torch.no_grad():
        expected = model(read(photos / "a.png").pixels[None])[0].clamp(0, 1)
    torch.testing.assert_close(read(tmp_path / "out" / "a.png").pixels, expected, atol=0.51 / 255, rtol=0)
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        restore_files(tmp_path / "none.safetensors", str(photos), tmp_path / "other")


def test_every_argument_is_documented():
    text = inspect.getdoc(restore_files)
    for name in inspect.signature(restore_files).parameters:
        assert f"\n    {name}: " in text


# --- streamed --------------------------------------------------------------------------------------------------------


def settled(model, jobs, **options):
    options = {"tile": 64, "overlap": 16, "precision": "auto", "max_megapixels": 200.0, **options}
    return files.restore_jobs(model, jobs, **options)


def unet(channels=3):
    torch.manual_seed(0)
    model = UNet(width=8, depth=2, channels=channels)
    torch.nn.init.normal_(model.head.weight, std=0.02)
    return model.eval()


@pytest.mark.parametrize("network", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffixes", [(".png", ".png"), (".tif", ".tif"), (".png", ".jpg"), (".tif", ".webp")])
@pytest.mark.parametrize(("bits", "alpha"), [(8, False), (8, True), (16, False), (16, True)])
def test_a_file_holds_what_the_tensor_holds(tmp_path, network, channels, suffixes, bits, alpha):
    """Strip by strip in integers or at once in floats: the same bytes."""
    source, target, expected = (tmp_path / f"{name}" for name in ("in", "out", "expected"))
    source, (target, expected) = (
        source.with_suffix(suffixes[0]),
        (p.with_suffix(suffixes[1]) for p in (target, expected)),
    )
    samples = torch.randint(0, 2**bits, (channels + 1, 150, 90), generator=torch.Generator().manual_seed(0))
    mask = samples[-1:].to(torch.uint16 if bits == 16 else torch.uint8) if alpha else None
    write(Picture(samples[:-1] / (2**bits - 1), alpha=mask, bits=bits, extras=Extras(resolution=(3.0, 4.0))), source)
    model, picture = unet(network), read(source)
    pixels = restore_tensor(model, picture.pixels, tile=64, overlap=16, precision="fp32")
    write(replace(picture, pixels=pixels), expected)
    settled(model, [(source, target)])
    assert (restored := target.read_bytes()) == expected.read_bytes()
    write(picture, expected)
    assert restored != expected.read_bytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffixes", [(".png", ".png"), (".tif", ".tif"), (".png", ".jpg"), (".tif", ".webp")])
@pytest.mark.parametrize(("bits", "alpha"), [(8, True), (16, False), (16, True)])
def test_super_resolution_gives_a_larger_file_with_all_it_carried(tmp_path, channels, suffixes, bits, alpha):
    source, target, expected = tmp_path / f"in{suffixes[0]}", tmp_path / f"out{suffixes[1]}", tmp_path / "as.png"
    samples = torch.randint(0, 2**bits, (channels + 1, 150, 90), generator=torch.Generator().manual_seed(0))
    mask = samples[-1:].to(torch.uint16 if bits == 16 else torch.uint8) if alpha else None
    write(Picture(samples[:-1] / (2**bits - 1), alpha=mask, bits=bits, extras=Extras(resolution=(3.0, 4.0))), source)
    model, picture = Doubling(), read(source)
    report = settled(model, [(source, target)])
    assert (len(report.restored), report.megapixels) == (1, 300 * 180 / 1e6)
    pixels = restore_tensor(model, picture.pixels, tile=64, overlap=16, precision="fp32")
    whole = None if picture.alpha is None else images.enlarged_integers(picture.alpha, 2)
    expected = expected.with_suffix(suffixes[1])
    write(replace(picture, pixels=pixels, alpha=whole), expected)
    assert target.read_bytes() == expected.read_bytes()
    if alpha and suffixes[1] == ".png" and bits == 8:
        shown = PIL.Image.fromarray(mask[0].numpy().astype(np.float32)).resize((180, 300), PIL.Image.Resampling.BICUBIC)
        np.testing.assert_allclose(read(target).alpha[0], np.clip(shown, 0, 255), atol=0.501)


def test_the_image_that_was_read_is_not_written_over_where_it_grows(tmp_path):
    """Tiles overlap: rows of what is restored must not take the place of rows that are still to be read."""
    write(Picture(draw(3, 200, 50)), tmp_path / "a.png")
    settled(Doubling(), [(tmp_path / "a.png", tmp_path / "b.png")], tile=32, overlap=8)
    whole = images.to_uint8(restore_tensor(Doubling(), read(tmp_path / "a.png").pixels, tile=None)).int()
    assert (images.to_uint8(read(tmp_path / "b.png").pixels).int() - whole).abs().max() <= 1  # halves round either way


def test_a_turned_photograph_that_grows_states_its_new_size(tmp_path):
    block = PIL.Image.Exif()
    block[0x0112], block[0x010F] = 6, "ACME"
    block.get_ifd(0x8769).update({0xA002: 150, 0xA003: 100})
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:ImageWidth="100" tiff:ImageLength="150"/></x:xmpmeta>'
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = draw(3, 100, 150).mul(255).byte().permute(1, 2, 0).numpy()
    PIL.Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=block, xmp=packet, icc_profile=profile, quality=95)
    settled(Doubling(), [(tmp_path / "a.jpg", tmp_path / "b.jpg")])
    found = PIL.Image.open(tmp_path / "b.jpg")
    assert (found.size, found.info["icc_profile"]) == ((200, 300), profile)
    assert (found.getexif()[0x0112], found.getexif()[0x010F]) == (1, "ACME")
    assert dict(found.getexif().get_ifd(0x8769)) == {0xA002: 200, 0xA003: 300}
    assert b'tiff:ImageWidth="200" tiff:ImageLength="300"' in found.info["xmp"]


def test_a_folder_through_super_resolution(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "load", lambda path, device: Doubling())
    write(Picture(draw(3, 100, 120)), photos / "large.png")
    report = restore_files(Path("w"), str(photos), tmp_path / "out", max_megapixels=0.03)
    assert below(tmp_path / "out") == ["a.png", "grey ü.png", "trip/b.tif"]
    assert [read(target).pixels.shape for _, target in report.restored] == [(3, 80, 100), (1, 60, 40), (3, 140, 180)]
    ((path, reason),) = report.skipped
    assert path.name == "large.png"
    assert "restored, 2 times as high and wide, it has 0.0 megapixels" in reason


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "onnxruntime"])
def test_a_published_network_for_super_resolution_from_the_command_line(tmp_path, backend, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    torch.manual_seed(0)
    torch.save({"params_ema": enlarging().state_dict()}, weights := tmp_path / "theirs.pth")
    (tmp_path / "in").mkdir()
    write(Picture(draw(3, 90, 70)), tmp_path / "in" / "a.png")
    words = ["restore", str(weights), str(tmp_path / "in"), str(tmp_path / "out"), "--tile", "64", "--overlap", "32"]
    assert cli.main([*words, "--backend", backend]) == 0
    expected = noiseda.restore(noiseda.load(weights), read(tmp_path / "in" / "a.png").pixels, tile=64, overlap=32)
    found = read(tmp_path / "out" / "a.png").pixels
    assert found.shape == (3, 180, 140)
    torch.testing.assert_close(found, expected, atol=0.51 / 255 + 1e-4, rtol=0)
    assert cli.main([*words, "--backend", backend]) == 0  # nothing left to do


def test_dark_files_of_16_bits_are_divided_by_the_white_level_of_a_network_that_enlarges(tmp_path):
    write(Picture(draw(3, 40, 50) * 0.06, bits=16), tmp_path / "a.png")
    dark = Doubling()
    dark.white_level = 4095
    for name, model in (("plain", Doubling()), ("dark", dark)):
        settled(model, [(tmp_path / "a.png", tmp_path / f"{name}.png")])
    plain, divided = (read(tmp_path / f"{name}.png").pixels * 65535 for name in ("plain", "dark"))
    assert plain.shape == (3, 80, 100)
    assert (plain - divided).abs().max() <= 1.01  # it is linear


def test_a_turned_photograph_is_restored_upright(tmp_path):
    block = PIL.Image.Exif()
    block[0x0112] = 6
    PIL.Image.fromarray(draw(3, 100, 150).mul(255).byte().permute(1, 2, 0).numpy()).save(tmp_path / "a.png", exif=block)
    model, picture = unet(), read(tmp_path / "a.png")
    assert picture.pixels.shape == (3, 150, 100)
    settled(model, [(tmp_path / "a.png", tmp_path / "b.png")])
    expected = images.to_uint8(restore_tensor(model, picture.pixels, tile=64, overlap=16))
    assert torch.equal(images.to_uint8(read(tmp_path / "b.png").pixels), expected)


def test_side_by_side_is_as_one_after_the_other(photos, tmp_path, capsys):
    for index in range(3):
        (photos / f"c{index}.png").write_bytes(b"no image")
        write(Picture(draw(3, 40 + index, 150, seed=index)), photos / f"d{index}.jpg")
    write(Picture(draw(3, 200, 300)), photos / "large.png")
    (photos / "trip" / "cut.png").write_bytes((photos / "a.png").read_bytes()[:3000])
    contents, told, reports = {}, {}, {}
    for aside in (False, True):
        out = tmp_path / "out"
        jobs = plan(str(photos), out).jobs
        reports[aside] = replace(settled(unet(), jobs, max_megapixels=0.05, aside=aside), seconds=0.0)
        told[aside] = capsys.readouterr().err.splitlines()
        contents[aside] = {name: (out / name).read_bytes() for name in below(out)}
    assert contents[True] == contents[False]
    assert told[True] == told[False]
    assert reports[True] == reports[False]
    assert len(contents[True]) == 6
    assert len(told[True]) == len(jobs) == 11
    for (path, _), line in zip(jobs, told[True], strict=True):
        assert str(path) in line
    assert reports[True].megapixels == pytest.approx((40 * 50 + 30 * 20 + 70 * 90 + (40 + 41 + 42) * 150) / 1e6)
    assert str(replace(reports[True], seconds=2.0)).startswith("restored 6 of 11 images in 2.0 s (0.014 megapixels/s)")


def test_the_bar_moves_within_an_image(tmp_path, monkeypatch):
    reached = []

    class Recorder(Progress):
        def reach(self, images):
            reached.append(images)

    monkeypatch.setattr(files, "progress", lambda total: nullcontext(Recorder(Console(quiet=True), total)))
    for name in ("a", "b"):
        write(Picture(draw(3, 100, 150)), tmp_path / f"{name}.png")
    settled(unet(), [(tmp_path / f"{name}.png", tmp_path / "out" / f"{name}.png") for name in ("a", "b")], aside=False)
    assert reached[-1] == 2
    assert reached == sorted(reached)
    assert len({share for share in reached if 0 < share < 1}) > 3
    assert len({share for share in reached if 1 < share < 2}) > 3


def test_a_full_disk_ends_the_run_before_the_next_output(photos, net, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"grey ü\.png: cannot be written: No space left on device"):
        restore_files(Path("w"), str(photos), tmp_path / "out")
    assert below(tmp_path / "out") == ["a.png"]


def test_an_error_in_the_network_does_not_lose_the_image_before(photos, net, tmp_path, monkeypatch, capsys):
    def restore(images):
        if images.shape[-1] == 90:
            raise RuntimeError("broken")
        return images

    monkeypatch.setattr(net, "restore", restore)
    with pytest.raises(RuntimeError, match="broken"):
        restore_files(Path("w"), str(photos), tmp_path / "out")
    assert below(tmp_path / "out") == ["a.png", "grey ü.png"]
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(("tile", "side", "smaller"), [(128, 224, (128, 64)), (None, 150, (150, 64))])
def test_a_gpu_without_room_gets_smaller_tiles(photos, net, tmp_path, monkeypatch, capsys, tile, side, smaller):
    seen = []

    def cramped(images):
        if images.shape[-2] * images.shape[-1] > 64 * 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.append(tuple(images.shape[-2:]))
        return images

    monkeypatch.setattr(net, "restore", cramped)
    write(Picture(draw(3, side, side)), photos / "b.png")
    write(Picture(draw(3, side, side)), photos / "c.png")
    out = tmp_path / "out"
    restore_files(Path("w"), str(photos), out, tile=tile, overlap=32)
    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if "memory" in line]
    assert said == [
        f"{photos / 'b.png'}: the GPU's memory does not suffice; tile {smaller[0]} -> {smaller[1]} from here on"
    ]
    assert lines.index(said[0]) == 1  # after the line of a.png
    for name in ("a.png", "b.png", "c.png", "trip/b.tif"):
        assert torch.equal(read(out / name).pixels, read(photos / name).pixels)
    assert max(max(sides) for sides in seen) <= 64


def test_a_gpu_without_any_room(photos, net, tmp_path, monkeypatch, capsys):
    def full(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(net, "restore", full)
    with pytest.raises(UserError, match=r"a\.png: the GPU's memory does not suffice, even for the smallest tiles"):
        restore_files(Path("w"), str(photos), tmp_path / "out", tile=64, overlap=0)
    assert [line.split("; ")[1] for line in capsys.readouterr().err.splitlines()] == ["tile 50 -> 32 from here on"]
    assert not (tmp_path / "out").exists()
