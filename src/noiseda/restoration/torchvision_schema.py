"""Make torchvision importable beside a torch without its compiled operators.

torchmetrics' LPIPS, piq and spandrel import torchvision, which on import describes its operators ``nms`` and ``qnms``
to torch. A CPU build of torch beside a CUDA build of torchvision (what the package index serves by default) has no such
operators, and the import fails with "operator torchvision::nms does not exist". Declaring them is enough: nothing here
calls them.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch

from noiseda.errors import UserError

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# torch forgets an operator when the object that declared it is collected: this keeps it alive.
_declared: list[Any] = []


def import_torchvision() -> None:
    """Import torchvision; where its own operators could not be loaded, declare the two it asks for first.

    Raises:
        UserError: torchvision is not installed, or cannot be imported for another reason.
    """
    try:
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error) or _declared:
                raise
            library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
            for operator in ("nms", "qnms"):
                library.define(operator + _SCHEMA)
            _declared.append(library)
            importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        raise UserError(f"torchvision cannot be imported ({error}); pip install 'noiseda[lpips]' brings it") from error
