"""Kernels that photographs were blurred with, found where they are known."""

from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from noiseda.data.blur import convolve, exposed, shake_kernel
from noiseda.data.degradations import degradation
from noiseda.errors import UserError
from noiseda.estimation.blur_kernel import SHAKEN, SIDE, MatchedBlur, extent, kernel_of, matched_blur


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey() -> torch.Tensor:
    return torch.from_numpy(skimage.data.brick().copy())[None, 100:420, 100:420].float() / 255


def alike(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest correlation of two kernels over all shifts: 1 where they are the same."""
    side = len(one) + len(other)
    a, b = (torch.fft.rfft2(kernel, s=(side, side)) for kernel in (one, other))
    return float(torch.fft.irfft2(a * b.conj(), s=(side, side)).max() / (one.norm() * other.norm()))


def blurred(image: torch.Tensor, kernel: torch.Tensor, sigma: float = 1.0) -> torch.Tensor:
    noise = sigma / 255 * torch.randn(image.shape, generator=seeded(1))
    return ((convolve(image, kernel) + noise).clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize("photograph", ["camera", "astronaut", "coffee"])
def test_a_known_kernel_is_found_better_than_by_chance(photograph: str) -> None:
    array = torch.from_numpy(getattr(skimage.data, photograph)().copy())
    image = (array[None] if array.ndim == 2 else array.permute(2, 0, 1))[:, 20:340, 60:380].float() / 255
    kernel = shake_kernel(14.0, seeded(3))
    found = kernel_of(blurred(image, kernel))
    assert found is not None
    chance = [alike(shake_kernel(14.0, seeded(seed)), kernel) for seed in range(10, 30)]
    assert alike(found, kernel) > max(0.65, sum(chance) / len(chance) + 0.1)
    assert extent(found) == pytest.approx(extent(kernel), rel=0.35)


def test_what_is_found_is_a_kernel() -> None:
    found = kernel_of(blurred(grey(), shake_kernel(10.0, seeded())))
    assert found is not None
    assert found.shape == (SIDE, SIDE)
    assert found.min() >= 0
    assert found.sum().item() == pytest.approx(1.0, abs=1e-5)
    axis = torch.arange(SIDE) - SIDE // 2
    for dim in (0, 1):
        assert abs((found.sum(dim=dim) * axis).sum().item()) <= 0.51


def test_a_straight_move_lies_in_its_direction() -> None:
    kernel = torch.zeros(15, 15)
    kernel[7] = 1 / 15
    array = torch.from_numpy(skimage.data.camera().copy())[None, 20:340, 60:380].float() / 255
    found = kernel_of(blurred(array, kernel))
    assert found is not None
    axis = (torch.arange(SIDE) - SIDE // 2).float().square()
    down, right = ((found.sum(dim=dim) * axis).sum() for dim in (1, 0))
    assert right > 5 * down


@pytest.mark.parametrize("image", [torch.full((3, 128, 128), 0.5), torch.rand(3, 61, 200, generator=seeded())])
def test_nothing_is_found_where_there_is_no_edge_or_no_room(image: torch.Tensor) -> None:
    assert kernel_of(image) is None


def test_kernels_are_drawn_in_every_orientation_beside_shakes_and_leave_grey_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    still = torch.ones(1, 1)
    widths = []
    monkeypatch.setattr("noiseda.estimation.blur_kernel.shake_kernel", lambda width, _: widths.append(width) or still)
    kernel = torch.zeros(5, 5)
    kernel[0, 1] = 1.0  # none of its eight orientations is another
    degrade = MatchedBlur(kernel[None], sigma=(0.0, 0.0))
    impulse = torch.zeros(1, 11, 11)
    impulse[0, 5, 5] = 1.0
    generator = seeded()
    seen = {int(degrade(impulse, generator).flatten().argmax()) for _ in range(200)}
    assert len(seen) == 8 + 1
    assert 70 < len(widths) < 130
    assert widths[0] == pytest.approx(SHAKEN * extent(kernel))
    flat = torch.full((3, 40, 40), 0.3)
    torch.testing.assert_close(degrade(flat, seeded()), flat, atol=1e-5, rtol=0)


def save(path: Path, image: torch.Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image[0] * 255).round().byte().numpy()).save(path)
    return path


def test_what_was_found_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = [save(tmp_path / "real/0.png", blurred(grey(), shake_kernel(9.0, seeded())))]
    first = matched_blur(real, tmp_path / "kept/kernels.json")
    assert "of 1 found" in str(first)
    monkeypatch.setattr("noiseda.estimation.blur_kernel.kernel_of", lambda image: pytest.fail("looked for again"))
    again = matched_blur(real, tmp_path / "kept/kernels.json")
    torch.testing.assert_close(again.kernels, first.kernels, atol=1e-6, rtol=0)
    image = torch.rand(3, 80, 80, generator=seeded())
    torch.testing.assert_close(first(image, seeded(5)), again(image, seeded(5)), atol=1e-4, rtol=0)


def test_photographs_without_edges_are_refused(tmp_path: Path) -> None:
    real = [save(tmp_path / "real/0.png", torch.full((1, 100, 100), 0.5))]
    with pytest.raises(UserError, match="no photograph of --real has edges"):
        matched_blur(real, tmp_path / "kept.json")
    assert not (tmp_path / "kept.json").exists()


def test_it_is_a_degradation_of_blur() -> None:
    kernels = MatchedBlur(torch.full((1, 3, 3), 1 / 9))
    assert degradation("deblur", "matched", matched=kernels) is kernels
    with pytest.raises(UserError, match="needs real photographs"):
        degradation("deblur", "matched")


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.slow
def test_it_is_reported_whether_light_or_the_values_of_pixels_were_blurred(tmp_path: Path, linear: bool) -> None:
    real = []
    for index, name in enumerate(("astronaut", "coffee", "rocket", "camera")):
        array = torch.from_numpy(getattr(skimage.data, name)().copy())
        image = (array[None] if array.ndim == 2 else array.permute(2, 0, 1))[:, 20:340, 60:380].float() / 255
        for shake in range(2):
            degraded = exposed(image, shake_kernel(12.0, seeded(10 * index + shake)), linear, (0.5, 0.5), seeded())
            real.append(save(tmp_path / f"real/{name}{shake}.png", degraded[:1]))
    assert matched_blur(real, tmp_path / "kept.json").linear == linear
