"""Blur: camera shake, defocus and moving frames, mixed as light (not as sRGB values), with a little noise after."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda.data.camera import linear_from_srgb, srgb_from_linear
from noiseda.data.sampling import Range, check_strength, log_uniform, one_thread, uniform

_INSTANTS = 384  # samples of a trajectory: closer than a pixel for any plausible shake


@dataclass(frozen=True, kw_only=True)
class CameraShake:
    """Shake of a hand-held camera: x = (y * k) + n, the kernel k a random trajectory during the exposure.

    The hand is a damped spring driven by white noise and rare impulses (the impulsive shakes of the source), on top of
    a steady drift; the time spent at each place, splatted bilinearly, is the kernel: k >= 0, sum k = 1, centroid at 0.

    Source: Boracchi & Foi 2012, "Modeling the Performance of Image Restoration from Motion Blur", section IV, with the
    trajectory written as a linear filter of its random forces.
    """

    strength: Range = (5.0, 24.0)
    """Extent of the kernel: the diameter, in pixels, of the circle around its centroid that holds the trajectory."""

    sigma: Range = (0.0, 2.0)
    """Range of the standard deviation of the white noise added after the blur, in 1/255."""

    linear: bool = True
    """Blur light (after the sRGB transfer function is undone), as a sensor does; off: blur the pixel values."""

    def __post_init__(self) -> None:
        check_strength(self.strength, "kernel extent in pixels")

    @property
    def margin(self) -> int:
        """Half the largest kernel."""
        return math.ceil(self.strength[1] / 2) + 1

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        kernel = shake_kernel(uniform(self.strength, generator), generator)
        return exposed(clean, kernel, self.linear, self.sigma, generator)


@dataclass(frozen=True, kw_only=True)
class Defocus:
    """A lens out of focus: x = (y * k) + n, the kernel k an anti-aliased disc (a thin lens with a round aperture)."""

    strength: Range = (1.0, 7.0)
    """Radius of the disc, in pixels; half a pixel and less leave the image sharp."""

    sigma: Range = (0.0, 2.0)
    """Range of the standard deviation of the white noise added after the blur, in 1/255."""

    linear: bool = True
    """Blur light, as a sensor does; off: blur the pixel values."""

    def __post_init__(self) -> None:
        check_strength(self.strength, "radius in pixels")

    @property
    def margin(self) -> int:
        """Half the largest kernel."""
        return math.ceil(self.strength[1])

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        kernel = disc_kernel(uniform(self.strength, generator))
        return exposed(clean, kernel, self.linear, self.sigma, generator)


@dataclass(frozen=True, kw_only=True)
class FrameAverage:
    """The mean of frames of a moving camera, as high-speed video is averaged into blur: x = g^-1(mean_i g(y_i)) + n.

    Frame i is the image moved along a smooth curve and slightly turned and zoomed; g(v) = v^2.2 makes it light.

    Source: Nah et al. 2017, "Deep Multi-scale Convolutional Neural Network for Dynamic Scene Deblurring", Eq. 2-3.
    """

    strength: Range = (4.0, 24.0)
    """Extent of the motion: twice the farthest that a frame is shifted from the mean position, in pixels."""

    frames: int = 15
    """Number of frames; few leave ghosts at strong edges, as averaged video does."""

    turn: float = 1.0
    """Largest rotation of the first and last frame against the middle one, in degrees, about the image's centre."""

    zoom: float = 0.015
    """Largest relative magnification between the middle frame and the first or last."""

    sigma: Range = (0.0, 2.0)
    """Range of the standard deviation of the white noise added after the blur, in 1/255."""

    def __post_init__(self) -> None:
        check_strength(self.strength, "extent of the motion in pixels")

    @property
    def margin(self) -> int:
        """Half the largest motion, and two pixels for rotation and zoom."""
        return math.ceil(self.strength[1] / 2) + 2

    @one_thread()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Degrade one image (C, H, W) in [0, 1]."""
        extent = uniform(self.strength, generator)
        height, width = clean.shape[-2:]
        time = torch.linspace(-1, 1, self.frames)
        # A straight move, a bend and a twist, in falling order of importance.
        weights = torch.randn(2, 3, generator=generator) * torch.tensor([1.0, 0.5, 0.3])
        path = _scaled(weights @ torch.stack([time, time**2, time**3]), extent)
        angle = math.radians(uniform((-self.turn, self.turn), generator)) * time
        scale = 1 + uniform((-self.zoom, self.zoom), generator) * time
        # Affine maps of normalised coordinates: rotation needs the aspect, shifts are in half sides.
        cos, sin = scale * angle.cos(), scale * angle.sin()
        x_row = torch.stack([cos, -sin * height / width, 2 * path[0] / width], -1)
        y_row = torch.stack([sin * width / height, cos, 2 * path[1] / height], -1)
        grid = F.affine_grid(
            torch.stack([x_row, y_row], 1), [self.frames, clean.shape[0], height, width], align_corners=False
        )
        light = clean.clamp(min=0).pow(2.2).expand(self.frames, -1, -1, -1)
        moved = F.grid_sample(light, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return _with_noise(moved.mean(0).pow(1 / 2.2), self.sigma, generator)


def shake_kernel(extent: float, generator: torch.Generator) -> Tensor:
    """Kernel of a random hand-held trajectory.

    The position is the drift plus the response h(t) = exp(-a t) sin(w t) of a damped spring to its random forces.

    Args:
        extent: diameter of the circle around the centroid that holds the trajectory, in pixels.
        generator: of every draw.

    Returns:
        (K, K), K = 2 ceil(extent / 2) + 3, not negative, of sum 1 and centroid 0.
    """
    time = torch.linspace(0, 1, _INSTANTS)
    damping, frequency = log_uniform((2.0, 10.0), generator), 2 * math.pi * log_uniform((0.5, 3.0), generator)
    response = torch.exp(-damping * time) * torch.sin(frequency * time)
    force = torch.randn(2, _INSTANTS, generator=generator)
    # Some three impulses an exposure; each outweighs all the noise of a twentieth of it.
    struck = torch.rand(_INSTANTS, generator=generator) < 3 / _INSTANTS
    force = force + struck * torch.randn(2, _INSTANTS, generator=generator) * math.sqrt(_INSTANTS)
    size = 2 * _INSTANTS
    tremor = torch.fft.irfft(torch.fft.rfft(force, size) * torch.fft.rfft(response, size), size)[:, :_INSTANTS]
    drift = torch.randn(2, 1, generator=generator) * time * tremor.std()
    return splat(_scaled(tremor + 2 * drift, extent), math.ceil(extent / 2) + 1)


def splat(path: Tensor, reach: int) -> Tensor:
    """Time spent near each pixel by a point that moves along a path: bilinear weights, summed and normalised.

    Args:
        path: (2, N), x and y of equally spaced instants, in pixels from the kernel's centre.
        reach: half side of the kernel.

    Returns:
        (2 reach + 1, 2 reach + 1), of sum 1.
    """
    side = 2 * reach + 1
    corner = path.floor()
    x, y = path - corner
    column, row = (corner + reach).long()
    kernel = torch.zeros(side * side)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (y if down else 1 - y) * (x if right else 1 - x)
        # A point exactly on the last row or column has no share beyond it.
        index = (row + down).clamp(max=side - 1) * side + (column + right).clamp(max=side - 1)
        kernel.index_add_(0, index, share)
    return kernel.reshape(side, side) / path.shape[1]


def disc_kernel(radius: float) -> Tensor:
    """Anti-aliased disc of a radius in pixels: (K, K), K = 2 ceil(radius) + 1, of sum 1."""
    reach = math.ceil(radius)
    axis = torch.arange(-reach, reach + 1.0)
    disc = (radius + 0.5 - torch.hypot(axis[:, None], axis)).clamp(0, 1)
    return disc / disc.sum()


def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolution by FFT, of the same size, borders reflected (replicated where the image is too small for that).

    Args:
        image: (C, H, W)
        kernel: (K, K), K odd.

    Returns:
        (C, H, W)
    """
    reach = kernel.shape[-1] // 2
    mode = "reflect" if reach < min(image.shape[-2:]) else "replicate"
    padded = F.pad(image[None], (reach,) * 4, mode=mode)[0]
    size = padded.shape[-2:]
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=size), s=size)
    # Circular: the first 2 reach rows and columns wrap around; what follows is exact.
    return blurred[:, 2 * reach :, 2 * reach :]


def _scaled(path: Tensor, extent: float) -> Tensor:
    """A path (2, N) moved to its centroid and scaled so that its farthest point lies at half the extent."""
    centred = path - path.mean(1, keepdim=True)
    farthest = torch.hypot(*centred).max().clamp(min=1e-9)
    return centred * (extent / 2 / farthest)


def exposed(clean: Tensor, kernel: Tensor, linear: bool, sigma: Range, generator: torch.Generator) -> Tensor:
    """The image (C, H, W) blurred by a kernel (K, K), as light if asked, with white noise after, of sigma / 255."""
    if linear:
        blurred = srgb_from_linear(convolve(linear_from_srgb(clean), kernel).clamp(0, 1))
    else:
        blurred = convolve(clean, kernel)
    return _with_noise(blurred, sigma, generator)


def _with_noise(blurred: Tensor, sigma: Range, generator: torch.Generator) -> Tensor:
    """White noise of a drawn sigma (in 1/255), clipped to [0, 1] like a file."""
    noise = torch.randn(blurred.shape, generator=generator)
    return (blurred + uniform(sigma, generator) / 255 * noise).clamp(0, 1)
