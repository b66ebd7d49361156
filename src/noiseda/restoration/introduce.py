"""Our own networks as architectures of spandrel, for programs that load networks with it."""

from __future__ import annotations

import importlib
from typing import Any

from noiseda.errors import UserError
from noiseda.restoration.own import OWN, Own
from noiseda.restoration.spandrel_models import registry


def teach_spandrel() -> None:
    """Let spandrel's ModelLoader read noiseda's U-Nets too, in this process; more than once does no harm.

    >>> teach_spandrel()  # doctest: +SKIP

    Raises:
        UserError: where spandrel is not installed.
    """
    known = registry()
    spandrel = importlib.import_module("spandrel")
    for own in OWN.values():
        if f"noiseda-{own.architecture}" not in known:
            known.add(spandrel.ArchSupport.from_architecture(_architecture(spandrel, own)))


def _architecture(spandrel: Any, own: Own) -> Any:  # noqa: ANN401 (spandrel's)
    class Ours(spandrel.Architecture[own]):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(
                id=f"noiseda-{own.architecture}",
                name=f"noiseda {own.title}",
                detect=lambda state: own.detect(state) is not None,
            )

        def load(self, state_dict: dict[str, Any]) -> Any:  # noqa: ANN401 (spandrel's)
            network = own.detect(state_dict)
            if network is None:
                raise UserError(f"these weights are of no {own.title} of noiseda")
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

    return Ours()
