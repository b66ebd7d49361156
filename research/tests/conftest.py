from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noiseda import DegradationSettings
from noiseda_research.comparison.matrix import CompareSettings, SetSettings, SimulatedSettings
from tests.conftest import fp32_unless_asked_for  # noqa: F401 (what holds for every test)
from tests.training.photographs import REAL, folder, pairs

TINY = {
    "restorer": {"width": 4, "depth": 2},
    "predictor": {"width": 8, "channel_mults": [1, 2], "patch_size": 2},
    "training": {"steps": 4, "batch": 2, "patch": 16, "ema_decay": 0.5, "snapshot_every": 2, "device": "cpu"},
}


@pytest.fixture
def matrix(tmp_path: Path) -> CompareSettings:
    """A matrix of a few seconds: one set of pairs, one simulated set, three strategies."""
    folder(tmp_path / "clean", height=80, width=96)
    folder(tmp_path / "real", REAL)
    pairs(tmp_path / "pairs", size=80)
    camera = DegradationSettings(kind="camera", strength=(3000.0, 3000.0))
    return CompareSettings(
        data=tmp_path,
        out=tmp_path / "out",
        seeds=[0],
        settings=TINY,
        start={"strategy": "synthetic", "training": {"steps": 3, "snapshot_every": 0}},
        simulated={"phone": SimulatedSettings(clean="{data}/clean", degradation=camera, count=2)},
        sets={
            "dark": SetSettings(
                adapt="{data}/pairs",
                test="{data}/pairs",
                also={"phone-test": "{phone}"},
                settings={"clean": "{data}/clean", "degradation": {"kind": "white"}},
            ),
            "simulated": SetSettings(
                adapt="{phone}",
                test="{phone}",
                settings={"clean": "{data}/clean", "degradation": {"kind": "white"}},
                words={"truth": {"kind": "camera", "strength": [3000, 3000]}},
            ),
        },
        strategies={
            "synthetic": {"strategy": "synthetic"},
            "oracle": {"strategy": "synthetic", "clean": None, "pairs": "{adapt}", "degradation": {"kind": None}},
            "noise-space": {},
            "true-noise": {"strategy": "synthetic", "degradation": "{truth}"},
        },
        curve_images=1,
        signal_images=1,
        threads=1,
    )


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of two smooth images, large enough for patches of ready weights."""
    draws, where = np.random.default_rng(0), tmp_path / "photographs"
    where.mkdir()
    for number in range(2):
        small = Image.fromarray(draws.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        small.resize((480, 480), Image.Resampling.BICUBIC).save(where / f"{number}.png")
    return where
