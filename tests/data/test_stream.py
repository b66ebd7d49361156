"""Streams of shards: what they draw is a function of seed and number alone; what they fetch, no more than needed."""

import errno
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from noiseda.address import Location, Url
from noiseda.data import download, fetch
from noiseda.data.batches import Batch, DomainBatches, Domains, generator
from noiseda.data.cache import decode
from noiseda.data.fetch import ShardCache
from noiseda.data.noise import White
from noiseda.data.pack import pack
from noiseda.data.prefetch import Ahead
from noiseda.data.shards import Shard, ShardSet, find_shards
from noiseda.data.stream import ShardStream
from noiseda.errors import UserError
from noiseda.images import find_images
from tests.data.served import Server, photographs, save, served
from tests.data.test_batches import equal

SIZE = 40 * 48 * 3  # bytes of a photograph, decoded


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Twelve photographs in six shards."""
    pack(photographs(tmp_path / "photographs"), tmp_path / "packed", shard_megabytes=0.012)
    assert len(list((tmp_path / "packed").glob("*.tar"))) == 6
    return tmp_path / "packed"


@pytest.fixture
def server(packed: Path) -> Iterator[Server]:
    with served(packed) as found:
        yield found


def stream(location: Location, cache: Path, *, gigabytes: float = 1, **changes: object) -> ShardStream:
    shards = find_shards(location)
    assert shards is not None
    options = {"flag": "--clean", "seed": 0, "purpose": "synthetic", "window": 2, "draws": 2, **changes}
    return ShardStream(shards, ShardCache(cache, gigabytes=gigabytes, max_megapixels=200), **options)  # type: ignore[arg-type]


def batches(images: ShardStream, **changes: int) -> DomainBatches:
    return DomainBatches(Domains(images, White()), **{"size": 3, "patch": 16, "channels": 3, "seed": 0, **changes})


def names(batch: Batch) -> list[str]:
    return [Path(file).name for file in batch.files]


def imaginary(count: int) -> ShardSet:
    return ShardSet(Path("x"), "single", tuple(Shard(f"{i}.tar", 1, f"{i:064}", 10) for i in range(count)))


def windows(shards: ShardSet, **changes: int) -> ShardStream:
    """A stream whose shards need not exist."""
    options = {"seed": 0, "window": 3, "draws": 2, **changes}
    cache = ShardCache(Path("c"), gigabytes=1, max_megapixels=200)
    return ShardStream(shards, cache, flag="", purpose="real", **options)


# -- which shards ------------------------------------------------------------------------------------------------------


def test_the_window_moves_one_shard_at_a_time_through_all_of_them_in_every_pass() -> None:
    shards = imaginary(7)
    images = windows(shards)
    assert images.stretch == 20, "each of the ten images of a shard is drawn twice a pass"
    leaders = [images.needed(20 * place, 20 * place)[0] for place in range(21)]
    passes = [leaders[start : start + 7] for start in (0, 7, 14)]
    assert all(set(one) == set(shards.shards) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    for place in range(20):
        here, following = (images.needed(20 * at, 20 * at + 19) for at in (place, place + 1))
        assert len(set(following) - set(here)) <= 1
        assert images.needed(20 * place + 5, 20 * place + 25)[: len(here)] == here


def test_the_order_is_of_the_seed_and_the_purpose() -> None:
    shards = imaginary(20)
    first = windows(shards).needed(0, 500)
    assert first == windows(shards).needed(0, 500)
    assert first != windows(shards, seed=1).needed(0, 500)
    other = ShardStream(shards, windows(shards).cache, flag="", seed=0, purpose="reference", window=3, draws=2)
    assert first != other.needed(0, 500)


def test_few_shards_are_drawn_from_as_a_whole() -> None:
    shards = imaginary(3)
    assert all(windows(shards).needed(sample, sample) == list(shards.shards) for sample in range(0, 500, 7))


def test_every_image_is_drawn_about_as_often(packed: Path, tmp_path: Path) -> None:
    images = stream(packed, tmp_path / "cache", window=3, draws=20)
    drawn = Counter(images.draw(n, 16, generator(0, n))[0][0].rpartition("/")[2] for n in range(10 * 20 * 12))
    assert len(drawn) == 12
    assert min(drawn.values()) > 0.7 * 200
    assert max(drawn.values()) < 1.3 * 200


# -- what is drawn -----------------------------------------------------------------------------------------------------


def test_patches_are_those_of_the_folder(packed: Path, tmp_path: Path) -> None:
    """With all shards in the window, images are numbered as in the folder, and the same draws give the same bits."""
    paths = find_images(tmp_path / "photographs")
    folder, _ = decode([(path,) for path in paths], tmp_path / "c", flag="", max_megapixels=200)
    images = stream(packed, tmp_path / "cache", window=6)
    for number in range(40):
        (name,), (patch,) = images.draw(number, 16, generator(number))
        (path,), (expected,) = folder.draw(number, 16, generator(number))
        assert Path(name).name == Path(path).name
        assert torch.equal(patch, expected)


def test_pairs_stay_together(tmp_path: Path) -> None:
    for index in range(3):
        target = save(tmp_path / f"in/target/{index}.png", 60 * index)
        (tmp_path / "in/input").mkdir(exist_ok=True)
        (tmp_path / f"in/input/{index}.png").write_bytes(target.read_bytes())
    pack(tmp_path / "in", tmp_path / "packed")
    (x, y), (first, second) = stream(tmp_path / "packed", tmp_path / "cache").draw(0, 16, generator(0))
    assert Path(x).name.replace("input", "target") == Path(y).name
    assert torch.equal(first, second)


@pytest.mark.parametrize("gigabytes", [1, 0])
def test_batches_depend_neither_on_their_order_nor_on_workers(server: Server, tmp_path: Path, gigabytes: float) -> None:
    url = Url(server.url)
    fresh = {n: batches(stream(url, tmp_path / f"cache {n}"))[n] for n in (0, 7, 20)}
    in_order = batches(stream(url, tmp_path / "cache"))
    ordered = [in_order[n] for n in range(21)]
    assert all(equal(ordered[n], batch) for n, batch in fresh.items())
    for workers in (0, 1, 2):
        data = batches(stream(url, tmp_path / f"w{workers}", gigabytes=gigabytes))
        with Ahead(data, range(21), behind=2 * workers + 2) as numbers:
            loaded = list(DataLoader(data, batch_size=None, sampler=numbers, num_workers=workers))
        assert all(equal(a, b) for a, b in zip(loaded, ordered, strict=True))
    alone = list(
        DataLoader(batches(stream(url, tmp_path / "alone")), batch_size=None, sampler=range(21), num_workers=2)
    )
    assert all(equal(a, b) for a, b in zip(alone, ordered, strict=True)), "and workers that fetch by themselves"


def test_two_ranks_see_what_one_of_twice_the_batch_sees(packed: Path, tmp_path: Path) -> None:
    images = stream(packed, tmp_path / "cache")
    for number in range(8):
        whole = batches(images, size=4)[number]
        halves = [batches(images, size=2, rank=rank, processes=2)[number] for rank in (0, 1)]
        assert torch.equal(whole.x_syn, torch.cat([half.x_syn for half in halves]))
        assert list(whole.files) == [file for half in halves for file in half.files]


# -- what is fetched and kept ------------------------------------------------------------------------------------------


def run(data: DomainBatches, numbers: range) -> list[Batch]:
    with Ahead(data, numbers, behind=2) as sampler:
        return [data[number] for number in sampler]


def test_a_set_that_fits_is_fetched_once_and_in_the_order_it_is_needed(server: Server, tmp_path: Path) -> None:
    images = stream(Url(server.url), tmp_path / "cache")
    run(batches(images), range(40))  # five passes
    assert len(server.shards()) == len(set(server.shards())) == 6
    assert server.shards() == [shard.name for shard in images.needed(0, 40 * 3)]
    run(batches(stream(Url(server.url), tmp_path / "cache")), range(40))
    assert len(server.shards()) == 6, "and another run takes them from the cache"
    kinds = Counter(path.suffix for path in (tmp_path / "cache/shards").iterdir())
    assert kinds == {".pixels": 6, ".lock": 6}, "no tar file, and nothing half done"


def test_no_more_is_fetched_than_the_run_needs(server: Server, tmp_path: Path) -> None:
    images = stream(Url(server.url), tmp_path / "cache")
    run(batches(images, size=4), range(2))
    assert images.stretch == 4
    assert len(server.shards()) == 3


def test_shards_of_this_machine_are_not_copied(packed: Path, tmp_path: Path) -> None:
    run(batches(stream(packed, tmp_path / "cache")), range(4))
    assert not list(tmp_path.rglob("cache/**/*.tar"))


def test_beyond_the_limit_what_is_not_needed_goes(server: Server, tmp_path: Path) -> None:
    shard = 2 * SIZE
    images = stream(Url(server.url), tmp_path / "cache", gigabytes=3.5 * shard / 1e9)
    data = batches(images, size=4)
    seen = []
    with Ahead(data, range(24), behind=0) as numbers:
        for number in numbers:
            data[number]
            here = {images.cache.entry(shard) for shard in images.needed(4 * number, 4 * number + 3)}
            there = {path for path in (tmp_path / "cache/shards").glob("*.pixels")}
            assert here <= there
            seen.append(len(there))
    assert max(seen) <= 4, "what fits, and the one that has just come"
    assert len(server.shards()) > 6
    # Whatever was removed is made again, the same.
    expected = run(batches(stream(Url(server.url), tmp_path / "all"), size=4), range(24))
    again = run(batches(stream(Url(server.url), tmp_path / "cache", gigabytes=0), size=4), range(24))
    assert all(equal(a, b) for a, b in zip(again, expected, strict=True))


def test_the_next_shard_is_fetched_while_the_batch_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = stream(Url(server.url), tmp_path / "cache")
    fetched: dict[Shard, str] = {}  # by which thread first
    get = ShardStream.fetch

    def noted(self: ShardStream, shard: Shard, *stop: threading.Event) -> Path:
        fetched.setdefault(shard, threading.current_thread().name)
        return get(self, shard, *stop)

    monkeypatch.setattr(ShardStream, "fetch", noted)
    run(batches(images, size=4), range(6))
    first = images.needed(0, 3)
    main = threading.current_thread().name
    assert all((name == main) == (shard in first) for shard, name in fetched.items())
    assert len(fetched) == 6


def test_workers_leave_decoding_to_the_process_that_can(tmp_path: Path) -> None:
    """libvips does not read WebP in a forked process."""
    for index in range(6):
        save(tmp_path / f"in/{index}.webp", 60 * index)
    pack(tmp_path / "in", tmp_path / "packed", shard_megabytes=0.001)
    data = batches(stream(tmp_path / "packed", tmp_path / "cache", gigabytes=0))
    with Ahead(data, range(9), behind=4) as numbers:
        loaded = list(DataLoader(data, batch_size=None, sampler=numbers, num_workers=1))
    assert len({name for batch in loaded for name in names(batch)}) == 6


def test_each_set_is_fetched_one_shard_ahead_however_fast_the_other_moves(server: Server, tmp_path: Path) -> None:
    fast = stream(Url(server.url), tmp_path / "cache", draws=1)
    slow = stream(tmp_path / "packed", tmp_path / "other", draws=50)
    data = DomainBatches(Domains(slow, White(), fast), size=2, patch=16, channels=3, seed=0)
    with Ahead(data, range(60), behind=0) as numbers:
        next(iter(numbers))
        numbers._thread.shutdown()  # waits for all that was begun
    assert len(server.shards()) == 3


def test_what_is_fetched_ahead_is_called_off_at_the_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    get = fetch.unpack

    def slow(*given: object, stop: threading.Event, **options: object) -> list[str]:
        if threading.current_thread() is not threading.main_thread():
            began.set()
            assert stop.wait(10)
            go_on.set()
        return get(*given, stop=stop, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fetch, "unpack", slow)
    data = batches(stream(Url(server.url), tmp_path / "cache"))
    with Ahead(data, range(20), behind=2) as numbers:
        next(iter(numbers))
        assert began.wait(10)
    assert go_on.is_set()
    kinds = Counter(path.suffix for path in (tmp_path / "cache/shards").iterdir())
    assert kinds == {".pixels": 2, ".lock": 3}


def test_the_first_batch_says_what_it_waits_for(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        data = batches(stream(Url(server.url), tmp_path / "cache"))
        with Ahead(data, range(4), behind=2, say=said.append) as numbers:
            list(numbers)
    assert said == [f"fetching 2 shards of {server.url}"]


def test_without_shards_the_numbers_are_given_out_as_they_are(tmp_path: Path) -> None:
    paths = find_images(photographs(tmp_path / "in", 2))
    images, _ = decode([(path,) for path in paths], tmp_path / "c", flag="", max_megapixels=200)
    with Ahead(
        DomainBatches(Domains(images, White()), size=1, patch=16, channels=3, seed=0), range(3, 9), behind=2
    ) as a:
        assert list(a) == [3, 4, 5, 6, 7, 8]
        assert len(a) == 6


def _draw(url: str, cache: Path, together: object) -> None:
    together.wait()  # type: ignore[attr-defined]
    run(batches(stream(Url(url), cache)), range(8))


def test_processes_may_fill_one_cache_at_once(server: Server, tmp_path: Path) -> None:
    forks = multiprocessing.get_context("fork")
    together = forks.Barrier(3)
    processes = [forks.Process(target=_draw, args=(server.url, tmp_path / "cache", together)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(server.shards()) == 6, "each fetched by one of them"
    assert equal(
        batches(stream(Url(server.url), tmp_path / "cache"))[5], batches(stream(Url(server.url), tmp_path / "c"))[5]
    )


@pytest.mark.parametrize("damage", ["cut short", "empty", "nonsense", "removed"])
def test_a_damaged_entry_is_made_again(packed: Path, tmp_path: Path, damage: str) -> None:
    expected = batches(stream(packed, tmp_path / "cache"))[0]
    for entry in (tmp_path / "cache/shards").glob("*.pixels"):
        content = entry.read_bytes()
        if damage == "removed":
            entry.unlink()
        elif damage == "cut short":
            entry.write_bytes(content[100:])
        else:
            entry.write_bytes(b"" if damage == "empty" else b"nonsense" * 99)
    assert equal(batches(stream(packed, tmp_path / "cache"))[0], expected)


def test_what_a_kill_left_half_done_is_cleared_away(packed: Path, tmp_path: Path) -> None:
    images = stream(packed, tmp_path / "cache")
    work = images.cache.entry(images.shards.shards[0]).with_suffix(".work")
    work.mkdir(parents=True)
    (work / "tmp123").write_bytes(b"half a shard")
    images.fetch(images.shards.shards[0])
    assert not work.exists()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again, which takes seconds."""
    monkeypatch.setattr(download, "RETRIES", 0)


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("remote", [True, False])
def test_a_shard_that_is_not_the_one_listed_is_named_and_not_kept(packed: Path, tmp_path: Path, remote: bool) -> None:
    shard = packed / "shard-000003.tar"
    content = shard.read_bytes()
    shard.write_bytes(content[:600] + b"!" + content[601:])
    with served(packed) as server:
        location: Location = Url(server.url) if remote else packed
        images = stream(location, tmp_path / "cache", window=6)
        with pytest.raises(
            UserError, match=rf"^--clean: {location}/shard-000003\.tar: is not the file .* lists: its sha256"
        ):
            run(batches(images), range(2))
        kept = {path.name for path in (tmp_path / "cache/shards").iterdir() if path.suffix != ".lock"}
        assert len(kept) == 3
        assert all(name.endswith(".pixels") for name in kept)
        assert shard.exists(), "files of the user's are not removed"
        shard.write_bytes(content)
        assert len(run(batches(images), range(2))) == 2


@pytest.mark.usefixtures("once")
def test_a_shard_that_is_missing_is_named(packed: Path, tmp_path: Path) -> None:
    (packed / "shard-000000.tar").unlink()
    with pytest.raises(UserError, match=r"^--clean: .*packed/shard-000000\.tar: cannot be read: No such file"):
        run(batches(stream(packed, tmp_path / "cache", window=6)), range(2))
    with served(packed) as server:
        images = stream(Url(server.url), tmp_path / "cache", window=6)
        with pytest.raises(
            UserError, match=rf"{server.url}/shard-000000\.tar: cannot be fetched: the server answers 404"
        ):
            run(batches(images), range(2))


@pytest.mark.usefixtures("once")
def test_a_server_that_goes_away_during_a_run_is_named(packed: Path, tmp_path: Path) -> None:
    with served(packed) as server:
        data = batches(stream(Url(server.url), tmp_path / "cache"), size=4)
        numbers = Ahead(data, range(20), behind=2)
        iterator = iter(numbers)
        next(iterator)
    with (
        pytest.raises(UserError, match=r"--clean: .*shard-00000.\.tar: cannot be fetched: (Connection re|Remote end)"),
        numbers,
    ):
        list(iterator)


def test_a_failed_download_is_tried_again(
    server: Server, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch.core

    monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: hidden.replace(shard))
    shard = packed / "shard-000001.tar"
    hidden = shard.rename(packed / "hidden")
    images = stream(Url(server.url), tmp_path / "cache")
    images.fetch(images.shards.shards[1])
    assert server.shards() == ["shard-000001.tar"] * 2


@pytest.mark.parametrize("during", ["download", "decoding"])
def test_a_full_disk_is_named_and_nothing_is_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if during == "download":
        monkeypatch.setattr(download, "pieces_of", full)
        shards = find_shards(tmp_path / "packed")
        assert shards is not None
        shards = replace(shards, location=Url(server.url))
    else:
        shards = find_shards(Url(server.url))
        assert shards is not None
        monkeypatch.setattr(os, "fsync", full)
    cache = ShardCache(tmp_path / "cache", gigabytes=1, max_megapixels=200)
    images = ShardStream(shards, cache, flag="--real", seed=0, purpose="real", window=2, draws=2)
    with pytest.raises(UserError, match=r"^--real: --cache .*cache cannot be written: No space left"):
        batches(images)[0]
    assert [path.suffix for path in (tmp_path / "cache/shards").iterdir()] == [".lock"]


def test_images_that_cannot_be_used_are_left_out_and_named(
    packed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "photographs/large.png", height=300, width=300)
    pack(tmp_path / "photographs", packed, overwrite=True)
    shards = find_shards(packed)
    assert shards is not None
    cache = ShardCache(tmp_path / "cache", gigabytes=1, max_megapixels=0.05)
    images = ShardStream(shards, cache, flag="--clean", seed=0, purpose="real", window=2, draws=2)
    drawn = {Path(images.draw(n, 16, generator(n))[0][0]).name for n in range(300)}
    assert drawn == {f"{index:02}.png" for index in range(12)}
    assert f"left out: {packed}/shard-000000.tar: large.png: 300 x 300 are 0.1 megapixels" in caplog.text
    more = ShardStream(shards, replace_limit(cache), flag="--clean", seed=0, purpose="real", window=2, draws=2)
    assert "large.png" in {Path(more.draw(n, 16, generator(n))[0][0]).name for n in range(300)}


def replace_limit(cache: ShardCache) -> ShardCache:
    return ShardCache(cache.folder.parent, gigabytes=1, max_megapixels=200)


def test_a_shard_of_which_nothing_can_be_used_is_refused(packed: Path, tmp_path: Path) -> None:
    shards = find_shards(packed)
    assert shards is not None
    cache = ShardCache(tmp_path / "cache", gigabytes=1, max_megapixels=0.001)
    images = ShardStream(shards, cache, flag="--clean", seed=0, purpose="real", window=6, draws=2)
    with pytest.raises(
        UserError, match=r"--clean: .*shard-000000\.tar: none of its 2 samples can be used \(00\.png: 48 x"
    ):
        batches(images)[0]
