"""A second look is taught by products alone, as well as by images."""

import math

import pytest
import torch

import noiseda
from noiseda.restoration import ResidualUNet, SecondLook
from noiseda_research.ready import look as module
from noiseda_research.ready.look import TRIED, known_of, main, shares_of, squared_errors, teach, weak, with_look
from noiseda_research.ready.mixture import Wide


def small():
    torch.manual_seed(0)
    return with_look(ResidualUNet(width=4, blocks=(1, 1, 1), groups=True))


def test_the_squared_error_of_a_mixture_is_computed_of_products():
    network, draws = small(), torch.Generator().manual_seed(1)
    clean = torch.rand(3, 32, 48, generator=draws)
    degraded = clean + 0.1 * torch.randn(clean.shape, generator=draws)
    whole, part = known_of(network, degraded, clean, [(slice(0, 16), slice(8, 32))])
    torch.nn.init.normal_(network.look.last.bias, std=0.3)
    said = network.look.said(whole["seen"][None])[..., 0, 0]
    with torch.no_grad():
        said[:, -1] = network.look.last.bias[-1] = torch.logit(torch.tensor(math.log(14 / 5) / math.log(12)))
    shares = shares_of(said.detach(), network.look.voices)
    found = squared_errors(shares, {name: one[None] for name, one in whole.items()})
    with torch.no_grad():
        wanted = (network(degraded[None]) - clean).square().mean()
    torch.testing.assert_close(found[0], wanted, rtol=1e-3, atol=0)
    assert part["power"] == pytest.approx(float((clean - degraded)[:, :16, 8:32].square().mean()) * 3, rel=1e-4)


def test_between_two_strengths_both_have_a_share():
    said = torch.zeros(3, 17)
    said[:, 14:16] = 1  # all of the say for the second stage
    for row, strength in enumerate((5.0, 9.0, math.sqrt(20 * 28))):
        said[row, -1] = torch.logit(torch.tensor(math.log(strength / 5) / math.log(12)).clamp(1e-6))
    of_each = shares_of(said, 8)[:, 0, 7:]
    wanted = torch.zeros(3, len(TRIED))
    wanted[0, 0] = wanted[1, 1] = 1
    wanted[2, 3:5] = 0.5
    torch.testing.assert_close(of_each, wanted, atol=1e-4, rtol=0)


def test_noise_is_often_weak():
    clean, wide, draws = torch.full((3, 48, 48), 0.5), Wide(weaker=0.1), torch.Generator().manual_seed(0)
    deviations = torch.tensor([float((weak(clean, wide, draws) - clean).std()) * 255 for _ in range(200)])
    as_usual = torch.tensor([float((wide(clean, draws) - clean).std()) * 255 for _ in range(200)])
    assert (deviations < 5).float().mean() > (as_usual < 5).float().mean() + 0.1


def test_it_is_taught_from_photographs_and_stored(tmp_path, photographs, monkeypatch, capsys):
    monkeypatch.setattr(module, "PATCH", 96)
    torch.manual_seed(0)
    network, weights = ResidualUNet(width=4, blocks=(1, 1, 1), groups=True), tmp_path / "weights.safetensors"
    noiseda.save_weights(
        weights, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
    files = [str(tmp_path / f"{seed}.pt") for seed in range(2)]
    for seed, file in enumerate(files):
        main(["measure", str(photographs), str(weights), file, "--patches", "12", "--seed", str(seed)])
    monkeypatch.setattr(module, "EPOCHS", 80)
    main(["teach", str(weights), *files, str(tmp_path / "out.safetensors")])
    before, after = capsys.readouterr().out.splitlines()[-1].split(": ")[1].split(" dB")[0].split(" -> ")
    assert float(after) > float(before) + 1  # an untrained network leaves all of the noise
    found = noiseda.load(tmp_path / "out.safetensors")
    assert found.look.spread.std() > 0
    for name, one in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], one)


def test_it_learns_whom_to_believe(monkeypatch):
    """Of two kinds of patches, the one voice is right of those that are seen so, and the other of others."""
    monkeypatch.setattr(module, "EPOCHS", 80)
    torch.manual_seed(0)
    look, count = SecondLook(), 320
    kind = torch.arange(count) // 2 % 2
    seen = 0.1 * torch.randn(count, len(look.usual)) + kind[:, None]
    changes = torch.randn(count, 2, 14, 64)
    wanted = torch.where(kind[:, None, None] == 1, changes[:, :, 1], changes[:, :, 3])
    known = {
        "seen": seen,
        "alike": changes @ changes.transpose(2, 3) / 64,
        "right": (changes @ wanted[..., None])[..., 0] / 64,
        "power": wanted.square().sum((1, 2)) / 64,
        "patch": torch.arange(count) // 2,
    }
    teach(look, known)
    shares = shares_of(look.said(seen)[..., 0, 0], look.voices)
    right = torch.where(kind == 1, shares[:, 0, 1], shares[:, 0, 3])
    assert right.mean() > 0.9
    assert squared_errors(shares, known).mean() < 0.05 * known["power"].mean() / 3
