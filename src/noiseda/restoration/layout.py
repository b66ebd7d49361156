"""Weights as the bytes of a ``.safetensors`` file, equal for equal weights and descriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def laid_out(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The file's content: the same bytes whatever process makes it.

    safetensors sorts the tensors, but not the metadata, whose order differs from process to process. So the header is
    written anew, its metadata first and sorted; what follows the header stays, and so do the tensors in it.

    Args:
        tensors: by name; contiguous, none sharing memory with another.
        metadata: texts by name.

    Returns:
        A ``.safetensors`` file.
    """
    content = memoryview(save(dict(tensors), metadata=dict(metadata)))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:end]))
    described = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items())), **header}
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    return b"".join([len(text).to_bytes(8, "little"), text, content[end:]])
