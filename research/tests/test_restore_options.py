"""What is measured of a restored picture's border, and of restoring over views and to a degree."""

from pathlib import Path

import pytest
import torch
from torch import nn

from noiseda import Picture, UNet, load, save_weights, write_image
from noiseda.data import paired_folder
from noiseda.evaluation import PROTOCOLS
from noiseda.images import read
from noiseda.inference import restore_tensor
from noiseda_research.ready import border, options


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def data(tmp_path):
    """A data folder with one set of two pairs, and a network."""
    for name in ("a", "b"):
        for place in ("input", "target"):
            path = tmp_path / "denoising" / "polyu" / "test" / place / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(Picture(draw(3, 40, 48, seed=len(place))), path)
    torch.manual_seed(0)
    network = UNet(width=4, depth=2)
    nn.init.normal_(network.head.weight, std=0.05)
    state, arguments = network.state_dict(), network.arguments
    save_weights(tmp_path / "w.safetensors", state, architecture="unet", arguments=arguments, task="denoise")
    return tmp_path


def test_each_way_to_restore_is_scored(data, capsys):
    options.main([str(data), str(data / "w.safetensors"), "--sets", "polyu", "--crop", "32", "--images", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * len(options.STRENGTHS) + 2
    (found,) = options.scores(data / "w.safetensors", data, "polyu", 1, 32)
    (x, y), *_ = [tuple(read(path).pixels[:, 4:36, 8:40] for path in pair) for pair in _pairs(data)]
    assert found.psnr["input"] == pytest.approx(float(-10 * (x - y).square().mean().log10()), abs=1e-3)
    exact = PROTOCOLS["rgb"].score(restore_tensor(load(data / "w.safetensors"), x), y)["psnr"]
    assert found.psnr["one view, strength 1"] == pytest.approx(exact, abs=1e-3)
    half = [found.psnr[f"{way}, strength 0.5"] for way in ("one view", "eight views")]
    assert len({found.psnr["input"], *half, found.psnr["one view, strength 1"]}) == 4
    assert found.seconds["eight views"] > 0


def _pairs(data: Path):
    return paired_folder(data / options.REAL["polyu"])


def test_rings_are_counted_from_the_border():
    target = torch.zeros(3, 50, 60)
    restored = target.clone()
    restored[:, 0] = 0.1
    restored[:, :, -1] = 0.1
    found = border.rings(restored, target)
    outermost = (60 + 50 - 1) / (2 * 60 + 2 * 48)
    assert found[0] == pytest.approx(20 - 10 * torch.tensor(outermost).log10().item(), abs=1e-4)
    assert all(value == float("inf") for value in found[1:-1])


def test_a_padded_picture_is_cut_to_where_it_was():
    image = draw(3, 20, 30)
    seen = []
    restore = border.padded(lambda larger: seen.append(larger) or larger, "reflect:8")
    assert torch.equal(restore(image), image)
    assert torch.equal(seen[0][:, 8:-8, :8], image[:, :, 1:9].flip(2))


def test_true_surroundings_are_what_a_border_lacks(data, capsys):
    """A mean over 3 x 3 pixels knows the rest of the picture only where it is given that."""
    mean = nn.AvgPool2d(3, stride=1, padding=1)
    picture = draw(3, 48, 48)
    target = mean(picture[None])[0]
    found = border.measure([(picture, target)], lambda x: mean(x[None])[0], ["replicate:2"], 4)
    exact = found["true surroundings"][0]
    assert exact.isinf().all()
    assert found["as it is"][0][0] < 20 < found["as it is"][0][1]
    assert found["as it is"][0][0] < found["replicate:2"][0][0]
    folder = str(data / options.REAL["polyu"])
    border.main([folder, str(data / "w.safetensors"), "--side", "40", "--margin", "4", "--pad", "reflect:4"])
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[1:]] == [
        "as it is", "reflect:4", "input", "true surroundings"
    ]  # fmt: skip
