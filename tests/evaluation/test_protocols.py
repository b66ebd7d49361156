import math
from typing import get_args

import pytest
import skimage.data
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from noiseda.errors import UserError
from noiseda.evaluation.protocols import PROTOCOLS, Protocol, ProtocolName, comparable
from noiseda.images import from_uint8, to_uint8
from tests.reference.matlab_ssim import matlab_ssim

SIGMA = 15 / 255


@pytest.fixture(scope="module")
def target() -> Tensor:
    return from_uint8(torch.from_numpy(skimage.data.chelsea()[50:146, 90:210].copy()).permute(2, 0, 1))


@pytest.fixture(scope="module")
def noisy(target: Tensor) -> Tensor:
    """Values between the levels of 8 bits, and beyond [0, 1]: a protocol has to round and clamp them."""
    return target + SIGMA * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))


def array(image: Tensor):
    return to_uint8(image).permute(1, 2, 0).squeeze(-1).numpy()


def test_the_table_has_every_name_and_a_sentence_for_each() -> None:
    assert tuple(PROTOCOLS) == get_args(ProtocolName)
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert "PSNR" in protocol.sentence
        assert "SSIM" in protocol.sentence


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.name)
def test_known_noise_on_a_photograph_has_its_known_psnr(protocol: Protocol, noisy: Tensor, target: Tensor) -> None:
    soft = from_uint8(to_uint8(0.25 + 0.5 * target))  # away from black and white, where noise would be clipped
    scores = protocol.score(soft + (noisy - target), soft)
    assert tuple(scores) == protocol.columns
    # Rounding adds 1/12 of a level squared. Y sums independent noise of three channels with BT.601's weights.
    gain = math.hypot(65.481, 128.553, 24.966) / 255 if protocol.colour == "y" else 1.0
    expected = -10 * math.log10(gain**2 * (SIGMA**2 + 1 / 12 / 255**2))
    assert scores["psnr"] == pytest.approx(expected, abs=0.2)  # 3 std of so small a sample
    assert 0.3 < scores["ssim"] < 0.95


def test_rgb_and_deblur_and_sidd_score_8_bits(noisy: Tensor, target: Tensor) -> None:
    x, y = array(noisy), array(target)
    psnr = peak_signal_noise_ratio(y, x)
    wang = structural_similarity(y, x, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False)
    default = structural_similarity(y, x, channel_axis=-1)
    for name, ssim in (("rgb", wang), ("deblur", default), ("sidd", matlab_ssim(x, y))):
        scores = PROTOCOLS[name].score(noisy, target)
        assert scores["psnr"] == pytest.approx(psnr, abs=1e-5)
        assert scores["ssim"] == pytest.approx(ssim, abs=1e-5)


def test_derain_scores_the_luma_of_rgb_in_that_order(noisy: Tensor, target: Tensor) -> None:
    x, y = (rgb2ycbcr(array(image))[..., 0] for image in (noisy, target))
    scores = PROTOCOLS["derain-y"].score(noisy, target)
    assert scores["psnr"] == pytest.approx(peak_signal_noise_ratio(y, x, data_range=255), abs=1e-5)
    ssim = structural_similarity(y, x, data_range=255, gaussian_weights=True, use_sample_covariance=False)
    assert scores["ssim"] == pytest.approx(ssim, abs=1e-5)
    swapped = PROTOCOLS["derain-y"].score(noisy.flip(0), target.flip(0))
    assert abs(swapped["psnr"] - scores["psnr"]) > 1e-3


def test_deblur_also_scores_at_the_best_shift(target: Tensor) -> None:
    scores = PROTOCOLS["deblur"].score(target.roll((2, -3), dims=(1, 2)), target)
    assert scores["psnr_best_shift"] == math.inf  # the overlap is identical
    assert scores["psnr"] < 30


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.name)
def test_grey_images_are_measured_on_their_one_channel(protocol: Protocol, noisy: Tensor, target: Tensor) -> None:
    x, y = noisy[:1], target[:1]
    scores = protocol.score(x, y)
    assert scores["psnr"] == pytest.approx(peak_signal_noise_ratio(array(y), array(x)), abs=1e-5)
    if protocol.name == "sidd":
        assert scores["ssim"] == pytest.approx(matlab_ssim(array(x), array(y)), abs=1e-5)


def test_a_grey_image_beside_rgb_counts_as_three_equal_channels(noisy: Tensor, target: Tensor) -> None:
    grey = target[1:2]
    assert PROTOCOLS["rgb"].score(grey, noisy) == PROTOCOLS["rgb"].score(grey.expand(3, -1, -1), noisy)
    x, y = comparable(grey, noisy)
    assert x.shape == y.shape == noisy.shape


def test_too_small_an_image_is_an_error(target: Tensor) -> None:
    with pytest.raises(UserError, match="8x8"):
        PROTOCOLS["rgb"].score(target[:, :8, :8], target[:, :8, :8])
    assert PROTOCOLS["sidd"].score(target[:, :8, :8], target[:, :8, :8])["ssim"] == pytest.approx(1.0)
