"""The picture of how far a run is: what it shows, when, and that no run ends by it."""

import torch
from torch import nn

from noiseda.images import Picture, read, write
from noiseda.restoration import Restorer
from noiseda.training.preview import SIDE, Preview


class Darker(Restorer):
    """A network that halves what it is given."""

    multiple_of, channels = 1, 3

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def restore(self, images):
        return self.factor * images


def photograph(path, channels=3, height=40, width=60):
    pixels = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(0))
    write(Picture(pixels), path)
    return path


def test_it_shows_before_and_after_and_says_so_once(tmp_path):
    said = []
    source = photograph(tmp_path / "a.png")
    preview = Preview(tmp_path / "preview.png", source, every=0, say=said.append)
    for _ in range(2):
        preview.show(Darker())
    assert len(said) == 1
    assert "a.png" in said[0]
    found = read(tmp_path / "preview.png").pixels
    assert found.shape == (3, 40, 120)
    before, after = found.split(60, dim=-1)
    assert torch.equal(before, read(source).pixels)
    assert torch.allclose(after, before / 2, atol=1 / 255)


def test_it_waits_for_its_time(tmp_path):
    Preview(tmp_path / "preview.png", photograph(tmp_path / "a.png"), every=1000).show(Darker())
    assert not (tmp_path / "preview.png").exists()


def test_a_large_photograph_is_cut_and_a_grey_network_sees_grey(tmp_path):
    source = photograph(tmp_path / "a.png", height=SIDE + 100, width=SIDE + 30)
    Preview(tmp_path / "preview.png", source, channels=1, every=0).show(Darker())
    found = read(tmp_path / "preview.png").pixels
    assert found.shape == (1, SIDE, 2 * SIDE)


def test_no_run_ends_by_it(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    Preview(tmp_path / "preview.png", tmp_path / "a.png", every=0).show(Darker())
    Preview(tmp_path / "no" / "preview.png", photograph(tmp_path / "b.png"), every=0).show(Darker())
    assert not list(tmp_path.rglob("preview.png"))
