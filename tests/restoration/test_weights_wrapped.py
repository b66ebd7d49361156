"""Weights as training programs leave them: wrapped, averaged, beside others. The network's own are found, and said."""

import argparse
import logging
import pathlib
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noiseda.errors import WeightsError
from noiseda.restoration import UNet, found, load
from noiseda.restoration.spandrel_models import theirs


@pytest.fixture(autouse=True)
def said(caplog):
    """What is said is said once for each file, so that it is forgotten before each test."""
    found._say.cache_clear()
    caplog.set_level(logging.WARNING, logger="noiseda")
    return caplog


@pytest.fixture(scope="module")
def wanted():
    torch.manual_seed(0)
    network = theirs("NAFNet")(img_channel=3, width=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.05)
    return network.state_dict()


@pytest.fixture(scope="module")
def own():
    torch.manual_seed(0)
    return UNet(width=4, depth=2).state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def zeros(state):
    return {name: torch.zeros_like(weight) for name, weight in state.items()}


def under(prefix, state):
    return {prefix + name: weight for name, weight in state.items()}


def loads(path, content, wanted):
    torch.save(content, path)
    same(path, wanted)


def same(path, wanted):
    given = load(path).tensors()
    assert given.keys() == wanted.keys()
    assert all(torch.equal(given[name], weight) for name, weight in wanted.items())


PREFIXES = (
    "_orig_mod.", "model.", "net.", "generator.", "net_g.", "netG.", "module.", "student.", "ema_model.", "denoiser.",
    "module._orig_mod.", "model.net.", "_orig_mod.module.", "model._orig_mod.module.net.", "anything.at.all.",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("ours", [False, True])
def test_prefixes_are_taken_off_in_any_order(path, wanted, own, prefix, ours):
    state = own if ours else wanted
    loads(path, {"state_dict": under(prefix, state)}, state)
    assert not ours or isinstance(load(path), UNet)


@pytest.mark.parametrize("prefix", PREFIXES[:3])
def test_prefixes_are_taken_off_in_safetensors(tmp_path, wanted, prefix):
    save_file({name: weight.contiguous() for name, weight in under(prefix, wanted).items()}, tmp_path / "a.safetensors")
    same(tmp_path / "a.safetensors", wanted)


@pytest.mark.parametrize("prefix", ["", "model.", "_orig_mod.", "module.model."])
def test_a_network_whose_own_names_begin_so_is_kept_whole(path, prefix):
    """DnCNN calls its layers ``model.0`` and so on: what is taken off is the wrapping alone."""
    torch.manual_seed(0)
    state = theirs("DnCNN")(in_nc=3, out_nc=3, nc=4, nb=17, act_mode="R").state_dict()
    loads(path, under(prefix, state), state)


@pytest.mark.parametrize(
    "wrapper",
    ["state_dict", "params", "params_ema", "model", "model_state_dict", "net", "ema", "model_ema", "ema_state_dict",
     "g", "g_ema", "generator", "state_dict_ema", "net_g", "weights", "a_name_of_its_own"],
)  # fmt: skip
def test_mappings_are_looked_into(path, wanted, wrapper):
    loads(path, {wrapper: wanted, "epoch": 3, "lr": [1e-4], "optimizer": {"state": {0: zeros(wanted)}}}, wanted)


RAW_AND_AVERAGED = [
    (lambda raw, ema: {"params": raw, "params_ema": ema}, "params_ema", "params"),
    (lambda raw, ema: {"model": raw, "ema": ema}, "ema", "model"),
    (lambda raw, ema: {"model": raw, "model_ema": ema}, "model_ema", "model"),
    (lambda raw, ema: {"ema": under("module.", ema), "model": under("module._orig_mod.", raw)}, "ema", "model"),
    (lambda raw, ema: {"g": raw, "g_ema": ema, "d": {"a": torch.ones(2)}}, "g_ema", "g"),
    (lambda raw, ema: {"state_dict": raw, "ema_state_dict": ema}, "ema_state_dict", "state_dict"),
    (lambda raw, ema: {"state_dict": raw, "state_dict_ema": ema}, "state_dict_ema", "state_dict"),
    (lambda raw, ema: {"model": raw, "ema": {"decay": 0.9, "shadow": ema}}, "ema.shadow", "model"),
    (lambda raw, ema: {"model": raw, "ema": {"decay": 0.9, "shadow_params": list(ema.values())}}, "ema.shadow_params",
     "model"),
    (lambda raw, ema: {**under("online_model.", raw), **under("ema_model.", ema), "initted": torch.tensor(True),
                       "step": torch.tensor(7)}, "ema_model", "online_model"),
    (lambda raw, ema: {"state_dict": {**under("net.", raw), **under("net_ema.module.", ema)}},
     "state_dict.net_ema", "state_dict.net"),
    (lambda raw, ema: {"state_dict": {**under("model.", raw), "model_ema.decay": torch.tensor(0.9),
                       **{"model_ema." + name.replace(".", ""): weight for name, weight in ema.items()}}},
     "state_dict.model_ema", "state_dict.model"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "taken", "left"), RAW_AND_AVERAGED)
def test_averaged_weights_are_preferred_and_that_is_said_once(path, wanted, said, layout, taken, left):
    for _ in range(2):
        loads(path, layout(zeros(wanted), wanted), wanted)
    (message,) = said.messages
    assert f"{path}: loaded the averaged weights (`{taken}`); the raw ones are in `{left}`" == message


def test_averaged_parameters_are_completed_by_raw_buffers(path):
    torch.manual_seed(0)
    state = theirs("DnCNN")(in_nc=3, out_nc=3, nc=4, nb=17, act_mode="BR").state_dict()
    parameters = [name for name in state if "running" not in name and "num_batches" not in name]
    averaged = {name: state[name] for name in parameters}
    raw = {name: zeros(averaged).get(name, weight) for name, weight in state.items()}
    loads(path, {"model": raw, "ema": averaged}, state)
    loads(path, {"model": raw, "ema": {"shadow_params": list(averaged.values())}}, state)


def test_a_single_averaged_tensor_is_not_mixed_into_the_raw_ones(path, wanted):
    loads(path, {"model": wanted, "avg": {"intro.bias": torch.zeros(4)}}, wanted)


def test_averaged_weights_that_fit_no_network_are_left_and_that_is_said(path, wanted, said):
    broken = {**zeros(wanted), "intro.bias": torch.zeros(7)}
    loads(path, {"model": wanted, "ema": broken}, wanted)
    assert "loaded the raw weights (`model`), since the averaged ones (`ema`) fit no network" in said.text


def test_torch_averaged_model_is_read(path, own):
    network = UNet(width=4, depth=2)
    network.load_state_dict(own)
    loads(path, torch.optim.swa_utils.AveragedModel(network).state_dict(), own)


def test_a_compiled_part_and_counters_are_no_part_of_a_name(path, wanted):
    inside = {name.replace("encoders.0.", "encoders._orig_mod.0."): weight for name, weight in wanted.items()}
    counted = {
        **inside,
        "total_ops": torch.zeros(1),
        "intro.total_params": torch.zeros(1),
        "n_averaged": torch.tensor(3),
    }
    loads(path, counted, wanted)


def test_a_lightning_checkpoint_is_read_for_its_network(path, wanted, said):
    beside = {
        "loss.vgg.weight": torch.ones(2, 2), "discriminator.a": torch.ones(2, dtype=torch.complex64),
        "net_d.a": torch.ones(3),
        "train_psnr.total": torch.tensor(0), "optimizer.a": torch.ones(3),
    }  # fmt: skip
    content = {
        "state_dict": {**under("model.", wanted), **beside},
        "pytorch-lightning_version": "2.0",
        "callbacks": {"EarlyStopping{'monitor': 'loss'}": {"best_score": torch.tensor(1.0)}},
        "optimizer_states": [{"state": {0: zeros(wanted)}}],
        "hyper_parameters": argparse.Namespace(width=4),
    }
    loads(path, content, wanted)
    assert said.messages == []


def test_what_may_be_a_part_of_the_network_is_not_left_out_in_silence(path, wanted, said):
    loads(path, {**under("denoiser.", wanted), "head.weight": torch.ones(3), "head.bias": torch.ones(3)}, wanted)
    assert "left out what lies beside them: head (2 tensors)" in said.text


def test_numbers_and_settings_beside_the_weights_do_no_harm(path, wanted):
    beside = {
        "best_psnr": np.float64(31.2), "history": np.arange(5.0), "args": argparse.Namespace(lr=1),
        "where": pathlib.Path("a"), "device": torch.device("cpu"), "dtype": torch.float16, "sizes": torch.Size([1]),
        "kept": {1, 2}, "step": np.int64(3), "counts": OrderedDict(a=1), "text": b"\x00", "code": 1j, "big": 10**30,
    }  # fmt: skip
    loads(path, {"params": wanted, **beside}, wanted)


@pytest.mark.parametrize(
    "options", [{"_use_new_zipfile_serialization": False}, *({"pickle_protocol": n} for n in (3, 4, 5))]
)
def test_every_form_of_torch_save_is_read(path, wanted, own, options):
    for state in (wanted, own):
        torch.save({"params": state, "best": np.float32(1)}, path, **options)
        same(path, state)


def test_parameters_views_and_other_orders_in_memory_are_read(path, own):
    flat = torch.cat([weight.flatten() for weight in own.values()])
    parts = zip(own.items(), flat.split([weight.numel() for weight in own.values()]), strict=True)
    views = {name: part.view(weight.shape) for (name, weight), part in parts}
    loads(path, views, own)
    loads(path, {name: nn.Parameter(weight.clone()) for name, weight in own.items()}, own)
    turned = {name: weight.mT.contiguous().mT if weight.ndim == 4 else weight for name, weight in own.items()}
    loads(path, turned, own)
    first, *_ = load(path).parameters()
    assert first.is_contiguous()


def test_shared_numbers_become_weights_of_their_own(path, own):
    shared = torch.ones(4)
    torch.save({**own, "down.0.0.bias": shared, "down.0.2.bias": shared}, path)
    network = load(path)
    with torch.no_grad():
        network.down[0][0].bias.zero_()
    assert torch.equal(network.down[0][2].bias, shared)


def test_what_is_of_no_network_is_named_as_it_is_in_the_file(path):
    torch.save({"state_dict": {"model.a.weight": torch.ones(2, 2), "model.a.bias": torch.ones(2)}}, path)
    with pytest.raises(WeightsError, match=r"weights\.pth holds weights \(model\.a\.weight, .* of no network"):
        load(path)
