"""Images in memory: whatever type and order they come in, they go back so; what could be misread is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import noiseda
from noiseda.errors import ImageError, UserError
from noiseda.inference import restore_tensor
from noiseda.restoration import UNet
from tests.restoration.networks import Doubling

SHAPE = (24, 31)  # neither is a number of channels


class Darker(nn.Module):
    """Halves what is bright: it shows whether values came in their range, and turns no other."""

    channels = 3

    def forward(self, images):
        assert images.shape[1] == 3
        assert float(images.min()) > -0.2
        assert float(images.max()) < 1.2
        return images / 2


def draw(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def integers(*shape, dtype):
    top = torch.iinfo(dtype).max
    return (draw(*shape) * top).round().to(torch.int32).to(dtype)


@pytest.mark.parametrize(
    "shape", [(3, *SHAPE), (1, *SHAPE), SHAPE, (2, 3, *SHAPE), (2, 1, *SHAPE), (3, 50, 3), (1, 1, 1)]
)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.uint16]
)
def test_a_tensor_comes_back_in_its_type_and_shape(shape, dtype):
    whole = not dtype.is_floating_point
    x = integers(*shape, dtype=dtype) if whole else draw(*shape).to(dtype)
    y = noiseda.restore(Darker(), x)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    assert (y.double() - x.double() / 2).abs().max() <= (0.5 if whole else 1e-2)


@pytest.mark.parametrize("shape", [(*SHAPE, 3), (3, *SHAPE), SHAPE, (2, *SHAPE, 3), (2, 3, *SHAPE), (*SHAPE, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float32", "float64", "float16", ">f4"])
def test_an_array_comes_back_as_an_array(shape, dtype):
    kind = np.dtype(dtype)
    x = draw(*shape).double().numpy() * (np.iinfo(kind).max if kind.kind == "u" else 1)
    x = (x.round() if kind.kind == "u" else x).astype(kind)
    before = x.copy()
    y = noiseda.restore(Darker(), x)
    assert isinstance(y, np.ndarray)
    assert (y.dtype, y.shape) == (kind.newbyteorder("="), x.shape)
    assert np.abs(y.astype(float) - x.astype(float) / 2).max() <= (0.5 if kind.kind == "u" else 1e-2)
    assert np.array_equal(x, before)


def test_channels_last_and_channels_first_are_the_same_image():
    torch.manual_seed(0)
    network = UNet(width=4, depth=2)
    nn.init.normal_(network.head.weight)
    x = integers(3, 40, 50, dtype=torch.uint8)
    expected = noiseda.restore(network, x)
    last = noiseda.restore(network, x.permute(1, 2, 0).numpy())
    assert np.array_equal(last, expected.permute(1, 2, 0).numpy())
    assert torch.equal(noiseda.restore(network, x.float() / 255).mul(255).add(0.5).floor().byte(), expected)


def test_views_of_any_stride_are_read_as_they_look():
    x = (draw(*SHAPE, 3).numpy() * 255).astype(np.uint8)
    for view in (x[::-1], x[:, ::-2], x[..., ::-1], x.transpose(1, 0, 2), np.broadcast_to(x[:1], x.shape)):
        assert np.array_equal(noiseda.restore(Darker(), view), noiseda.restore(Darker(), view.copy()))
    x.flags.writeable = False
    noiseda.restore(Darker(), x)
    t = draw(3, *SHAPE)
    assert torch.equal(noiseda.restore(Darker(), t.transpose(1, 2)), noiseda.restore(Darker(), t).transpose(1, 2))


def test_the_result_carries_no_gradient():
    assert not noiseda.restore(Darker(), draw(3, *SHAPE).requires_grad_()).requires_grad


@pytest.mark.parametrize("x", [draw(4, *SHAPE), integers(2, 4, *SHAPE, dtype=torch.uint8)])
def test_alpha_is_returned_as_it_was(x):
    y = noiseda.restore(Darker(), x)
    assert torch.equal(y[..., 3:, :, :], x[..., 3:, :, :])
    assert torch.equal(y[..., :3, :, :], noiseda.restore(Darker(), x[..., :3, :, :]))


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "I;16"])
def test_a_pillow_image_comes_back_as_one(mode):
    wide = mode == "I;16"
    samples = (draw(*SHAPE, 4).numpy() * 255).astype(np.uint8)
    x = Image.fromarray(samples[..., 0].astype(np.uint16) * 257) if wide else Image.fromarray(samples).convert(mode)
    x.info["icc_profile"] = b"as it was"
    y = noiseda.restore(Darker(), x)
    assert (y.mode, y.size, y.info) == (mode, x.size, x.info)
    given, found = (np.array(image).reshape(*SHAPE, -1).astype(float) for image in (x, y))
    opaque = {"LA": 1, "RGBA": 3}.get(mode, given.shape[2])
    assert np.abs(found[..., :opaque] - given[..., :opaque] / 2).max() <= 0.5
    assert np.array_equal(found[..., opaque:], given[..., opaque:])


def test_a_pillow_image_that_cannot_be_read_is_refused():
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file := io.BytesIO(), "PNG", compress_level=0)
    with pytest.raises(ImageError, match="cannot be read"):
        noiseda.restore(Darker(), Image.open(io.BytesIO(file.getvalue()[:5000])))


NAN, ONES = float("nan"), torch.ones(3, 8, 8)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (draw(3, *SHAPE) * 255, ["[0.0", "25", "[0, 1]"]),
        (draw(3, *SHAPE) * 2 - 1, ["[-0.9", "[0, 1]"]),
        (draw(*SHAPE, 3).numpy() * 65535, ["[0, 1]", "uint8"]),
        (ONES * NAN, ["NaN"]),
        (ONES.half() * float("inf"), ["infinite"]),
        (torch.zeros(3, 0, 20), ["empty"]),
        (np.zeros((0, 20, 3), np.uint8), ["empty"]),
        (torch.zeros(0, 3, 20, 20), ["empty"]),
        *((torch.ones(3, 8, 8, dtype=dtype), ["uint8", str(dtype).removeprefix("torch.")])
          for dtype in (torch.int32, torch.int64, torch.int8, torch.bool, torch.complex64, torch.float8_e5m2)),
        (np.ones((8, 8, 3), np.int64), ["uint8", "int64"]),
        (np.ones((8, 8, 3), bool), ["bool"]),
        (np.ones((8, 8, 3), object), ["object"]),
        (np.array("photo.png"), ["<U9"]),
        (np.ones((8, 8, 3), np.longdouble), ["float128"]),
        (draw(*SHAPE, 3), ["permute(2, 0, 1)"]),
        (draw(2, *SHAPE, 3), ["permute(0, 3, 1, 2)"]),
        (draw(2, *SHAPE), ["(2, 24, 31)"]),
        (draw(5), ["(5,)"]),
        (torch.tensor(0.5), ["()"]),
        (draw(1, 1, 3, 8, 8), ["(1, 1, 3, 8, 8)"]),
        (np.zeros((3, 50, 3), np.uint8), ["could be"]),
        (np.zeros((8, 9, 5), np.uint8), ["C = 1, 3 or 4"]),
        (np.zeros(5), ["(5,)"]),
        (torch.eye(8).to_sparse(), ["plain tensor"]),
        (torch.ones(3, 8, 8, device="meta"), ["plain tensor"]),
        ([[0.0]], ["a list", "Pillow"]),
        ("photo.png", ["a str"]),
        (None, ["NoneType"]),
        (Image.new("P", (8, 8)), ["mode", "not P", "convert('RGB')"]),
        (Image.new("F", (8, 8)), ["not F"]),
    ],
)  # fmt: skip
def test_what_could_be_misread_is_refused(image, words):
    with pytest.raises(UserError) as refused:
        noiseda.restore(Darker(), image)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_little_overshoot_is_no_other_range():
    x = draw(3, *SHAPE) * 1.15 - 0.07
    torch.testing.assert_close(noiseda.restore(Darker(), x), (x / 2).clamp(0, 1))


@pytest.mark.parametrize("model", ["restorer.safetensors", draw(3, 8, 8), None])
def test_what_is_no_network_is_named(model):
    with pytest.raises(UserError, match="expected a network"):
        noiseda.restore(model, draw(3, 8, 8))


def test_a_network_that_answers_with_no_numbers_is_named():
    with pytest.raises(UserError, match="output"):
        noiseda.restore(lambda images: images * NAN, draw(3, 8, 8))


def test_an_unknown_precision_is_named():
    with pytest.raises(UserError, match="fp32 or bf16"):
        noiseda.restore(Darker(), draw(3, 8, 8), precision="fp16")


# --- larger ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 20, 30), (3, 40, 60)),
        ((2, 1, 20, 30), (2, 1, 40, 60)),
        ((20, 30), (40, 60)),
    ],
)
def test_super_resolution_gives_a_larger_tensor(shape, expected):
    given = draw(*shape)
    found = noiseda.restore(Doubling(), given)
    assert (tuple(found.shape), found.dtype) == (expected, given.dtype)
    colour = given.reshape(-1, shape[-3] if len(shape) > 2 else 1, 20, 30)
    assert torch.equal(found.reshape(len(colour), -1, 40, 60), restore_tensor(Doubling(), colour))


def test_super_resolution_gives_larger_arrays_with_channels_last_too():
    given = integers(20, 30, 4, dtype=torch.uint8).numpy()
    found = noiseda.restore(Doubling(), given)
    assert (found.shape, found.dtype) == ((40, 60, 4), np.uint8)
    assert noiseda.restore(Doubling(), given[None]).shape == (1, 40, 60, 4)
    first = noiseda.restore(Doubling(), given.transpose(2, 0, 1))
    assert np.array_equal(first.transpose(1, 2, 0), found)
    alpha = Image.fromarray(given[:, :, 3].astype(np.float32)).resize((60, 40), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(found[:, :, 3], np.clip(alpha, 0, 255), atol=0.501)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "I;16"])
def test_super_resolution_gives_a_larger_pillow_image(mode):
    given = Image.new(mode, (30, 20))
    given.info["comment"] = "kept"
    found = noiseda.restore(Doubling(), given)
    assert (found.mode, found.size, found.info) == (mode, (60, 40), {"comment": "kept"})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint16])
def test_alpha_of_any_type_is_enlarged(dtype):
    opaque = 1 if dtype.is_floating_point else 65535
    found = noiseda.restore(Doubling(), torch.full((4, 9, 9), opaque).to(dtype))
    assert (found.dtype, tuple(found.shape)) == (dtype, (4, 18, 18))
    torch.testing.assert_close(found[3].double(), torch.full((18, 18), opaque).double(), atol=1e-6, rtol=0)


def test_a_network_in_the_place_of_a_weights_file_is_said_to_be_one(tmp_path):
    from noiseda import UNet, restore_files

    with pytest.raises(UserError, match=r"takes a weights file, not UNet: noiseda\.restore takes that"):
        restore_files(UNet(width=4, depth=2), "photos", tmp_path)
