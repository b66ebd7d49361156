"""Our own U-Net as an architecture of spandrel, for programs that load networks with it."""

from __future__ import annotations

import importlib
from typing import Any

from noiseda.errors import UserError
from noiseda.restoration.spandrel_models import registry
from noiseda.restoration.unet import UNet


def teach_spandrel() -> None:
    """Let spandrel's ModelLoader read noiseda's U-Nets too, in this process; more than once does no harm.

    >>> teach_spandrel()  # doctest: +SKIP

    Raises:
        UserError: where spandrel is not installed.
    """
    known = registry()
    spandrel = importlib.import_module("spandrel")
    if "noiseda-unet" not in known:
        known.add(spandrel.ArchSupport.from_architecture(_architecture(spandrel)))


def _architecture(spandrel: Any) -> Any:  # noqa: ANN401 (spandrel's)
    class NoisedaUNet(spandrel.Architecture[UNet]):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(
                id="noiseda-unet", name="noiseda U-Net", detect=lambda state: UNet.detect(state) is not None
            )

        def load(self, state_dict: dict[str, Any]) -> Any:  # noqa: ANN401 (spandrel's)
            network = UNet.detect(state_dict)
            if network is None:
                raise UserError("these weights are of no U-Net of noiseda")
            return spandrel.ImageModelDescriptor(
                network,
                state_dict,
                architecture=self,
                purpose="Restoration",
                tags=[f"{network.arguments['width']}w"],
                supports_half=True,
                supports_bfloat16=True,
                scale=1,
                input_channels=network.channels,
                output_channels=network.channels,
                size_requirements=spandrel.SizeRequirements(multiple_of=network.multiple_of),
            )

    return NoisedaUNet()
