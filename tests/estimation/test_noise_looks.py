"""What noise looks like, and what is kept of it."""

import pytest
import torch

from noiseda import find_images
from noiseda.data.depth import Depth
from noiseda.estimation import noise_looks
from noiseda.estimation.noise_looks import CANDIDATES, LOOKS, noise_statistics, simulate, simulated

CLEAN = LOOKS.parent / "clean"


def white(sigma: float, channels: int = 3) -> torch.Tensor:
    return 0.5 + sigma / 255 * torch.randn(channels, 320, 320, generator=torch.Generator().manual_seed(0))


def test_white_noise_looks_like_white_noise() -> None:
    look = noise_statistics(white(10))
    assert look is not None
    luma, chroma = look[0].exp() * 255, look[5].exp() * 255
    assert luma.item() == pytest.approx(10 * (0.299**2 + 0.587**2 + 0.114**2) ** 0.5, rel=0.05)
    assert chroma.item() == pytest.approx(10 * (0.169**2 + 0.331**2 + 0.5**2) ** 0.5, rel=0.05)
    assert look[[1, 2, 3, 4, 6, 7, 8]].abs().max() < 0.05
    assert look[9].abs() < 0.2
    assert look[10].item() == pytest.approx(0.5, abs=0.02)


def test_blurred_noise_looks_correlated() -> None:
    look = noise_statistics(torch.nn.functional.avg_pool2d(white(30)[None], 3, 1, 1)[0])
    assert look is not None
    assert look[1].item() == pytest.approx(2 / 3, abs=0.05)  # two of three pixels are shared
    assert look[2].item() == pytest.approx(4 / 9, abs=0.07)
    assert look[4].abs() < 0.1


def test_noise_of_a_grey_image_has_no_chroma() -> None:
    for image in (white(10, 1), white(10, 1).expand(3, -1, -1)):
        look = noise_statistics(image)
        assert look is not None
        assert look[5:9].isnan().all()
        assert not look[:5].isnan().any()


@pytest.mark.parametrize(
    "image", [torch.full((3, 320, 320), 0.5), torch.zeros(3, 320, 320), white(10)[:, :31], white(10)[:, :64, :64]]
)
def test_nothing_can_be_reported_where_there_is_no_noise_or_no_room(image: torch.Tensor) -> None:
    assert noise_statistics(image) is None


@pytest.mark.parametrize("colourless", [False, True])
def test_what_is_kept_of_the_photographs_that_come_with_noiseda_is_what_simulating_gives(colourless: bool) -> None:
    known, looks = simulated(find_images(CLEAN), colourless=colourless)
    made, seen = simulate(find_images(CLEAN), noise_looks.SEED, 4, colourless=colourless)
    assert known[: len(made)] == made
    assert {kind for kind, _ in known} == set(CANDIDATES)
    assert torch.isnan(looks[:, 5:9]).all().item() is colourless
    torch.testing.assert_close(looks[: len(seen)], seen, rtol=0.01, atol=0.01, equal_nan=True)


def test_other_photographs_depths_and_rules_are_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_looks, "simulate", lambda *_, **__: "simulated")
    clean = find_images(CLEAN)
    assert simulated(clean) != "simulated"
    assert simulated(clean[1:]) == "simulated"
    assert simulated(clean, depth=Depth(65535.0, 65535)) == "simulated"
    monkeypatch.setitem(CANDIDATES, "shot", (1.0, 2.0))
    assert simulated(clean) == "simulated"
