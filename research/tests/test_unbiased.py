"""How bright photographs would be without noise is taught by a few numbers of each patch."""

import pytest
import torch

import noiseda
from noiseda.restoration import ResidualUNet, Unbiased
from noiseda_research.ready import look
from noiseda_research.ready import unbiased as module
from noiseda_research.ready.unbiased import Exposed, main, squared_errors, teach, with_unbiased


@pytest.mark.parametrize(("curve", "times"), [(1.0, 1.0), (0.6, 2.1)])
def test_noise_in_the_light_makes_darker_and_is_skewed(curve, times):
    grey, draws = torch.full((3, 320, 320), 0.5), torch.Generator().manual_seed(0)
    exposed = Exposed(strength=(6.0, 6.0), curve=(curve, curve), compressed=0.0)
    noise = torch.stack([exposed(grey, draws) for _ in range(12)]) - grey
    usual = 0.7 * noise.square().mean((2, 3)) / 0.555  # with the curve of sRGB
    assert float((-noise.mean((2, 3)) / usual).mean()) == pytest.approx(times, rel=0.08)
    centred = noise - noise.mean((2, 3), keepdim=True)
    assert (centred.pow(3).mean((2, 3)) < 0).float().mean() > 0.8
    shares = [float(torch.corrcoef(one.flatten(1)).sum() - 3) / 6 for one in noise]
    assert min(shares) < -0.1
    assert max(shares) > 0.3


def test_the_squared_error_after_a_share_is_computed_of_three_numbers():
    draws = torch.Generator().manual_seed(0)
    error, lost, share = torch.randn(4, 50, generator=draws), torch.rand(4, 50, generator=draws), torch.rand(4)
    numbers = [(one * other).mean(1) for one, other in ((error, error), (lost, lost), (error, lost))]
    found = squared_errors(share, {"errors": torch.stack(numbers, dim=1)})
    torch.testing.assert_close(found, (error + share[:, None] * lost).square().mean(1))


def test_it_learns_where_something_was_taken():
    torch.manual_seed(0)
    unbiased, count = Unbiased(), 640
    taken = (torch.arange(count) // 4 % 2).float()
    seen = 0.1 * torch.randn(count, 18) + taken[:, None]
    errors = torch.stack([0.1 + taken, torch.ones(count), -taken], dim=1)
    known = {"seen": seen, "errors": errors, "patch": torch.arange(count) // 4}
    teach(unbiased, known)
    share = unbiased.share(seen)[:, 0, 0, 0]
    assert share[taken == 1].mean() > 0.9
    assert share[taken == 0].abs().mean() < 0.1


def test_it_is_taught_from_photographs_and_stored(tmp_path, photographs, monkeypatch, capsys):
    for each in (module, look):
        monkeypatch.setattr(each, "PATCH", 96)
    torch.manual_seed(0)
    network, weights = ResidualUNet(width=4, blocks=(1, 1, 1), groups=True, look=True), tmp_path / "start.safetensors"
    noiseda.save_weights(
        weights, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
    images = torch.rand(1, 3, 16, 24)
    assert torch.equal(with_unbiased(network)(images), network(images)), "nothing is put back at first"
    files = [str(tmp_path / f"{seed}.pt") for seed in range(2)]
    for seed, file in enumerate(files):
        main(["measure", str(photographs), str(weights), file, "--patches", "8", "--seed", str(seed)])
    main(["teach", str(weights), *files, str(tmp_path / "out.safetensors")])
    assert "dB of what was left out" in capsys.readouterr().out
    found = noiseda.load(tmp_path / "out.safetensors")
    assert found.arguments["unbiased"] is True
    assert found.unbiased.spread.std() > 0
    for name, one in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], one)
