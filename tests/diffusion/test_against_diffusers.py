"""DDIM, noising and what is predicted, against the schedulers of diffusers."""

import pytest
import torch
from torch import nn

from noiseda.diffusion import Denoiser, DiffusersPredictor, add_noise
from noiseda.diffusion.prediction import PREDICTIONS
from noiseda.diffusion.sampling import ddim
from noiseda.dims import append_dims
from tests.diffusion.diffusers_models import diffusers, model

STEPS = 1000
NAMES = {"eps": "epsilon", "v": "v_prediction", "clean": "sample"}


class Guess(nn.Module):
    """Some answer, which depends on the noised signals and on the level."""

    def forward(self, y_t, conditions, level):
        return torch.tanh(y_t + append_dims(level, y_t.ndim) / 700)


def signals(*sides, seed=0):
    return torch.randn(3, *sides, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("prediction", NAMES)
@pytest.mark.parametrize("beta_schedule", ["linear", "squaredcos_cap_v2"])
def test_ddim_goes_where_that_of_diffusers_goes(beta_schedule, prediction, clamp):
    scheduler = diffusers.DDIMScheduler(
        beta_schedule=beta_schedule, prediction_type=NAMES[prediction], clip_sample=clamp, timestep_spacing="leading"
    )
    scheduler.set_timesteps(20)
    noise, network = signals(2, 6, 4), Guess()
    y_t, alpha_bar = noise, scheduler.alphas_cumprod
    for t in scheduler.timesteps:
        answer = network(y_t, (), 1000 * alpha_bar[t].expand(len(y_t)))
        y_t = scheduler.step(answer, t, y_t, eta=0.0, use_clipped_model_output=clamp).prev_sample
    assert scheduler.timesteps[-1] == 0
    levels = torch.cat([alpha_bar[scheduler.timesteps], torch.ones(1)])
    found = ddim(Denoiser(network, PREDICTIONS[prediction]), (), noise, levels.double(), clamp=clamp)
    torch.testing.assert_close(2 * found - 1, y_t, rtol=1e-3, atol=1e-3)


def test_a_model_of_diffusers_draws_what_its_own_pipeline_draws():
    """One network, two samplers, from the same noise; conditions are not looked at yet."""
    scheduler, unet = diffusers.DDIMScheduler(), model()
    scheduler.set_timesteps(5)
    noise = signals(3, 8, 8)
    y_t, alpha_bar = noise, scheduler.alphas_cumprod
    with torch.no_grad():
        for t in scheduler.timesteps:
            y_t = scheduler.step(unet(y_t, t).sample, t, y_t, eta=0.0, use_clipped_model_output=True).prev_sample
    denoiser = Denoiser(DiffusersPredictor(unet, alpha_bar, conditions=1).eval())
    levels = torch.cat([alpha_bar[scheduler.timesteps], torch.ones(1)])
    found = ddim(denoiser, (torch.rand(noise.shape),), noise, levels.double())
    torch.testing.assert_close(found, y_t / 2 + 0.5, rtol=1e-3, atol=1e-3)
    assert found.std() > 0.05


@pytest.mark.parametrize("sides", [(7,), (3, 4), (2, 3, 4)])
def test_signals_are_noised_as_diffusers_noises_them(sides):
    scheduler = diffusers.DDPMScheduler(beta_schedule="scaled_linear")
    y, eps = signals(2, *sides), signals(2, *sides, seed=1)
    t = torch.tensor([0, 400, STEPS - 1])
    found = add_noise(y, eps, scheduler.alphas_cumprod[t])
    torch.testing.assert_close(found, scheduler.add_noise(y, eps, t))


def test_v_is_the_velocity_of_diffusers():
    scheduler = diffusers.DDPMScheduler(prediction_type="v_prediction")
    y, eps = signals(2, 5, 5), signals(2, 5, 5, seed=1)
    t = torch.tensor([0, 400, STEPS - 1])
    found = PREDICTIONS["v"].target(y, eps, scheduler.alphas_cumprod[t])
    torch.testing.assert_close(found, scheduler.get_velocity(y, eps, t))


@pytest.mark.parametrize("t", [1, 200, 700, STEPS - 1])
@pytest.mark.parametrize("prediction", NAMES)
def test_an_answer_speaks_of_the_clean_signal_that_diffusers_takes_from_it(prediction, t):
    scheduler = diffusers.DDIMScheduler(prediction_type=NAMES[prediction], clip_sample=False)
    scheduler.set_timesteps(STEPS)
    y_t, answer = signals(2, 5, 5), signals(2, 5, 5, seed=1)
    alpha_bar = scheduler.alphas_cumprod[t].expand(3)
    wanted = scheduler.step(answer, t, y_t).pred_original_sample
    found = PREDICTIONS[prediction].clean(y_t, answer, alpha_bar)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
