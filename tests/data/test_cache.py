import multiprocessing
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from noiseda.data import cache
from noiseda.data.cache import ImageStore, decode
from noiseda.errors import UserError

PHOTOGRAPH = skimage.data.astronaut()


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def store(paths: list[Path], folder: Path) -> ImageStore:
    images, skipped = decode([(path,) for path in paths], folder, flag="--clean x", max_megapixels=200)
    assert skipped == []
    return images


def whole(images: ImageStore, index: int, size: int) -> torch.Tensor:
    """A square image, whole and upright, whatever orientation the seed gives it."""
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        probe = torch.Generator().manual_seed(seed)
        torch.randint(1, (), generator=probe)
        torch.randint(1, (), generator=probe)
        if int(torch.randint(8, (), generator=probe)) == 0:
            return images.patches(index, size, generator)[0]
    raise AssertionError


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read."""
    files: list[Path] = []
    read = cache.read

    def counted(path: Path, **options: float) -> object:
        files.append(path)
        return read(path, **options)

    monkeypatch.setattr(cache, "read", counted)
    return files


def test_pixels_come_back_as_they_are_in_the_file(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", PHOTOGRAPH[:40, :40])
    expected = torch.from_numpy(PHOTOGRAPH[:40, :40].copy()).permute(2, 0, 1) / 255
    assert torch.equal(whole(store([image], tmp_path / "c"), 0, 40), expected)


def test_an_image_is_decoded_once(tmp_path: Path, decoded: list[Path]) -> None:
    images = [save(tmp_path / f"{i}.png", PHOTOGRAPH[i * 40 : i * 40 + 40, :40]) for i in range(3)]
    store(images, tmp_path / "c")
    store(images, tmp_path / "c")
    assert decoded == images


def test_a_changed_file_is_decoded_anew(tmp_path: Path, decoded: list[Path]) -> None:
    image = save(tmp_path / "a.png", PHOTOGRAPH[:40, :40])
    store([image], tmp_path / "c")
    save(image, PHOTOGRAPH[100:140, :40])  # another size
    assert torch.equal(
        whole(store([image], tmp_path / "c"), 0, 40),
        torch.from_numpy(PHOTOGRAPH[100:140, :40].copy()).permute(2, 0, 1) / 255,
    )
    later = image.stat().st_mtime_ns + 1_000_000
    os.utime(image, ns=(later, later))  # the same size, another time
    store([image], tmp_path / "c")
    assert decoded == [image] * 3


def test_files_of_one_name_in_two_folders_are_two(tmp_path: Path, decoded: list[Path]) -> None:
    images = [save(tmp_path / side / "a.png", PHOTOGRAPH[:40, :40]) for side in ("left", "right")]
    for image in images:
        os.utime(image, ns=(10**18, 10**18))
    store(images, tmp_path / "c")
    assert decoded == images


@pytest.mark.parametrize("damage", ["truncated", "empty", "no array", "another array"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, decoded: list[Path], damage: str) -> None:
    image = save(tmp_path / "a.png", PHOTOGRAPH[:40, :40])
    store([image], tmp_path / "c")
    (entry,) = (tmp_path / "c").iterdir()
    content = entry.read_bytes()
    if damage == "another array":
        np.save(entry, np.zeros(7))
    else:
        entry.write_bytes({"truncated": content[:-100], "empty": b"", "no array": b"nonsense" * 99}[damage])
    store([image], tmp_path / "c")
    assert decoded == [image] * 2
    assert entry.read_bytes() == content


def _fill(paths: list[Path], folder: Path, together: object) -> None:
    together.wait()  # type: ignore[attr-defined]
    store(paths, folder)


def test_processes_may_fill_one_cache_at_once(tmp_path: Path) -> None:
    images = [save(tmp_path / f"i/{i}.png", PHOTOGRAPH[i : i + 60, :60]) for i in range(30)]
    forks = multiprocessing.get_context("fork")  # cheap, and safe: this reads with PNG alone and one thread
    together = forks.Barrier(3)
    processes = [forks.Process(target=_fill, args=(images, tmp_path / "c", together)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(list((tmp_path / "c").iterdir())) == 30, "and nothing but entries"
    images_again = store(images, tmp_path / "c")
    assert torch.equal(
        whole(images_again, 7, 60), torch.from_numpy(PHOTOGRAPH[7:67, :60].copy()).permute(2, 0, 1) / 255
    )


@pytest.mark.slow
def test_more_images_than_files_may_be_open(tmp_path: Path) -> None:
    images = [save(tmp_path / f"i/{i}.png", PHOTOGRAPH[i % 400 : i % 400 + 16, :16]) for i in range(600)]
    images_in_use = store(images, tmp_path / "c")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    cache._open.cache_clear()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 300, limits[1]))
        for index in range(600):
            images_in_use.patches(index, 16, torch.Generator())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_cannot_be_used_is_reported_with_a_reason(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", PHOTOGRAPH[:40, :40])
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:700])
    narrow = save(tmp_path / "narrow.png", PHOTOGRAPH[:40, :15])
    large = save(tmp_path / "large.png", PHOTOGRAPH[:200, :200])
    gone = tmp_path / "gone.png"
    groups = [(path,) for path in (good, broken, narrow, large, gone)]
    images, skipped = decode(groups, tmp_path / "c", flag="--real x", max_megapixels=0.03)
    assert images.groups == [(good,)]
    assert [image.path for image in skipped] == [broken, narrow, large, gone]
    for image, reason in zip(skipped, ("cannot be read", "each side needs 16", "megapixels", "No such"), strict=True):
        assert str(image.path) in image.reason
        assert reason in image.reason


def test_where_nothing_can_be_used_the_flag_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^--real photos: its only image cannot be used .*a\.png"):
        decode([(tmp_path / "a.png",)], tmp_path / "c", flag="--real photos", max_megapixels=200)


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", PHOTOGRAPH[:40, :40])
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"--cache .*file/cache cannot be written"):
        decode([(image,)], tmp_path / "file/cache", flag="--real x", max_megapixels=200)


@pytest.mark.parametrize(("height", "width", "size"), [(20, 24, 64), (40, 16, 32), (16, 16, 100)])
def test_an_image_smaller_than_a_patch_is_continued_by_reflection(
    tmp_path: Path, height: int, width: int, size: int
) -> None:
    array = PHOTOGRAPH[50 : 50 + height, 100 : 100 + width]
    images = store([save(tmp_path / "a.png", array)], tmp_path / "c")

    def mirrored(index: int, length: int) -> int:
        """Reflection about the border pixels: 0 1 2 1 0 1 2 ..."""
        index %= 2 * (length - 1)
        return min(index, 2 * (length - 1) - index)

    rows = [mirrored(i, height) for i in range(size)]
    columns = [mirrored(i, width) for i in range(size)]
    patch = whole(images, 0, size)
    for top in range(max(height - size, 0) + 1):
        shifted = rows if height <= size else list(range(top, top + size))
        expected = torch.from_numpy(array[np.ix_(shifted, columns)].copy()).permute(2, 0, 1) / 255
        if torch.equal(patch, expected):
            return
    raise AssertionError("no crop of the reflected image")


def test_all_eight_orientations_occur_equally_often(tmp_path: Path) -> None:
    array = PHOTOGRAPH[:16, :16]
    images = store([save(tmp_path / "a.png", array)], tmp_path / "c")
    eight = [np.rot90(flip, turns) for flip in (array, array[:, ::-1]) for turns in range(4)]
    known = [torch.from_numpy(np.ascontiguousarray(view)).permute(2, 0, 1) / 255 for view in eight]
    counts = [0] * 8
    generator = torch.Generator().manual_seed(0)
    for _ in range(800):
        (patch,) = images.patches(0, 16, generator)
        (match,) = [index for index, view in enumerate(known) if torch.equal(view, patch)]
        counts[match] += 1
    assert min(counts) > 60, counts


def test_every_position_occurs(tmp_path: Path) -> None:
    column = np.repeat(np.arange(20, dtype=np.uint8)[None], 20, axis=0)
    images = store([save(tmp_path / "a.png", column)], tmp_path / "c")
    generator = torch.Generator().manual_seed(0)
    least = {round(images.patches(0, 16, generator)[0].min().item() * 255) for _ in range(200)}
    assert least == {0, 1, 2, 3, 4}


def test_both_images_of_a_pair_are_cut_and_turned_alike(tmp_path: Path) -> None:
    target = PHOTOGRAPH[:90, :70]
    pair = (save(tmp_path / "x.png", 255 - target), save(tmp_path / "y.png", target))
    images, _ = decode([pair], tmp_path / "c", flag="--pairs x", max_megapixels=200)
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        x, y = images.patches(0, 32, generator)
        torch.testing.assert_close(x, 1 - y)


def test_grey_and_colour_meet_the_networks_channels(tmp_path: Path) -> None:
    colour = save(tmp_path / "colour.png", PHOTOGRAPH[:20, :20])
    grey = save(tmp_path / "grey.png", PHOTOGRAPH[:20, :20, 0])
    images = store([colour, grey], tmp_path / "c")
    (three,) = images.patches(1, 16, torch.Generator().manual_seed(0), channels=3)
    assert three.shape == (3, 16, 16)
    assert torch.equal(three[0], three[1])
    assert torch.equal(three[0], three[2])
    (one,) = images.patches(0, 16, torch.Generator().manual_seed(0), channels=1)
    (rgb,) = images.patches(0, 16, torch.Generator().manual_seed(0), channels=3)
    torch.testing.assert_close(one[0], 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2])
