"""The model card: what a network is, what it was made from, how it does, and whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from noiseda.errors import WeightsError
from noiseda.precision import FULL
from noiseda.restoration import Restorer, read_metadata
from noiseda.restoration.catalogue import NETWORKS, parameters

NAMES = {"denoise": "Denoising", "derain": "Deraining", "deblur": "Deblurring", "dejpeg": "JPEG artifact removal"}


def card(weights: Path, model: Restorer, path: Path, size: tuple[int, int] | None, half: bool = False) -> str:
    """The card of a network, as a README for a model hub; figures are those of the run's own summary.

    Args:
        weights: the file that it came from; ``summary.json`` beside it is read where it is of the same run.
        model: the network.
        path: the file that the card lies beside.
        size: height and width that the file takes; None where it takes any.
        half: whether its weights are in half precision.
    """
    try:
        about = read_metadata(weights)
    except WeightsError:  # another's
        about = {}
    summary = _summary(weights)
    task = about.get("task", "")
    network = next((one for one in NETWORKS.values() if one.architecture == model.architecture), None)
    licence = "not known to noiseda" if network is None else network.licence
    kind = "super-resolution" if model.scale > 1 else "image-restoration"
    tags = [kind, "domain-adaptation", task or "restoration", model.architecture.lower()]
    title = NAMES.get(task, "Image restoration" if model.scale == 1 else f"Super-resolution by {model.scale}")
    what = "restored" if model.scale == 1 else f"restored, {model.scale} times as high and wide"
    lines = [
        "---",
        "library_name: noiseda",
        "pipeline_tag: image-to-image",
        f"tags: [{', '.join(tags)}]",
        "---",
        "",
        f"# {title} with {model.architecture}",
        "",
        f"`{path.name}`: a network that takes an image and returns it {what}, adapted to real photographs with noiseda."
        if about.get("strategy", "synthetic") not in ("synthetic", "start")
        else f"`{path.name}`: a network that takes an image and returns it {what}.",
        "",
        "## Use",
        "",
        f"- Takes and returns {'RGB' if model.channels == 3 else 'grey'} images, (1, {model.channels}, H, W), "
        f"values in [0, 1]{'' if size is None else f', H = {size[0]} and W = {size[1]}'}.",
        *_enlarges(model),
        *_range(model.white_level),
        f"- {parameters(model):,} parameters, {'half' if half else 'single'} precision.",
        "",
        "## How it was made",
        "",
        *_made(about, summary),
        "",
        "## Figures",
        "",
        *_figures(summary),
        "",
        "## Licences",
        "",
        f"- Code of the architecture ({model.architecture}"
        f"{'' if network is None else f', arXiv {network.paper}'}): {licence}.",
        "- noiseda: MIT.",
        "- The weights: whatever the photographs they were trained on, and the weights they started from, allow. "
        "noiseda does not know; say so here before you share them.",
        "",
    ]
    return "\n".join(lines)


def _enlarges(model: Restorer) -> list[str]:
    """What shape comes out, where it is another."""
    if model.scale == 1:
        return []
    sides = f"{model.scale} H, {model.scale} W"
    return [f"- Enlarges images by {model.scale} (its scale): what it returns is (1, {model.channels}, {sides})."]


def _range(white: int) -> list[str]:
    """What whoever runs the network by other means must do to files of 16 bits."""
    if white == FULL:
        return []
    return [
        f"- Values of 16-bit files that go up to {white} at most are divided by {white} to give [0, 1], and what comes "
        "out is multiplied by it; `noiseda restore` does that by itself."
    ]


def _summary(weights: Path) -> dict[str, Any]:
    """The summary of the run that wrote the weights, where it lies beside them."""
    path = weights.parent / "summary.json"
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and Path(str(found.get("weights"))).name == weights.name else {}


def _made(about: dict[str, str], summary: dict[str, Any]) -> list[str]:
    if not about:
        return ["- Not by noiseda; nothing is known of it."]
    lines = [f"- Task: {about.get('task', 'not known')}.", f"- Strategy: {about.get('strategy', 'not known')}."]
    lines += [f"- Steps: {about['steps']}, seed {about.get('seed', '?')}."] if "steps" in about else []
    if images := summary.get("images"):
        lines.append("- Images: " + ", ".join(f"{count} of --{flag}" for flag, count in images.items()) + ".")
    if "noiseda" in about:
        lines.append(f"- noiseda {about['noiseda']}" + (f", commit {about['commit']}." if "commit" in about else "."))
    return lines


def _figures(summary: dict[str, Any]) -> list[str]:
    lines = []
    if verdict := summary.get("verdict"):
        mean, low, high = verdict["gain"]
        lines.append(
            f"- {verdict['word'].capitalize()} than {verdict['than']}: by {mean:+.2f} dB "
            f"(95%: {low:+.2f} to {high:+.2f}), estimated without the truth of the photographs: {verdict['because']}."
        )
    if kept := summary.get("kept"):
        lines.append(
            f"- Synthetic test, pairs of the kind it was trained on: {kept['before']:.2f} dB before the adaptation, "
            f"{kept['after']:.2f} after."
        )
    if validation := summary.get("validation"):
        lines.append(
            f"- On what its weights were chosen by: {validation['psnr']:.2f} dB at step {validation['step']:g}."
        )
    return lines or ["- None: no summary of its run lies beside the weights."]
