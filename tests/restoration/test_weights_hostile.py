"""Files that are no weights, or lie about their sizes: a sentence each, at once, in no more memory than their own."""

import contextlib
import copy
import gzip
import io
import os
import pickle
import resource
import signal
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from noiseda.errors import UserError, WeightsError
from noiseda.restoration import UNet, load
from noiseda.restoration.spandrel_models import registry, theirs

FIRST = {"unet": "down.0.0.weight", "nafnet": "intro.weight"}
GIGABYTE = 2**30


@pytest.fixture(scope="module")
def good():
    registry()
    torch.manual_seed(0)
    nafnet = theirs("NAFNet")(img_channel=3, width=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    return {"unet": UNet(width=4, depth=2).state_dict(), "nafnet": nafnet.state_dict()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


@contextlib.contextmanager
def little():
    """At most a gigabyte more memory than now, and ten seconds."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + GIGABYTE, before[1]))
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def refuses(path, *words):
    with little(), pytest.raises(WeightsError) as caught:
        load(path)
    message = str(caught.value)
    assert all(word in message for word in (str(path), *words)), message
    assert message.isprintable()
    assert "weights_only" not in message
    assert len(message) < 700


# -- tensors -----------------------------------------------------------------------------------------------------------


TENSORS = {
    "complex64": lambda t: t.to(torch.complex64),
    "int64": lambda t: t.to(torch.int64),
    "int8": lambda t: t.to(torch.int8),
    "uint8": lambda t: t.to(torch.uint8),
    "uint16": lambda t: t.abs().to(torch.uint16),
    "bool": lambda t: t.bool(),
    "float8_e4m3fn": lambda t: t.to(torch.float8_e4m3fn),
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "sparse": lambda t: t.to_sparse(),
    "without values": lambda t: t.to("meta"),
    "nested": lambda t: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "negated": lambda t: torch.complex(t, t).conj().imag,
    "NaN": lambda t: t * float("nan"),
    "infinite": lambda t: t + float("inf"),
    "not numbers": lambda t: torch.full(t.shape, 1e300, dtype=torch.float64),  # infinite as float32
    "out of proportion": lambda t: torch.zeros(1).expand(10**6, 3, 300, 300),
    "empty, of shape (1000000, 0": lambda t: torch.zeros(10**6, 0, 3, 3),
    "impossible shape": lambda t: torch.zeros((1,) * 40),
}


@pytest.mark.parametrize("words", TENSORS)
@pytest.mark.parametrize("network", FIRST)
@pytest.mark.filterwarnings("ignore")
def test_a_tensor_that_is_no_weight_is_refused_by_name(path, good, network, words):
    state, name = dict(good[network]), FIRST[network]
    state[name] = TENSORS[words](state[name])
    torch.save({"params": state}, path)
    whole = network == "nafnet" and words in ("int64", "uint8", "bool")
    refuses(path, name if "proportion" not in words else "file", "whole numbers" if whole else words)


@pytest.mark.parametrize("words", ["complex64", "int64", "float8_e4m3fn", "NaN", "empty, of shape (1000000, 0"])
def test_a_tensor_of_safetensors_is_refused_by_name(tmp_path, good, words):
    state, path = dict(good["unet"]), tmp_path / "a.safetensors"
    state["head.bias"] = TENSORS[words](state["head.bias"])
    save_file(state, path)
    refuses(path, "head.bias", words.replace("float8_e4m3fn", "F8_E4M3"))


WIDE = torch.zeros(4000, 3, 3, 3)
SWIN = {
    "layers.0.residual_group.blocks.0.norm1.weight": torch.zeros(1),
    "conv_first.weight": torch.zeros(180, 3, 3, 3),
    "layers.0.residual_group.blocks.0.mlp.fc1.bias": torch.zeros(360),
    "layers.0.residual_group.blocks.0.attn.relative_position_bias_table": torch.zeros(1, 6),
}
INDEX = "layers.0.residual_group.blocks.0.attn.relative_position_index"
SHAPES = {
    "a width that the others have not": lambda good: {**good["nafnet"], "intro.weight": WIDE},
    "wide layers": lambda good: {
        f"model.{index}.{part}": torch.zeros(1) if index else WIDE
        for index in range(0, 40, 2) for part in ("weight", "bias")
    },
    "a large window": lambda good: {**SWIN, INDEX: torch.zeros(10**5, 1, dtype=torch.int64)},
    "a large mask": lambda good: {
        **SWIN, INDEX: torch.zeros(64, 64, dtype=torch.int64),
        "layers.0.residual_group.blocks.1.attn_mask": torch.zeros(10**6, 1),
    },
    "a stage that is counted far": lambda good: {**good["nafnet"], "encoders.999999999.0.beta": torch.zeros(1)},
    "a number of many digits": lambda good: {**good["nafnet"], "encoders." + 900 * "9": torch.zeros(1)},
    "a scalar": lambda good: {**good["nafnet"], "intro.weight": torch.tensor(1.0)},
    "one too many": lambda good: {**good["nafnet"], "intro.scale": torch.ones(2)},
}  # fmt: skip


@pytest.mark.parametrize("what", SHAPES)
@pytest.mark.filterwarnings("ignore")
def test_a_network_larger_than_its_weights_is_not_built(path, good, what):
    torch.save(SHAPES[what](good), path)
    refuses(path, "fit no network as a whole")


def test_a_unet_of_many_stages_is_none(path, good):
    stages = {f"down.{stage}.0.weight": torch.zeros(4, 3, 3, 3) for stage in range(2000)}
    torch.save({**stages, **good["unet"]}, path)
    refuses(path, "of no network")


@pytest.mark.parametrize("views", ["the same", "far apart"])
def test_many_views_of_the_same_numbers_are_refused(path, good, views):
    shared = torch.zeros(2**18)
    view = shared.view(512, 512, 1, 1) if views == "the same" else shared[:: 2**17]
    torch.save({**good["nafnet"], **{f"encoders.0.{index}.conv1.weight": view for index in range(1, 500)}}, path)
    refuses(path, "out of proportion")


def test_names_are_shown_such_that_any_terminal_takes_them(path, good):
    torch.save({"\x1b[31m" + name + "\n[bold]\ud800": weight for name, weight in good["unet"].items()}, path)
    refuses(path, "?[31mdown.0.0.weight?[bold]?")
    torch.save({**good["unet"], 10**6 * "x": torch.zeros(1)}, path)
    refuses(path)


# -- pickles -----------------------------------------------------------------------------------------------------------


def zipped(path, content, members=(), method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", content)
        for name, given in members:
            archive.writestr(f"archive/data/{name}", given)
    return path


PICKLES = {
    "lists in one another": b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".",
    "mappings in one another": b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 50000 + b"N" + b"s" * 50000 + b".",
    "tuples in one another": b"\x80\x02N" + b"\x85" * 100000 + b".",
    "a key that doubles": b"\x80\x02}N" + b"2\x86" * 60 + b"K\x01s.",
    "a place far out": b"\x80\x02Nr\xff\xff\xff\xff.",
    "no end": b"\x80\x02" + b"N" * 600000 + b".",
    "a text of two gigabytes": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "bytes of a terabyte": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.",
    "a frame without end": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "a number of a million digits": b"\x80\x02I" + b"9" * 10**6 + b"\n.",
    "nothing": b"",
    "nothing on the stack": b"\x80\x02.",
    "a bytearray of a petabyte": b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",
    "a tensor of a petabyte": b"\x80\x02ctorch\nFloatTensor\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",
    "the same list again and again": b"\x80\x02](" + b"]" * 50000 + b"eq\x00"
    + b"ccollections\nOrderedDict\nh\x00\x85R" * 9000 + b".",
    "a rebuilt tensor in another": b"\x80\x02" + b"ctorch._tensor\n_rebuild_from_type_v2\n" * 3 + b"N\x87R.",
}  # fmt: skip


@pytest.mark.parametrize("what", PICKLES)
def test_a_pickle_that_is_none_of_weights_is_refused(path, what):
    refuses(zipped(path, PICKLES[what]))
    path.write_bytes(PICKLES[what])
    refuses(path)


def tensor(count, shape, strides, offset=0, key="0"):
    """The pickle of one tensor; what it says need not be so."""
    text, numbers = (lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()), (lambda n: pickle.dumps(n, 2)[2:-1])
    several = lambda many: b"(" + b"".join(map(numbers, many)) + b"t"  # noqa: E731
    place = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + numbers(count) + b"tQ"
    rest = numbers(offset) + several(shape) + several(strides) + b"\x89ccollections\nOrderedDict\n)RtR"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + place + rest
    names = [text(name) for name in ("down.0.0.weight", "head.weight")]
    return b"\x80\x02}" + b"".join(name + rebuilt + b"s" for name in names) + b"."


@pytest.mark.parametrize(
    "lie",
    [
        tensor(10**12, (10**6, 10**6), (10**6, 1)),
        tensor(100, (1000,), (1,)),
        tensor(100, (10,), (1,), offset=95),
        tensor(100, (10,), (1,), offset=-5),
        tensor(100, (-10, 3), (1, 1)),
        tensor(100, (10,), (-1,), offset=50),
        tensor(-100, (10,), (1,)),
        tensor(100, (2**70,), (0,)),
        tensor(100, (10,), (1,), key="../../../etc/passwd"),
        tensor(10**9, (10**9,), (1,), key="1"),
        tensor(100, (10, 10), (1,)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(path, lie):
    refuses(zipped(path, lie, [("0", bytes(400))]))


def test_members_that_are_compressed_are_refused_and_not_unpacked(path):
    zipped(path, tensor(2**28, (2**28,), (1,)), [("0", bytes(2**24))], zipfile.ZIP_DEFLATED)
    refuses(path, "compressed")


def test_members_that_share_their_bytes_are_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", tensor(100, (100,), (1,)))
        archive.writestr("archive/data/0", bytes(2**20))
        for index in range(1, 100):
            other = copy.copy(archive.getinfo("archive/data/0"))
            other.filename = f"archive/data/{index}"
            archive.filelist.append(other)
    refuses(path, "larger than the file")


@pytest.mark.parametrize("at", range(8, 20, 2))
@pytest.mark.parametrize("value", [0, 0x7FFF, 0xFFFE])
def test_an_end_of_the_archive_that_lies_is_no_traceback(path, good, at, value):
    torch.save(good["unet"], path)
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    content[end + at : end + at + 2] = struct.pack("<H", value)
    path.write_bytes(content)
    with little(), contextlib.suppress(WeightsError):
        load(path)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.99])
def test_an_old_file_that_was_cut_is_refused(path, good, cut):
    torch.save(good["unet"], path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    refuses(path, "truncated")


def test_an_old_file_that_lies_about_its_numbers_is_refused(path, good):
    torch.save(good["unet"], path, _use_new_zipfile_serialization=False)
    for count in (2**62, 0, 2**64 - 1):
        path.write_bytes(path.read_bytes().replace(struct.pack("<Q", 108), struct.pack("<Q", count)))
        refuses(path)


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("beside", [Evil(), np.random.default_rng, UNet(width=4, depth=2), eval])
def test_what_is_no_weight_beside_them_is_refused_by_name(path, good, beside):
    torch.save({"params": good["unet"], "more": beside}, path)
    refuses(path, "pickle of more than weights", {"builtin_function_or_method": "eval"}.get(type(beside).__name__, "."))


def test_mappings_that_hold_themselves_are_left(path, good):
    content = {"a": torch.zeros(2)}
    content["state_dict"] = content["model"] = content
    torch.save(content, path)
    refuses(path, "no network")
    content["model"] = {"state_dict": content, "params": good["unet"]}
    torch.save(content, path)
    assert isinstance(load(path), UNet)


def test_mappings_that_lie_in_many_others_are_looked_at_once(path, good):
    content = dict(good["unet"])
    for _ in range(5):
        content = dict.fromkeys((f"at {index}" for index in range(300)), content)
    torch.save(content, path)
    with little():
        assert isinstance(load(path), UNet)
    torch.save({**content, "at 0": {}, "at 1": [content] * 300}, path)
    with little():
        assert isinstance(load(path), UNet)


# -- safetensors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}",
        b'{"__metadata__":' + b'{"a":' * 50000 + b"1" + b"}" * 50001,
        b'{"a":{"dtype":"F32","shape":[10],"data_offsets":[0,400]}}',
        b'{"a":{"dtype":"F32","shape":[10],"data_offsets":[0,40]},"b":{"dtype":"F32","shape":[10],"data_offsets":[0,40]}}',
        b'{"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,40]}}',
        b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,40]}}',
        b'{"a":{"dtype":"X9","shape":[10],"data_offsets":[0,40]}}',
        b'{"__metadata__":{"format":"\xff\xfe"}}',
        b'{"__metadata__":{"format":3}}',
        b"[]",
        b"{}",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    (path := tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(40))
    refuses(path)


@pytest.mark.parametrize("length", [2**63, 2**30, 90 * 2**20, 1, 0])
def test_a_header_longer_than_the_file_or_than_any_network_is_refused(tmp_path, length):
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(length.to_bytes(8, "little") + b"{}")
        file.truncate(100 * 2**20)
    refuses(path, "header")


@pytest.mark.parametrize(
    "arguments",
    [
        '{"width": 1e30}', '{"width": 4, "depth": 1000000000}', '{"width": NaN}', '{"width": [[[1]]]}',
        '{"width": true}',
        "[" * 100000, '{"width": ' + "9" * 5000 + "}", '{"self": 1}', '{"width": 1000000000000}', '{"width": null}',
    ],
)  # fmt: skip
def test_sizes_that_no_network_has_are_refused_before_anything_is_built(tmp_path, good, arguments):
    metadata = {"format": "noiseda/1", "architecture": "unet", "arguments": arguments}
    save_file(good["unet"], path := tmp_path / "a.safetensors", metadata=metadata)
    refuses(path, "does not fit its own description (unet)")


def test_weights_of_ours_that_are_no_numbers_are_refused_when_they_are_loaded(tmp_path, good):
    metadata = {"format": "noiseda/1", "architecture": "unet", "arguments": '{"width": 4, "depth": 2}'}
    for name, value in (("NaN", float("nan")), ("infinite", float("inf"))):
        state = {**good["unet"], "head.bias": torch.full((3,), value)}
        save_file(state, path := tmp_path / "a.safetensors", metadata=metadata)
        refuses(path, "head.bias", name)


# -- other kinds -------------------------------------------------------------------------------------------------------


def archive(*names):
    with zipfile.ZipFile(content := io.BytesIO(), "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return content.getvalue()


def array(**arrays):
    np.savez(content := io.BytesIO(), **arrays)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"Entry not found", "text (Entry not found"),
        (b'{"error": "not found"}', "text"),
        (b"", "empty"),
        (gzip.compress(b"a", mtime=0), "gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
        (b"\x89PNG\r\n\x1a\n" + bytes(90), "picture"),
        (b"GGUF" + bytes(90), "GGUF"),
        (b"\x08\x07\x12\x07pytorch" + bytes(90), "ONNX"),
        (bytes(257) + b"ustar" + bytes(90), "tar"),
        (archive("a/code/b.py", "a/constants.pkl", "a/data.pkl"), "TorchScript"),
        (archive("a/archive_format", "a/models/model.json"), "torch.export"),
        (archive("readme.txt"), "unpack it"),
        (array(a=np.zeros(3)), "numpy"),
        (pickle.dumps({"a": 1}), "plain pickle"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(path, content, words):
    path.write_bytes(content)
    refuses(path, words)


def test_what_is_no_regular_file_is_not_waited_for(path):
    os.mkfifo(path)
    refuses(path, "no regular file")


@pytest.mark.parametrize("given", [None, 3, b"model.safetensors", torch.zeros(3)])
def test_a_path_that_is_none_is_named(given):
    with pytest.raises(UserError, match="expected the path"):
        load(given)


@pytest.mark.parametrize("device", ["banana", "cuda:99", 3.5, None])
def test_a_device_that_is_none_is_named(path, good, device):
    torch.save(good["unet"], path)
    with pytest.raises(UserError, match="device"):
        load(path, device)
