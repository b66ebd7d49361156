"""A diffusers ``UNet2DModel`` as a noise predictor: read from its folder, its input layer widened for the conditions.

Such a model was trained to find the noise in images that it is shown alone. Its first layer gets more inputs, for the
conditions, with weights of zero: at first it says exactly what it said before, whatever the conditions are, and learns
to look at them. Only JSON and safetensors are read, and no pickle. It needs ``noiseda[diffusers]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from noiseda.diffusion.denoiser import LEVEL_SCALE
from noiseda.diffusion.stored import check_bounds, check_shapes, shapes_of, tensors_of
from noiseda.diffusion_settings import PredictionName
from noiseda.errors import UserError, WeightsError
from noiseda.restoration.torchvision_schema import import_torchvision

if TYPE_CHECKING:
    from diffusers import UNet2DModel

WEIGHTS = "diffusion_pytorch_model.safetensors"
CLASS = "UNet2DModel"

_LONGEST = 2**20  # bytes of a JSON file
_MOST_STEPS = 10**5
_PREDICTIONS: dict[str, PredictionName] = {"epsilon": "eps", "v_prediction": "v", "sample": "clean"}
_OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of attention in files of before diffusers 0.17 -> their names since."""

_ODD = (TypeError, ValueError, RuntimeError, OverflowError, ArithmeticError, LookupError, AttributeError)
"""What a class of diffusers may raise that is given nonsense."""


class DiffusersPredictor(nn.Module):
    """A diffusers ``UNet2DModel`` that is called as a noise predictor of this package.

    Its timestep t is the one of its own training schedule whose alpha_bar is nearest to the level: the model has seen
    no times between two steps. Levels beyond both ends of that schedule are its first or its last step.

    Args:
        unet: the model, of images in [-1, 1]; it is taken over and changed. Its input channels are those of a signal,
            and are widened by weights of zero, or those of a signal and its conditions, and stay.
        alpha_bar: (T,) of its timesteps 0 .. T - 1, falling; as ``alphas_cumprod`` of a diffusers scheduler.
        conditions: how many conditions it will look at.
        prediction: what its answer means.

    Attributes:
        channels: of a signal.
        conditions: how many conditions it takes.
        multiple_of: sides of signals are multiples of this.
        prediction: name of what its answer means, as ``--objective.prediction`` has it.
        widened: whether its input layer was widened just now, so that it looks at no condition yet.

    Raises:
        ValueError: the model takes other channels, or something beside an image in [-1, 1] and its timestep.
    """

    alpha_bar: Tensor

    def __init__(
        self, unet: UNet2DModel, alpha_bar: Tensor, *, conditions: int = 2, prediction: PredictionName = "eps"
    ) -> None:
        super().__init__()
        config = unet.config
        _check_suits(unet, len(alpha_bar), conditions)
        self.unet = unet
        self.channels, self.conditions, self.prediction = int(config.out_channels), conditions, prediction
        self.multiple_of = 2 ** (len(config.block_out_channels) - 1)
        self.widened = conditions > 0 and config.in_channels == self.channels
        if self.widened:
            _widen(unet, self.channels * (1 + conditions))
        self.register_buffer("alpha_bar", alpha_bar.float(), persistent=False)

    def timestep(self, level: Tensor) -> Tensor:
        """The timesteps of the model that stand for some noise levels.

        Args:
            level: (B,) noise levels, 1000 alpha_bar.

        Returns:
            (B,) int64, 0 .. T - 1: where alpha_bar is nearest; the lower of two that are equally near.
        """
        return (level.float()[:, None] / LEVEL_SCALE - self.alpha_bar).abs().argmin(dim=1)

    def forward(self, y_t: Tensor, conditions: tuple[Tensor, ...], level: Tensor) -> Tensor:
        """Predict the noise, or whatever the model predicts.

        Args:
            y_t: (B, C, H, W) noised images, sides multiples of ``multiple_of``, values around [-1, 1].
            conditions: as many (B, C, H, W) as the model takes, values around [-1, 1].
            level: (B,) noise levels, 1000 alpha_bar.

        Returns:
            (B, C, H, W).
        """
        answer: Tensor = self.unet(torch.cat([y_t, *conditions], dim=1), self.timestep(level), return_dict=False)[0]
        return answer


def load_diffusers(path: str | Path, *, conditions: int = 2) -> DiffusersPredictor:
    """Read a noise predictor from a folder that diffusers wrote.

    Its schedule is that of ``scheduler_config.json``, in the folder or in ``scheduler/`` in or beside it. Where there
    is none, it is the usual one: beta linear from 1e-4 to 0.02 over 1000 steps, and the model predicts the noise
    (DDPM, Ho et al., arXiv 2006.11239). No random number is drawn, and nothing is fetched.

    Args:
        path: a folder with ``config.json`` and ``diffusion_pytorch_model.safetensors``, as ``save_pretrained`` of a
            ``UNet2DModel`` writes it; or that of a pipeline, which has it in ``unet/``.
        conditions: how many conditions it will look at.

    Returns:
        The predictor on the CPU, in evaluation mode, its weights in float32.

    Raises:
        WeightsError: the folder holds none, is damaged, or is of a model of another class or of another contract.
        UserError: diffusers is not installed.
    """
    folder = _folder(Path(path))
    config = _json(folder / "config.json")
    if config.get("_class_name") != CLASS:
        found = str(config.get("_class_name", "no class"))[:60]
        raise WeightsError(f"{folder} is of {found}, expected a diffusers {CLASS}")
    if not (weights := folder / WEIGHTS).is_file():
        raise WeightsError(f"{folder} has no {WEIGHTS}{_instead(folder)}")
    classes = _diffusers()
    alpha_bar, prediction = _schedule(folder, classes)
    try:
        arguments = _arguments(config, classes[CLASS])
        with torch.device("meta"):  # without memory or random draws: a damaged file may ask for any size
            outline = classes[CLASS](**arguments)
        _check_suits(outline, len(alpha_bar), conditions)
        check_shapes(outline, {_renamed(name): shape for name, shape in shapes_of(weights).items()})
        with torch.random.fork_rng(devices=[]):
            unet = classes[CLASS](**arguments)
    except SafetensorError as error:
        raise WeightsError(f"{weights} is no readable .safetensors file") from error
    except OSError as error:
        raise WeightsError(f"{weights} cannot be read: {error.strerror or error}") from error
    except _ODD as error:
        raise WeightsError(f"{folder} cannot be used as a noise predictor: {str(error)[:300]}") from error
    unet.load_state_dict({_renamed(name): tensor for name, tensor in tensors_of(weights).items()})
    return DiffusersPredictor(unet, alpha_bar, conditions=conditions, prediction=prediction).eval()


def _widen(unet: UNet2DModel, channels: int) -> None:
    """Give the input layer more inputs behind those that it has, with weights of zero."""
    old = unet.conv_in
    wide = torch.zeros(len(old.weight), channels, *old.weight.shape[2:], dtype=old.weight.dtype)
    wide = wide.to(old.weight.device)
    wide[:, : old.in_channels] = old.weight.detach()
    old.weight, old.in_channels = nn.Parameter(wide), channels
    unet.register_to_config(in_channels=channels)  # so that its own save_pretrained writes what it is now


def _check_suits(unet: UNet2DModel, steps: int, conditions: int) -> None:
    """Check that a model looks at an image in [-1, 1] and its timestep, and at nothing else.

    Raises:
        ValueError: saying what else it does.
    """
    config = unet.config
    channels = config.out_channels
    if config.in_channels not in (channels, channels * (1 + conditions)):
        raise ValueError(
            f"its input has {config.in_channels} channels and its output {channels}; expected as many in both, or "
            f"those of {conditions} conditions too in its input"
        )
    if config.time_embedding_type not in ("positional", "learned"):
        raise ValueError(f"time_embedding_type is {config.time_embedding_type}, expected positional or learned")
    if config.time_embedding_type == "learned" and config.num_train_timesteps < steps:
        raise ValueError(f"it knows {config.num_train_timesteps} timesteps, and its schedule has {steps}")
    if config.class_embed_type is not None or config.num_class_embeds is not None:
        raise ValueError("it asks for a class of images, expected one that is shown images alone")
    if config.center_input_sample:
        raise ValueError("it is of images in [0, 1] (center_input_sample), expected one of images in [-1, 1]")
    if skips := [kind for kind in (*config.down_block_types, *config.up_block_types) if "Skip" in kind]:
        raise ValueError(f"its block {skips[0]} takes the image past the input layer, which would not be widened there")


def _folder(path: Path) -> Path:
    """The folder of the model itself: what is named, or ``unet/`` of a pipeline.

    Raises:
        WeightsError: there is none.
    """
    inner = path / "unet"
    if not (path / "config.json").is_file() and (path / "model_index.json").is_file() and inner.is_dir():
        path = inner
    if not (path / "config.json").is_file():
        raise WeightsError(
            f"{path} is no folder of a diffusers {CLASS}: it has no config.json; expected config.json and {WEIGHTS}, "
            "as its save_pretrained writes them"
        )
    return path


def _instead(folder: Path) -> str:
    """What lies in the place of the weights, in words."""
    if any(folder.glob("diffusion_pytorch_model*.bin")):
        return ": it has a .bin, which is a pickle and is never read; load it in diffusers, and call save_pretrained"
    others = sorted(each.name for each in folder.glob("*.safetensors*"))
    return f", but {others[0]}: save the whole model in one file, without a variant" if others else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LONGEST:
            raise WeightsError(f"{path} is too long for settings")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is no JSON") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} is no mapping")
    return found


def _diffusers() -> dict[str, Any]:
    """The classes of diffusers that are needed here, by name.

    Raises:
        UserError: it cannot be imported.
    """
    try:
        if find_spec("torchvision") is not None:
            import_torchvision()  # diffusers would import it, and a CPU build of torch may need a word before
        package = import_module("diffusers")
        return {name: getattr(package, name) for name in (CLASS, "DDPMScheduler")}
    except (ImportError, RuntimeError) as error:
        raise UserError(f"a {CLASS} needs diffusers ({error}); pip install 'noiseda[diffusers]' brings it") from error


def _arguments(config: Mapping[str, Any], built: type) -> dict[str, Any]:
    """What builds the model, from its config.json.

    Raises:
        ValueError: it holds what this diffusers does not know, or numbers beyond all bounds.
    """
    found = {name: value for name, value in config.items() if not name.startswith("_")}
    if unknown := sorted(found.keys() - signature(built).parameters):
        raise ValueError(f"this diffusers knows no {unknown[0][:60]} (a newer one may)")
    check_bounds(found)
    if not 1 <= found.get("layers_per_block", 1) <= 100:
        raise ValueError("layers_per_block is out of all bounds")
    return found


def _schedule(folder: Path, classes: Mapping[str, Any]) -> tuple[Tensor, PredictionName]:
    """alpha_bar (T,) of a model's timesteps, and what it predicts.

    Raises:
        WeightsError: the file of its schedule is of another kind, or is damaged.
    """
    places = [folder, folder / "scheduler", folder.resolve().parent / "scheduler"]
    path = next(
        (place / "scheduler_config.json" for place in places if (place / "scheduler_config.json").is_file()), None
    )
    config = {} if path is None else _json(path)
    if path is not None and not {"beta_schedule", "trained_betas"} & config.keys():
        found = str(config.get("_class_name", "no class"))[:60]
        raise WeightsError(f"{path} is of {found}, which states no beta; expected a schedule such as DDPMScheduler's")
    if (predicted := config.get("prediction_type", "epsilon")) not in _PREDICTIONS:
        raise WeightsError(f"{path}: prediction_type is {predicted!r:.40}, expected one of {', '.join(_PREDICTIONS)}")
    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    known = {name: config[name] for name in (*names, "rescale_betas_zero_snr") if name in config}
    try:
        steps = known.get("num_train_timesteps", 1000)
        if not 2 <= steps <= _MOST_STEPS:
            raise ValueError(f"num_train_timesteps is {steps}, expected 2 to {_MOST_STEPS}")
        alpha_bar: Tensor = classes["DDPMScheduler"](**known).alphas_cumprod
        if not (alpha_bar[0] <= 1 and alpha_bar[-1] >= 0 and (alpha_bar.diff() <= 0).all()):
            raise ValueError("its alpha_bar does not fall from 1 towards 0")
    except _ODD as error:
        raise WeightsError(f"{path} does not state a schedule: {str(error)[:200]}") from error
    return alpha_bar, _PREDICTIONS[predicted]


def _renamed(name: str) -> str:
    """The name of a weight as diffusers has it today."""
    old = re.fullmatch(r"(.*\.attentions\.\d+)\.(\w+)\.(weight|bias)", name)
    return f"{old[1]}.{_OLD_NAMES[old[2]]}.{old[3]}" if old and old[2] in _OLD_NAMES else name
