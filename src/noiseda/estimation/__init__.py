"""What did these photographs go through? Noise, rain, blur or JPEG, found from them alone."""

from noiseda.estimation.blur_kernel import MatchedBlur, matched_blur
from noiseda.estimation.empirical_bayes import nearest, occurring
from noiseda.estimation.jpeg_quality import MatchedJpeg, matched_jpeg
from noiseda.estimation.noise import (
    LENIENCE,
    RADIUS,
    SHARPENING,
    Matched,
    matched,
    sharpened,
    smoothed_where_flat,
)
from noiseda.estimation.noise_bank import NoiseBank
from noiseda.estimation.noise_levels import NoiseLevels
from noiseda.estimation.noise_looks import (
    CANDIDATES,
    LOOKS,
    keep_looks,
    middle,
    middles,
    noise_statistics,
    simulate,
)
from noiseda.estimation.rain import MatchedRain, matched_rain
from noiseda.estimation.real_noise import Picks, RealNoise, brightness, power
from noiseda.estimation.softness import softness

__all__ = [
    "CANDIDATES",
    "LENIENCE",
    "LOOKS",
    "RADIUS",
    "SHARPENING",
    "Matched",
    "MatchedBlur",
    "MatchedJpeg",
    "MatchedRain",
    "NoiseBank",
    "NoiseLevels",
    "Picks",
    "RealNoise",
    "brightness",
    "keep_looks",
    "matched",
    "matched_blur",
    "matched_jpeg",
    "matched_rain",
    "middle",
    "middles",
    "nearest",
    "noise_statistics",
    "occurring",
    "power",
    "sharpened",
    "simulate",
    "smoothed_where_flat",
    "softness",
]
