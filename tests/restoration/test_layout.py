"""Equal weights are equal bytes, and any reader of the format reads them."""

import torch
from safetensors.torch import load, safe_open

from noiseda.restoration.layout import laid_out

TENSORS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(7), "c": torch.ones(3, dtype=torch.float16)}
METADATA = {name: f"{name} and ü" for name in ("task", "format", "steps", "seed", "commit", "torch", "threads")}


def test_equal_weights_and_descriptions_are_equal_bytes():
    one = laid_out(TENSORS, METADATA)
    turned = dict(reversed(TENSORS.items())), dict(reversed(METADATA.items()))
    assert {laid_out(*turned) for _ in range(8)} == {one}


def test_another_reader_finds_the_same(tmp_path):
    content = laid_out(TENSORS, METADATA)
    found = load(content)
    assert found.keys() == TENSORS.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in TENSORS.items()
    )
    (path := tmp_path / "it.safetensors").write_bytes(content)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == METADATA


def test_tensors_begin_where_any_type_of_theirs_may():
    for length in range(9):
        content = laid_out(TENSORS, {"note": "x" * length})
        assert int.from_bytes(content[:8], "little") % 8 == 0
        assert torch.equal(load(content)["b.weight"], TENSORS["b.weight"])
