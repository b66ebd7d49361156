"""Curves show the measure that the table has."""

import skimage.data
import torch

from noiseda.images import Picture, write
from noiseda.restoration import UNet, save_weights
from noiseda.training.finish import snapshot
from noiseda_research.comparison.scores import curve


def test_a_curve_shows_what_the_protocol_calls_psnr(tmp_path):
    photograph = torch.from_numpy(skimage.data.astronaut()[:128, :128].copy()).permute(2, 0, 1) / 255
    for folder, pixels in (("input", photograph.roll(2, dims=2)), ("target", photograph)):
        (tmp_path / "test" / folder).mkdir(parents=True)
        write(Picture(pixels), tmp_path / f"test/{folder}/0.png")
    weights = snapshot(tmp_path / "run", 5)
    weights.parent.mkdir(parents=True)
    arguments = {"width": 4, "depth": 2, "channels": 3}
    save_weights(weights, UNet(**arguments).state_dict(), architecture="unet", arguments=arguments, task="deblur")
    kept = tmp_path / "curve.json"
    (plain,) = curve(tmp_path / "run", tmp_path / "test", "rgb", 1, kept)
    (shifted,) = curve(tmp_path / "run", tmp_path / "test", "deblur", 1, kept)  # what is kept is of another measure
    assert plain["step"] == shifted["step"] == 5
    assert shifted["psnr"] > plain["psnr"] + 10
