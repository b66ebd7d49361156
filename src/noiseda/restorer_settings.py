"""The settings of the restoration network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from noiseda.choices import flag_of
from noiseda.errors import UserError
from noiseda.limits import PositiveInt

_NINE = [2, 2, 4, 8, 12, 2, 2, 2, 2]  # four stages down, the middle, four up
SIZES: dict[str, dict[str, Any]] = {
    "unet": {"width": 24, "depth": 4},
    "unet-tiny": {"width": 16, "depth": 4},
    "unet-large": {"width": 48, "depth": 4},
    "unet-paper": {"width": 64, "depth": 4},
    "unet-deep": {"width": 88, "depth": 5},
    "unet-residual": {"width": 24, "blocks": [1, 1, 1, 2, 1, 1, 1]},
    "unet-pilots": {"width": 24, "blocks": [1, 1, 1, 2, 1, 1, 1]},
    "unet-groups": {"width": 24, "blocks": [1, 1, 1, 2, 1, 1, 1]},
    "dncnn": {"width": 64, "depth": 17},
    "nafnet": {"width": 32, "blocks": _NINE},
    "swinir": {"width": 60, "blocks": [6, 6, 6, 6]},
    "uformer": {"width": 16, "blocks": [2] * 9},
    "drunet": {"width": 64, "blocks": [4]},
    "scunet": {"width": 64, "blocks": [4] * 7},
    "kbnet": {"width": 32, "blocks": _NINE},
    "fftformer": {"width": 48, "blocks": [6, 6, 12, 4]},
    "restormer": {"width": 48, "blocks": [4, 6, 6, 8, 4]},
    "mprnet": {"width": 40, "blocks": [8]},
    "mirnet2": {"width": 80, "blocks": [2]},
}
"""Network -> the settings of its size that it has, and what they are by default: a published form; of kbnet half its
width."""

NetworkName = Literal[
    "unet", "unet-tiny", "unet-large", "unet-paper", "unet-deep", "unet-residual", "unet-pilots", "unet-groups",
    "dncnn", "nafnet", "swinir", "uformer", "drunet", "scunet", "kbnet", "fftformer",
    "restormer", "mprnet", "mirnet2",
]  # fmt: skip
NetworkChoice = Literal["auto", NetworkName]


@dataclass(frozen=True)
class RestorerSettings:
    """The restoration network, image -> image; noiseda networks lists those there are."""

    network: NetworkChoice = "auto"
    """Which network; noiseda networks lists them. --network for short. auto: that of --weights. Without, the task's
    ready weights; where sizes, grey channels or --restorer.start are given, random weights: of unet-residual for noise
    and JPEG, of unet for rain and blur, and where a depth is given."""

    width: PositiveInt | None = None
    """Channels of its first stage; by default the network's own (unet: 24; the paper: 64)."""

    depth: PositiveInt | None = None
    """Number of stages of a U-Net, of convolutions of dncnn; by default the network's own (unet, and the paper: 4)."""

    blocks: list[int] | None = None
    """Blocks of each of its stages, in the order in which they run; by default the network's own."""

    channels: Literal[1, 3] = 3
    """Colour channels of the images it restores: 3 (RGB) or 1 (grey)."""

    start: Path | None = None
    """Weights file of the network set here, to start from. By default the weights are random."""

    weights: Path | None = None
    """Weights file of any network, to start from. noiseda or spandrel must know it (.safetensors, .pth). The network is
    the file's own. denoise, derain, deblur, dejpeg: ready weights that come with noiseda. --weights for short."""

    freeze: list[str] = field(default_factory=list)
    """Patterns (such as encoders.*) of the names of weights that stay as they are."""

    def __post_init__(self) -> None:
        """Take texts for paths, as one writes them in Python."""
        for name in ("start", "weights"):
            if isinstance(path := getattr(self, name), str):
                object.__setattr__(self, name, Path(path))

    def named(self, usual: str = "unet") -> NetworkName:
        """The network that is asked for.

        Args:
            usual: what ``auto`` stands for, if that network has all the sizes that are given; else it is unet.
        """
        if self.network != "auto":
            return self.network
        given = {name for name in ("width", "depth", "blocks") if getattr(self, name) is not None}
        return cast(NetworkName, usual) if given <= SIZES[usual].keys() else "unet"

    def settled(self, usual: str = "unet", ready: str = "") -> RestorerSettings:
        """The same, with what is left to the network as that has it.

        Args:
            usual: as for :meth:`named`.
            ready: ready weights to start from where nothing is said of the network; none where empty.
        """
        if ready and self.says_nothing:
            return replace(self, weights=Path(ready))
        if self.weights is not None:
            return self
        network = self.named(usual)
        sizes = {name: usual for name, usual in SIZES.get(network, {}).items() if getattr(self, name) is None}
        return replace(self, network=network, **sizes)

    def is_ready(self, ready: str) -> bool:
        """Whether it starts from a task's ready weights, of that name."""
        return bool(ready) and self.weights == Path(ready)

    @property
    def says_nothing(self) -> bool:
        """Whether nothing is said of the network, so that a task's ready weights may take its place."""
        return self == RestorerSettings(freeze=self.freeze)

    @property
    def origin(self) -> Path | None:
        """The weights that a run starts from; None where they are random."""
        return self.start or self.weights

    def check(self, usual: str = "unet") -> None:
        """Check the settings against each other.

        Args:
            usual: as for :meth:`named`.

        Raises:
            UserError: naming the flag, what was given and what was expected.
        """
        given = [name for name in ("width", "depth", "blocks") if getattr(self, name) is not None]
        if self.weights is not None:
            also = ["start"] * (self.start is not None) + ["network"] * (self.network != "auto") + given
            if also:
                other = flag_of(f"restorer.{also[0]}")
                raise UserError(f"--weights brings its own network: give it without {other}")
            return
        network = self.named(usual)
        sizes = SIZES[network]
        if foreign := [name for name in given if name not in sizes]:
            known = ", ".join(f"--restorer.{name}" for name in sizes)
            raise UserError(f"--restorer.{foreign[0]} means nothing to {network}, which has {known}")
        count = len(sizes.get("blocks", []))
        if self.blocks is not None and (len(self.blocks) != count or min(self.blocks) < 1):
            raise UserError(
                f"--restorer.blocks of {network} must be {count} number(s) of 1 and more, not {self.blocks}"
            )
