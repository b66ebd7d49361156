"""Blind-spot self-supervision on real images, distilled into the restorer as it goes on.

AP-BSN (Lee et al., CVPR 2022, arXiv 2203.11799): the noise of photographs is correlated between neighbours, which would
let a blind-spot network guess a pixel's noise. Every fifth pixel's is not; so it is trained on images that were
pixel-shuffled by 5, and applied by 2, where less detail is lost. What it makes of a real image is then a label for the
restorer, in the same run, as its slower successors do afterwards (AT-BSN, TM-BSN). The blind-spot network is thrown
away, and with it the blind spot.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda import Batch
from noiseda.adaptation import Objective, Terms, Weights, charbonnier, detached, ramp
from noiseda.restoration import Restorer, pad_to_multiple
from noiseda_research.rivals.blind_network import BlindSpotNetwork
from noiseda_research.rivals.settings import BlindSpotSettings

REPLACED = 0.16
"""Share of pixels that a refinement puts back as they were (p of R3 in arXiv 2203.11799)."""


@dataclass(frozen=True)
class Replacements:
    """The random masks of one step.

    Attributes:
        masks: (B, refinements, H, W) bool: which pixels are put back as they were.
    """

    masks: Tensor


class BlindSpot(Objective[Replacements]):
    """A blind-spot network learns from the real images alone; the restorer learns from it.

    Args:
        restorer: the network to adapt.
        network: the blind-spot network; thrown away after training.
        settings: strides, weight, head start, ramp, refinements, and whether synthetic pairs are learnt from too.
    """

    wants_real = True

    def __init__(self, restorer: Restorer, network: BlindSpotNetwork, settings: BlindSpotSettings) -> None:
        super().__init__()
        self.restorer = restorer
        self.network = network
        self.settings = settings

    def draw(self, y_syn: Tensor, generator: torch.Generator) -> Replacements:
        """Draw which pixels each refinement puts back."""
        count, _, height, width = y_syn.shape
        chance = torch.rand(count, self.settings.refinements, height, width, generator=generator)
        return Replacements(chance < REPLACED)

    def forward(self, batch: Batch, draws: Replacements) -> Terms:
        """Let the blind-spot network predict the real images, and restore them beside the synthetic ones.

        Returns:
            Errors ``blind``, |BSN(PD_5(x)) - PD_5(x)| of the blind-spot network;
            ``distilled``, the restorer's Charbonnier error against the label; and ``restoration``, where synthetic
            pairs are learnt from.
        """
        x_real = batch.x_real
        assert x_real is not None, "blind-spot adaptation needs real images in the batch"
        shown = cropped(x_real, self.settings.train_stride)
        blind = self.predict(shown, self.settings.train_stride)
        label = self.label(x_real, draws.masks)
        errors = {"blind": (blind - shown).abs().flatten(1).mean(dim=1)}
        if self.settings.synthetic:
            restored_syn, restored_real = self.restorer.restore_jointly(batch.x_syn, x_real)
            errors["restoration"] = charbonnier(restored_syn, batch.y_syn)
        else:
            restored_syn, restored_real = None, self.restorer(x_real).float()
        errors["distilled"] = charbonnier(restored_real, label)
        return Terms(errors, detached(restored_syn), restored_real.detach())

    def predict(self, images: Tensor, stride: int) -> Tensor:
        """The blind-spot network on all sub-images of some images.

        Args:
            images: (B, C, H, W), H and W multiples of the stride.
            stride: of the pixel shuffle; 1: the images as they are.

        Returns:
            (B, C, H, W) float32.
        """
        return assembled(self.network(taken_apart(images, stride)).float(), stride)

    @torch.no_grad()
    def label(self, x_real: Tensor, masks: Tensor) -> Tensor:
        """What the blind-spot network makes of real images: the restorer's target, without gradient.

        With refinements (R3 of arXiv 2203.11799) some pixels are put back as they were, the result is restored once
        more without a shuffle, and the results of all such draws are averaged.

        Args:
            x_real: (B, C, H, W).
            masks: (B, refinements, H, W) bool.

        Returns:
            (B, C, H, W) in [0, 1].
        """
        height, width = x_real.shape[-2:]
        stride = self.settings.test_stride
        label = self.predict(pad_to_multiple(x_real, stride), stride)[..., :height, :width]
        if masks.shape[1]:
            mixed = [torch.where(mask[:, None], x_real, label) for mask in masks.unbind(dim=1)]
            label = torch.stack([self.predict(images, 1) for images in mixed]).mean(dim=0)
        return label.clamp(0, 1)

    def weights(self, progress: float) -> Weights:
        """L = L_res + L_blind + weight(q) * L_distilled; q is the progress since the head start's end."""
        own = self.settings
        weight = ramp(progress, weight=own.weight, steepness=own.ramp, begins=own.start)
        weights = {"blind": 1.0, "distilled": weight}
        return {**weights, "restoration": 1.0} if self.settings.synthetic else weights


def cropped(images: Tensor, multiple: int) -> Tensor:
    """Images without the last rows and columns that make no multiple of a number."""
    height, width = (side - side % multiple for side in images.shape[-2:])
    return images[..., :height, :width]


def taken_apart(images: Tensor, stride: int) -> Tensor:
    """Pixel-shuffle down-sampling: every stride-th pixel of every stride-th row, from each of stride^2 places.

    Args:
        images: (B, C, H, W), H and W multiples of the stride.
        stride: in pixels.

    Returns:
        (B * stride^2, C, H / stride, W / stride): the sub-images, those of one image together.
    """
    if stride == 1:
        return images
    count, channels, height, width = images.shape
    parts = F.pixel_unshuffle(images, stride).reshape(count, channels, stride**2, height // stride, width // stride)
    return parts.transpose(1, 2).flatten(0, 1)


def assembled(parts: Tensor, stride: int) -> Tensor:
    """Undo :func:`taken_apart` with the same stride."""
    if stride == 1:
        return parts
    images = parts.reshape(-1, stride**2, *parts.shape[1:])  # (B, stride^2, C, h, w)
    return F.pixel_shuffle(images.transpose(1, 2).flatten(1, 2), stride)
