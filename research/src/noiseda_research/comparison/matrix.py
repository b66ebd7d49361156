"""What is compared: the settings of ``noiseda compare``, and the runs that they stand for."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from noiseda import AdaptSettings, DegradationSettings, Task, UserError, settings_from
from noiseda.evaluation import PROTOCOLS, ProtocolName
from noiseda.numbers import check_numbers
from noiseda.settings_file import computed, flatten, presets, read_settings
from noiseda.suggestions import nearest

Tree = dict[str, Any]

MATRICES = Path(__file__).parents[1] / "matrices"

UNLESS_ASKED: dict[str, Any] = {
    "proxy_pairs": 0,
    "neighbor2neighbor": {"start": 0.0},
    "mean_teacher": {"start": 0.0},
    "training": {"max_regression_db": None, "lr_schedule": "cosine"},
}
"""What runs of a comparison have in place of the usual defaults: each is what was published, and its last weights are
compared; no signal that is compared itself chooses them."""


@dataclass(frozen=True)
class SimulatedSettings:
    """A stand-in for real images whose truth is known: clean photographs, degraded once and kept as files."""

    clean: str = ""
    """Folder of clean photographs."""

    task: Task = "denoise"
    """The task whose degradation it is."""

    degradation: DegradationSettings = field(default_factory=DegradationSettings)
    """Kind and strength of the degradation."""

    scale: int = 1
    """Enlarge the photographs this many times first (Lanczos): shrunk ones are sharper than those of full size."""

    count: int | None = None
    """How many of the photographs are taken, evenly spread over the folder; all by default."""


@dataclass(frozen=True)
class SetSettings:
    """A real domain: what is adapted to, and what is scored."""

    adapt: str = ""
    """Folder with input/, the unlabelled images; a target/ beside it is read only by strategies that name the folder in
    braces, as the oracle does."""

    images: int | None = None
    """How many of the images of adapt are used, evenly spread over the folder; all by default."""

    test: str = ""
    """Folder with input/ and target/ of equal file stems, other images of the same domain."""

    protocol: str = "rgb"
    """How the test is scored (noiseda evaluate --protocol)."""

    also: dict[str, str] = field(default_factory=dict)
    """Further tests, name -> folder, such as a synthetic one on which adaptation should lose nothing."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the runs on this set, as noiseda adapt takes them: where the synthetic pairs come from."""

    start: dict[str, Any] = field(default_factory=dict)
    """Settings of the first run that differ on this set."""

    words: dict[str, Any] = field(default_factory=dict)
    """Values that strategies may name in braces; a strategy that names one a set lacks is left out there."""


@dataclass(frozen=True)
class CompareSettings:
    """Everything that ``noiseda compare`` needs to know. "{data}" in a path stands for --data."""

    PRESETS: ClassVar[str] = "matrices"
    """Folder of the matrices that come with this package."""

    data: Path = Path("data")
    """Folder that "{data}" stands for."""

    out: Path = Path("runs/compare")
    """Folder of the runs, scores, table and figures. The same command continues what was stopped."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Seeds; everything is done for the first one first."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of every run, as noiseda adapt takes them; "config" names a preset or a file to begin with."""

    start: dict[str, Any] | None = None
    """Settings of a first run for each set and seed, from whose weights all strategies go on; without it, each starts
    from the same random weights."""

    simulated: dict[str, SimulatedSettings] = field(default_factory=dict)
    """Simulated images by name; "{name}" stands for the folder they are kept in."""

    sets: dict[str, SetSettings] = field(default_factory=dict)
    """The real domains by name."""

    strategies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rows of the table: name -> what it sets differently from all others."""

    reference: str = "synthetic"
    """The row that all others are compared with."""

    ceiling: str = "oracle"
    """The row that closes all of the gap: trained on the truth."""

    only: list[str] = field(default_factory=list)
    """Names of the strategies to run and show; all by default. The reference and the ceiling always are."""

    only_sets: list[str] = field(default_factory=list)
    """Names of the sets to run and show; all by default."""

    curve_images: int = 0
    """Images of each test that snapshots (training.snapshot_every) are scored on, for curves over the run; 0: none."""

    signal_images: int = 0
    """Unlabelled images of each set on which label-free signals of the snapshots are measured, to see how well they
    rank the networks (needs curve_images); 0: none."""

    dry_run: bool = False
    """Check everything, say what would be run, and stop."""

    parallel: int = 1
    """Runs at a time; on a processor with few cores, as many as cores with --threads 1 do most in all."""

    threads: int | None = None
    """Threads of each run; by default as many as torch takes."""

    def check(self) -> None:
        """Check what can be checked before anything is run.

        Raises:
            UserError: naming the setting, what was given and what was expected.
        """
        check_numbers(self)
        for name in ("parallel", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} must be at least 1, not {value}")
        for name in ("curve_images", "signal_images"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name} must not be negative, but is {getattr(self, name)}")
        if not self.sets or not self.strategies or not self.seeds:
            raise UserError("a comparison needs sets, strategies and seeds: give a --config that names them")
        for flag, names, known in (
            ("only", self.only, self.strategies),
            ("only-sets", self.only_sets, self.sets),
            ("reference", [self.reference], self.strategies),
        ):
            for name in names:
                if name not in known:
                    raise UserError(f"--{flag}: {name!r} is none of {', '.join(known)}{nearest(name, known)}")
        for name, one in self.sets.items():
            if not one.adapt or not one.test:
                raise UserError(f"sets.{name} needs adapt and test: folders with input/ (and target/)")
            if one.images is not None and one.images < 1:
                raise UserError(f"sets.{name}.images must be at least 1, not {one.images}")
            if one.start and self.start is None:
                raise UserError(f"sets.{name}.start differs from a first run that there is none of: give start too")
        for name, images in self.simulated.items():
            if images.scale < 1:
                raise UserError(f"simulated.{name}.scale must be at least 1, not {images.scale}")
            if not images.clean:
                raise UserError(f"simulated.{name} needs clean: a folder of clean photographs")


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        name: its folder's name: the strategy, and a digest of all that decides its outcome. Cells of the table that
            stand for the same computation share it.
        settings: its settings.
    """

    name: str
    settings: AdaptSettings = field(compare=False)


@dataclass(frozen=True)
class Cell:
    """One strategy on one set at one seed.

    Attributes:
        set: name of the set.
        strategy: name of the row.
        seed: the seed.
        start: the run whose weights it goes on from.
        job: the run itself.
    """

    set: str
    strategy: str
    seed: int
    start: Job | None
    job: Job


def shown(settings: CompareSettings) -> tuple[list[str], list[str]]:
    """The names of the sets and of the strategies that are asked for, in the order of the settings."""
    always = {settings.reference, settings.ceiling}
    strategies = [name for name in settings.strategies if not settings.only or name in always | set(settings.only)]
    return [name for name in settings.sets if not settings.only_sets or name in settings.only_sets], strategies


def cells(settings: CompareSettings) -> Iterator[Cell]:
    """Everything to run, seed by seed.

    Raises:
        UserError: naming the set and the strategy whose settings are wrong.
    """
    sets, strategies = shown(settings)
    for seed in settings.seeds:
        for set_name in sets:
            words = words_of(settings, set_name)
            common = _merged(settings.settings, settings.sets[set_name].settings, {"real": "{adapt}/input"})
            start = None
            if settings.start is not None:
                first = _merged(common, settings.start, settings.sets[set_name].start)
                start = _job(settings, "start", f"sets.{set_name}, start", first, words, seed)
            for strategy in strategies:
                own = settings.strategies[strategy]
                if not _names(own) <= set(words):
                    continue
                base = common
                if start is not None:
                    base = _merged(common, {"restorer": {"start": str(weights_of(start))}})
                where = f"sets.{set_name}, strategies.{strategy}"
                yield Cell(
                    set_name,
                    strategy,
                    seed,
                    start,
                    _job(settings, strategy, where, _merged(base, own), words, seed),
                )


def weights_of(job: Job) -> Path:
    """Where a run leaves its network."""
    return job.settings.out / "restorer.safetensors"


def words_of(settings: CompareSettings, set_name: str) -> dict[str, Any]:
    """What the words in braces stand for in the settings of a set."""
    general: dict[str, Any] = {"data": str(settings.data)}
    general |= {name: str(settings.out / "simulated" / name) for name in settings.simulated}
    one = settings.sets[set_name]
    own = {name: fill(value, general, f"sets.{set_name}.words") for name, value in one.words.items()}
    folders = {key: fill(getattr(one, key), general, f"sets.{set_name}.{key}") for key in ("adapt", "test")}
    if one.images is not None:
        folders["adapt"] = str(chosen_of(settings, set_name))
    return general | own | folders


def chosen_of(settings: CompareSettings, set_name: str) -> Path:
    """Where the chosen images of a set that does not use all of them are kept."""
    return settings.out / "chosen" / set_name


def clean_of(settings: CompareSettings, set_name: str) -> Path:
    """A folder of clean images of a set: those of its synthetic pairs, never of its truth."""
    tree = _merged(settings.settings, settings.sets[set_name].settings)
    filled = fill({key: tree.get(key) for key in ("clean", "pairs")}, words_of(settings, set_name), f"sets.{set_name}")
    return Path(filled["clean"]) if filled["clean"] else Path(filled["pairs"]) / "target"


def fill(value: Any, words: Mapping[str, Any], where: str) -> Any:  # noqa: ANN401 (a tree of plain values)
    """Put the words in the place of their names in braces; a text that is nothing else becomes the word itself.

    >>> fill({"pairs": "{data}/pairs", "degradation": "{d}"}, {"data": "x", "d": {"kind": "camera"}}, "here")
    {'pairs': 'x/pairs', 'degradation': {'kind': 'camera'}}

    Raises:
        UserError: where there is no such word.
    """
    if isinstance(value, Mapping):
        return {key: fill(inner, words, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, words, where) for inner in value]
    if not isinstance(value, str):
        return value
    for name in _names(value):
        if name not in words:
            raise UserError(f"{where}: {{{name}}} in {value!r} is none of {', '.join(words)}")
    whole = re.fullmatch(r"\{([\w-]+)\}", value)
    return words[whole[1]] if whole else re.sub(r"\{([\w-]+)\}", lambda found: str(words[found[1]]), value)


def _names(value: Any) -> set[str]:  # noqa: ANN401 (a tree of plain values)
    """All names in braces."""
    if isinstance(value, Mapping):
        return set().union(*map(_names, value.values()))
    if isinstance(value, list):
        return set().union(*map(_names, value))
    return set(re.findall(r"\{([\w-]+)\}", value)) if isinstance(value, str) else set()


def _merged(*trees: Mapping[str, Any]) -> Tree:
    """Trees laid over one another; the last one wins."""
    result: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            inner = result.get(key)
            result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return result


def _job(settings: CompareSettings, name: str, where: str, tree: Tree, words: Mapping[str, Any], seed: int) -> Job:
    filled = fill(tree, words, where)
    preset = filled.pop("config", None)
    base: Tree = {} if preset is None else read_settings(presets().get(preset, Path(preset)))
    filled = _merged(base, UNLESS_ASKED, filled)
    start = filled.get("restorer", {}).pop("start", None)
    run = _parsed(json.dumps(filled, sort_keys=True), where)  # the same for all seeds
    run = replace(
        run,
        seed=seed,
        cache=settings.out / "cache",
        ship_worse=True,  # what is compared is what was trained
        restorer=replace(run.restorer, start=None if start is None else Path(start)),
    )
    if not run.adapts:  # what it does not use shall not make it another
        usual = AdaptSettings()
        run = replace(
            run,
            real=run.real if run.matches else None,
            reference=None,
            objective=usual.objective,
            predictor=usual.predictor,
        )
    # By what differs from the defaults of this version: settings that a later one adds leave finished runs finished.
    usual_values = computed(AdaptSettings()) | flatten(UNLESS_ASKED)
    decisive = {key: value for key, value in computed(run).items() if value != usual_values[key]}
    described = json.dumps([version("noiseda"), decisive], sort_keys=True)
    digest = hashlib.sha256(described.encode()).hexdigest()[:10]
    run = replace(run, out=settings.out / "runs" / f"{name}-{digest}")
    try:
        run.check()
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return Job(run.out.name, run)


@cache
def _parsed(tree: str, where: str) -> AdaptSettings:
    return settings_from(json.loads(tree), where)


def protocol_of(settings: SetSettings, name: str) -> ProtocolName:
    """The protocol of a set, checked.

    Raises:
        UserError: where there is none of that name.
    """
    if settings.protocol not in PROTOCOLS:
        raise UserError(f"sets.{name}.protocol must be one of {', '.join(PROTOCOLS)}, not {settings.protocol!r}")
    return settings.protocol  # type: ignore[return-value]
