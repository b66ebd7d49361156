import pytest
import torch
from torch import Tensor

from noiseda.data.camera import linear_from_srgb
from noiseda.data.noise import PoissonGaussian, Shot, White


def lag1(residual: Tensor) -> float:
    residual = residual - residual.mean()
    return ((residual[..., 1:] * residual[..., :-1]).mean() / residual.square().mean()).item()


def flat(level: float, side: int = 200) -> Tensor:
    return torch.full((3, side, side), level)


def test_white_noise_is_gaussian_of_the_asked_sigma_and_independent() -> None:
    noise = White(strength=(25, 25))(flat(0.5), torch.Generator().manual_seed(0)) - 0.5
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    assert noise.std().item() * 255 == pytest.approx(25, rel=0.01)
    assert (noise / noise.std()).pow(4).mean().item() == pytest.approx(3, abs=0.1)  # the Gaussian's kurtosis
    assert abs(lag1(noise)) < 0.01
    assert abs(lag1(noise.mT)) < 0.01
    assert torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).abs().max() < 0.02


def test_sigma_is_drawn_uniformly_from_the_papers_range_for_each_image() -> None:
    generator = torch.Generator().manual_seed(0)
    sigmas = torch.stack([(White()(flat(0.5, 40), generator) - 0.5).std() * 255 for _ in range(300)])
    assert sigmas.max() < 77
    assert sigmas.mean().item() == pytest.approx(37.5, abs=3)
    assert sigmas.std().item() == pytest.approx(75 / 12**0.5, abs=2)


def test_white_noise_is_clipped_on_demand_only() -> None:
    as_paper = White(strength=(50, 50))(flat(0.0), torch.Generator().manual_seed(0))
    assert as_paper.mean().item() == pytest.approx(0, abs=2e-3)
    clipped = White(strength=(50, 50), clip=True)(flat(0.0), torch.Generator().manual_seed(0))
    assert torch.equal(clipped, as_paper.clamp(0, 1))


def test_no_noise_leaves_the_image() -> None:
    clean = torch.rand(3, 20, 20)
    assert torch.equal(White(strength=(0, 0))(clean, torch.Generator()), clean)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_signal_dependent_variance_is_a_line_through_the_asked_point(share: float) -> None:
    degrade = PoissonGaussian(strength=(20, 20), read=(share, share), clip=False)
    for level in (0.1, 0.5, 0.9):
        noise = degrade(flat(level), torch.Generator().manual_seed(0)) - level
        line = (20 / 255) ** 2 * (share + (1 - share) * 2 * level)
        assert noise.mean().item() == pytest.approx(0, abs=2e-3)
        assert noise.var().item() == pytest.approx(line, rel=0.03)
        assert abs(lag1(noise)) < 0.01


def test_clipping_lifts_black_and_lowers_white() -> None:
    degrade = PoissonGaussian(strength=(30, 30), read=(0.5, 0.5))
    assert degrade(flat(0.0), torch.Generator().manual_seed(0)).mean() > 0.01
    assert degrade(flat(1.0), torch.Generator().manual_seed(0)).mean() < 0.99


def test_noise_of_the_light_has_the_asked_spread_at_mid_grey_and_is_white() -> None:
    noise = Shot(strength=(5, 5))(flat(0.5), torch.Generator().manual_seed(0)) - 0.5
    assert noise.std().item() * 255 == pytest.approx(5, rel=0.03)
    assert abs(lag1(noise)) < 0.01


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_noise_of_the_light_has_no_mean_there_and_a_variance_that_rises_with_it(share: float) -> None:
    degrade = Shot(strength=(4, 4), read=(share, share))
    spread = []
    for level in (0.4, 0.7):
        light = linear_from_srgb(torch.tensor(level))
        noise = linear_from_srgb(degrade(flat(level), torch.Generator().manual_seed(0))) - light
        assert noise.mean().item() == pytest.approx(0, abs=2e-4)
        spread.append(noise.var().item() / (1.0 if share else light.item()))
    assert spread[0] == pytest.approx(spread[1], rel=0.03)  # constant, or proportional to the light


def test_noise_of_the_light_darkens_mid_tones_and_lifts_black() -> None:
    degrade, generator = Shot(strength=(30, 30)), torch.Generator().manual_seed(0)
    darker = {level: degrade(flat(level), generator).mean().item() - level for level in (0.0, 0.3, 0.7)}
    assert darker[0.0] > 0.01
    assert darker[0.3] < darker[0.7] < -0.002
