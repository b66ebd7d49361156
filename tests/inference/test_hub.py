"""The hub's own methods, against a folder."""

import pytest
import torch

from noiseda import cli
from noiseda.errors import UserError
from noiseda.inference.hub import HubRestorer, pull, push
from noiseda.restoration import load, save_weights
from tests.restoration.networks import built


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network, path = built("dncnn"), tmp_path / "restorer.safetensors"
    save_weights(path, network.tensors(), architecture="DnCNN", arguments={}, task="denoise")
    return path


def test_a_network_goes_to_a_folder_and_comes_back(weights, tmp_path):
    folder = tmp_path / "on the hub"
    HubRestorer(weights).save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.safetensors"]
    assert "library_name: noiseda" in (folder / "README.md").read_text()
    back = HubRestorer.from_pretrained(str(folder))
    images = torch.rand(1, 3, 20, 24)
    assert torch.equal(back.network(images), load(weights)(images))
    out = pull(str(folder), tmp_path / "new/fetched.safetensors")
    assert out.read_bytes() == weights.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        pull(str(folder), out)


def test_what_is_pushed_is_the_folder_and_the_name(weights, monkeypatch):
    """The mixin makes the repository and sends the folder; neither leaves this machine here."""
    from huggingface_hub import hub_mixin

    seen = {}

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, repo_id, private, exist_ok):
            seen.update(private=private, exist_ok=exist_ok)
            return type("Repository", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id, folder_path, **_):
            from pathlib import Path

            seen.update(repo_id=repo_id, files={path.name for path in Path(folder_path).iterdir()})
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    assert push(weights, "me/denoiser", private=True) == "https://hub/me/denoiser"
    assert seen["repo_id"] == "me/denoiser"
    assert seen["private"] is True
    assert {"README.md", "model.safetensors"} <= seen["files"]


def test_a_hub_that_does_not_answer_is_an_error_in_a_sentence(weights, monkeypatch, capsys, tmp_path):
    def silent(*_, **__):
        raise ConnectionError("no route to host\nTraceback")

    monkeypatch.setattr(HubRestorer, "from_pretrained", silent)
    assert cli.main(["hub", "pull", "nobody/nothing", str(tmp_path / "a.safetensors")]) == 2
    assert "nobody/nothing could not be fetched: no route to host" in capsys.readouterr().err
    monkeypatch.setattr(HubRestorer, "push_to_hub", silent)
    assert cli.main(["hub", "push", str(weights), "me/it"]) == 2
    assert "hf auth login" in capsys.readouterr().err
    assert not (tmp_path / "a.safetensors").exists()
