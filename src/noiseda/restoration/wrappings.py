"""Where the weights of a network lie among what a training program saved, and under which names.

They may lie in mappings (``{"state_dict": ...}``), their names may begin with those of what the network was wrapped in
(``module._orig_mod.``), and averaged ones may lie beside raw ones, or discriminators and losses beside both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from noiseda.restoration.stored import Stored, shown

USUAL = ("params_ema", "params", "state_dict", "model", "model_state_dict", "net")
"""Some names of mappings of weights, for those who ask what is expected."""

MOST = 48
"""So many places are looked at."""

LARGEST = 20_000
"""More tensors than any network has."""

LONGEST = 1000
"""Letters of a longer name than any tensor has."""

_AVERAGED = re.compile(r"(^|[_.\-])(?i:ema|average|averaged|avg|swa|shadow)($|[_.\-])|(EMA|Ema)$")
_NOT_IT = re.compile(
    r"(?i)(optim|sched|scaler|loss|criteri|discrim|critic|metric|psnr|ssim|lpips|vgg|percept|callback|hyper|loop|"
    r"^net_?d(_ema)?$|^d(_ema)?$|augment)"
)
_WRAPPERS = (
    "params", "state_dict", "model", "model_state_dict", "net", "network", "g", "generator", "net_g", "netG", "G",
    "module", "weights", "student", "restorer", "denoiser",
)  # fmt: skip
_PREFIXES = frozenset({
    *_WRAPPERS, "gen", "model_g", "modelG", "restoration", "online_model", "unet", "_forward_module",
})  # fmt: skip
_INSIDE = frozenset({"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"})  # anywhere in a name
_COUNTS = frozenset({
    "n_averaged", "initted", "step", "steps", "num_updates", "decay", "epoch", "iteration", "total_ops", "total_params",
    "global_step",
})  # fmt: skip
_DEEPEST = 6


@dataclass(frozen=True)
class Candidate:
    """Weights that may be those of the network.

    Attributes:
        state: by the names that the network may know them by.
        at: where they lie, as ``state_dict.ema_model``; empty where the file holds them directly.
        averaged: whether they are averaged over the steps of training.
        beside: what lies beside them and is left out, by name, with the number of tensors.
    """

    state: Mapping[str, Stored]
    at: str = ""
    averaged: bool = False
    beside: tuple[tuple[str, int], ...] = ()

    def left_out(self) -> str:
        """What lies beside them that could be a part of the network, in words; empty where nothing does."""
        parts = [f"{shown(name, 40)} ({count} tensors)" for name, count in self.beside if _could_belong(name)]
        return ", ".join(parts[:5]) + (", …" if len(parts) > 5 else "")


def candidates(tree: object) -> list[Candidate]:
    """All weights in a file that may be the network's, in the order in which to try them: averaged ones first."""
    found = list(islice(_direct(tree), MOST))
    lists = list(islice(_lists(tree), 4))
    tried: dict[tuple[str, bool], Candidate] = {}
    for one in found:
        for candidate in _unwrapped(one, 0):
            if candidate.state:
                tried.setdefault((candidate.at, candidate.averaged), candidate)
            if len(tried) >= MOST:
                break
    every = list(tried.values())
    raw, averaged = ([one for one in every if one.averaged is whether] for whether in (False, True))
    completed = [whole for one in averaged[:8] for other in raw[:8] if (whole := _completed(one, other)) is not None]
    completed += [
        whole for at, tensors in lists for other in raw[:8] if (whole := _matched(at, tensors, other)) is not None
    ]
    return [*averaged, *completed, *raw]


def _mappings(tree: object) -> Iterator[tuple[Mapping[object, object], str, bool]]:
    """Every mapping, once, where it lies and whether that says that it is averaged; the usual names come first."""
    seen: set[int] = set()

    def walk(node: object, at: str, averaged: bool, depth: int) -> Iterator[tuple[Mapping[object, object], str, bool]]:
        if not isinstance(node, Mapping) or depth > _DEEPEST or id(node) in seen:
            return
        seen.add(id(node))
        yield node, at, averaged
        inner = [key for key, value in node.items() if isinstance(key, str) and isinstance(value, Mapping)]
        for key in sorted(inner, key=lambda key: _WRAPPERS.index(key) if key in _WRAPPERS else len(_WRAPPERS)):
            if not _is_aside(key):
                yield from walk(node[key], _joined(at, key), averaged or _is_averaged(key), depth + 1)

    return walk(tree, "", False, 0)


def _direct(tree: object) -> Iterator[Candidate]:
    """Every mapping that holds tensors itself."""
    for node, at, averaged in _mappings(tree):
        state = {name: one for name, one in node.items() if isinstance(one, Stored) and isinstance(name, str)}
        if 0 < len(state) <= LARGEST and max(map(len, state)) <= LONGEST:
            yield Candidate(_named(state), at, averaged)


def _lists(tree: object) -> Iterator[tuple[str, list[Stored]]]:
    """Averaged weights that were saved as a list, without names."""
    for node, at, _ in _mappings(tree):
        for key, value in node.items():
            if isinstance(key, str) and isinstance(value, list) and _is_averaged(key):
                tensors = [one for one in value if isinstance(one, Stored)]
                if len(tensors) == len(value) > 0:
                    yield _joined(at, key), tensors


def _named(state: Mapping[str, Stored]) -> dict[str, Stored]:
    """Without what programs put inside of names, and without their counters."""
    plain = {
        ".".join(part for part in name.split(".") if part not in _INSIDE): one
        for name, one in state.items()
        if not (name.rpartition(".")[2] in _COUNTS and not one.odd and one.count == 1)
    }
    return plain if len(plain) > 1 else dict(state)


def _unwrapped(one: Candidate, depth: int) -> Iterator[Candidate]:
    """Weights as they are, then without what all or some of their names begin with."""
    yield one
    groups: dict[str, dict[str, Stored]] = {}
    for name, stored in one.state.items():
        first, dot, rest = name.partition(".")
        groups.setdefault(first, {})[rest if dot else ""] = stored
    if depth > _DEEPEST:
        return
    for first in sorted(groups, key=lambda first: not _is_averaged(first)):
        state = groups[first]
        wrapping = len(groups) == 1 or first in _PREFIXES or _is_averaged(first)
        if not wrapping or "" in state or _is_aside(first):
            continue
        beside = tuple((other, len(rest)) for other, rest in groups.items() if other != first)
        inner = Candidate(state, _joined(one.at, first), one.averaged or _is_averaged(first), one.beside + beside)
        yield from _unwrapped(inner, depth + 1)


def _completed(averaged: Candidate, raw: Candidate) -> Candidate | None:
    """Averaged parameters with what is not averaged (buffers) from the raw weights; names may have lost their dots."""
    dotless = {name.replace(".", ""): name for name in raw.state}
    names = [name if name in raw.state else dotless.get(name, "") for name in averaged.state]
    tensors = list(averaged.state.values())
    if 2 * len(names) < len(raw.state) or not all(names) or not _alike(tensors, [raw.state[name] for name in names]):
        return None
    return replace(averaged, state={**raw.state, **dict(zip(names, tensors, strict=True))})


def _matched(at: str, tensors: list[Stored], raw: Candidate) -> Candidate | None:
    """Averaged parameters without names, which have the order and the shapes of the raw ones."""
    buffers = re.compile(r"(running_mean|running_var|num_batches_tracked|relative_position_index|attn_mask)$")
    for names in (list(raw.state), [name for name in raw.state if not buffers.search(name)]):
        if len(names) == len(tensors) and _alike(tensors, [raw.state[name] for name in names]):
            return Candidate({**raw.state, **dict(zip(names, tensors, strict=True))}, at, True, raw.beside)
    return None


def _alike(some: list[Stored], others: list[Stored]) -> bool:
    return all(one.shape == other.shape for one, other in zip(some, others, strict=True))


def _could_belong(name: str) -> bool:
    """Whether a name among others may be that of a part of the network, not of another copy, a loss or a count."""
    return not (name in _PREFIXES or name in _COUNTS or _is_averaged(name) or _is_aside(name))


def _is_averaged(name: str) -> bool:
    return len(name) <= LONGEST and _AVERAGED.search(name) is not None


def _is_aside(name: str) -> bool:
    """Whether a name is that of something beside the network: a loss, a discriminator, an optimiser."""
    return len(name) > LONGEST or _NOT_IT.search(name) is not None


def _joined(at: str, key: str) -> str:
    return f"{at}.{shown(key, 40)}" if at else shown(key, 40)
