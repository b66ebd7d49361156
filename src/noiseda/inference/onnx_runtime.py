"""A network computed by ONNX Runtime.

It is the fastest that was measured on CPUs without bfloat16 (docs/explanation/performance.md).
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from importlib.metadata import version
from pathlib import Path

import pooch
import torch
from torch import Tensor, nn

from noiseda.errors import UserError
from noiseda.restoration import Restorer
from noiseda.storage import atomic

log = logging.getLogger(__name__)
TOLERANCE = 1e-4
"""Largest difference from torch, in [0, 1], that a translated network may show; some 1e-6 is usual."""


class OnnxRestorer(Restorer):
    """A restorer whose arithmetic is ONNX Runtime's, on the CPU, in float32.

    Args:
        graph: the network as ONNX, (B, C, H, W) -> (B, C, H * scale, W * scale).
        original: the network it was made of.
    """

    def __init__(self, graph: bytes, original: Restorer) -> None:
        import onnxruntime

        super().__init__()
        self.channels, self.scale, self.multiple_of = original.channels, original.scale, original.multiple_of
        self.minimum, self.square = original.minimum, original.square
        self.white_level, self.border = original.white_level, original.border
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors alone
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def restore(self, images: Tensor) -> Tensor:
        """Restore images whose sides are multiples of ``stride``; (B, C, H, W) -> (B, C, H * scale, W * scale)."""
        (restored,) = self._session.run(None, {"images": images.contiguous().numpy()})
        return torch.from_numpy(restored)


def with_onnxruntime(model: Restorer, weights: Path) -> OnnxRestorer:
    """Translate a network, which takes some ten seconds, or take it from the cache; check it against torch.

    Args:
        model: the network, on the CPU.
        weights: the file it was loaded from, by whose content the cache knows it.

    Raises:
        UserError: where the network cannot be translated, or comes out different.
    """
    cached = translation_of(weights)
    if cached.is_file():
        try:
            return _checked(OnnxRestorer(cached.read_bytes(), model), model)
        except Exception as error:  # what ONNX Runtime raises has no class in common
            log.warning("%s is of no use and is made anew (%s)", cached, error)
    graph = to_onnx(model)
    restorer = _checked(OnnxRestorer(graph, model), model)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with atomic(cached) as file:
            file.write(graph)
    except OSError as error:
        log.warning("%s cannot be kept for the next time: %s", cached, error.strerror or error)
    return restorer


def to_onnx(model: Restorer) -> bytes:
    """The network as ONNX, for any batch, height and width that are multiples of its ``stride``.

    Raises:
        UserError: where it cannot be translated.
    """
    size = torch.export.Dim.DYNAMIC
    side = max(model.minimum, 8 * model.multiple_of)
    example = torch.rand(2, model.channels, side, side if model.square else side + model.multiple_of)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Inner(model).eval(),
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                dynamic_shapes={"images": {0: size, 2: size, 3: size}},
            )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"this network cannot be translated for --backend onnxruntime ({reason}); use eager") from error
    assert program is not None
    graph: bytes = program.model_proto.SerializeToString()
    return graph


class _Inner(nn.Module):
    """What lies between padding and cropping, which stay torch's: in ONNX they would fix the sizes."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, images: Tensor) -> Tensor:
        return self.restorer.restore(images)


def _checked(found: OnnxRestorer, expected: Restorer) -> OnnxRestorer:
    """Compare both on an odd size that the translation has not seen."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(
        1, expected.channels, 5 * expected.multiple_of + 3, 7 * expected.multiple_of, generator=generator
    )
    with torch.inference_mode():
        difference = apart(found(images), expected(images), expected)
    if not difference <= tolerated(expected):
        raise UserError(
            f"in --backend onnxruntime this network differs from itself by {difference:.2g}, which is more than "
            f"{tolerated(expected):g}; use --backend eager"
        )
    return found


def apart(found: Tensor, expected: Tensor, model: Restorer) -> float:
    """The largest difference of two programs' images; of a network that chooses among near equals, the mean one.

    Args:
        found: (B, C, H, W), what one computes.
        expected: what the other does.
        model: the network.
    """
    differences = (found - expected).abs()
    return float(differences.mean() if model.chooses else differences.max())


def tolerated(model: Restorer) -> float:
    """How far apart programs may be. Random pixels, on which networks are compared, have many near equals."""
    return 1e-3 if model.chooses else TOLERANCE


def translation_of(weights: Path) -> Path:
    """Where the translation of a weights file to ONNX is kept."""
    digest = hashlib.sha256(weights.read_bytes())
    digest.update(f"noiseda {version('noiseda')}, torch {torch.__version__}, onnx {version('onnx')}".encode())
    return Path(pooch.os_cache("noiseda")) / "onnx" / f"{digest.hexdigest()[:32]}.onnx"
