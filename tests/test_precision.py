"""The order of a run's tensors in memory follows the arithmetic and the processor."""

import pytest
import torch

from noiseda.precision import memory_format

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capability", "precision", "order"),
    [
        ("AVX2", "fp32", torch.contiguous_format),
        ("DEFAULT", "fp32", torch.contiguous_format),
        ("AVX512", "fp32", torch.channels_last),
        ("AVX512_VNNI", "fp32", torch.channels_last),
        ("AVX2", "bf16", torch.channels_last),
    ],
)
def test_auto_is_what_was_faster_on_such_processors(monkeypatch, capability, precision, order):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert memory_format("auto", precision, CPU) is order


def test_what_is_asked_for_is_done_on_any_processor(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert memory_format("channels_first", "fp32", CPU) is torch.contiguous_format
    assert memory_format("channels_last", "fp32", CPU) is torch.channels_last
    assert memory_format("auto", "fp32", torch.device("cuda")) is torch.channels_last
