"""``noiseda sample``: what a noise predictor draws, given two images, and what it listens to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from noiseda.adaptation.catalogue import JUDGED, build_predictor, conditions_of, predictor_arguments
from noiseda.config import AdaptSettings
from noiseda.data.batches import generator
from noiseda.diffusion import Schedule
from noiseda.diffusion.sampling import ddim, spaced
from noiseda.diffusion.sensitivity import sensitivity
from noiseda.diffusion.stored import Predictor, load_predictor
from noiseda.errors import UserError
from noiseda.images import Picture, read, write
from noiseda.restoration.base import pad_to_multiple
from noiseda.settings_file import from_tree, read_settings
from noiseda.training import checkpoints


def sample(
    predictor: Path,
    image: Path,
    *,
    second: Path | None = None,
    out: Path = Path("samples"),
    steps: int = 30,
    count: int = 4,
    side: int = 256,
    seed: int = 0,
    table: bool = False,
) -> str:
    """Draw images from a noise predictor that is shown two images, by DDIM (arXiv 2010.02502).

    What is alike in all of them is what it takes from the two images; what differs, it makes up.

    Args:
        predictor: file of a noise predictor (noiseda pretrain-predictor), or folder of a run of noiseda adapt, whose
            last checkpoint has one; of several, the first that looks at images.
        image: the image that it is shown; one that looks at none takes its size.
        second: the second image that it is shown, of the same size; by default the first.
        out: folder of the images drawn.
        steps: steps of the sampler, 1 to 999; 20 to 50 are usual.
        count: how many images to draw.
        side: of larger images, the square in the middle of this side is taken.
        seed: seed of the noise that they come about from.
        table: print how much its error rises with noise, blur or another image in either condition, by noise level;
            best with an image that is clean.

    Returns:
        Where the images are, and the table.

    Raises:
        UserError: a file that cannot be used; images of two sizes; a number out of range.
    """
    for name, value, most in (("steps", steps, 999), ("count", count, 1000), ("side", side, 4096)):
        if not 1 <= value <= most:
            raise UserError(f"--{name} must be at least 1 and at most {most}, not {value}")
    if seed < 0:
        raise UserError(f"--seed must be at least 0, not {seed}")
    judge = of_run(predictor) if predictor.is_dir() else load_predictor(predictor)
    takes = int(judge.arguments.get("conditions", 2))
    if second is not None and takes < 2:
        raise UserError(f"--second {second}: {predictor} looks at {'one image alone' if takes else 'no image'}")
    channels, multiple = int(judge.arguments.get("channels", 3)), int(getattr(judge.network, "multiple_of", 1))
    shown = [_middle(read(path).pixels, side, channels) for path in (image, second or image)]
    if shown[0].shape != shown[-1].shape:
        sizes = " and ".join(f"{one.shape[-1]} x {one.shape[-2]}" for one in shown)
        raise UserError(f"the images {image} and {second} must be of one size, not {sizes}")
    height, width = shown[0].shape[1:]
    padded = [pad_to_multiple(one[None], multiple) for one in shown]
    alpha_bar, denoiser = Schedule(judge.schedule).alpha_bar, judge.denoiser.eval()
    for number in range(count):
        noise = torch.randn(padded[0].shape, generator=generator("sample", seed, number))
        drawn = ddim(denoiser, padded[:takes], noise, spaced(alpha_bar, steps))
        _write(drawn[0, :, :height, :width], out / f"sample-{number + 1:02}.png")
    said = f"{count} image{'s' * (count > 1)} drawn in {steps} steps: {out}"
    if table:
        said += f"\n{sensitivity(denoiser, padded[0], alpha_bar, conditions=takes, seed=seed)}"
    return said


def of_run(folder: Path) -> Predictor:
    """The noise predictor in the last checkpoint of a run of ``noiseda adapt``.

    Args:
        folder: of the run.

    Raises:
        UserError: it holds none.
    """
    plan, state = folder / "plan.yaml", checkpoints.latest(folder / "checkpoints")
    if not plan.is_file() or state is None:
        raise UserError(f"{folder} is no folder of a run of noiseda adapt that has a checkpoint")
    try:
        settings: AdaptSettings = from_tree(read_settings(plan))
    except (TypeError, KeyError) as error:
        raise UserError(f"{plan} is no settings file of a run ({error})") from error
    names = (settings.strategy, *settings.also)
    judged = [name for name in names if name in JUDGED and conditions_of(settings, name)]
    if not judged:
        raise UserError(
            f"{folder} is a run of --strategy {' and '.join(names)}, which has no noise predictor that looks at images"
        )
    part = f"parts.{names.index(judged[0])}." if len(names) > 1 else ""  # as adaptation.Combined numbers them
    mark = f"{part}denoiser.network."
    found = {name.partition(mark)[2]: tensor for name, tensor in state["strategy"].items() if mark in name}
    return _rebuilt(settings, found, folder, conditions_of(settings, judged[0]))


def _rebuilt(settings: AdaptSettings, state: dict[str, Tensor], folder: Path, takes: int) -> Predictor:
    """The noise predictor of a run, given the weights of its checkpoint and the images that it looks at."""
    begun = settings.predictor.start if settings.predictor.from_folder else None  # which has sizes of its own
    start = replace(settings.predictor, start=begun, training="joint")
    settings = replace(settings, predictor=start)
    with torch.random.fork_rng(devices=[]):
        network = build_predictor(settings, conditions=takes)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"the noise predictor in {folder / 'checkpoints'} is not that of {folder / 'plan.yaml'}"
        ) from error
    objective, arguments = settings.objective, predictor_arguments(settings, conditions=takes)
    return Predictor(network.eval(), start.kind, arguments, objective.schedule, objective.prediction)


def _middle(pixels: Tensor, side: int, channels: int) -> Tensor:
    """The square in the middle of an image (C, H, W), of at most a side, in so many channels."""
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[1:])
    cut = pixels[:, top : top + side, left : left + side]
    if len(cut) == channels:
        return cut
    return cut.expand(3, -1, -1) if channels == 3 else cut.mean(dim=0, keepdim=True)


def _write(pixels: Tensor, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out: {path.parent} cannot be made: {error.strerror or error}") from error
    write(Picture(pixels), path)
