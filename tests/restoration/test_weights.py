"""Weights files: what goes in comes out, and whatever else is in a file is refused with a word on why."""

import contextlib
import json
import os
import pickle
import re
import resource
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from noiseda.errors import WeightsError
from noiseda.restoration import UNet, load, read_metadata, save_weights

ARGUMENTS = {"width": 4, "depth": 2, "channels": 3}


def network(seed=0, **arguments):
    torch.manual_seed(seed)
    unet = UNet(**{**ARGUMENTS, **arguments})
    with torch.no_grad():
        unet.head.weight.normal_()
    return unet


def write(path, unet=None, notes=None):
    save_weights(
        path, (unet or network()).state_dict(), architecture="unet", arguments=ARGUMENTS, task="denoise", notes=notes
    )
    return path


def forge(path, state=None, **metadata):
    """A safetensors file like ours, but for what is given; None leaves an entry out."""
    whole = {"format": "noiseda/1", "architecture": "unet", "arguments": json.dumps(ARGUMENTS), "task": "denoise"}
    whole = {key: value for key, value in (whole | metadata).items() if value is not None}
    save_file(network().state_dict() if state is None else state, path, metadata=whole)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# -- round trip --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_path", [Path, str])
def test_weights_come_back_bit_for_bit(path, as_path):
    unet = network()
    loaded = load(as_path(write(path, unet)))
    assert isinstance(loaded, UNet)
    assert not loaded.training
    assert loaded.state_dict().keys() == unet.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), unet.parameters(), strict=True))
    images = torch.rand(1, 3, 17, 9)
    assert torch.equal(loaded(images), unet(images))


def test_a_loaded_network_can_be_trained_further(path):
    loaded = load(write(path)).train()
    loaded(torch.rand(1, 3, 8, 8)).mean().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_are_float32_in_the_file_and_in_the_network(path, dtype):
    write(path, network().to(dtype))
    with safe_open(path, framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float32}  # noqa: SIM118
    assert next(load(path).parameters()).dtype is torch.float32
    forge(path, {key: value.to(dtype) for key, value in network().state_dict().items()})
    assert next(load(path).parameters()).dtype is torch.float32


def test_the_device_is_an_argument(path):
    assert next(load(write(path), "cpu").parameters()).device.type == "cpu"
    assert next(load(path, torch.device("meta")).parameters()).device.type == "meta"


def test_the_file_describes_itself(path):
    write(path, notes={"steps": "2000", "seed": "7"})
    expected = {
        "format": "noiseda/1",
        "architecture": "unet",
        "arguments": '{"channels": 3, "depth": 2, "width": 4}',
        "task": "denoise",
        "value_range": "0..1",
        "steps": "2000",
        "seed": "7",
    }
    assert read_metadata(path) == expected
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(network().state_dict())


def test_loading_draws_no_random_number(path):
    write(path)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load(path)
    assert torch.equal(torch.rand(3), expected)


# -- files that are no weights of ours ---------------------------------------------------------------------------------


def refuses(path, *words):
    """Loading fails with a message that names the file and holds all words."""
    with pytest.raises(WeightsError) as caught:
        load(path)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message
    assert "\n  File" not in message


def test_a_missing_file_and_a_folder_are_separated(tmp_path, path):
    refuses(path, "does not exist", ".safetensors")
    refuses(tmp_path, "is a folder")


def test_a_name_that_is_nearly_that_of_ready_weights_is_suggested():
    refuses(Path("denoisse"), "does not exist; did you mean denoise, the ready weights?")


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 0.3, 0.6, 0.9, -1])
def test_truncated_files_are_refused(path, length):
    whole = write(path).read_bytes()
    end = int(length * len(whole)) if isinstance(length, float) else length
    path.write_bytes(whole[:end])
    refuses(path, "truncated")


def test_text_is_refused(path):
    path.write_text("<html>404: not found</html>")
    refuses(path, "is a web page")


class Malicious:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_the_malicious_pickle_works(tmp_path):
    pickle.loads(pickle.dumps(Malicious(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.ckpt", "model.safetensors"])
@pytest.mark.parametrize("kind", ["zip", "legacy", 2, 3, 4, 5])
def test_a_pickle_is_refused_and_never_unpickled(tmp_path, name, kind):
    path, trace = tmp_path / name, tmp_path / "trace"
    content = {"weights": Malicious(trace), "more": "x" * 300}
    if isinstance(kind, int):
        path.write_bytes(pickle.dumps(content, protocol=kind))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    refuses(path, "pickle of more than weights", "refused")
    assert not trace.exists()


@pytest.mark.parametrize("wrapper", [None, "params", "params_ema", "state_dict", "model"])
@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.ckpt"])
def test_a_pickle_of_weights_alone_is_taken(tmp_path, name, wrapper):
    path, unet = tmp_path / name, network()
    state = unet.state_dict()
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    images = torch.rand(1, 3, 9, 17)
    assert torch.equal(load(path)(images), unet.eval()(images))


def test_the_averaged_weights_are_taken_where_there_are_both(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"params": network(0).state_dict(), "params_ema": network(1).state_dict()}, path)
    assert torch.equal(load(path).head.weight, network(1).head.weight)


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {}, {"a": 1}, {"params": {"a": "b"}}])
def test_a_pickle_without_weights_by_name_is_refused(tmp_path, content):
    path = tmp_path / "model.pth"
    torch.save(content, path)
    refuses(path, "no weights by name", "params_ema")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_pickle_is_refused(tmp_path, share):
    path = tmp_path / "model.pth"
    torch.save(network().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refuses(path, "pickle")


@pytest.mark.parametrize("protocol", [0, 1])
def test_a_pickle_without_a_mark_is_no_safetensors_file_either(path, tmp_path, protocol):
    path.write_bytes(pickle.dumps(Malicious(tmp_path / "trace"), protocol=protocol))
    refuses(path, "is a text" if protocol == 0 else "no readable .safetensors")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("high", [2, 3, 4, 5])
def test_a_header_as_long_as_a_pickle_begins_is_no_pickle(path, high):
    """The file starts with the header's length: 0x0280 bytes are the bytes 80 02, as in a pickle."""
    wanted, note = high * 256 + 0x80, ""
    for _ in range(2):  # once to see how long the header is, once more as long as wanted
        save_file({"a": torch.zeros(1)}, path, metadata={"format": "noiseda/1", "note": note})
        note = "x" * (wanted - int.from_bytes(path.read_bytes()[:8], "little"))
    assert path.read_bytes()[:2] == bytes([0x80, high])
    assert read_metadata(path)["format"] == "noiseda/1"


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_without_a_description_are_reported_by_their_names_and_shapes(path, metadata):
    save_file(network().state_dict(), path, metadata=metadata)
    assert load(path).arguments == {**ARGUMENTS, "channels": 3}
    with pytest.raises(WeightsError, match="was not written by noiseda"):
        read_metadata(path)


def test_a_newer_format_is_refused(path):
    save_file(network().state_dict(), path, metadata={"format": "noiseda/2"})
    refuses(path, "noiseda/2", "noiseda/1", "newer")


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_are_nearly_a_network_are_none(path, change):
    state = network().state_dict()
    if change == "missing":
        del state["up.0.2.bias"]
    elif change == "extra":
        state["up.9.weight"] = torch.zeros(3)
    else:
        state["up.0.2.bias"] = torch.zeros(7)
    save_file(state, path)
    refuses(path, "of no network", "down.0.0.weight")


@pytest.mark.parametrize("name", ["restormer", "os.system"])
def test_an_unknown_architecture_is_named(path, name):
    refuses(forge(path, architecture=name), "unknown architecture", repr(name), "unet")


@pytest.mark.parametrize("name", ["", None])
def test_a_network_of_somebodys_own_is_said_to_be_one(path, name):
    refuses(forge(path, architecture=name), "a network of somebody's own", "load_state_dict")


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        "",
        "{",
        "[]",
        "3",
        "null",
        '{"width": 8, "depth": 2}',
        '{"width": 4, "depth": 3}',
        '{"width": 4, "depth": 2, "channels": 1}',
        '{"width": 4, "depth": 2, "heads": 8}',
        '{"width": "4", "depth": 2}',
        '{"width": -4, "depth": 2}',
        '{"width": 4.5, "depth": 2}',
        '{"width": 10000000, "depth": 4}',  # would need petabytes
        '{"width": 64, "depth": 80}',
    ],
)
def test_arguments_that_do_not_fit_are_refused(path, arguments):
    refuses(forge(path, arguments=arguments), "does not fit its own description (unet)")


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "empty"])
def test_tensors_that_do_not_fit_are_refused(path, change):
    state = network().state_dict()
    if change == "missing":
        del state["head.bias"]
    elif change == "extra":
        state["network.first.weight"] = torch.zeros(3)
    elif change == "shape":
        state["head.bias"] = torch.zeros(4)
    refuses(forge(path, {} if change == "empty" else state), "does not fit")


def test_a_file_that_cannot_be_read_is_named(path, monkeypatch):
    write(path)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    refuses(path, "Permission denied")


# -- writing -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def disk_of(size):
    """No file can grow beyond a number of bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_replaces_an_earlier_one_whole(path):
    write(path, network(seed=0))
    before = path.stat().st_ino
    with path.open("rb") as reader:  # a reader of the earlier file keeps seeing it
        write(path, network(seed=1))
        reader.seek(0)
        assert reader.read() != path.read_bytes()
    assert path.stat().st_ino != before
    assert torch.equal(load(path).head.weight, network(seed=1).head.weight)
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(path):
    earlier = write(path, network(seed=0)).read_bytes()
    with disk_of(4096), pytest.raises(WeightsError, match=f"cannot write the weights file {path}"):
        write(path, network(seed=1))
    assert path.read_bytes() == earlier
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_nothing_where_nothing_was(path):
    with disk_of(4096), pytest.raises(WeightsError):
        write(path)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_is_none_is_named(tmp_path, folder):
    (tmp_path / "file").write_text("")
    target = tmp_path / folder / "model.safetensors"
    with pytest.raises(WeightsError, match=f"cannot write the weights file {target}"):
        write(target)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_the_right_to_write_is_named(tmp_path, path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(WeightsError, match="Permission denied"):
            write(path)
    finally:
        tmp_path.chmod(0o700)


def test_a_run_that_has_not_ended_has_no_weights_yet(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "settings.yaml").touch()
    for path in (tmp_path, tmp_path / "restorer.safetensors"):
        with pytest.raises(WeightsError, match=re.escape(f"{path}: its run has not ended, so it has no weights")):
            load(path)
    with pytest.raises(WeightsError, match=r"other\.safetensors does not exist"):
        load(tmp_path / "other.safetensors")


def test_a_runs_folder_says_where_its_weights_are(tmp_path):
    (tmp_path / "restorer.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"is a folder, whose weights are .*restorer\.safetensors"):
        load(tmp_path)
