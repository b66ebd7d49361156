"""The networks that there are, and what each is good for."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from noiseda.restoration.catalogue import NETWORKS, Network, parameters
from noiseda.restoration.own import OWN
from noiseda.restoration.spandrel_models import EXTRA, installed
from noiseda.restorer_settings import SIZES

SIDE = 128
"""Sides of the image that multiply-adds are counted for."""

ONE_SIZE = {
    "NAFNet": "pt2",
    "SwinIR": "pt2",
    "Uformer": "onnx, pt2",
    "SCUNet": "pt2",
    "KBNet": "pt2",
    "FFTformer": "pt2",
    "MPRNet": "onnx, pt2",
}
"""Architecture -> formats that noiseda export makes for one size of images, as bench/exports.py measures; the others
are for any."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        name: for ``--network``.
        size: its settings and their usual values.
        parameters: number of weights at that size; None where its code is not installed.
        gmac: multiply-adds for an image of 128 x 128, in 1e9.
        padding: what images are padded to inside.
        trainable: whether it can be adapted here, or what that needs.
        exports: what noiseda export makes of it.
        licence: of its code.
    """

    name: str
    size: str
    parameters: int | None
    gmac: float | None
    padding: str
    trainable: str
    exports: str
    licence: str


def networks() -> str:
    """List the networks: size, arithmetic, padding, whether they can be trained here, exports, licence.

    Returns:
        A table; parameters and multiply-adds are those of the usual size, counted now.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for title in ("--network", "size", "parameters", f"GMAC at {SIDE}x{SIDE}", "padded to"):
        table.add_column(title, justify="right" if title.startswith(("para", "GMAC")) else "left")
    for title in ("trainable here", "exports", "licence"):
        table.add_column(title, overflow="fold")
    for row in rows():
        count = "" if row.parameters is None else f"{row.parameters / 1e6:.2f} M"
        gmac = "" if row.gmac is None else f"{row.gmac:.1f}"
        table.add_row(row.name, row.size, count, gmac, row.padding, row.trainable, row.exports, row.licence)
    console = Console(width=200, no_color=True)
    with console.capture() as shown:
        console.print(table)
    lines = [line.rstrip() for line in shown.get().splitlines()]
    rules = (
        "--network.width N, --network.depth N and --network.blocks [N, …] change a size; --weights FILE takes others."
    )
    return "\n".join([*(line for line in lines if line), rules])


def rows() -> list[Row]:
    """The table's content, network by network."""
    return [_row(name, network) for name, network in NETWORKS.items()]


def _row(name: str, network: Network) -> Row:
    size = SIZES[name]
    missing = installed(network.architecture)
    counted = None if missing else _count(network, size)
    return Row(
        name=name,
        size=" ".join(f"{setting} {value}".replace(" ", "=", 1).replace(", ", ",") for setting, value in size.items()),
        parameters=counted and counted[0],
        gmac=counted and counted[1],
        padding=_padding(network, size),
        trainable="yes" if missing is None else f"pip install 'noiseda[{missing}]'",
        exports=_exports(network.architecture),
        licence=network.licence + (", from spandrel_extra_arches" if network.architecture in EXTRA else ""),
    )


def _exports(architecture: str) -> str:
    own = ONE_SIZE.get(architecture, "")
    free = [target for target in ("onnx", "pt2") if target not in own]
    any_size = ["spandrel"] * (architecture not in OWN) + free
    return ", ".join(any_size) + (f"; of one size: {own}" if own else "")


def _count(network: Network, size: dict[str, object]) -> tuple[int, float]:
    """Parameters and GMAC, counted from shapes alone."""
    side = -(-max(SIDE, network.minimum) // network.multiple_of) * network.multiple_of
    with warnings.catch_warnings(), FlopCounterMode(display=False) as counter, torch.no_grad():
        warnings.simplefilter("ignore")
        with FakeTensorMode() if network.architecture in OWN else nullcontext():
            module = network.make(**size, channels=3).eval()
        with FakeTensorMode(allow_non_fake_inputs=True):
            module(torch.zeros(1, 3 + network.level, side, side))
    return parameters(module), counter.get_total_flops() / 2e9


def _padding(network: Network, size: dict[str, object]) -> str:
    stride = OWN[network.architecture].outline(size).multiple_of if network.architecture in OWN else network.multiple_of
    rules = [f"multiples of {stride}"] if stride > 1 else []
    rules += [f"at least {network.minimum}"] if network.minimum > 1 else []
    return ", ".join([*rules, *(["a square"] if network.square else [])]) or "as it is"
