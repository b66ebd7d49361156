"""Models of diffusers as noise predictors: they say what diffusers says, learn to look, or are refused in words."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from noiseda.diffusion import DiffusersPredictor, add_noise, load_diffusers
from noiseda.errors import UserError, WeightsError
from tests.diffusion.diffusers_models import SMALL, diffusers, model, written

WEIGHTS = "diffusion_pytorch_model.safetensors"
DDPM = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), dim=0)


def signals(conditions=2, sides=(8, 12), channels=3):
    y_t, *shown = torch.randn(1 + conditions, 4, channels, *sides, generator=torch.Generator().manual_seed(1))
    return y_t, tuple(shown)


@pytest.mark.parametrize("conditions", [0, 1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_untrained_it_says_what_diffusers_says_whatever_the_conditions_are(tmp_path, conditions, channels):
    unet, folder = written(tmp_path, in_channels=channels, out_channels=channels)
    state = torch.get_rng_state()
    found = load_diffusers(folder, conditions=conditions)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.channels, found.conditions, found.multiple_of, found.prediction) == (channels, conditions, 2, "eps")
    assert found.widened == (conditions > 0)
    assert not found.training
    y_t, shown = signals(conditions, channels=channels)
    t = torch.tensor([0, 17, 500, 999])
    with torch.no_grad():
        wanted = unet(y_t, t).sample
        torch.testing.assert_close(found(y_t, shown, 1000 * DDPM[t].float()), wanted, rtol=1e-5, atol=1e-5)
    weight = found.unet.conv_in.weight
    assert weight.shape == (8, channels * (1 + conditions), 3, 3)
    assert torch.equal(weight[:, :channels], unet.conv_in.weight)
    assert not weight[:, channels:].any()


def test_trained_it_looks_at_each_condition():
    found = DiffusersPredictor(model(), DDPM)
    y_t, shown = signals()
    shown = tuple(one.requires_grad_() for one in shown)
    level = torch.tensor([10.0, 300.0, 600.0, 990.0])
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(found.parameters(), lr=1.0)
    found(y_t, shown, level).square().mean().backward()
    assert not any(one.grad.any() for one in shown)  # the weights are zero ...
    gradient = found.unet.conv_in.weight.grad
    assert all(gradient[:, 3 * i : 3 * i + 3].any() for i in range(3))  # ... but they learn
    optimizer.step()
    gradients = torch.autograd.grad(found(y_t, shown, level).square().mean(), shown)
    assert all(one.abs().max() > 0 for one in gradients)


def test_a_trained_one_is_written_by_diffusers_and_read_again(tmp_path):
    found = DiffusersPredictor(model(), DDPM).eval()
    with torch.no_grad():
        found.unet.conv_in.weight.add_(0.1)
    found.unet.save_pretrained(tmp_path)
    again = load_diffusers(tmp_path)
    assert (again.channels, again.conditions, again.widened) == (3, 2, False)
    y_t, shown = signals()
    with torch.no_grad():
        level = torch.full((4,), 400.0)
        assert torch.equal(again(y_t, shown, level), found(y_t, shown, level))
    with pytest.raises(WeightsError, match=r"input has 9 channels and its output 3; .* those of 1 conditions"):
        load_diffusers(tmp_path, conditions=1)


@pytest.mark.parametrize("folder", ["", "unet"])
@pytest.mark.parametrize(
    ("scheduler", "predicts"),
    [
        (diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"), "v"),
        (diffusers.DDIMScheduler(beta_schedule="scaled_linear", beta_end=0.01, prediction_type="sample"), "clean"),
        (diffusers.DDIMScheduler(num_train_timesteps=50, rescale_betas_zero_snr=True), "eps"),
        (diffusers.PNDMScheduler(trained_betas=[0.1, 0.2, 0.4]), "eps"),
    ],
)
def test_its_schedule_is_that_beside_it(tmp_path, scheduler, predicts, folder):
    unet, _ = written(tmp_path, scheduler)
    (tmp_path / "model_index.json").write_text("{}")
    found = load_diffusers(tmp_path / folder, conditions=1)
    assert found.prediction == predicts
    torch.testing.assert_close(found.alpha_bar, scheduler.alphas_cumprod, rtol=1e-6, atol=1e-7)
    t = torch.randint(len(scheduler.alphas_cumprod), (4,), generator=torch.Generator().manual_seed(2))
    level = 1000 * scheduler.alphas_cumprod[t]
    assert torch.equal(found.timestep(level), t)
    y_t, shown = signals(1)
    with torch.no_grad():
        torch.testing.assert_close(found(y_t, shown, level), unet(y_t, t).sample, rtol=1e-5, atol=1e-5)


def test_a_schedule_in_the_same_folder_counts(tmp_path):
    _, folder = written(tmp_path)
    diffusers.DDPMScheduler(num_train_timesteps=7, prediction_type="v_prediction").save_pretrained(folder)
    found = load_diffusers(folder)
    assert (len(found.alpha_bar), found.prediction) == (7, "v")


def test_the_timestep_is_the_nearest():
    found = DiffusersPredictor(model(), torch.tensor([0.9, 0.5, 0.1]))
    level = torch.tensor([1000.0, 900.0, 701.0, 699.0, 500.0, 301.0, 299.0, 100.0, 0.0])
    assert found.timestep(level).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    found = DiffusersPredictor(model(), DDPM)
    assert torch.equal(found.timestep((1000 * DDPM).float()), torch.arange(1000))


def test_without_a_schedule_it_is_that_of_ddpm(tmp_path):
    _, folder = written(tmp_path)
    torch.testing.assert_close(load_diffusers(folder).alpha_bar.double(), DDPM, rtol=1e-4, atol=1e-7)


def test_images_noised_here_are_those_it_was_trained_on(tmp_path):
    """At the level that stands for a timestep, add_noise does what its own scheduler does at that timestep."""
    scheduler = diffusers.DDPMScheduler(beta_schedule="scaled_linear")
    written(tmp_path, scheduler)
    found = load_diffusers(tmp_path / "unet")
    y, eps = torch.rand(2, 4, 3, 6, 6)
    t = torch.tensor([3, 100, 600, 999])
    alpha_bar = found.alpha_bar[t]
    assert torch.equal(found.timestep(1000 * alpha_bar), t)
    torch.testing.assert_close(add_noise(2 * y - 1, eps, alpha_bar), scheduler.add_noise(2 * y - 1, eps, t))


def test_names_of_attention_of_old_files_are_known(tmp_path):
    unet, folder = written(tmp_path)
    state, names = (
        load_file(folder / WEIGHTS),
        {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"},
    )
    for new, old in names.items():
        state = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in state.items()}
    assert any("query" in name for name in state)
    save_file(state, folder / WEIGHTS)
    for name, tensor in load_diffusers(folder, conditions=0).unet.state_dict().items():
        assert torch.equal(tensor, unet.state_dict()[name])


def test_learned_timesteps_and_half_precision_are_read(tmp_path):
    unet = model(time_embedding_type="learned", num_train_timesteps=1000).half()
    unet.save_pretrained(tmp_path)
    found = load_diffusers(tmp_path)
    assert {weight.dtype for weight in found.parameters()} == {torch.float32}
    y_t, shown = signals()
    with torch.no_grad():
        wanted = unet.float()(y_t, torch.full((4,), 999)).sample
        torch.testing.assert_close(found(y_t, shown, torch.zeros(4)), wanted, rtol=1e-5, atol=1e-5)


def test_only_its_weights_are_state():
    found = DiffusersPredictor(model(), DDPM)
    assert all(name.startswith("unet.") for name in found.state_dict())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"out_channels": 6}, "input has 3 channels and its output 6; expected as many in both"),
        ({"in_channels": 4}, "input has 4 channels and its output 3"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type is fourier, expected positional or learned"),
        (
            {"time_embedding_type": "learned", "num_train_timesteps": 10},
            "knows 10 timesteps, and its schedule has 1000",
        ),
        ({"num_class_embeds": 10}, "asks for a class of images"),
        ({"class_embed_type": "timestep"}, "asks for a class of images"),
        ({"center_input_sample": True}, "of images in \\[0, 1\\] \\(center_input_sample\\)"),
        (
            {"down_block_types": ("SkipDownBlock2D", "AttnDownBlock2D"), "block_out_channels": (32, 32)},
            "SkipDownBlock2D takes the image past the input layer",
        ),
    ],
)
def test_a_model_of_another_contract_is_refused(tmp_path, changes, said):
    unet, folder = written(tmp_path, **changes)
    with pytest.raises(WeightsError, match=f"{folder} cannot be used as a noise predictor: .*{said}"):
        load_diffusers(folder)
    with pytest.raises(ValueError, match=said):
        DiffusersPredictor(unet, DDPM)


def changed(path, **changes):
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not None}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "is of UNet2DConditionModel, expected a diffusers UNet2DModel"),
        ({"_class_name": None}, "is of no class, expected a diffusers UNet2DModel"),
        ({"hue": 1}, "this diffusers knows no hue"),
        ({"block_out_channels": [16, 16]}, "cannot be used as a noise predictor: conv_in.weight is"),
        ({"block_out_channels": [8, 10**9]}, "out of all bounds"),
        ({"layers_per_block": 1000}, "layers_per_block is out of all bounds"),
        ({"layers_per_block": "two"}, "cannot be used as a noise predictor"),
        ({"layers_per_block": 0}, "layers_per_block is out of all bounds"),
        ({"block_out_channels": 8}, "cannot be used as a noise predictor"),
        ({"block_out_channels": [8, None]}, "cannot be used as a noise predictor"),
        ({"in_channels": None, "out_channels": "3"}, "cannot be used as a noise predictor"),
        ({"norm_num_groups": 3}, "cannot be used as a noise predictor"),
        ({"norm_num_groups": 0}, "cannot be used as a noise predictor"),
        ({"act_fn": "hope"}, "cannot be used as a noise predictor"),
        ({"down_block_types": ["os.system", "x"]}, "cannot be used as a noise predictor"),
        ({"up_block_types": ["UpBlock2D"]}, "cannot be used as a noise predictor"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path, changes, said):
    _, folder = written(tmp_path)
    changed(folder / "config.json", **changes)
    with pytest.raises(WeightsError, match=said):
        load_diffusers(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beta_schedule": "hope"}, "does not state a schedule"),
        ({"beta_schedule": None}, "states no beta; expected a schedule such as DDPMScheduler's"),
        ({"prediction_type": "flow"}, "prediction_type is 'flow', expected one of epsilon, v_prediction, sample"),
        ({"prediction_type": None}, None),
        ({"num_train_timesteps": 10**9}, "num_train_timesteps is 1000000000, expected 2 to 100000"),
        ({"num_train_timesteps": "many"}, "does not state a schedule"),
        ({"beta_end": "x"}, "does not state a schedule"),
        ({"beta_end": -3.0}, "does not fall from 1 towards 0"),
        ({"trained_betas": [0.1, float("nan")]}, "does not fall from 1 towards 0"),
    ],
)
def test_schedules_that_are_none_are_refused(tmp_path, changes, said):
    _, folder = written(tmp_path, diffusers.DDPMScheduler())
    path = tmp_path / "scheduler" / "scheduler_config.json"
    changed(path, trained_betas=None)
    changed(path, **changes)
    if said is None:
        assert load_diffusers(folder).prediction == "eps"
        return
    with pytest.raises(WeightsError, match=said) as refused:
        load_diffusers(folder)
    assert str(path) in str(refused.value)


def test_folders_of_something_else_are_refused(tmp_path):
    expected = "it has no config.json; expected config.json and diffusion_pytorch_model.safetensors"
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(WeightsError, match=expected):
            load_diffusers(path)
    for text, said in (("{", "is no JSON"), ("[]", "is no mapping"), (" " * 2**21, "too long for settings")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(WeightsError, match=said):
            load_diffusers(tmp_path)


def test_pickles_variants_and_pieces_are_never_read(tmp_path):
    _, folder = written(tmp_path)
    kept = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).unlink()
    with pytest.raises(WeightsError, match=f"has no {WEIGHTS}$"):
        load_diffusers(folder)
    variant = folder / "diffusion_pytorch_model.fp16.safetensors"
    variant.write_bytes(kept)
    with pytest.raises(WeightsError, match=r"but diffusion_pytorch_model\.fp16\.safetensors: save the whole model"):
        load_diffusers(folder)
    variant.rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match="is a pickle and is never read"):
        load_diffusers(folder)


def test_damaged_weights_are_refused(tmp_path):
    unet, folder = written(tmp_path)
    (folder / WEIGHTS).write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(WeightsError, match=r"is no readable \.safetensors file"):
        load_diffusers(folder)
    with torch.no_grad():
        unet.conv_in.bias[0] = torch.nan
    unet.save_pretrained(folder)
    with pytest.raises(WeightsError, match=r"conv_in\.bias holds values that are not numbers"):
        load_diffusers(folder)
    state = unet.state_dict()
    del state["conv_out.bias"]
    save_file(state, folder / WEIGHTS)
    with pytest.raises(WeightsError, match=r"conv_out\.bias is missing"):
        load_diffusers(folder)


def test_without_diffusers_it_names_what_brings_it(tmp_path, monkeypatch):
    _, folder = written(tmp_path)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"needs diffusers .*pip install 'noiseda\[diffusers\]'"):
        load_diffusers(folder)


def test_sides_are_multiples_of_what_the_levels_need():
    deep = SMALL | {"block_out_channels": (8, 8, 8)}
    deep |= {"down_block_types": ("DownBlock2D",) * 3, "up_block_types": ("UpBlock2D",) * 3}
    found = DiffusersPredictor(model(**deep), DDPM)
    assert found.multiple_of == 4
    y_t, shown = signals(sides=(4, 12))
    assert found(y_t, shown, torch.full((4,), 500.0)).shape == y_t.shape
    with pytest.raises(RuntimeError):
        found(*signals(sides=(6, 12)), torch.full((4,), 500.0))
