"""Signals without truth, where the truth is known: each sees what it is meant to see."""

import pytest
import skimage.data
import torch
import torch.nn.functional as F

from noiseda.evaluation.label_free import (
    SIGNALS,
    disagreement,
    entanglement,
    far_neighbour_risk,
    neighbour_risk,
    noise_left,
    signals,
    texture_lost,
    whiteness,
)

SIGMA = 0.08


@pytest.fixture(scope="module")
def scene():
    """A photograph, and the same under white noise."""
    photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[:, :256, :256] / 255
    noise = SIGMA * torch.randn(photograph.shape, generator=torch.Generator().manual_seed(0))
    return photograph, photograph + noise


def blur(sigma):
    """A restorer: a Gaussian blur."""
    if not sigma:
        return lambda x: x
    radius = int(3 * sigma) + 1
    line = torch.exp(-torch.arange(-radius, radius + 1.0).square() / (2 * sigma**2))
    kernel = torch.outer(line, line) / line.sum() ** 2

    def restore(x):
        padded = F.pad(x[:, None], (radius,) * 4, mode="reflect")
        return F.conv2d(padded, kernel[None, None])[:, 0]

    return restore


def identity(x):
    return x


@pytest.mark.parametrize("risk", [neighbour_risk, far_neighbour_risk])
def test_the_neighbours_risk_is_lowest_near_the_best_restorer(scene, risk):
    clean, noisy = scene
    widths = [0, 0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0]
    truth = [float((blur(width)(noisy) - clean).square().mean()) for width in widths]
    found = [risk(blur(width), noisy, blur(width)(noisy)) for width in widths]
    best, picked = truth.index(min(truth)), found.index(min(found))
    assert 0 < best < len(widths) - 1
    assert abs(best - picked) <= (1 if risk is neighbour_risk else 2)
    assert found[0] > min(found) < found[-1]


def test_the_neighbours_risk_holds_the_noise_of_the_neighbour():
    """On a flat image, restored perfectly, all that is left is the neighbour's noise."""
    noisy = 0.5 + SIGMA * torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(1))
    found = neighbour_risk(lambda x: torch.full_like(x, 0.5), noisy, noisy)
    assert found == pytest.approx(SIGMA**2, rel=0.05)


def test_a_restorer_that_treats_mirror_images_alike_does_not_disagree(scene):
    _, noisy = scene
    assert disagreement(blur(1.0), noisy, blur(1.0)(noisy)) < 1e-9

    def shift(x):
        return x.roll(1, -1)

    assert disagreement(shift, noisy, shift(noisy)) > 1e-3


def test_what_is_removed_and_kept_have_nothing_in_common_in_a_perfect_restoration(scene):
    clean, noisy = scene
    perfect = entanglement(identity, noisy, clean)
    left = entanglement(identity, noisy, clean + 0.5 * (noisy - clean))
    lost = entanglement(identity, noisy, blur(1.5)(clean))
    assert perfect < 0.02
    assert left > 5 * perfect
    assert lost > 5 * perfect


def test_noise_left_is_seen_in_smooth_places(scene):
    clean, noisy = scene
    found = [noise_left(identity, noisy, clean + share * (noisy - clean)) for share in (0, 0.2, 0.5, 1)]
    assert found == sorted(found)
    flat = 0.5 + SIGMA * torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(1))
    assert noise_left(identity, flat, flat) == pytest.approx(SIGMA, rel=0.15)


def test_texture_lost_is_seen_in_rough_places(scene):
    clean, noisy = scene
    found = [texture_lost(identity, noisy, blur(width)(clean)) for width in (0, 0.6, 1.0, 2.0)]
    assert abs(found[0]) < 0.05
    assert found == sorted(found)
    assert found[-1] > 0.3


def test_signals_are_means_over_images(scene):
    clean, noisy = scene
    both = signals(blur(1.0), [noisy, clean])
    assert set(both) == set(SIGNALS)
    for name, signal in SIGNALS.items():
        alone = [signal(blur(1.0), x, blur(1.0)(x)) for x in (noisy, clean)]
        assert both[name] == pytest.approx(sum(alone) / 2)


def test_what_is_removed_is_white_where_it_is_white_noise_alone(scene):
    clean, noisy = scene
    assert whiteness(identity, noisy, clean) < 1e-3
    assert whiteness(identity, noisy, blur(2.0)(noisy)) > 1e-2  # texture goes with it
    assert whiteness(identity, clean, clean) == 0
