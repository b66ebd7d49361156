"""How soft photographs are, and clean ones that are made as soft as those of a camera that is not simulated."""

from dataclasses import replace

import pytest
import torch

from noiseda.assessment.proxy_pairs import proxy_pairs
from noiseda.data import DomainBatches, generator
from noiseda.data.batches import Domains
from noiseda.data.degradations import Mixture, prepared
from noiseda.data.noise import White
from noiseda.data.phone import gaussian
from noiseda.estimation.noise import Matched, sharpened
from noiseda.estimation.softness import softness

CAMERA = Matched((("camera", 400.0), ("phone", 900.0)), alike=False, soft=(1.2, 1.4))


def bars(scale: float = 0.0) -> torch.Tensor:
    """Bars of several colours at an angle, seen through a Gaussian."""
    down, right = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    stripe = (((right + 0.37 * down) / 26).floor() % 2)[None] * torch.tensor([0.6, 0.4, 0.3])[:, None, None] + 0.2
    return gaussian(stripe, scale) if scale else stripe


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5, 2.2])
def test_the_width_of_edges_is_found_beneath_noise(scale: float, noise: float) -> None:
    image = bars(scale)
    found = softness(image + noise * torch.randn(image.shape, generator=generator(0, "noise")))
    assert found == pytest.approx(scale, abs=0.25)


def test_an_image_without_edges_has_no_softness() -> None:
    assert softness(torch.full((3, 64, 64), 0.5)) is None
    assert softness(torch.rand(3, 12, 200)) is None
    assert softness(bars()[:1]) == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize(
    "other", [{"alike": True}, {"soft": ()}, {"found": (("shot", 5.0),)}], ids=["alike", "no edges", "not a camera"]
)
def test_clean_images_stay_as_they_are(other: dict[str, object]) -> None:
    """Where the photographs look like what is simulated, or nothing is known, or no camera smoothed them."""
    draw, untouched = generator(0), generator(0)
    assert replace(CAMERA, **other).prepare is None
    image = bars()
    assert prepared(replace(CAMERA, **other), image, draw) is image
    assert prepared(Mixture((White(), replace(CAMERA, **other))), image, draw) is image
    assert torch.equal(draw.get_state(), untouched.get_state())


def test_clean_images_become_about_as_soft_and_soft_ones_no_softer(monkeypatch: pytest.MonkeyPatch) -> None:
    soft = [float(softness(prepared(CAMERA, bars(), generator(0, n))) or 0) for n in range(12)]
    assert sum(soft) / 12 == pytest.approx(1.4, abs=0.4)
    assert max(soft) > min(soft) + 0.2  # what is sharpened more is less soft
    monkeypatch.setattr("noiseda.estimation.noise.SHARPENING", (0.0, 0.0))
    softer = bars(2.0)
    torch.testing.assert_close(prepared(CAMERA, softer, generator(0)), softer)


def test_noise_is_sharpened_too(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = torch.full((3, 96, 96), 0.5)

    def rough(amount: float) -> float:
        monkeypatch.setattr("noiseda.estimation.noise.SHARPENING", (amount, amount))
        noise = torch.stack([CAMERA(flat, generator(0, n)) - flat for n in range(6)])
        return float((noise[..., 1:] - noise[..., :-1]).square().mean())

    assert 1.5 * rough(0.0) < rough(2.0)
    noise = torch.randn(1, 32, 32, generator=generator(1))
    assert sharpened(noise, generator(0)).std() > 1.5 * noise.std()


class Photograph:
    """One photograph of bars."""

    levels = 255.0

    def __len__(self) -> int:
        return 1

    def draw(
        self, sample: int, size: int, generator: torch.Generator, channels: int = 3
    ) -> tuple[tuple[str, ...], tuple[torch.Tensor, ...]]:
        return ("bars.png",), (bars()[:, :size, :size],)


def test_targets_of_training_and_of_proxy_pairs_are_the_prepared_ones() -> None:
    batch = DomainBatches(Domains(Photograph(), CAMERA), size=3, patch=64, channels=3, seed=0)[0]
    pairs = proxy_pairs(CAMERA, [bars()], 3, generator(0))
    for target in (*batch.y_syn, *(target for _, target in pairs)):
        assert float(softness(target) or 0) > 0.6
    assert float(softness(bars()[:, :64, :64]) or 0) < 0.5
    assert (batch.x_syn - batch.y_syn).abs().mean() < 0.05
