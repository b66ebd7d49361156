"""Files of 16 bits: nothing of them is rounded away, in whatever part of their range they lie."""

import io
import json
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.assessment.proxy_pairs import proxy_pairs
from noiseda.assessment.sure import RiskEstimate
from noiseda.data import unpacked
from noiseda.data.cache import ImageStore, decode
from noiseda.data.check import check_folder
from noiseda.data.depth import Depth, depth_of, shown
from noiseda.data.fetch import ShardCache
from noiseda.data.pack import pack
from noiseda.data.shards import find_shards
from noiseda.data.stream import ShardStream
from noiseda.data.unpacked import UnpackedShard, is_whole
from noiseda.estimation.noise import Matched
from noiseda.estimation.noise_looks import middles, noise_statistics, simulate
from noiseda.images import FULL, Picture, from_integers, read, write

SIDE = 40
RAMP = np.arange(20_000, 20_000 + SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
"""Steps far below 1/255."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def save(path: Path, samples: np.ndarray) -> Path:
    """A grey (H, W) or colour (H, W, 3) file of 8 or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = samples[None] if samples.ndim == 2 else samples.transpose(2, 0, 1)
    pixels = from_integers(torch.from_numpy(np.ascontiguousarray(planes)))
    write(Picture(pixels, bits=8 * samples.itemsize), path)
    return path


def store(groups: list[tuple[Path, ...]], folder: Path, white: int = FULL) -> ImageStore:
    images, skipped = decode(groups, folder, flag="--real x", max_megapixels=200, white=white)
    assert not skipped
    return images


def values(patch: Tensor) -> list[float]:
    """All values of the first channel, sorted: the same in every orientation."""
    return patch[0].flatten().sort().values.tolist()


def expected(samples: np.ndarray, white: int) -> list[float]:
    return (torch.from_numpy(np.sort(samples.reshape(-1)).astype(np.float32)) / white).tolist()


# -- what is drawn -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_ramp_of_sixteen_bits_comes_out_of_the_cache_as_it_is(tmp_path: Path, suffix: str) -> None:
    images = store([(save(tmp_path / f"ramp{suffix}", RAMP),)], tmp_path / "c")
    for _ in range(2):  # decoded, and found in the cache
        (patch,) = images.draw(0, SIDE, seeded(), 1)[1]
        assert values(patch) == expected(RAMP, FULL)
        images = store(images.groups, tmp_path / "c")
    assert images.levels == FULL


def test_entries_of_eight_bits_are_as_they_were(tmp_path: Path) -> None:
    array = skimage.data.astronaut()[:SIDE, :SIDE]
    images = store([(save(tmp_path / "a.png", array),)], tmp_path / "c")
    (entry,) = (tmp_path / "c").iterdir()
    content = io.BytesIO()
    np.save(content, array)
    assert entry.read_bytes() == content.getvalue()
    assert images.levels == 255


def test_an_entry_that_an_earlier_version_rounded_is_made_anew(tmp_path: Path) -> None:
    groups = [(save(tmp_path / "ramp.png", RAMP),)]
    store(groups, tmp_path / "c")
    (entry,) = (tmp_path / "c").iterdir()
    whole = entry.read_bytes()
    np.save(entry, (RAMP[:, :, None] / 257 + 0.5).astype(np.uint8))
    store(groups, tmp_path / "c")
    assert entry.read_bytes() == whole


def test_halves_of_a_pair_may_differ_in_depth(tmp_path: Path) -> None:
    target = (RAMP // 257).astype(np.uint8)
    pair = (save(tmp_path / "input/a.tif", RAMP), save(tmp_path / "target/a.png", target))
    x, y = store([pair], tmp_path / "c").draw(0, SIDE, seeded(), 1)[1]
    assert values(x) == expected(RAMP, FULL)
    assert values(y) == expected(target, 255)


@pytest.mark.parametrize("kind", ["single", "pairs"])
def test_shards_keep_the_depth_of_their_files(tmp_path: Path, kind: str) -> None:
    """Among files of 8 bits, at odd places too."""
    odd = skimage.data.camera()[:17, :19]
    if kind == "single":
        save(tmp_path / "in/0.png", odd)
        save(tmp_path / "in/1.tif", RAMP)
    else:
        save(tmp_path / "in/input/1.png", RAMP)
        save(tmp_path / "in/target/1.png", (RAMP // 257).astype(np.uint8))
    pack(tmp_path / "in", tmp_path / "packed")
    shards = find_shards(tmp_path / "packed")
    assert shards is not None
    cache = ShardCache(tmp_path / "c", gigabytes=1, max_megapixels=200)
    stream = ShardStream(shards, cache, flag="--real", seed=0, purpose="real", window=2, draws=2)
    drawn = {
        Path(name).name: patch
        for seed in range(8)
        for name, patch in zip(*stream.draw(0, SIDE, seeded(seed), 1), strict=True)
    }
    assert stream.levels == FULL
    deep = next(name for name in drawn if name.startswith("1") and "target" not in name)
    assert values(drawn[deep]) == expected(RAMP, FULL)
    if kind == "single":
        whole = UnpackedShard(cache.entry(shards.shards[0]))
        (small,) = whole.draw(0, 17, seeded(), 1)[1]
        assert {round(255 * value) for value in values(small)} <= set(odd.flatten().tolist())


def test_a_decoded_shard_that_an_earlier_version_rounded_is_made_anew(tmp_path: Path) -> None:
    def old(name: str) -> Path:
        """As that version wrote it: one image of 2 x 2, of 8 bits."""
        table = json.dumps([[[name, 0, 2, 2, 1]]]).encode()
        file = tmp_path / name
        file.write_bytes(bytes(4) + table + len(table).to_bytes(8, "little") + b"noiseda1")
        return file

    assert not is_whole(old("a.png"))
    assert not is_whole(old("b.TIFF"))
    assert is_whole(old("c.jpg")), "which has never had more than 8 bits"


def test_a_shard_of_jpegs_is_unpacked_into_the_same_bytes_as_before(tmp_path: Path) -> None:
    array = skimage.data.astronaut()[:20, :20]
    save(tmp_path / "in/a.jpg", array)
    pack(tmp_path / "in", tmp_path / "packed")
    (tar,) = (tmp_path / "packed").glob("*.tar")
    with tarfile.open(tar) as held:
        (name,) = held.getnames()
    (tmp_path / "work").mkdir()
    entry = tmp_path / "entry"
    stop = unpacked.threading.Event()
    assert unpacked.unpack(tar, entry, tmp_path / "work", kind="single", samples=1, max_megapixels=200, stop=stop) == []
    pixels = (255 * read(tmp_path / "in/a.jpg").pixels).round().byte().permute(1, 2, 0).numpy().tobytes()
    table = json.dumps([[[name, 0, 20, 20, 3]]]).encode()
    assert entry.read_bytes() == pixels + table + len(table).to_bytes(8, "little") + b"noiseda1"


# -- the white level ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "times", "bits", "levels", "white"),
    [
        (4095, 1, 16, 4095.0, 4095),
        (3000, 1, 16, 4095.0, 4095),
        (4095, 16, 16, 65535 / 16, FULL),
        (16383, 1, 16, 16383.0, 16383),
        (16384, 1, 16, 65535.0, FULL),
        (255, 257, 16, 255.0, FULL),
        (255, 256, 16, 65535 / 256, FULL),
        (255, 1, 16, 255.0, 255),
        (255, 1, 8, 255.0, FULL),
        (60, 1, 8, 255.0, FULL),
    ],
)
def test_the_depth_of_files_is_reported(
    tmp_path: Path, top: int, times: int, bits: int, levels: float, white: int
) -> None:
    kind = np.uint16 if bits == 16 else np.uint8
    samples = (np.resize(np.arange(top + 1), (150, 150)) * times).astype(kind)
    samples[0, :2] = 0, top * times
    found = depth_of([save(tmp_path / f"{index}.tif", samples) for index in range(2)])
    assert found == Depth(pytest.approx(levels), white)
    assert found.deep == (levels > 256)


def test_one_bright_photograph_or_one_of_eight_bits_is_enough_for_the_full_range(tmp_path: Path) -> None:
    dark = [save(tmp_path / f"{index}.tif", RAMP // 20) for index in range(3)]
    assert depth_of(dark).white == 2047
    assert depth_of([*dark, save(tmp_path / "bright.tif", RAMP)]).white == FULL
    assert depth_of([*dark, save(tmp_path / "eight.png", (RAMP // 257).astype(np.uint8))]).white == FULL
    assert depth_of(dark, 4095) == Depth(4095.0, 4095)
    assert depth_of([]) == depth_of([tmp_path / "gone.tif"]) == Depth()


def test_dark_files_are_divided_by_the_white_level_and_brighter_ones_are_not(tmp_path: Path) -> None:
    dark, bright = RAMP // 20, RAMP
    images = store([(save(tmp_path / "0.tif", dark),), (save(tmp_path / "1.tif", bright),)], tmp_path / "c", 4095)
    assert values(images.patches(0, SIDE, seeded(), 1)[0]) == expected(dark, 4095)
    assert values(images.patches(1, SIDE, seeded(), 1)[0]) == expected(bright, FULL)
    (seen,) = shown([read(tmp_path / "0.tif")], 4095)
    assert values(seen) == expected(dark, 4095)
    both = shown([read(tmp_path / "0.tif"), read(tmp_path / "1.tif")], 4095)
    assert [values(image) for image in both] == [expected(dark, FULL), expected(bright, FULL)], "they belong together"


@pytest.mark.parametrize(("times", "said"), [(1, True), (16, False)])
def test_the_check_of_a_folder_says_that_its_files_are_dark(
    tmp_path: Path, times: int, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = np.resize(np.arange(4096), (70, 70)).astype(np.uint16) * times
    save(tmp_path / "a.tif", samples.astype(np.uint16))
    assert check_folder(tmp_path).ok
    assert ("dark: the highest value is 4095 of 65535" in capsys.readouterr().out) == said


# -- what is measured --------------------------------------------------------------------------------------------------


def sensor(times: int, sigma: float = 40.0, black: int = 200) -> np.ndarray:
    """A 12-bit sensor's numbers, flat but for a slope, times a factor."""
    slope = np.linspace(black, 3000, 256)[None]
    noisy = slope + np.random.default_rng(0).normal(0, sigma, (256, 256))
    return (np.clip(noisy, 0, 4095).round() * times).astype(np.uint16)


@pytest.mark.parametrize(("times", "white"), [(1, None), (16, None), (1, FULL)])
def test_the_noise_of_a_dark_file_is_estimated(tmp_path: Path, times: int, white: int | None) -> None:
    """As it is, times 16, and as it is without dividing by the white level."""
    files = [save(tmp_path / f"{index}.tif", sensor(times)) for index in range(2)]
    depth = depth_of(files, white)
    images = middles(files, 4, depth.white)

    def smooth(image: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(image[None], (4, 4, 4, 4), mode="reflect"), 9, stride=1)[0]

    risk = RiskEstimate(images, smooth, seeded(), levels=depth.levels)(lambda image: image)
    for noise in risk.noise:
        assert FULL * math.sqrt(noise) * depth.white / FULL == pytest.approx(40.0 * times, rel=0.15)
    look = noise_statistics(images[0], depth.levels)
    if white is None:
        assert look is not None
        assert look[0].exp().item() * depth.white == pytest.approx(40.0 * times, rel=0.15)


def test_noise_below_a_step_of_eight_bits_is_seen_in_sixteen() -> None:
    """Microscopy on a bright ground, and a night sky, of which eight bits show nothing."""
    for ground, sigma in ((0.8, 40), (0.02, 40)):
        image = ground + sigma / FULL * torch.randn(1, 256, 256, generator=seeded())
        assert noise_statistics((255 * image).round() / 255) is None
        look = noise_statistics((FULL * image).round() / FULL, FULL)
        assert look is not None
        assert look[0].exp().item() * FULL == pytest.approx(sigma, rel=0.05)


def test_what_is_simulated_has_the_depth_of_the_files(tmp_path: Path) -> None:
    clean = torch.full((3, 64, 64), 0.5)
    for kind in ("camera", "phone", "shot", "shrunk"):
        eight, deep = (
            Matched(((kind, 3000.0 if kind != "shot" else 20.0),), smoothed=1.0, levels=levels)
            for levels in (255.0, 4095.0)
        )

        def steps(like: Matched, levels: float) -> float:
            """How far from whole steps what it makes is, at most."""
            found = like(clean, seeded()) * levels
            return float((found - found.round()).abs().max())

        assert steps(deep, 255) > 0.4, "neither rounded nor compressed"
        if kind in ("camera", "phone"):
            assert steps(eight, 255) < 1e-3, "compressed to JPEG"
        ((x, _),) = proxy_pairs(deep, [clean], 1, seeded(), 4095.0)
        assert float((4095 * x - (4095 * x).round()).abs().max()) < 1e-3
        assert float((255 * x - (255 * x).round()).abs().max()) > 0.4
    files = [save(tmp_path / "a.png", skimage.data.astronaut())]
    rows, looks = simulate(files, 0, 2, depth=Depth(4095.0, 4095))
    assert len(rows) == len(looks) > 0
    assert not torch.equal(looks, simulate(files, 0, 2)[1])
