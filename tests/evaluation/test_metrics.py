import numpy as np
import piq
import pytest
import skimage.data
import torch
import torch.nn.functional as F
import torchmetrics.functional.image as reference
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from noiseda.errors import UserError
from noiseda.evaluation.metrics import best_shift_psnr, luma, psnr, ssim_gaussian, ssim_uniform, ssim_volume
from noiseda.images import from_uint8, to_uint8
from tests.reference.matlab_ssim import matlab_ssim

SIGMA = 25 / 255


@pytest.fixture(scope="module")
def target() -> Tensor:
    """Two photographs at 8 bits, (2, 3, 96, 80)."""
    crops = [skimage.data.astronaut()[60:156, 180:260], skimage.data.coffee()[100:196, 200:280]]
    return from_uint8(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))


@pytest.fixture(scope="module")
def noisy(target: Tensor) -> Tensor:
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    return from_uint8(to_uint8(target + SIGMA * noise))


def test_psnr_is_that_of_torchmetrics_piq_and_scikit_image(noisy: Tensor, target: Tensor) -> None:
    ours = psnr(noisy, target)
    theirs = reference.peak_signal_noise_ratio(noisy, target, data_range=1.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(ours, theirs.double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(ours, piq.psnr(noisy, target, reduction="none").double(), rtol=1e-5, atol=0)
    for value, x, y in zip(ours, noisy, target, strict=True):
        expected = peak_signal_noise_ratio(to_uint8(y).numpy(), to_uint8(x).numpy(), data_range=255)
        assert value.item() == pytest.approx(expected, abs=1e-5)


def test_psnr_of_a_constant_error_is_its_closed_form() -> None:
    grey = torch.full((1, 1, 16, 16), 0.25)
    assert psnr(grey, grey + 0.01).item() == pytest.approx(40.0, abs=1e-4)
    assert psnr(grey * 255, (grey + 0.01) * 255, data_range=255.0).item() == pytest.approx(40.0, abs=1e-4)


def test_identical_images_score_infinity_and_one(target: Tensor) -> None:
    assert psnr(target, target).tolist() == [float("inf")] * 2
    for ssim in (ssim_gaussian, ssim_uniform, ssim_volume):
        torch.testing.assert_close(ssim(target, target), torch.ones(2, dtype=torch.float64))


def test_ssim_gaussian_is_that_of_torchmetrics_and_piq(noisy: Tensor, target: Tensor) -> None:
    ours = ssim_gaussian(noisy, target)
    x, y = noisy.double(), target.double()
    # torchmetrics' own mean includes windows that reach over the border: take those inside, as Wang et al. do.
    _, windows = reference.structural_similarity_index_measure(x, y, data_range=1.0, return_full_image=True)
    torch.testing.assert_close(ours, windows[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)), rtol=0, atol=1e-6)
    torch.testing.assert_close(ours, piq.ssim(x, y, downsample=False, reduction="none"), rtol=0, atol=1e-6)


def test_ssim_uniform_is_scikit_images_default_on_8_bits(noisy: Tensor, target: Tensor) -> None:
    for value, x, y in zip(ssim_uniform(noisy, target), noisy, target, strict=True):
        expected = structural_similarity(to_uint8(y).numpy(), to_uint8(x).numpy(), channel_axis=0)
        assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_volume_is_matlabs_ssim(noisy: Tensor, target: Tensor, channels: int) -> None:
    x, y = noisy[:, :channels], target[:, :channels]
    for value, a, b in zip(ssim_volume(x, y), to_uint8(x), to_uint8(y), strict=True):
        a, b = a.permute(1, 2, 0).squeeze(-1).numpy(), b.permute(1, 2, 0).squeeze(-1).numpy()
        assert value.item() == pytest.approx(matlab_ssim(a, b), abs=1e-6)


def test_the_three_kinds_of_ssim_differ(noisy: Tensor, target: Tensor) -> None:
    scores = [ssim(noisy, target)[0].item() for ssim in (ssim_gaussian, ssim_uniform, ssim_volume)]
    assert min(abs(a - b) for a in scores for b in scores if a is not b) > 1e-3


def test_luma_is_matlabs_rgb2ycbcr(target: Tensor) -> None:
    expected = rgb2ycbcr(target.permute(0, 2, 3, 1).double().numpy())[..., 0]
    np.testing.assert_allclose(luma(target)[:, 0].numpy() * 255, expected, atol=1e-9)
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    assert luma(green).item() * 255 == pytest.approx(16 + 128.553)


def test_best_shift_finds_a_shift_and_scores_the_overlap_only(target: Tensor) -> None:
    moved = torch.rand(target.shape, generator=torch.Generator().manual_seed(1))
    moved[..., 3:, :-2] = target[..., :-3, 2:] + 0.01  # down by 3, left by 2; the rest is noise
    assert psnr(moved, target).max() < 20
    torch.testing.assert_close(
        best_shift_psnr(moved, target, max_shift=4), torch.full((2,), 40.0).double(), rtol=0, atol=1e-3
    )
    assert best_shift_psnr(moved, target, max_shift=2).max() < 25


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 33, 48), (1, 47, 21), (3, 6, 6)])
def test_best_shift_is_the_best_of_all_tried_one_by_one(channels: int, height: int, width: int) -> None:
    """Of smooth images, whose shifts differ by little; either way along both axes."""
    random = torch.Generator().manual_seed(height)
    rough = torch.rand(12, channels, height + 10, width + 10, generator=random)
    smooth = F.avg_pool2d(rough, 5, stride=1, padding=2)
    y = smooth[..., 5:-5, 5:-5]
    moves = torch.randint(0, 11, (12, 2), generator=random).tolist()
    x = torch.stack(
        [image[:, dy : dy + height, dx : dx + width] for image, (dy, dx) in zip(smooth, moves, strict=True)]
    )
    x = x + 0.02 * torch.randn(x.shape, generator=random)
    found = []
    for dy in range(-5, 6):
        for dx in range(-5, 6):
            rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
            back = slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0))
            found.append(psnr(x[..., rows, columns], y[..., back[0], back[1]]))
    assert len({int(index) for index in torch.stack(found).argmax(dim=0)}) > 6, "many shifts"
    torch.testing.assert_close(best_shift_psnr(x, y), torch.stack(found).amax(dim=0), rtol=0, atol=1e-9)


def test_best_shift_of_none_is_the_plain_psnr(noisy: Tensor, target: Tensor) -> None:
    torch.testing.assert_close(best_shift_psnr(noisy, target, max_shift=0), psnr(noisy, target))
    assert (best_shift_psnr(noisy, target, max_shift=3) >= psnr(noisy, target)).all()


def test_images_are_scored_one_by_one(noisy: Tensor, target: Tensor) -> None:
    for metric in (psnr, best_shift_psnr, ssim_gaussian, ssim_uniform, ssim_volume):
        both = metric(noisy, target)
        assert both.shape == (2,)
        torch.testing.assert_close(both[1:], metric(noisy[1:], target[1:]))


@pytest.mark.parametrize(("metric", "side"), [(ssim_gaussian, 10), (ssim_uniform, 6), (best_shift_psnr, 5)])
def test_too_small_an_image_is_an_error_with_its_size(metric, side: int) -> None:
    small = torch.zeros(1, 3, side, 20)
    with pytest.raises(UserError, match=f"20x{side}"):
        metric(small, small)


def test_unequal_shapes_are_refused(target: Tensor) -> None:
    with pytest.raises(ValueError, match="one shape"):
        psnr(target[..., :-1], target)
