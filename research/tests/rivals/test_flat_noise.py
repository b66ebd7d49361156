"""Flat noise: clean images wear what flat real patches wore, as strong as their own brightness asks for."""

import pytest
import torch
import torch.nn.functional as F

from noiseda.data.batches import Batch
from noiseda.estimation.random_phase import random_phase
from noiseda.restoration import Restorer, UNet
from noiseda_research.rivals.flat_noise import FlatNoise
from noiseda_research.rivals.settings import FlatNoiseSettings

P = 16


def real(seed, count=4):
    """Flat patches of many brightnesses; the standard deviation of their noise grows from 0.01 to 0.06."""
    g = torch.Generator().manual_seed(seed)
    level = torch.rand(count, 1, 1, 1, generator=g).mul(0.8).add(0.1).expand(count, 3, P, P)
    return level + (0.01 + 0.05 * level) * torch.randn(count, 3, P, P, generator=g)


def strategy(**settings):
    torch.manual_seed(0)
    return FlatNoise(UNet(width=4, depth=2), FlatNoiseSettings(flat=0.9, **settings), patch=P, trained=True)


def run(model, seed, y_syn):
    batch = Batch(y_syn, y_syn, real(seed, len(y_syn)), None, ())
    draws = model.draw(y_syn, torch.Generator().manual_seed(seed))
    return model(batch, draws)


@pytest.mark.slow
def test_the_noise_is_as_strong_as_brightness_asks_for():
    """The restorer starts as the identity: its error is the noise that was put on."""
    model = strategy(strength=(1.0, 1.0))
    for seed in range(150):
        terms = run(model, seed, torch.full((4, 3, P, P), 0.5))
        model.after_step(0.0)
    for level in (0.25, 0.5, 0.8):
        errors = []
        for seed in range(1000, 1015):
            terms = run(model, seed, torch.full((4, 3, P, P), level))
            errors.append(terms.errors["flat_noise"].mean())
        expected = (0.01 + 0.05 * level) * (2 / torch.pi) ** 0.5  # Charbonnier is nearly the mean absolute error
        assert abs(torch.stack(errors).mean() / expected - 1) < 0.15, level


def test_without_noise_yet_it_is_synthetic_training():
    model = strategy()
    y_syn = torch.rand(2, 3, P, P)
    batch = Batch(y_syn, y_syn, torch.zeros(2, 3, P, P), None, ())  # clipped: nothing to cut
    terms = model(batch, model.draw(y_syn, torch.Generator().manual_seed(0)))
    values = model.losses(terms, 0.5)
    assert terms.errors["flat_noise"].abs().max() == 0
    torch.testing.assert_close(values["loss"], values["restoration"])


def test_random_phases_keep_powers_and_colours_and_lose_the_shape():
    g = torch.Generator().manual_seed(0)
    edge = torch.zeros(1, 3, P, P)
    edge[..., 5] = 1.0
    noise = edge * torch.tensor([1.0, 0.5, -0.2])[:, None, None]
    noise = noise - noise.mean((-1, -2), keepdim=True)
    new = random_phase(noise, torch.randn(1, P, P, generator=g))
    torch.testing.assert_close(torch.fft.fft2(new).abs(), torch.fft.fft2(noise).abs(), atol=1e-4, rtol=1e-4)
    channels = [images.flatten(2)[0] @ images.flatten(2)[0].T for images in (new, noise)]
    torch.testing.assert_close(*channels, atol=1e-4, rtol=1e-4)
    assert new.abs().max() < 0.7 * noise.abs().max()  # the line is spread over the patch


def test_the_same_noise_is_put_on_twice_but_with_random_phases_never():
    for phase, again in (("kept", True), ("random", False)):
        model = strategy(strength=(1.0, 1.0), phase=phase)
        run(model, 0, torch.full((4, 3, P, P), 0.5))
        y_syn = torch.full((64, 3, P, P), 0.5)
        draws = model.draw(y_syn, torch.Generator().manual_seed(1))
        assert (draws.phase is None) == again
        worn, _ = model.wear(y_syn, draws)
        assert (len(worn.flatten(1).mul(1e4).round().unique(dim=0)) < 64) == again


class Blur(Restorer):
    """Takes a fixed share of white noise, and little of a slow wave."""

    channels = 3
    multiple_of = 1

    def restore(self, images):
        return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, stride=1)


@pytest.mark.slow
def test_noise_becomes_as_strong_as_it_is_where_patches_are_not_flat():
    """Flat patches have a noise of 0.02, wavy ones, as bright, of 0.05; three of four are wavy."""
    wave = 0.06 * torch.sin(torch.linspace(0, 3 * torch.pi, P)).expand(3, P, P)
    found = {}
    for everywhere in (False, True):
        model = FlatNoise(
            Blur(),
            FlatNoiseSettings(flat=0.25, strength=(1.0, 1.0), phase="random", everywhere=everywhere),
            patch=P,
            trained=True,
        )
        y_syn = torch.full((4, 3, P, P), 0.5)
        powers = []
        for seed in range(40):
            g = torch.Generator().manual_seed(seed)
            flat = 0.5 + 0.02 * torch.randn(1, 3, P, P, generator=g)
            wavy = 0.5 + wave + 0.05 * torch.randn(3, 3, P, P, generator=g)
            draws = model.draw(y_syn, g)
            model(Batch(y_syn, y_syn, torch.cat([flat, wavy]), None, ()), draws)
            model.after_step(0.0)
            if seed >= 10:
                powers.append((model.wear(y_syn, draws)[0] - y_syn).square().mean())
        found[everywhere] = float(torch.stack(powers).mean().sqrt())
    assert found[False] == pytest.approx(0.02, rel=0.1)
    assert found[True] == pytest.approx(((0.02**2 + 3 * 0.05**2) / 4) ** 0.5, rel=0.15)
