"""Small folders of photographs, small settings and a small run, for every test of the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from noiseda.config import AdaptSettings, DegradationSettings, PredictorSettings, RestorerSettings, TrainingSettings

CLEAN = skimage.data.astronaut()
REAL = skimage.data.chelsea()


def save(path: Path, array: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def folder(path: Path, photograph: np.ndarray = CLEAN, count: int = 3, height: int = 40, width: int = 48) -> Path:
    """Crops of a photograph, each of another place."""
    for index in range(count):
        top = 60 * index
        save(path / f"{index}.png", photograph[top : top + height, 100 : 100 + width])
    return path


def pairs(path: Path, count: int = 2, size: int = 40) -> Path:
    """Dark inputs and their targets."""
    for index in range(count):
        target = CLEAN[60 * index : 60 * index + size, 200 : 200 + size]
        save(path / f"input/{index}.png", target // 2)
        save(path / f"target/{index}.png", target)
    return path


def small(where: Path, **changes: Any) -> AdaptSettings:
    """Settings of a run that takes a fraction of a second; names of its training settings may be given directly."""
    fields = TrainingSettings.__dataclass_fields__
    training = TrainingSettings(
        **{
            "steps": 6,
            "batch": 2,
            "patch": 16,
            "ema_decay": 0.9,
            "checkpoint_every": 3,
            "log_every": 1,
            "picture_every": 100,
            "validate_every": 5,
            "device": "cpu",
            **{name: value for name, value in changes.items() if name in fields},
        }
    )
    made = changes.get("task", "denoise") == "denoise" and changes.get("pairs") is None
    settings = AdaptSettings(
        clean=where / "clean",
        real=where / "real",
        out=where / "out",
        strategy="noise-space",
        degradation=DegradationSettings(kind="white+camera" if made else None),
        restorer=RestorerSettings(width=4, depth=2),
        predictor=PredictorSettings(width=8, channel_mults=[1, 2], patch_size=2),
        training=training,
    )
    return replace(settings, **{name: value for name, value in changes.items() if name not in fields})


def as_flags(settings: AdaptSettings) -> list[str]:
    """The words of a command line that asks for these settings, by a file."""
    from noiseda.settings_file import write_settings

    path = settings.out.parent / f"{settings.out.name}.yaml"
    write_settings(settings, path)
    return ["adapt", "--config", str(path)]
