"""From settings to the parts of a run: the images of both domains, the networks, the objective."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from noiseda.adaptation import Objective, build
from noiseda.address import Location, Url
from noiseda.assessment.proxy_pairs import SIMULATED, look_of
from noiseda.assessment.retention import known_degradations
from noiseda.config import AdaptSettings, TrainingSettings
from noiseda.data.batches import Domains, Images
from noiseda.data.cache import Skipped, decode
from noiseda.data.degradations import Degradation, Mixture, degradation, kinds
from noiseda.data.depth import EIGHT_BITS, Depth, depth_of
from noiseda.data.fetch import ShardCache
from noiseda.data.folders import paired_folder
from noiseda.data.shards import ShardSet, find_shards
from noiseda.data.stream import ShardStream
from noiseda.errors import UserError
from noiseda.estimation.noise import Matched, as_grey
from noiseda.images import SUFFIXES, find_images
from noiseda.restoration import load
from noiseda.restoration.as_trained import check_keeps_size
from noiseda.restoration.ready import included
from noiseda.tasks import MATCHED, PAIRS, TASKS
from noiseda.training.beside import notes_of
from noiseda.training.logger import say
from noiseda.training.named import naming
from noiseda.training.optimizer import Adam
from noiseda.training.start import freeze, start_of

log = logging.getLogger(__name__)
Groups = list[tuple[Path, ...]]
Listed = dict[str, Groups | ShardSet]
"""Flag -> its images: groups of files, or shards."""


def list_images(settings: AdaptSettings) -> Listed:
    """The files of every folder that the settings name, without reading their pixels; of shards, the index alone.

    Returns:
        Flag -> shards, or groups: single images, or (input, target) pairs for ``--pairs`` and ``--validation``.

    Raises:
        UserError: naming the flag and the folder that is missing, is empty, or has images without a partner; or the
            address that does not answer.
    """
    found: Listed = {}
    for flag in ("clean", "real", "reference", "pairs", "validation"):
        place = getattr(settings, flag)
        if place is not None:
            with naming(flag):
                found[flag] = _list(flag, place)
    for flag, groups in found.items():
        if not groups:
            place = getattr(settings, flag)
            beside = "".join(f"; {note}" for note in notes_of(place))
            raise UserError(f"--{flag} {place} holds no image ({', '.join(sorted(SUFFIXES))}){beside}")
    if not settings.adapts:
        found.pop("reference", None)
    if not settings.looks:
        found.pop("real", None)
    return found


def _list(flag: str, place: Location) -> Groups | ShardSet:
    paired = flag in ("pairs", "validation")
    place = place if isinstance(place, Url) else included(place)
    shards = find_shards(place) if flag != "validation" else None
    if shards is not None:
        if (shards.kind == "pairs") != paired:
            expected = "pairs" if paired else "single images"
            raise UserError(f"{place}: its shards hold {shards.kind}, expected {expected}")
        return shards
    folder = place.folder if isinstance(place, Url) else place
    assert folder is not None, "an address of another machine holds shards"
    return [*paired_folder(folder)] if paired else [(path,) for path in find_images(folder)]


def depth(settings: AdaptSettings, groups: Listed) -> Depth:
    """How deep the real photographs are, where they are looked at; of shards that is not known before they are drawn.

    Args:
        settings: the run's settings.
        groups: from :func:`list_images`.
    """
    return depth_of(files_of(groups, "real"), settings.white_level)


def look(settings: AdaptSettings, groups: Listed, cache: Path, deep: Depth = EIGHT_BITS) -> Degradation | None:
    """What the real photographs went through, where a run has a use for it and it can be estimated.

    Args:
        settings: the run's settings.
        groups: from :func:`list_images`.
        cache: folder where what was found is kept.
        deep: from :func:`depth`.

    Raises:
        UserError: where ``--degradation.kind matched`` is asked for and they cannot be matched.
    """
    task = TASKS[settings.task]
    if task.estimator is None or not (settings.matches or settings.is_tried):
        return None
    try:
        real = _files("real", groups["real"])
        flag = "clean" if "clean" in groups else "pairs"
        clean = _files(flag, groups[flag]) if task.estimator in SIMULATED else []
        of = hashlib.sha256(f"{fingerprint(groups)} {settings.seed}".encode()).hexdigest()[:16]
        kept = cache / f"matched-{of}.json"
        if task.estimator != "jpeg" and not kept.exists():
            say("looking for what your photographs went through: up to half a minute")
        like = look_of(settings.task, real, clean, kept, settings.seed, deep)
        return replace(like, smoothed=settings.degradation.smoothed) if isinstance(like, Matched) else like
    except UserError as error:
        if settings.matches and settings.degradation.kind is not None:
            raise
        if settings.matches:
            log.warning("%s; the clean photographs get %s instead", error, task.usual)
        return None


def training_degradation(
    settings: AdaptSettings, like: Degradation | None, deep: Depth = EIGHT_BITS
) -> tuple[Degradation | None, float]:
    """What makes synthetic inputs of clean photographs.

    Args:
        settings: the run's settings.
        like: from :func:`look`.
        deep: from :func:`depth`.

    Returns:
        The degradation, None where the inputs of ``--pairs`` are all that is used; and the share of inputs it makes.

    Raises:
        UserError: where the task has no such degradation, or it no such strength.
    """
    kind = settings.degradation.kind
    if settings.photographs is None:
        shares = kinds(settings.task, kind or TASKS[settings.task].paired)
        own, all_of_them = shares.pop(PAIRS), sum(shares.values())
        if not shares:
            return None, 0.0
        others = "+".join(f"{share}*{name}" for name, share in shares.items())
        return degradation(settings.task, others, matched=like, jpeg=not deep.deep), all_of_them / (own + all_of_them)
    if kind is None and settings.matches and like is not None:
        task = TASKS[settings.task]
        kind = MATCHED if settings.degradation.remembered else f"{task.beside_matched}+{MATCHED}"
    strength = settings.degradation.strength
    return degradation(settings.task, kind, strength, matched=like, jpeg=not deep.deep), 1.0


def check_degradation(settings: AdaptSettings) -> None:
    """Check that ``--degradation.*`` can be had, without looking at a photograph.

    Raises:
        UserError: where the task has no such degradation, or it no such strength.
    """
    training_degradation(settings, Matched((("white", 0.0),)))
    if settings.degradation.remembered:
        known_degradations(settings)


def files_of(groups: Listed, flag: str) -> list[Path]:
    """Files of a flag's images; none where it is not given, or they lie in shards."""
    found = groups.get(flag, [])
    return [] if isinstance(found, ShardSet) else [path for (path,) in found]


def pairs_of(groups: Listed) -> Groups:
    """Files of ``--pairs``, (input, target); none where it is not given, or they lie in shards."""
    found = groups.get("pairs", [])
    return [] if isinstance(found, ShardSet) else found


def _files(flag: str, found: Groups | ShardSet) -> list[Path]:
    if isinstance(found, ShardSet):
        raise UserError(f"--degradation.kind matched looks at images in a folder: --{flag} holds shards")
    return [files[-1] for files in found]  # of pairs, the targets


def load_domains(
    settings: AdaptSettings, groups: Listed, cache: Path, deep: Depth = EIGHT_BITS
) -> tuple[Domains, list[Skipped], Degradation | None]:
    """Decode the images of the training domains; those of shards are fetched and decoded when they are drawn.

    Args:
        settings: the run's settings.
        groups: from :func:`list_images`.
        cache: folder of the decoded images.
        deep: from :func:`depth`.

    Returns:
        The domains, the images that could not be used, and what the real ones went through, where that was looked for.

    Raises:
        UserError: where none of a folder's images can be used.
    """
    stores: dict[str, Images] = {}
    skipped: list[Skipped] = []
    shard_cache = ShardCache(cache, gigabytes=settings.cache_gigabytes, max_megapixels=settings.max_megapixels)
    check_degradation(settings)
    # The user's own first: where none of them can be used, nothing else has been written.
    for flag in (*(("real", "reference") if settings.adapts else ()), "clean", "pairs"):
        found = groups.get(flag)
        if isinstance(found, ShardSet):
            purpose = "synthetic" if flag in ("clean", "pairs") else flag
            stores[flag] = ShardStream(
                found, shard_cache, flag=f"--{flag}", seed=settings.seed, purpose=purpose,
                window=settings.shards.window, draws=settings.shards.draws, white=deep.white,
            )  # fmt: skip
        elif found is not None:
            name, limit = f"--{flag} {getattr(settings, flag)}", settings.max_megapixels
            stores[flag], broken = decode(found, cache, flag=name, max_megapixels=limit, white=deep.white)
            skipped += broken
    synthetic = stores["clean"] if "clean" in stores else stores["pairs"]
    like = look(settings, without(groups, skipped), cache, deep)
    degrade, share = training_degradation(settings, like, deep)
    degrade = None if degrade is None else as_grey(degrade, like)
    remembered = settings.degradation.remembered or 0.0
    known = Mixture(tuple(known_degradations(settings, jpeg=not deep.deep))) if remembered else None
    domains = Domains(synthetic, degrade, stores.get("real"), stores.get("reference"), share, known, remembered)
    return domains, skipped, like


def without(groups: Listed, skipped: list[Skipped]) -> Listed:
    """The groups that are left when those with a skipped image are taken out; shards are left as they are."""
    paths = {image.path for image in skipped}
    return {
        flag: found if isinstance(found, ShardSet) else [group for group in found if paths.isdisjoint(group)]
        for flag, found in groups.items()
    }


def fingerprint(groups: Listed) -> str:
    """Digest of the names and sizes of all files, by which a run knows the images it began with.

    Of shards it is their content that counts, not where they lie.
    """
    names = {
        flag: [(shard.sha256, shard.samples) for shard in found.shards]
        if isinstance(found, ShardSet)
        else [[(path.name, path.stat().st_size) for path in group] for group in found]
        for flag, found in groups.items()
    }
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def build_objective(settings: AdaptSettings, levels: float = 255.0) -> Objective[Any]:
    """Build the networks and the objective that trains them, with weights drawn from the run's seed.

    The restorer is drawn first and by itself, so that all strategies start from the same one.

    Args:
        settings: of the run.
        levels: steps from black to white that the real files have.

    Raises:
        UserError: when ``--restorer.start`` or ``--weights`` holds another network than asked for, or none.
    """
    torch.manual_seed(settings.seed)
    restorer = start_of(settings.restorer)
    freeze(restorer, settings.restorer.freeze)
    return build(restorer, settings, levels)


def check_baseline(settings: AdaptSettings) -> None:
    """Check that ``--baseline`` holds a network.

    Raises:
        UserError: when it cannot be read.
    """
    if settings.baseline is not None:
        with naming("baseline"):
            check_keeps_size(load(settings.baseline), str(settings.baseline))


FAN_IN = 216
"""Inputs of a unit up to which a layer learns at the full rate: those of the default network's first stage."""


def lr_factor(weight: Tensor) -> float:
    """The share of the learning rate that a weight learns at, as 1 / fan_in (muP: Yang et al., arXiv 2203.03466).

    >>> lr_factor(torch.zeros(48, 48, 3, 3)), lr_factor(torch.zeros(24, 3, 3, 3)), lr_factor(torch.zeros(48))
    (0.5, 1.0, 1.0)
    """
    return min(1.0, FAN_IN * len(weight) / weight.numel()) if weight.ndim > 1 else 1.0


def build_optimizer(objective: Objective[Any], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam, with a learning rate for the restorer and one for whatever else learns; ``base_lr`` is the highest."""
    restorer = [parameter for parameter in objective.restorer.parameters() if parameter.requires_grad]
    ids = {id(parameter) for parameter in objective.restorer.parameters()}
    others = [parameter for parameter in objective.parameters() if id(parameter) not in ids and parameter.requires_grad]
    groups: list[dict[str, Any]] = []
    for weights, rate in ((restorer, settings.rate), (others, settings.predictor_learning_rate or settings.rate)):
        by_factor: dict[float, list[nn.Parameter]] = {}
        for weight in weights:
            factor = lr_factor(weight) if settings.lr_scaling == "fan_in" else 1.0
            by_factor.setdefault(factor, []).append(weight)
        groups += [{"params": those, "base_lr": rate * factor} for factor, those in by_factor.items()]
    return Adam(groups, lr=settings.rate, fused=True)
