"""Our own networks: what builds, finds, rebuilds or introduces one asks this table."""

from __future__ import annotations

from typing import TypeAlias

from noiseda.restoration.residual_unet import ResidualUNet
from noiseda.restoration.unet import UNet

Own: TypeAlias = type[UNet] | type[ResidualUNet]

OWN: dict[str, Own] = {network.architecture: network for network in (UNet, ResidualUNet)}
"""Name in a file of weights -> class. A class has ``outline`` (itself without weights, from the file's ``arguments``),
``detect`` (itself from weights alone) and a ``title``."""
