"""The rivals, each a function of an image and a strength: one table of them by name.

Those for noise are here, those for rain, blur and JPEG in :mod:`noiseda_research.classical.rivals_others`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from skimage.restoration import calibrate_denoiser, denoise_nl_means, denoise_wavelet

from noiseda_research.classical.deviations import by_flat_places, by_wavelets
from noiseda_research.classical.optional import optional
from noiseda_research.classical.rival import Image, Rival
from noiseda_research.classical.rivals_others import OTHERS

_Calibrated = tuple[Callable[[Image], Image], tuple[list[dict[str, float]], list[float]]]
# The J-invariant function, and what was tried with its losses.

SIGMAS = (2, 4, 6, 8, 10, 12, 15, 18, 21, 25, 28, 32, 40, 50, 60)
"""Standard deviations that are tried, of 255."""

STRENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
"""Strengths ``h`` of OpenCV's non-local means that are tried, of 255."""


def unchanged(image: Image, strength: float) -> Image:
    """The image as it is."""
    return image


def bm3d(image: Image, sigma: float) -> Image:
    """BM3D told one deviation for all channels; colour in its opponent colour space.

    Raises:
        UserError: where the package is missing.
    """
    package = optional("bm3d", "BM3D")
    if image.shape[2] == 1:
        restored = package.bm3d(image[..., 0].astype(np.float64), sigma / 255)[..., None]
    else:
        restored = package.bm3d_rgb(image.astype(np.float64), sigma / 255)
    return np.asarray(restored, dtype=np.float32)


def nlm(image: Image, sigma: float) -> Image:
    """scikit-image's non-local means: patches of 5 x 5 within 13 x 13, h = 0.8 sigma, the fast algorithm."""
    found = denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=0.8 * sigma / 255, sigma=sigma / 255, fast_mode=True, channel_axis=-1
    )
    return np.asarray(found, dtype=np.float32).reshape(image.shape)  # it drops a single channel


def nlm_opencv(image: Image, strength: float) -> Image:
    """OpenCV's non-local means at its usual windows (7 within 21), ``h`` for brightness and colour alike; at 8 bits.

    Raises:
        UserError: where the package is missing.
    """
    cv2 = optional("cv2", "OpenCV's non-local means")
    cv2.setNumThreads(1)
    levels = np.round(image.clip(0, 1) * 255).astype(np.uint8)
    if image.shape[2] == 1:
        restored = cv2.fastNlMeansDenoising(levels[..., 0], None, strength, 7, 21)[..., None]
    else:  # it takes blue first
        restored = cv2.fastNlMeansDenoisingColored(levels[..., ::-1].copy(), None, strength, strength, 7, 21)[..., ::-1]
    return np.asarray(restored, dtype=np.float32) / np.float32(255)


def wavelet(image: Image, sigma: float) -> Image:
    """scikit-image's wavelets (db1, BayesShrink, soft, YCbCr) told the deviation; at 0 each channel's is estimated.

    Raises:
        UserError: where the package is missing.
    """
    optional("pywt", "wavelet shrinkage")
    told = {} if sigma == 0 else {"sigma": sigma / 255}
    return np.asarray(denoise_wavelet(image, **told, **_wavelet_settings(image)), dtype=np.float32)


def wavelet_invariant(image: Image, strength: float) -> Image:
    """Wavelets made J-invariant: no pixel sees itself, and the deviation is that of the least self-supervised loss.

    Raises:
        UserError: where the package is missing.
    """
    calibrated, _ = _calibrated(image)
    return np.asarray(calibrated(image), dtype=np.float32)


def least_self_supervised(image: Image) -> float:
    """The deviation, of 255, at which J-invariant wavelets have the least self-supervised loss.

    Raises:
        UserError: where the package is missing.
    """
    _, (tried, losses) = _calibrated(image)
    return float(255 * tried[int(np.argmin(losses))]["sigma"])


def _calibrated(image: Image) -> _Calibrated:
    optional("pywt", "wavelet shrinkage")
    settings = {name: [value] for name, value in _wavelet_settings(image).items()}
    calibrate: Callable[..., _Calibrated] = calibrate_denoiser  # it has no types
    tried = {"sigma": [sigma / 255 for sigma in SIGMAS], **settings}
    return calibrate(image, denoise_wavelet, tried, extra_output=True)


def _wavelet_settings(image: Image) -> dict[str, object]:
    return {
        "method": "BayesShrink",
        "mode": "soft",
        "wavelet": "db1",
        "convert2ycbcr": image.shape[2] == 3,
        "rescale_sigma": True,
        "channel_axis": -1,
    }


_BM3D = "Dabov et al., TIP 2007; Mäkinen et al., TIP 2020; package bm3d, its usual profile"
_NLM = "Buades et al., CVPR 2005; scikit-image, 5 x 5 within 13 x 13, h = 0.8 sigma, fast"
_WAVELET = "Chang et al., TIP 2000; scikit-image, db1, soft, YCbCr"
_INVARIANT = "Batson and Royer, ICML 2019; scikit-image, wavelets as above, stride 4"

RIVALS: Mapping[str, Rival] = {
    "input": Rival(unchanged, "the image as it is"),
    "bm3d": Rival(bm3d, _BM3D, tried=SIGMAS, told_sigma=True),
    "bm3d-wavelet-sigma": Rival(bm3d, f"{_BM3D}; sigma by scikit-image's estimate_sigma", estimate=by_wavelets),
    "bm3d-flat-sigma": Rival(bm3d, f"{_BM3D}; sigma by noiseda's look at flat places", estimate=by_flat_places),
    "nlm-opencv": Rival(nlm_opencv, "Buades et al., CVPR 2005; OpenCV, 7 within 21, at 8 bits", tried=STRENGTHS),
    "nlm": Rival(nlm, _NLM, tried=SIGMAS, told_sigma=True),
    "nlm-wavelet-sigma": Rival(nlm, f"{_NLM}; sigma by scikit-image's estimate_sigma", estimate=by_wavelets),
    "nlm-flat-sigma": Rival(nlm, f"{_NLM}; sigma by noiseda's look at flat places", estimate=by_flat_places),
    "wavelet": Rival(wavelet, _WAVELET, tried=SIGMAS, told_sigma=True),
    "wavelet-own-sigma": Rival(wavelet, f"{_WAVELET}; sigma of each channel by itself"),
    "wavelet-calibrated": Rival(wavelet, f"{_INVARIANT}; sigma only", estimate=least_self_supervised),
    "wavelet-j-invariant": Rival(wavelet_invariant, f"{_INVARIANT}; the J-invariant function itself"),
    **OTHERS,
}
"""Every rival by the name that the command line and the lines of JSON have for it."""
