"""How strong noise is where it is not flat, tried out on copies of a network."""

import json
from pathlib import Path

import pytest

from noiseda.adaptation.risk import Risk
from noiseda.data.matching import SMOOTHED, Matched
from noiseda.restoration import UNet, save_weights
from noiseda.training import scout
from noiseda.training.scout import CANDIDATES, smoothing
from tests.restoration.networks import built
from tests.training.photographs import REAL, folder

LIKE = Matched((("camera", 3000.0), *[("shot", 5.0)] * 3))


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights to start from, clean and real photographs; few steps."""
    monkeypatch.setattr(scout, "STEPS", 2)
    monkeypatch.setattr(scout, "POOL", 4)
    folder(tmp_path / "clean", count=2, height=160, width=160)
    folder(tmp_path / "real", REAL, count=3, height=80, width=80)
    arguments = {"width": 4, "depth": 2}
    path = tmp_path / "start.safetensors"
    save_weights(path, UNet(**arguments).state_dict(), architecture="unet", arguments=arguments, task="denoise")
    return path


def asked(start: Path, like: Matched = LIKE, **changes: object) -> tuple[float, list[str]]:
    said: list[str] = []
    real, clean = (sorted((start.parent / name).iterdir()) for name in ("real", "clean"))
    kept = start.parent / "smoothed.json"
    given = {"like": like, "real": real, "clean": clean, "start": start, "kept": kept, "seed": 0} | changes
    return smoothing(**given, say=said.append), said


def estimates(rows: list[tuple[float, ...]]) -> object:
    """Stands for what estimates errors: of each network in turn, on every photograph."""
    left = iter(rows)
    return lambda *_, **__: lambda restore: Risk(next(left), (1.0, 1.0, 1.0))


def test_the_factor_that_is_best_on_most_photographs_is_chosen_and_kept(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout, "LEAST", 3)
    rows = [(1.0, 4.1, 4.1), (900.0, 4.0, 4.0), (5.0, 5.0, 5.0)]  # by their mean the first would be best
    monkeypatch.setattr(scout, "estimate", estimates(rows))
    found, said = asked(start)
    assert found == CANDIDATES[1]
    assert len(said) == 1
    assert json.loads((start.parent / "smoothed.json").read_text())["smoothed"] == CANDIDATES[1]
    assert asked(start) == (CANDIDATES[1], []), "read again"
    monkeypatch.setattr(scout, "estimate", estimates([(2.0, 2.0, 1.0), (3.0, 3.0, 1.0), (1.0, 1.0, 9.0)]))
    assert asked(start, Matched((("camera", 100.0),)))[0] == CANDIDATES[2], "of other noise it is asked anew"


def test_photographs_that_do_not_agree_change_nothing(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "LEAST", 3)
    monkeypatch.setattr(scout, "estimate", estimates([(1.0, 2.0, 2.0), (2.0, 1.0, 2.0), (2.0, 2.0, 1.0)]))
    assert asked(start, Matched(LIKE.found, smoothed=1.3))[0] == 1.3


def test_copies_learn_and_the_network_itself_does_not(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "LEAST", 3)
    before = start.read_bytes()
    seen = []
    learn = scout._learn

    def learning(network, pool, seed):
        old = [value.clone() for value in network.state_dict().values()]
        learn(network, pool, seed)
        seen.append((any((a != b).any() for a, b in zip(old, network.state_dict().values(), strict=True)), pool))

    monkeypatch.setattr(scout, "_learn", learning)
    monkeypatch.setattr(scout, "estimate", estimates([(1.0, 1.0, 1.0)] * 3))
    asked(start)
    assert [changed for changed, _ in seen] == [True] * len(CANDIDATES)
    noise = [sum(float((x - y).square().mean()) for x, y in pool) for _, pool in seen]
    assert noise[0] < noise[1] < noise[2]
    assert start.read_bytes() == before


@pytest.mark.parametrize("why", ["no camera", "few photographs", "no room"])
def test_where_nothing_can_be_told_it_stays_as_it_is(start: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if why != "few photographs":
        monkeypatch.setattr(scout, "LEAST", 3)
    if why == "no room":
        folder(start.parent / "clean", count=3, height=40, width=40)
    like = Matched((("camera", 3000.0), *[("shot", 5.0)] * 4)) if why == "no camera" else LIKE
    assert asked(start, like) == (SMOOTHED, [])
    assert not (start.parent / "smoothed.json").exists()


def test_a_network_of_another_is_not_tried_on(start: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a large one would take hours."""
    monkeypatch.setattr(scout, "LEAST", 3)
    network = built("dncnn")
    path = start.with_name("theirs.safetensors")
    save_weights(path, network.tensors(), architecture=network.architecture, arguments={}, task="denoise")
    assert asked(path) == (LIKE.smoothed, [])
