"""Two small networks that separate domains: by images, and by features."""

from __future__ import annotations

from torch import Tensor, nn

from noiseda_research.rivals.convolutions import SLOPE, SpectralConvolution


class PatchDiscriminator(nn.Module):
    """Says of each patch of an image whether it is real (Isola et al., section 3.2.2, arXiv 1611.07004).

    Its first layer works at full resolution, where noise lies; activations are not normalised, which would hide how
    strong it is, but weights are, to a spectral norm of 1 (Miyato et al., arXiv 1802.05957): without, generators went
    astray before they learnt. Each verdict sees 20 x 20 pixels.

    Args:
        channels: 1 (grey) or 3 (RGB).
        width: channels of the first layer; the next two have twice and four times as many.
    """

    def __init__(self, *, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            SpectralConvolution(channels, width),
            nn.LeakyReLU(SLOPE),
            SpectralConvolution(width, 2 * width, size=4, stride=2),
            nn.LeakyReLU(SLOPE),
            SpectralConvolution(2 * width, 4 * width, size=4, stride=2),
            nn.LeakyReLU(SLOPE),
            SpectralConvolution(4 * width, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1], H and W of at least 4 -> (B, 1, H / 4, W / 4) verdicts."""
        return self.layers(2 * images - 1)  # type: ignore[no-any-return]


class DomainClassifier(nn.Sequential):
    """Says of each position of a feature map which domain it is from: three 1x1 convolutions.

    The dense layers of Ganin and Lempitsky (arXiv 1409.7495), applied position by position as a restorer's features
    have any size (Hoffman et al., section 3.1, arXiv 1612.02649). The features of a position are first scaled to a mean
    square of 1, and weights have a spectral norm of 1: a restorer that climbs the loss could else do so without end, by
    larger features alone, and at once, by the classifier's steep sides.

    Args:
        channels: channels of the features, K.
        width: channels inside.
    """

    def __init__(self, channels: int, *, width: int) -> None:
        super().__init__(
            Unit(),
            SpectralConvolution(channels, width, size=1),
            nn.LeakyReLU(SLOPE),
            SpectralConvolution(width, width, size=1),
            nn.LeakyReLU(SLOPE),
            SpectralConvolution(width, 1, size=1),
        )


class Unit(nn.Module):
    """Features with a mean square of 1 at each position (RMSNorm without weights, arXiv 1910.07467)."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, K, h, w) -> the same, float32."""
        features = features.float()
        return features * (features.square().mean(dim=1, keepdim=True) + 1e-12).rsqrt()
