"""The node for ComfyUI does what noiseda.restore does, on pictures as ComfyUI has them."""

from pathlib import Path

import pytest
import torch

import noiseda
from noiseda.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from noiseda.errors import UserError
from noiseda.restoration import save_weights
from noiseda.restoration.ready import READY
from tests.restoration.networks import built

(NODE,) = NODE_CLASS_MAPPINGS.values()


def test_it_has_what_comfyui_asks_a_node_for() -> None:
    asked = NODE.INPUT_TYPES()
    assert asked["required"]["image"] == ("IMAGE",)
    assert asked["required"]["ready"] == (["denoise", "derain", "deblur", "dejpeg"],)
    assert callable(getattr(NODE, NODE.FUNCTION))
    assert NODE.RETURN_TYPES == ("IMAGE",)
    assert set(NODE_DISPLAY_NAME_MAPPINGS) == set(NODE_CLASS_MAPPINGS)


def test_a_batch_is_restored_as_the_library_does() -> None:
    pictures = torch.rand(2, 40, 56, 3)
    (restored,) = NODE().run(pictures, ready="derain")
    wanted = noiseda.restore(noiseda.load(READY["derain"]), pictures.movedim(-1, 1)).clamp(0, 1).movedim(1, -1)
    assert restored.shape == pictures.shape
    assert torch.equal(restored, wanted)
    (untouched,) = NODE().run(pictures, ready="derain", strength=0.0)
    torch.testing.assert_close(untouched, pictures)


def test_a_file_takes_the_place_of_ready_weights_and_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    pictures, file = torch.rand(1, 24, 24, 3), tmp_path / "mine.safetensors"
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = built("unet-tiny")
        torch.nn.init.normal_(network.head.weight, std=0.1)
        given = {"architecture": network.architecture, "arguments": network.arguments, "task": "denoise"}
        save_weights(file, network.tensors(), **given)
        found.append(NODE().run(pictures, ready="denoise", weights=str(file))[0])
    assert not torch.equal(*found)


def test_refusals_name_what_was_given() -> None:
    with pytest.raises(UserError, match=r"expected pictures \(B, H, W, 3\), not \(1, 3, 8, 8\)"):
        NODE().run(torch.rand(1, 3, 8, 8), ready="denoise")
    with pytest.raises(UserError, match="ready must be one of denoise, derain, deblur, dejpeg, not 'snow'"):
        NODE().run(torch.rand(1, 8, 8, 3), ready="snow")
    with pytest.raises(UserError, match=r"nowhere\.safetensors"):
        NODE().run(torch.rand(1, 8, 8, 3), ready="denoise", weights="nowhere.safetensors")
