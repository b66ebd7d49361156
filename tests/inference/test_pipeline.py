"""What happens side by side, and what does not: how many images are held, and how threads end."""

import os
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from noiseda import raster
from noiseda.errors import ImageError
from noiseda.inference import pipeline
from noiseda.raster import Raster


@pytest.fixture
def jobs(tmp_path):
    found = []
    for index in range(5):
        path = tmp_path / f"{index}.png"
        raster.write(Raster(np.full((20, 30, 3), index, np.uint8)), path)
        found.append((path, tmp_path / "out" / path.name))
    return found


class Watched:
    """Which images are held between the beginning of reading and the end of writing."""

    def __init__(self, monkeypatch):
        self.held, self.most, self.lock = set(), 0, threading.Lock()
        read, write = raster.read, raster.write

        def reading(path, **options):
            with self.lock:
                self.held.add(path.name)
                self.most = max(self.most, len(self.held))
            return read(path, **options)

        def writing(image, path, **options):
            lost = write(image, path, **options)
            with self.lock:
                self.held.discard(path.name)
            return lost

        monkeypatch.setattr(raster, "read", reading)
        monkeypatch.setattr(raster, "write", writing)


def same(job, source, settle):
    return source


@pytest.mark.parametrize("aside", [True, False])
def test_images_arrive_and_are_reported_of_in_order(jobs, aside):
    told = []
    pipeline.run_pipeline(jobs, same, lambda job, outcome: told.append((job, outcome)), max_megapixels=1, aside=aside)
    assert told == [(job, pipeline.Written(600)) for job in jobs]
    assert [raster.read(target).samples.mean() for _, target in jobs] == [0, 1, 2, 3, 4]


def test_the_next_is_read_while_one_is_restored(jobs, monkeypatch):
    watched, began = Watched(monkeypatch), threading.Event()
    read = raster.read

    def reading(path, **options):
        if path.name == "1.png":
            began.set()
        return read(path, **options)

    monkeypatch.setattr(raster, "read", reading)

    def restore(job, source, settle):
        assert began.wait(10)
        return source

    pipeline.run_pipeline(jobs, restore, lambda *_: None, max_megapixels=1)
    assert 2 <= watched.most <= 3


def test_one_is_restored_while_the_last_is_written(jobs, monkeypatch):
    restoring, write = threading.Event(), raster.write

    def writing(image, path, **options):
        if path.name == "0.png":
            assert restoring.wait(10)
        return write(image, path, **options)

    monkeypatch.setattr(raster, "write", writing)

    def restore(job, source, settle):
        if job[0].name == "1.png":
            restoring.set()
        return source

    pipeline.run_pipeline(jobs, restore, lambda *_: None, max_megapixels=1)
    assert all(target.exists() for _, target in jobs)


@pytest.mark.parametrize(
    ("limit", "aside", "most"), [(599, True, 1), (1199, True, 1), (1200, True, 2), (10**6, False, 1)]
)
def test_no_more_is_held_than_fits(jobs, monkeypatch, limit, aside, most):
    monkeypatch.setattr(pipeline, "_IN_FLIGHT", limit)
    watched = Watched(monkeypatch)
    pipeline.run_pipeline(jobs, same, lambda *_: None, max_megapixels=1, aside=aside)
    assert watched.most <= most
    assert len(list(jobs[0][1].parent.iterdir())) == 5


@pytest.mark.parametrize(("limit", "most"), [(5999, 1), (6000, 2)])
def test_what_becomes_larger_takes_more_room(jobs, monkeypatch, limit, most):
    """600 pixels that were read, and 4 x 600 that are to be written."""
    monkeypatch.setattr(pipeline, "_IN_FLIGHT", limit)
    watched = Watched(monkeypatch)
    pipeline.run_pipeline(jobs, same, lambda *_: None, max_megapixels=1, scale=2)
    assert watched.most <= most
    assert len(list(jobs[0][1].parent.iterdir())) == 5


def test_what_would_become_too_large_is_skipped_before_it_is_decoded(jobs, monkeypatch):
    monkeypatch.setattr(raster, "read", lambda *_, **__: pytest.fail("decoded"))
    told = []
    pipeline.run_pipeline(jobs, same, lambda job, outcome: told.append(str(outcome)), max_megapixels=0.002, scale=2)
    assert len(told) == 5
    assert "restored, 2 times as high and wide, it has 0.0 megapixels, more than the 0.002" in told[0]


def test_skipped_images_make_room_too(jobs, monkeypatch):
    monkeypatch.setattr(pipeline, "_IN_FLIGHT", 1)
    jobs[1][0].write_bytes(jobs[1][0].read_bytes()[:-20])  # its header is whole
    told = []

    def restore(job, source, settle):
        if job[0].name == "3.png":
            raise ImageError("not this one")
        return source

    pipeline.run_pipeline(jobs, restore, lambda job, outcome: told.append(type(outcome)), max_megapixels=1)
    assert told == [pipeline.Written, ImageError, pipeline.Written, ImageError, pipeline.Written]


@pytest.fixture
def run(jobs, monkeypatch):
    """A run that Ctrl-C ends while the second image is restored, once a thread is in the midst of its work."""
    closed, halfway, close = threading.Event(), threading.Event(), pipeline._Gate.close
    monkeypatch.setattr(pipeline._Gate, "close", lambda self: (close(self), closed.set()))

    def restore(job, source, settle):
        if job[0].name == "1.png":
            assert halfway.wait(10)
            raise KeyboardInterrupt
        return source

    def run():
        before = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            pipeline.run_pipeline(jobs, restore, lambda *_: None, max_megapixels=1)
        assert threading.active_count() == before
        return sorted(os.listdir(jobs[0][1].parent))

    def pause():
        halfway.set()
        assert closed.wait(10)

    run.pause = pause
    return run


def test_ctrl_c_drops_what_is_half_written(run, monkeypatch):
    atomic = raster.atomic

    class Slow:
        """A file whose first piece is on its way to the disk until the run ends."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, piece):
            run.pause()
            return self.file.write(piece)

    @contextmanager
    def slow(path, **options):
        with atomic(path, **options) as file:
            yield Slow(file)

    monkeypatch.setattr(raster, "atomic", slow)
    assert run() == []


def test_ctrl_c_drops_what_is_half_read(run, monkeypatch):
    read, ends = raster.read, []

    def slow(path, **options):
        if path.name == "2.png":
            run.pause()
        try:
            return read(path, **options)
        except Exception as error:
            ends.append((path.name, type(error)))
            raise

    monkeypatch.setattr(raster, "read", slow)
    run()
    assert ends == [("2.png", pipeline._Stopped)]
