"""A frozen reference: the restorer as it was before it learnt from real images."""

from __future__ import annotations

from torch import Tensor, nn

from noiseda.adaptation import Teacher
from noiseda.restoration import Restorer


class FrozenReference(nn.Module):
    """A copy of the restorer that follows it during the head start of a run and stays as it is after.

    What is measured of real images by a network that learns from the measurement can run away: texture that it takes
    counts as noise, it learns to take more, and that counts as noise again. The reference does not learn.

    Args:
        restorer: the network to copy.
        until: share of the run during which it follows; 0 where the restorer has learnt before.
    """

    def __init__(self, restorer: Restorer, *, until: float) -> None:
        super().__init__()
        self.teacher = Teacher(restorer, decay=0.0)
        self.until = until

    def forward(self, images: Tensor) -> Tensor:
        """Restore images; (B, C, H, W) -> (B, C, H, W), clamped to [0, 1]; no gradient."""
        restored: Tensor = self.teacher(images)
        return restored

    def follow(self, restorer: Restorer, progress: float) -> None:
        """Take over the restorer's weights, during the head start; once a step."""
        if progress < self.until:
            self.teacher.follow(restorer)
