"""A network as a file that other programs read, which is kept only where they compute the same with it."""

from __future__ import annotations

import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noiseda.errors import UserError
from noiseda.inference.card import card
from noiseda.inference.onnx_runtime import apart, tolerated
from noiseda.restoration import Restorer, load
from noiseda.restoration.layout import laid_out
from noiseda.restoration.spandrel_models import descriptor_of
from noiseda.restoration.weights import metadata_of
from noiseda.storage import atomic, spelt

Target: TypeAlias = Literal["safetensors", "spandrel", "onnx", "pt2"]
SUFFIXES: dict[Target, str] = {
    "safetensors": ".safetensors",
    "spandrel": ".safetensors",
    "onnx": ".onnx",
    "pt2": ".pt2",
}

HALF_TOLERANCE = 1 / 255
"""Largest difference of half precision from single: one step of an 8-bit image."""

SIDE = 256
"""Sides of the images that a network of fixed size takes, unless others are asked for."""

OPSET = 18

log = logging.getLogger(__name__)

Call: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the network.
        card: the model card beside it.
        size: height and width that it takes; None where it takes any.
        least: the smallest side of an image that it takes, where that is any.
        difference: the largest from torch that was seen, in [0, 1]; of a network that chooses, the largest mean.
        checked: sizes of the images that it was compared on.
        scale: how many times as high and wide what it returns is.
        on_average: whether it chooses among what is nearly alike, and was compared by means.
    """

    path: Path
    card: Path
    size: tuple[int, int] | None
    least: int
    difference: float
    checked: list[tuple[int, int]]
    scale: int = 1
    on_average: bool = False

    def __str__(self) -> str:
        """In a few lines."""
        least = f" from {self.least} pixels a side" if self.least > 1 else ""
        takes = f"images of {'any size' + least if self.size is None else '{} x {} pixels alone'.format(*self.size)}"
        takes += f", enlarges them by {self.scale}" if self.scale > 1 else ""
        sizes = ", ".join(f"{height} x {width}" for height, width in self.checked)
        return (
            f"exported network: {self.path} (takes {takes})\n"
            f"compared with torch on {sizes}: {'on average' if self.on_average else 'at most'} {self.difference:.2g} "
            f"apart, in [0, 1]\nmodel card: {self.card}"
        )


def export(
    weights: Path,
    *,
    format: Target = "onnx",
    out: Path | None = None,
    size: tuple[int, int] | None = None,
    half: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a network as a file that other programs read, with a model card beside it.

    The file is compared with torch on several sizes of images, in the program that will read it, before it is kept.

    Args:
        weights: Weights file of the network.
        format: onnx (chaiNNer, ONNX Runtime), spandrel (chaiNNer, ComfyUI: the names that spandrel knows), pt2
            (torch.export, without the network's code) or safetensors (noiseda's own).
        out: Folder for the file and its card; by default export/ beside the weights.
        size: Height and width of the images it takes, for onnx and pt2; by default any, where the network allows it,
            else 256 by 256.
        half: Weights in half precision: half the size, and refused where images differ by more than a step of 8 bits.
        overwrite: Replace a file that exists already.

    Returns:
        What was written, and how it compares.

    Raises:
        UserError: The format cannot have this network, or the file computes something else; an existing file would be
            replaced; the folder cannot be written.
        WeightsError: The weights file cannot be loaded.
    """
    weights = Path(weights)
    model = load(weights)
    folder = weights.parent / "export" if out is None else Path(out)
    path, described = folder / f"{weights.stem}{SUFFIXES[format]}", folder / "README.md"
    _check(weights, format, size, half, [] if overwrite else [path, described])
    if path.resolve() == weights.resolve():
        raise UserError(f"--out {folder} would replace {weights} itself; choose another folder")
    tolerance = HALF_TOLERANCE if half else tolerated(model)
    if format in ("onnx", "pt2"):
        content, taken = _graph(model, format, size, half)
        reader = _onnx if format == "onnx" else _pt2
    else:
        content, taken = _weights(model, weights, format, half), None
        reader = _spandrel if format == "spandrel" else _noiseda
    with _refused(format, "read"):
        difference, checked = _compare(reader(content), model, taken, tolerance)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target, given in ((path, content), (described, spelt(card(weights, model, path, taken, half)))):
            with atomic(target) as file:
                file.write(given)
    except OSError as error:
        raise UserError(f"cannot write to --out {folder}: {error.strerror or error}") from error
    least = model.minimum if format in ("onnx", "pt2") else 1  # readers of weights pad
    return Exported(path, described, taken, least, difference, checked, model.scale, model.chooses)


def _check(weights: Path, format: Target, size: tuple[int, int] | None, half: bool, new: list[Path]) -> None:
    for path in new:
        if path.exists():
            raise UserError(f"{path} exists already; --overwrite replaces it")
    if size is not None and format not in ("onnx", "pt2"):
        raise UserError(f"--size is for onnx and pt2, whose networks may be of one size; {format} takes any")
    if size is not None and min(size) < 1:
        raise UserError(f"--size must be a height and a width of 1 and more, not {list(size)}")
    if half and format == "pt2":
        raise UserError(
            "--half is for onnx, spandrel and safetensors; a pt2 file computes in the precision it was made in"
        )


class Whole(nn.Module):
    """A restorer with padding and cropping in terms of its input's size, so that a graph of it takes any.

    Args:
        restorer: the network.
        size: height and width of all images; None where they vary.
    """

    def __init__(self, restorer: Restorer, size: tuple[int, int] | None) -> None:
        super().__init__()
        self.restorer, self.size = restorer, size

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] -> the same, (B, C, H * scale, W * scale)."""
        height, width = images.shape[-2:] if self.size is None else self.size
        if self.size is not None:
            down, right = self.restorer.padded(height, width)
        else:  # without what makes a number of a size
            stride = self.restorer.multiple_of
            down, right = (height + stride - 1) // stride * stride, (width + stride - 1) // stride * stride
        padded = images
        if self.restorer.multiple_of > 1 or self.size is not None:
            padded = images.index_select(2, _mirrored(height, down)).index_select(3, _mirrored(width, right))
        restored = self.restorer.restore(padded)
        if padded is not images:  # no slice, which asks whether there is anything to cut
            rows, columns = (torch.arange(side * self.restorer.scale) for side in (height, width))
            restored = restored.index_select(2, rows).index_select(3, columns)
        return restored.clamp(0, 1)


def _mirrored(length: int, padded: int) -> Tensor:
    """Positions of the pixels of an axis that is padded by reflection."""
    index = torch.arange(padded)
    return torch.minimum(index, (2 * (length - 1) - index).clamp(min=0))


def _graph(
    model: Restorer, format: Target, size: tuple[int, int] | None, half: bool
) -> tuple[bytes, tuple[int, int] | None]:
    """The network as a graph, for any size where that is asked for and holds up, and the size it takes."""
    make = to_onnx if format == "onnx" else _to_pt2
    reader = _onnx if format == "onnx" else _pt2
    if size is None and not model.square:
        try:
            content = make(model, None)
            _compare(reader(content), model, None, tolerated(model))
            return _halved(content) if half else content, None
        except Exception as error:  # what translation raises has no class in common
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            log.warning("this network cannot be had for any size (%s); made for %d x %d alone", reason, SIDE, SIDE)
    taken = (SIDE, SIDE) if size is None else (int(size[0]), int(size[1]))
    with _refused(format, "translated"):
        content = make(model, taken)
        return _halved(content) if half else content, taken


def _program(model: Restorer, size: tuple[int, int] | None) -> tuple[nn.Module, Tensor, dict[str, object] | None]:
    """What is traced, on what, and what may vary."""
    vary = torch.export.Dim.DYNAMIC
    side = max(model.minimum, 6 * model.multiple_of, 48)
    images = torch.rand(1, model.channels, *(size or (side + 5, side + 11)))
    # All but the batch: of one image, as programs give it.
    return Whole(model.eval(), size).eval(), images, None if size else {"images": {2: vary, 3: vary}}


def to_onnx(model: Restorer, size: tuple[int, int] | None) -> bytes:
    """A network as an ONNX file, for one size of images or, with None, for any."""
    whole, images, vary = _program(model, size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            whole,
            (images,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["restored"],
            dynamic_shapes=vary,
        )
    assert program is not None
    graph: bytes = program.model_proto.SerializeToString()
    return graph


def _to_pt2(model: Restorer, size: tuple[int, int] | None) -> bytes:
    whole, images, vary = _program(model, size)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(whole, (images,), dynamic_shapes=vary), buffer)
    return buffer.getvalue()


def _halved(graph: bytes) -> bytes:
    """An ONNX graph with its weights in half precision; what it takes and returns stays in single."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        halved: bytes = convert_float_to_float16(onnx.load_from_string(graph), keep_io_types=True).SerializeToString()
    return halved


def _onnx(graph: bytes) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _pt2(content: bytes) -> Call:
    module = torch.export.load(io.BytesIO(content)).module()
    return lambda images: module(images)


def _weights(model: Restorer, source: Path, format: Target, half: bool) -> bytes:
    """The weights by name; in noiseda's own format with the description they came with."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous().clone()
        for name, tensor in model.tensors().items()
    }
    return laid_out(tensors, described(model, source) if format == "safetensors" else {"format": "pt"})


def described(model: Restorer, source: Path) -> dict[str, str]:
    """The metadata of a file of noiseda's, from that of the file a network came from, as far as it had any."""
    return metadata_of(source, architecture=model.architecture, arguments=model.arguments)


def _noiseda(content: bytes) -> Call:
    with _kept_for_now(content) as path:
        return _clamped(load(path))


def _spandrel(content: bytes) -> Call:
    with _kept_for_now(content) as path:
        return descriptor_of(path)


@contextmanager
def _kept_for_now(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        path.write_bytes(content)
        yield path


def _clamped(restorer: Restorer) -> Call:
    return lambda images: restorer(images).clamp(0, 1)


def _compare(
    found: Call, model: Restorer, size: tuple[int, int] | None, tolerance: float
) -> tuple[float, list[tuple[int, int]]]:
    """The largest difference from torch on images of random sizes.

    Of a network that chooses among what is nearly alike, the mean counts, over all pixels; and images have a structure
    under their noise, since of noise alone all is nearly alike.

    Raises:
        UserError: where it is larger than a tolerance.
    """
    generator = torch.Generator().manual_seed(0)
    least = max(model.minimum, model.multiple_of, 16)
    sizes = [size] * 2 if size else _sizes(least, generator)
    worst, expected = 0.0, _clamped(model.eval())
    for height, width in sizes:
        images = torch.rand(1, model.channels, height, width, generator=generator)
        if model.chooses:
            coarse = torch.rand(1, model.channels, 4, 4, generator=generator)
            images = 0.8 * F.interpolate(coarse, size=(height, width), mode="bilinear") + 0.2 * images
        with torch.inference_mode():
            difference = apart(found(images), expected(images), model)
        worst = max(worst, difference if math.isfinite(difference) else math.inf)
        if not worst <= tolerance:
            raise UserError(
                f"on images of {height} x {width} it differs from torch by {worst:.2g}, more than {tolerance:.2g}"
            )
    return worst, list(dict.fromkeys(sizes))


def _sizes(least: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """Three sizes that no network was traced on, odd ones among them."""
    drawn = torch.randint(least, least + 160, (3, 2), generator=generator).tolist()
    return [(int(height), int(width)) for height, width in drawn]


@contextmanager
def _refused(format: Target, what: str) -> Iterator[None]:
    """Say in a sentence that a format cannot have a network."""
    try:
        yield
    except UserError as error:
        raise UserError(f"--format {format} cannot have this network: {error}") from error
    except Exception as error:  # what translation raises has no class in common
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UserError(f"--format {format} cannot have this network, which could not be {what}: {reason}") from error
