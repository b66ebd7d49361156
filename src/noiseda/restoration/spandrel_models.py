"""Networks of other people, by way of spandrel, which detects an architecture and its sizes from the weights alone."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from noiseda.errors import UserError, WeightsError
from noiseda.restoration.base import Restorer
from noiseda.restoration.frugal import Frugal, check_indices
from noiseda.restoration.stored import shown
from noiseda.restoration.torchvision_schema import import_torchvision

EXTRA = ("Restormer", "MPRNet", "MIRNet2")
"""Architectures whose code comes with spandrel_extra_arches, which forbids commercial use."""

REFUSED = {
    "GRL": "its weights do not show the sizes of its windows and stripes, so that another network would be rebuilt",
}
"""Architectures that spandrel reads, but that cannot be trained here; why."""

FEATURES = {
    "NAFNet": "middle_blks",
    "KBNet": "middle_blks",
    "SwinIR": "conv_after_body",
    "DRUNet": "m_body",
    "Restormer": "latent",
}
"""Architecture -> its deepest stage, where that returns images."""

IDLE = {"FFTformer": ("reduce_chan_level2.",)}
"""Weights without influence on the restored image, by the beginning of their names."""

FLOAT32 = ("KBNet",)
"""Architectures whose backward pass knows no autocast: they compute in float32."""

TILES = {"SwinIR": (128, 16)}
"""Architecture -> tiles in which it is faster: 2.7 times on two cores, on a crop of PolyU 0.0001 dB off."""

PURPOSES = ("Restoration", "SR")
"""What spandrel calls networks that take any image: to restore it in its own size, or to enlarge it."""

NOISE_LEVEL = 15 / 255
"""What networks that ask for the strength of the noise are given, as by spandrel."""


class Foreign(Restorer):
    """A network that spandrel recognised, behind the contract.

    Args:
        descriptor: spandrel's, of a network that returns as many channels as it takes.
    """

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 (spandrel's)
        super().__init__()
        self.network: nn.Module = descriptor.model
        self.architecture = descriptor.architecture.id
        self.channels, self.scale = descriptor.output_channels, int(descriptor.scale)
        needs = descriptor.size_requirements
        self.multiple_of, self.minimum, self.square = needs.multiple_of, max(1, needs.minimum), needs.square
        self.separate_batch_norm = any(
            isinstance(module, nn.modules.batchnorm._BatchNorm) for module in self.network.modules()
        )
        self._call: Callable[[nn.Module, Tensor], Any] = descriptor._call_fn
        if self.architecture in ("DRUNet", "DnCNN") and _first(self.network).shape[1] == self.channels + 1:
            self._call = _with_level
        for module in self.network.modules():
            if hasattr(module, "drop_prob"):  # stochastic depth: draws that no seed of a run would know of
                module.drop_prob = 0.0
        self.tiles = TILES.get(self.architecture)
        idle = IDLE.get(self.architecture, ())
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(idle))

    def restore(self, images: Tensor) -> Tensor:
        """Restore images whose sides are what the network asks for; (B, C, H, W) -> (B, C, H * scale, W * scale)."""
        if self.architecture in FLOAT32:
            with torch.autocast(images.device.type, enabled=False):
                restored: Tensor = self._call(self.network, images.float())
        else:
            restored = self._call(self.network, images)
        return restored

    @property
    def features(self) -> nn.Module:
        """The deepest stage, where it is known; (B, K, h, w).

        Raises:
            UserError: where it is not.
        """
        if self.architecture not in FEATURES:
            raise UserError(
                f"strategies that compare features cannot have {self.architecture}, whose stages return no images; "
                f"they can have {', '.join(FEATURES)}"
            )
        return self.network.get_submodule(FEATURES[self.architecture])

    def tensors(self) -> dict[str, Tensor]:
        """The weights by the names that spandrel knows."""
        return self.network.state_dict()


def knows(state: Mapping[str, Tensor]) -> bool:
    """Whether some weights have the names of an architecture that spandrel knows; their values are not looked at."""
    known = registry()
    canonical = importlib.import_module("spandrel").canonicalize_state_dict(dict(state))
    for support in known.architectures("detection"):
        with suppress(Exception):  # what detection raises on strange shapes has no class in common
            if support.detect(canonical):
                return True
    return False


def detect(state: Mapping[str, Tensor], source: object) -> Foreign:
    """Build the network that some weights are of.

    Args:
        state: weights by name, as published or under a usual prefix.
        source: what they are of, for the errors: a file, say.

    Returns:
        The network with these weights, ready to be trained; all its weights are float32. It states its scale, which
        is more than 1 for super-resolution.

    Raises:
        WeightsError: where no architecture has such weights, some are missing or too many, the network needs more
            than an image or restores faces alone, or cannot be trained here.
    """
    known = registry()
    canonical = importlib.import_module("spandrel").canonicalize_state_dict(dict(state))
    state = {name: value.float() if value.is_floating_point() else value for name, value in canonical.items()}
    check_indices(state, source)
    try:
        with Frugal(state, source):
            descriptor = known.load(dict(state))
    except WeightsError:
        raise
    except Exception as error:  # what detection raises has no class in common
        if type(error).__name__ == "UnsupportedModelError":
            raise WeightsError(unknown(state, source)) from error
        raise WeightsError(
            f"{source} holds weights ({_some(state)}, …) that fit no network as a whole: {_misfit(str(error))}"
        ) from error
    name = descriptor.architecture.id
    if name in REFUSED:
        raise WeightsError(f"{source} holds the network {name}, which cannot be adapted: {REFUSED[name]}")
    if not hasattr(descriptor, "scale") or descriptor.purpose not in PURPOSES:
        raise WeightsError(
            f"{source} holds the network {name} for {descriptor.purpose}; noiseda takes networks that restore or "
            "enlarge any image, and need nothing beside it"
        )
    channels = descriptor.input_channels, descriptor.output_channels
    if channels not in ((1, 1), (3, 3)):
        raise WeightsError(
            f"{source} holds the network {name}, which takes {channels[0]} channels and returns {channels[1]}; "
            "noiseda adapts networks from RGB to RGB or from grey to grey"
        )
    network = Foreign(descriptor)
    for name, _ in network.network.named_parameters():
        if name in state and not state[name].is_floating_point():
            raise WeightsError(f"{source}: {name} is of whole numbers; expected floating-point ones")
    return network


def installed(architecture: str) -> str | None:
    """The extra of noiseda that an architecture still needs; None where it is there."""
    if architecture.endswith("unet"):  # ours
        return None
    try:
        require(architecture)
    except UserError:
        return "more-networks" if architecture in EXTRA else "networks"
    return None


def require(architecture: str) -> None:
    """Check that what an architecture comes with is there.

    Raises:
        UserError: saying what to install.
    """
    registry()
    if architecture in EXTRA:
        try:
            importlib.import_module("spandrel_extra_arches")
        except ImportError as error:
            raise UserError(
                f"{architecture} needs spandrel_extra_arches ({error}); pip install 'noiseda[more-networks]' brings "
                "it (its networks may not be used commercially)"
            ) from error


def descriptor_of(path: Path) -> Callable[[Tensor], Tensor]:
    """A network as spandrel reads it from a file: (1, C, H, W) in [0, 1] -> the same, clamped.

    Raises:
        UserError: where spandrel is not installed, or does not know the network.
    """
    registry()
    loader = importlib.import_module("spandrel").ModelLoader()
    try:
        found: Callable[[Tensor], Tensor] = loader.load_from_file(path).eval()
    except Exception as error:  # what detection raises has no class in common
        if type(error).__name__ == "UnsupportedModelError":
            raise UserError("spandrel does not know it; --format onnx is read by chaiNNer and ONNX Runtime") from error
        raise
    return found


def theirs(name: str) -> Callable[..., nn.Module]:
    """The class of an architecture, by its name there.

    Raises:
        UserError: as :func:`require`.
    """
    architecture = name.removesuffix("_s")  # KBNet has two sizes
    require(architecture)
    package = "spandrel_extra_arches" if architecture in EXTRA else "spandrel"
    found: Callable[..., nn.Module] = getattr(importlib.import_module(f"{package}.architectures.{architecture}"), name)
    return found


@cache
def registry() -> Any:  # noqa: ANN401 (spandrel's)
    """All architectures that spandrel knows, with those of spandrel_extra_arches where that is installed."""
    try:
        import_torchvision()
        registry = importlib.import_module("spandrel").MAIN_REGISTRY
    except (ImportError, UserError) as error:
        raise UserError(
            f"networks other than noiseda's own need spandrel ({error}); pip install 'noiseda[networks]' brings it"
        ) from error
    with suppress(ImportError):  # an extra
        importlib.import_module("spandrel_extra_arches").install(ignore_duplicates=True)
    return registry


def unknown(state: Iterable[str], source: object) -> str:
    """Say that weights, by their names, are of no known network."""
    return f"{source} holds weights ({_some(state)}, …) of no network that noiseda or spandrel knows"


def _some(names: Iterable[str]) -> str:
    return ", ".join(shown(name) for name in islice(names, 3))


def _misfit(error: str) -> str:
    """What torch says of weights that a network does not take, in short."""
    sizes = re.findall(r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)", error)
    differences = [f"{name} is ({found}), expected ({asked})" for name, found, asked in sizes[:2]]
    for what, said in (("Missing", "is missing"), ("Unexpected", "is none of its own")):
        if names := re.findall(rf'{what} key\(s\) in state_dict: "(.*?)"', error):
            differences.append(f"{names[0]} {said}")
    return shown("; ".join(differences) or "their shapes contradict one another", 300)


def _first(network: nn.Module) -> Tensor:
    return next(network.parameters())


def _with_level(network: nn.Module, images: Tensor) -> Tensor:
    """Call a network that takes the strength of the noise as one more channel."""
    level = torch.full_like(images[:, :1], NOISE_LEVEL)
    restored: Tensor = network(torch.cat([images, level], dim=1))
    return restored
