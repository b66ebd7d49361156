"""The estimated risk: near the true one, and lowest for the restorer whose true one is lowest, without any truth."""

import pytest
import torch
import torch.nn.functional as F

from noiseda.assessment.sure import TAKEN, Calibrated, RiskEstimate
from noiseda.errors import UserError


def photographs(count=6, sigma=0.05):
    """Skies above hills of stripes, under noise of which neighbours share some."""
    g = torch.Generator().manual_seed(0)
    clean = []
    for _ in range(count):
        image = (0.3 + 0.4 * torch.rand(1, generator=g)).expand(3, 256, 192).clone()
        image[:, 160:] += 0.12 * torch.sin(torch.linspace(0, 40, 192))
        clean.append(image)
    noisy = [y + 2 * sigma * F.avg_pool2d(torch.randn(1, 3, 257, 193, generator=g), 2, stride=1)[0] for y in clean]
    return clean, noisy


def blur(share, side=5):
    def restore(image):
        half = side // 2
        smooth = F.avg_pool2d(F.pad(image[None], (half,) * 4, mode="reflect"), side, stride=1)[0]
        return torch.lerp(image, smooth, share)

    return restore


def test_it_ranks_restorers_as_the_truth_does_and_knows_the_noise():
    clean, noisy = photographs()
    estimate = RiskEstimate(noisy, blur(0.9), torch.Generator().manual_seed(1))
    restorers = {"as it is": blur(0.0), "half": blur(0.5), "blurred": blur(0.9), "flattened": blur(1.0, side=31)}
    true = {
        name: sum(float((f(x) - y).square().mean()) for x, y in zip(noisy, clean, strict=True)) / len(clean)
        for name, f in restorers.items()
    }
    found = {name: estimate(f) for name, f in restorers.items()}
    assert sorted(true, key=true.get) == sorted(found, key=lambda name: found[name].mean)
    assert found["as it is"].mean == pytest.approx(sum(found["as it is"].noise) / 6, rel=0.05)  # f(x) = x: |n|^2
    for name in true:
        assert found[name].mean == pytest.approx(true[name], abs=0.3 * true["as it is"]), name


def test_the_same_draws_give_the_same_estimate():
    _, noisy = photographs(3)
    first, again = (RiskEstimate(noisy, blur(0.9), torch.Generator().manual_seed(2))(blur(0.5)) for _ in range(2))
    assert first == again


def test_it_says_why_it_cannot_be_made():
    generator = torch.Generator()
    with pytest.raises(UserError, match="at least 64 x 64"):
        RiskEstimate([torch.rand(3, 63, 500)], blur(0.5), generator)
    with pytest.raises(UserError, match="no flat place with noise"):
        RiskEstimate([torch.zeros(3, 128, 128)], blur(0.5), generator)


def mean_error(risk):
    """Of all photographs, each divided by the deviation of its noise."""
    return sum(error / power**0.5 for error, power in zip(risk.restored, risk.noise, strict=True)) / len(risk.noise)


def test_what_an_estimate_is_off_by_where_the_truth_is_known_is_taken_from_it():
    clean, noisy = photographs(8)
    estimate = RiskEstimate(noisy, blur(0.9), torch.Generator().manual_seed(1))
    calibrated = Calibrated(estimate, estimate, clean)
    for restore in (blur(0.0), blur(0.5), blur(1.0, side=31)):
        images = zip(noisy, clean, estimate(restore).noise, strict=True)
        true = sum(float((restore(x) - y[:, :256, :192]).square().mean()) / power**0.5 for x, y, power in images) / 8
        between = TAKEN * true + (1 - TAKEN) * mean_error(estimate(restore))
        assert mean_error(calibrated(restore)) == pytest.approx(between, rel=1e-4), "all of it would be exact here"


def test_noise_that_depends_on_what_is_shown_is_judged_better_once_it_is_calibrated():
    clean, noisy = photographs(16)
    # Ten times as strong on the stripes as in the sky, where it is measured: the estimate thinks too little of blur.
    noisy = [torch.cat([x[:, :160], y[:, 160:] + 10 * (x - y)[:, 160:]], 1) for x, y in zip(noisy, clean, strict=True)]
    make = [
        RiskEstimate(noisy[part], blur(0.9), torch.Generator().manual_seed(seed))
        for part, seed in ((slice(0, 8), 1), (slice(8, 16), 2))
    ]
    plain, calibrated = make[0], Calibrated(make[0], make[1], clean[8:])
    for restore in (blur(0.0), blur(0.5), blur(1.0)):
        true = sum(float((restore(x) - y).square().mean()) for x, y in zip(noisy[:8], clean[:8], strict=True)) / 8
        off = plain(restore).mean - true
        assert abs(off) > 0.3 * true
        assert calibrated(restore).mean - true == pytest.approx((1 - TAKEN) * off, abs=0.1 * true)
