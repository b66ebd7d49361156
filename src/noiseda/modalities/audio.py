"""Recordings: WAV, FLAC, OGG, AIFF, through soundfile."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noiseda.errors import UserError
from noiseda.modalities.base import Modality, Signal
from noiseda.storage import atomic

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".aif": "AIFF", ".aiff": "AIFF"}
"""Suffix -> the name that soundfile has for its format."""


class Audio(Modality):
    """A recording of one channel or more: amplitudes from -1 to 1 are values from 0 to 1, so that silence is 0.5."""

    name = "recording"
    dims = 1
    suffixes = frozenset(FORMATS)
    tile = 2**17
    overlap = 2**13

    def read(self, path: Path) -> Signal:
        """Read a recording of any rate; its rate, format and depth are kept for writing."""
        soundfile = _soundfile()
        try:
            with soundfile.SoundFile(path) as file:
                samples = file.read(dtype="float32", always_2d=True)
                about = {"rate": file.samplerate, "subtype": file.subtype}
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path} cannot be read as a recording: {str(error).splitlines()[0]}") from error
        if not len(samples):
            raise UserError(f"{path} is an empty recording")
        values = torch.from_numpy(samples).T.contiguous()
        if not torch.isfinite(values).all():
            raise UserError(f"{path} holds values that are no numbers")
        return Signal((values + 1) / 2, about)

    def write(self, signal: Signal, path: Path) -> None:
        """Write a recording, in the format of the suffix, at the depth it had where that format has it."""
        soundfile = _soundfile()
        about, format = signal.about, FORMATS.get(path.suffix.lower())
        if format is None:
            raise UserError(f"cannot write {path}: a recording is one of {', '.join(FORMATS)}")
        subtype = about.get("subtype")
        if subtype is not None and not soundfile.check_format(format, subtype):
            subtype = None
        samples = (signal.values.clamp(0, 1) * 2 - 1).T.numpy()
        content = io.BytesIO()
        try:
            soundfile.write(content, samples, about.get("rate", 16_000), format=format, subtype=subtype)
            with atomic(path) as file:
                file.write(content.getvalue())
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise UserError(f"cannot write {path}: {str(error).splitlines()[0]}") from error

    def symmetries(self) -> int:
        """Two: as it is, and with its sign turned, which sounds the same."""
        return 2

    def turned(self, values: Tensor, way: int) -> Tensor:
        """Turn the sign."""
        return 1 - values if way else values

    def score(self, restored: Tensor, target: Tensor) -> float:
        """Scale-invariant ratio of signal to distortion, SI-SDR in dB (Le Roux et al. 2019, arXiv 1811.02508)."""
        estimate, truth = (one - one.mean(dim=-1, keepdim=True) for one in (restored, target))
        scale = (estimate * truth).sum() / truth.square().sum().clamp(min=1e-12)
        kept = scale * truth
        power, error = float(kept.square().sum()), float((estimate - kept).square().sum())
        if power == 0:
            return -math.inf
        return math.inf if error == 0 else 10 * math.log10(power / error)


def _soundfile() -> Any:  # noqa: ANN401 (a module that may be missing)
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise UserError(f"recordings need soundfile: pip install 'noiseda[audio]' ({error})") from error
    return soundfile
