import inspect
import pickle
from pathlib import Path

import pytest
import torch
import torchmetrics.functional.image.lpips
import torchvision
from torch import Tensor

from noiseda.errors import UserError
from noiseda.evaluation.perceptual import BACKBONE, Lpips


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as torch.hub keeps it, with an AlexNet of random weights."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "checkpoints").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torchvision.models.alexnet(weights=None)
    torch.save(network.state_dict(), folder / "checkpoints" / BACKBONE)
    return folder


@pytest.fixture(scope="module")
def lpips(weights_dir: Path) -> Lpips:
    return Lpips(weights_dir)


def image(seed: int, side: int = 64, channels: int = 3) -> Tensor:
    return torch.rand(channels, side, side, generator=torch.Generator().manual_seed(seed))


def plain_lpips(x: Tensor, y: Tensor, weights_dir: Path) -> float:
    """LPIPS as Eq. 1 of Zhang et al. has it."""
    network = torchvision.models.alexnet(weights=None)
    network.load_state_dict(torch.load(weights_dir / "checkpoints" / BACKBONE, weights_only=True))
    package = Path(inspect.getfile(torchmetrics.functional.image.lpips)).parent
    linear = torch.load(package / "lpips_models" / "alex.pth", map_location="cpu", weights_only=True)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x, y = (((2 * z[None] - 1) - shift) / scale for z in (x, y))
    distance, taps = torch.zeros(()), {1: 0, 4: 1, 7: 2, 9: 3, 11: 4}
    for place, layer in enumerate(network.features[:12]):
        x, y = layer(x), layer(y)
        if place in taps:
            difference = (torch.nn.functional.normalize(x, dim=1) - torch.nn.functional.normalize(y, dim=1)) ** 2
            weight = linear[f"lin{taps[place]}.model.1.weight"]
            distance = distance + torch.nn.functional.conv2d(difference, weight).mean()
    return distance.item()


def test_identical_images_are_at_0_and_others_further(lpips: Lpips) -> None:
    assert lpips(image(0), image(0)) == 0.0
    assert lpips(image(0), image(1)) > 0.0


def test_the_distance_is_that_of_the_papers_equation(lpips: Lpips, weights_dir: Path) -> None:
    expected = plain_lpips(image(2), image(3), weights_dir)
    assert lpips(image(2), image(3)) == pytest.approx(expected, rel=1e-4)
    assert lpips(image(2), image(3)) == lpips(image(2), image(3))  # nothing is carried from call to call


def test_grey_images_count_as_three_equal_channels(lpips: Lpips) -> None:
    x, y = image(4, channels=1), image(5, channels=1)
    assert lpips(x, y) == pytest.approx(lpips(x.expand(3, -1, -1), y.expand(3, -1, -1)))


def test_the_smallest_image_and_smaller(lpips: Lpips) -> None:
    assert lpips(image(0, side=31), image(1, side=31)) > 0
    with pytest.raises(UserError, match="31x31 or more, not 30x30"):
        lpips(image(0, side=30), image(1, side=30))


def test_the_report_tells_a_backbone_that_is_not_the_published_one(lpips: Lpips) -> None:
    assert lpips.settings["published_backbone"] is False
    assert len(str(lpips.settings["sha256"])) == 64


def test_a_missing_backbone_is_an_error_and_never_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("tried the network"))
    with pytest.raises(UserError, match=rf"no AlexNet backbone at .*{BACKBONE}"):
        Lpips(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match="--weights-dir"):
        Lpips()


def test_a_file_that_is_no_set_of_weights_is_refused_unexecuted(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / BACKBONE
    path.parent.mkdir()
    path.write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be loaded"):
        Lpips(tmp_path)
    path.write_bytes(pickle.dumps(_Trap(tmp_path / "sprung"), protocol=2))
    with pytest.raises(UserError, match="cannot be loaded"):
        Lpips(tmp_path)
    assert not (tmp_path / "sprung").exists()
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="AlexNet"):
        Lpips(tmp_path)


def test_the_users_hub_folder_is_left_as_it_was(weights_dir: Path) -> None:
    before = torch.hub.get_dir()
    Lpips(weights_dir)
    assert torch.hub.get_dir() == before


class _Trap:
    """A pickle that would make a file if it were loaded as one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)
