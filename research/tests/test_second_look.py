"""The study of a second look, on two small pairs."""

import torch
from PIL import Image

from noiseda import save_weights
from noiseda.restoration import ResidualUNet
from noiseda_research.studies import second_look


def test_the_table_says_what_each_strength_is_worth(tmp_path, capsys):
    draws = torch.Generator().manual_seed(0)
    for name, value in (("a", 100), ("b", 140)):
        for kind, offset in (("target", 0), ("input", 10)):
            noise = 30 * torch.randn(40, 48, 3, generator=draws) if name == "b" and offset else torch.zeros(40, 48, 3)
            pixels = (value + offset + noise).clamp(0, 255).round().to(torch.uint8)
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels.numpy()).save(tmp_path / kind / f"{name}.png")
    torch.manual_seed(0)
    network, weights = ResidualUNet(width=4, blocks=(1, 1, 1)), tmp_path / "weights.safetensors"
    kind = {"architecture": network.architecture, "arguments": network.arguments, "task": "denoise"}
    save_weights(weights, network.tensors(), **kind)
    second_look.main([str(tmp_path), str(weights), "--side", "32"])
    names, _, figures = (line.split("|") for line in capsys.readouterr().out.strip().splitlines())
    found = {name.strip(): figure.strip() for name, figure in zip(names, figures, strict=True)}
    assert found["network"] == found["input"]  # it has learnt nothing
    assert float(found["again at 28"]) > float(found["input"]) + 1
    assert float(found["input"]) < float(found["mean with 28"]) < float(found["again at 28"])
    assert 50 < float(found["offset"].rstrip("%")) < 65  # all of the noise of a, a tenth of that of b
