"""Stein's estimate is the true squared error, though nobody told it the truth, also of noise that neighbours share."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from noiseda.data.batches import Batch
from noiseda.estimation.noise_strengths import NoiseStrengths
from noiseda.restoration import Restorer, UNet
from noiseda_research.rivals.settings import SureSettings
from noiseda_research.rivals.sure import Sure

P = 32


class Mix(Restorer):
    """Part of the image, part of the image blurred; how much is learnt."""

    channels = 3
    multiple_of = 1

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(share))

    def restore(self, images):
        blurred = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
        return torch.lerp(images, blurred, self.share)


@pytest.fixture
def even(monkeypatch):
    """Noise that is taken to be as strong everywhere, as it is in these scenes."""
    monkeypatch.setattr(NoiseStrengths, "keep", lambda self, traces, usual, brightness: torch.ones(len(traces)))


def scene(seed, count=4, sigma=0.05):
    """Flat patches and wavy ones, under noise of which neighbours share some."""
    g = torch.Generator().manual_seed(seed)
    line = torch.linspace(0, 4 * torch.pi, P)
    flat = 0.3 + 0.4 * torch.rand(count, 1, 1, 1, generator=g).expand(count, 3, P, P)
    waves = torch.stack([torch.zeros(P, P), 0.2 * torch.sin(line)[:, None].expand(P, P)])[torch.arange(count) % 2]
    clean = flat + waves[:, None]
    noise = F.avg_pool2d(torch.randn(count, 3, P + 1, P + 1, generator=g), 2, stride=1) * 2 * sigma
    return clean, clean + noise


def risks(share, rounds=60):
    """Mean estimated and true squared error of a fixed restorer."""
    restorer = Mix(share)
    model = Sure(restorer, SureSettings(flat=0.5), patch=P, trained=True)
    estimated, true = [], []
    for seed in range(rounds):
        clean, noisy = scene(seed)
        draws = model.draw(clean, torch.Generator().manual_seed(seed))
        terms = model(Batch(clean, clean, noisy, None, ()), draws)
        model.after_step(0.4)
        if seed >= 15:
            noise = (noisy - clean).square().mean().sqrt()
            estimated.append(float(terms.errors["risk"].detach().mean() * noise))
            true.append(float((terms.restored_real - clean).square().mean()))
    return sum(estimated) / len(estimated), sum(true) / len(true)


def test_the_estimate_ranks_restorers_as_the_truth_does(even):
    """Best is the one in between: the first leaves the noise, the last turns it over and has lost the waves."""
    found = {share: risks(share) for share in (0.1, 0.8, 1.4)}
    estimated, true = ({share: pair[index] for share, pair in found.items()} for index in (0, 1))
    assert min(true, key=true.get) == 0.8
    assert min(estimated, key=estimated.get) == 0.8
    for share in found:
        assert estimated[share] - estimated[0.8] == pytest.approx(true[share] - true[0.8], abs=0.25 * true[0.8]), share


def test_training_finds_the_restorer_that_truth_would_have_chosen(even):
    restorer = Mix(0.3)
    model = Sure(restorer, SureSettings(flat=0.5, ramp=0.0), patch=P, trained=True)
    optimizer = torch.optim.Adam(restorer.parameters(), 0.02)
    for seed in range(150):
        clean, noisy = scene(seed)
        terms = model(Batch(noisy, noisy, noisy, None, ()), model.draw(clean, torch.Generator().manual_seed(seed)))
        model.losses(terms, 1.0)["risk"].backward()
        optimizer.step()
        optimizer.zero_grad()
        model.after_step(0.4)
    shares = torch.linspace(0, 1, 41)
    clean, noisy = scene(999, count=64)
    with torch.no_grad():
        true = torch.stack([(Mix(float(share))(noisy) - clean).square().mean() for share in shares])
    assert restorer.share.item() == pytest.approx(float(shares[true.argmin()]), abs=0.15)


def test_without_a_flat_patch_there_is_no_risk():
    torch.manual_seed(0)
    model = Sure(UNet(width=4, depth=2), SureSettings(), patch=16, trained=True)
    y_syn = torch.rand(2, 3, 16, 16)
    terms = model(
        Batch(y_syn, y_syn, torch.zeros(2, 3, 16, 16), None, ()), model.draw(y_syn, torch.Generator().manual_seed(0))
    )
    values = model.losses(terms, 0.5)
    assert values["risk"] == 0
    torch.testing.assert_close(values["loss"], values["restoration"])


def test_nothing_is_learnt_from_real_images_during_the_head_start_and_the_judge_stays_after_it():
    restorer = Mix(0.3)
    model = Sure(restorer, SureSettings(start=0.5), patch=P, trained=False)
    clean, noisy = scene(0)
    terms = model(Batch(noisy, clean, noisy, None, ()), model.draw(clean, torch.Generator().manual_seed(0)))
    values = model.losses(terms, 0.4)
    assert values["loss"] == values["restoration"]
    with torch.no_grad():
        restorer.share.fill_(0.6)
    model.after_step(0.4)
    assert model.reference.teacher.network.share.item() == pytest.approx(0.6)
    values = model.losses(terms, 1.0)
    assert values["loss"] != values["restoration"]
    with torch.no_grad():
        restorer.share.fill_(0.9)
    model.after_step(1.0)
    assert model.reference.teacher.network.share.item() == pytest.approx(0.6)
