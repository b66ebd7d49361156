"""Weights files of other people: what is recognised, and what is refused and why."""

import importlib
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from noiseda.errors import UserError, WeightsError
from noiseda.restoration import load, save_weights, spandrel_models
from noiseda.restoration.introduce import teach_spandrel
from noiseda.restoration.spandrel_models import detect, theirs
from tests.restoration.networks import built, enlarging

spandrel = importlib.import_module("spandrel")


def test_a_published_file_is_recognised_whatever_its_weights_are_wrapped_in(tmp_path):
    network = built("nafnet").eval()
    images = torch.rand(1, 3, 40, 40)
    expected = network(images)
    for index, state in enumerate(
        [
            network.tensors(),
            {f"module.{key}": value for key, value in network.tensors().items()},
            {"params": network.tensors()},
            {"state_dict": {f"module.{key}": value.half() for key, value in network.tensors().items()}},
        ]
    ):
        path = tmp_path / f"{index}.pth"
        torch.save(state, path)
        loaded = load(path)
        assert loaded.architecture == "NAFNet"
        assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
        torch.testing.assert_close(loaded(images), expected, atol=0 if index < 3 else 1e-2, rtol=0)
    save_file(network.tensors(), path := tmp_path / "model.safetensors")
    assert torch.equal(load(path)(images), expected)


def test_a_network_that_asks_for_the_noise_is_given_what_spandrel_gives_it():
    """DRUNet takes a map of noise levels as a fourth channel; of several images, each gets one."""
    network = built("drunet").eval()
    descriptor = spandrel.MAIN_REGISTRY.load(network.tensors())
    images = torch.rand(3, 3, 24, 32)
    with torch.inference_mode():
        restored = network(images)
        assert network.channels == 3
        for index in range(3):
            expected = descriptor(images[index : index + 1])
            torch.testing.assert_close(restored[index : index + 1].clamp(0, 1), expected, atol=1e-5, rtol=1e-5)


def test_fdncnn_is_given_the_noise_too():
    network = detect(theirs("DnCNN")(in_nc=4, out_nc=3, nc=8, nb=20, act_mode="R", mode="FDnCNN").state_dict(), "it")
    assert network.channels == 3
    assert network(torch.rand(2, 3, 9, 9)).shape == (2, 3, 9, 9)


def test_it_can_be_trained_from_a_file(tmp_path):
    torch.save(built("swinir").tensors(), tmp_path / "a.pth")
    network = load(tmp_path / "a.pth").train()
    network(torch.rand(1, 3, 16, 16)).mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_a_network_that_enlarges_states_its_scale_and_gives_what_spandrel_gives(tmp_path):
    """SwinIR pads inside to windows; ESRGAN by 2 takes blocks of pixels apart."""
    swin = theirs("SwinIR")(
        in_chans=3, embed_dim=12, depths=[2] * 4, num_heads=[2] * 4, window_size=8, upsampler="pixelshuffledirect",
        upscale=3,
    )  # fmt: skip
    for scale, network in ((2, enlarging(2)), (4, enlarging(4)), (3, swin)):
        torch.save(network.state_dict(), path := tmp_path / f"by {scale}.pth")
        loaded, images = load(path), torch.rand(1, 3, 21, 34)
        assert loaded.scale == scale
        with torch.inference_mode():
            restored = loaded(images)
            assert restored.shape == (1, 3, 21 * scale, 34 * scale)
            expected = spandrel.ModelLoader().load_from_file(path)(images)
        torch.testing.assert_close(restored.clamp(0, 1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("told", [{"purpose": "FaceSR", "scale": 8}, {"purpose": "Inpainting"}])
def test_networks_for_faces_or_with_masks_are_refused(monkeypatch, told):
    descriptor = SimpleNamespace(architecture=SimpleNamespace(id="Theirs"), **told)
    known = SimpleNamespace(load=lambda state: descriptor)
    monkeypatch.setattr(spandrel_models, "registry", lambda: known)
    with pytest.raises(WeightsError, match=rf"the network Theirs for {told['purpose']}; noiseda takes"):
        detect({"weight": torch.zeros(1)}, "it")


def _attentive():
    grl = importlib.import_module("spandrel.architectures.GRL").GRL
    return grl(
        img_size=64, in_channels=3, embed_dim=36, depths=[2, 2], num_heads_window=[2, 2], num_heads_stripe=[2, 2]
    )


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (_attentive, ["GRL", "cannot be adapted", "windows"]),
        (lambda: nn.Sequential(nn.Conv2d(3, 3, 3)), ["0.weight", "of no network"]),
        (
            lambda: theirs("NAFNet")(
                img_channel=4, width=4, enc_blk_nums=[1] * 4, middle_blk_num=1, dec_blk_nums=[1] * 4
            ),
            ["NAFNet", "4 channels", "grey"],
        ),
    ],
)
def test_what_cannot_be_adapted_is_refused_with_a_reason(tmp_path, network, words):
    path = tmp_path / "theirs.pth"
    torch.save(network().state_dict(), path)
    with pytest.raises(WeightsError) as refused:
        load(path)
    assert all(word in str(refused.value) for word in [str(path), *words]), str(refused.value)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_match_are_refused_and_not_trained_from_scratch(tmp_path, change):
    state = dict(built("nafnet").tensors())
    if change == "missing":
        del state["decoders.1.0.conv2.weight"]
    elif change == "extra":
        state["decoders.1.0.conv9.weight"] = torch.zeros(2, 2)
    else:
        state["decoders.1.0.conv2.weight"] = torch.zeros(2, 2)
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match=r"broken\.pth holds weights \(.*fit no network as a whole.*decoders"):
        load(tmp_path / "broken.pth")


@pytest.mark.parametrize(
    ("package", "network", "words"),
    [
        ("spandrel", "nafnet", ["need spandrel", "noiseda[networks]"]),
        ("spandrel_extra_arches", "restormer", ["Restormer needs spandrel_extra_arches", "noiseda[more-networks]"]),
    ],
)
def test_what_is_missing_is_named(monkeypatch, package, network, words):
    whole = importlib.import_module

    def without(name, *rest):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {name!r}")
        return whole(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    spandrel_models.registry.cache_clear()
    with pytest.raises(UserError) as refused:
        built(network)
    spandrel_models.registry.cache_clear()
    assert all(word in str(refused.value) for word in words)


def test_two_domains_never_share_the_statistics_of_a_batch():
    network = built("dncnn").train()
    seen = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
            break
    first, second = torch.rand(2, 3, 8, 8), torch.rand(3, 3, 8, 8)
    restored = network.restore_jointly(first, second)
    assert seen == [2, 3]
    assert [tuple(images.shape) for images in restored] == [(2, 3, 8, 8), (3, 3, 8, 8)]
    other = built("nafnet")
    assert len(other.passes(first, second)) == 1
    torch.testing.assert_close(torch.cat(other.restore_jointly(first, second)), other(torch.cat([first, second])))


@pytest.mark.parametrize("channels", [1, 3])
def test_spandrel_can_be_taught_our_own(tmp_path, channels):
    network, path = built("unet-tiny", channels=channels).eval(), tmp_path / "ours.safetensors"
    nn.init.normal_(network.head.weight)
    arguments = network.arguments
    save_weights(path, network.tensors(), architecture="unet", arguments=arguments, task="denoise")
    for _ in range(2):
        teach_spandrel()
    descriptor = spandrel.ModelLoader().load_from_file(path)
    images = torch.rand(1, channels, 45, 30)
    with torch.inference_mode():
        assert torch.equal(descriptor(images), network(images).clamp(0, 1))
