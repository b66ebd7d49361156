"""What does the noise predictor listen to? Its two conditions, disturbed one at a time, by noise level.

    python -m noiseda_research.studies.guidance RUN [RUN ...]

RUN is the folder of a finished --strategy noise-space run. On its own batches, for each noise level: the predictor's
error; the share of its gradient that goes into the restored real images; and by how many percent the error grows when
one condition alone gets more noise (white, sigma 5/255), is blurred (Gaussian of 0.7 pixels), or is another image's. Where
a noisier real image costs the predictor nothing, it sends the restorer no guidance; where a blurred one gains it
something, it asks for blur.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from noiseda import settings_from
from noiseda.adaptation import NoiseDraws, NoiseSpace, shuffle
from noiseda.data import DomainBatches, generator
from noiseda.settings_file import read_settings
from noiseda.training import build_objective, latest_checkpoint, list_images, load_domains

LEVELS = (20, 100, 250, 500, 750, 950)
BATCHES = 24
SIGMA, WIDTH = 5 / 255, 0.7


def noisier(images: Tensor) -> Tensor:
    """White noise on top."""
    return images + SIGMA * torch.randn(images.shape, generator=generator("guidance"))


def blurred(images: Tensor) -> Tensor:
    """A small Gaussian blur."""
    taps = torch.exp(-torch.arange(-2.0, 3.0).square() / (2 * WIDTH**2))
    kernel = (taps / taps.sum()).outer(taps / taps.sum()).expand(images.shape[1], 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=images.shape[1])


def another(images: Tensor) -> Tensor:
    """Those of the next sample."""
    return images.roll(1, 0)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {"noisier": noisier, "blurred": blurred, "another": another}


def error_of(strategy: NoiseSpace, y_syn: Tensor, draws: NoiseDraws, syn: Tensor, real: Tensor) -> Tensor:
    """The predictor's error, given both restored images."""
    conditions = shuffle(syn, real, draws.order)
    return strategy.denoiser.error(y_syn, conditions, draws.eps, draws.alpha_bar).mean()


def measure(folder: Path) -> None:
    """Print the table of one run."""
    settings = settings_from(read_settings(folder / "settings.yaml"), str(folder / "settings.yaml"))
    domains, _, _ = load_domains(settings, list_images(settings), settings.cache or folder / "cache")
    training = settings.training
    batches = DomainBatches(domains, size=training.batch, patch=training.side, channels=3, seed=settings.seed)
    strategy, state = build_objective(settings), latest_checkpoint(folder / "checkpoints")
    assert isinstance(strategy, NoiseSpace), f"{folder} is no run of --strategy noise-space alone"
    assert state is not None, f"{folder} has no checkpoint"
    strategy.load_state_dict(state["strategy"])
    strategy.eval()
    columns = [f"{who} {name}" for name in CHANGES for who in ("synthetic", "real")]
    print(f"\n{folder.name}: {state['step']} steps\n")
    print("| t | error | gradient into real | " + " | ".join(columns) + " |")
    print("|---" * (3 + len(columns)) + "|")
    for level in LEVELS:
        errors: dict[str, list[float]] = {name: [] for name in ("as it is", "gradient", *columns)}
        for number in range(BATCHES):
            batch = batches[10_000_000 + number]
            draws = strategy.draw(batch.y_syn, generator("guidance", number))
            alpha_bar = torch.full_like(draws.alpha_bar, float(strategy.schedule.alpha_bar[level]))
            assert batch.x_real is not None, "noise-space adaptation has real images in its batches"
            with torch.no_grad():
                syn, real = strategy.restorer(torch.cat([batch.x_syn, batch.x_real])).float().chunk(2)
            error = partial(error_of, strategy, batch.y_syn, dataclasses.replace(draws, alpha_bar=alpha_bar))
            parts = [part.clone().requires_grad_() for part in (syn, real)]
            whole = error(*parts)
            into_syn, into_real = (gradient.norm() for gradient in torch.autograd.grad(whole, parts))
            errors["as it is"].append(float(whole.detach()))
            errors["gradient"].append(float(into_real / (into_syn + into_real)))
            with torch.no_grad():
                for name, change in CHANGES.items():
                    errors[f"synthetic {name}"].append(float(error(change(syn), real)))
                    errors[f"real {name}"].append(float(error(syn, change(real))))
        usual = fmean(errors["as it is"])
        cells = [f"{100 * (fmean(errors[column]) / usual - 1):+.1f}%" for column in columns]
        print(f"| {level} | {usual:.4f} | {fmean(errors['gradient']):.0%} | " + " | ".join(cells) + " |")


def main() -> None:
    """Measure every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    for folder in parser.parse_args().runs:
        measure(folder)


if __name__ == "__main__":
    main()
