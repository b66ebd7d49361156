"""Weights that are none, or wrapped in something: loaded, and tried on a small image."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from fuzz import mutations
from fuzz.cases import Case, Wrong, tried
from fuzz.oracle import digests, refusal_of, unharmed
from fuzz.pickles import PICKLES
from fuzz.safetensors_files import HEADERS, of_ours, rewritten
from noiseda.restoration import Restorer, build_restorer, load
from noiseda.restorer_settings import RestorerSettings


def run(case: Case, place: Path) -> str | None:
    """Load a file of weights, and restore a small image where it is taken."""
    source = place / "in"
    source.mkdir()
    with warnings.catch_warnings():  # what torch says of what is made here is not noiseda's to answer for
        warnings.simplefilter("ignore")
        path, expected = made(case, source)
    before = digests(source)
    found: list[Restorer] = []
    refusal = refusal_of(lambda: found.append(load(path)))
    unharmed(source, before)
    if refusal is not None:
        if path.name not in refusal:
            raise Wrong(f"a refusal that does not name the file: {refusal}")
        return refusal
    network = found[0]
    tensors = network.state_dict()
    if odd := [name for name, weight in tensors.items() if not weight.isfinite().all()]:
        raise Wrong(f"took weights that are no numbers: {odd[0]}")
    if expected is not None and not _same(tensors, expected):
        raise Wrong("took other weights than the file holds (or the raw ones, though averaged ones are there)")
    if sum(weight.numel() * weight.element_size() for weight in tensors.values()) > 100e6:
        raise Wrong("took weights of more than 100 MB out of a small file")
    image = torch.rand(1, network.channels, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        restored = network(image)
    if restored.shape != image.shape:
        raise Wrong(f"took a network that makes {tuple(restored.shape)} of {tuple(image.shape)}")
    return None


def made(case: Case, folder: Path) -> tuple[Path, dict[str, Tensor] | None]:
    """The file of a case, and the weights that it must give where it is taken (None: any)."""
    chance = case.chance
    forms = [*(("pickle", name) for name in PICKLES), *(("header", name) for name in HEADERS)]
    number = case.number
    state = weights("nafnet" if number % 3 == 2 else "unet")
    if number < len(forms):
        family, name = forms[number]
        tried(folder.parent, f"{family}: {name}")
        if family == "pickle":
            path = folder / "case.pth"
            return path, PICKLES[name](state, path, chance)
        path = folder / "case.safetensors"
        path.write_bytes(HEADERS[name](weights("unet"), chance))
        return path, None
    return _spoiled(case, folder, state), None


def _spoiled(case: Case, folder: Path, state: Mapping[str, Tensor]) -> Path:
    """A sound file with some bytes, or some of its header, spoiled."""
    chance = case.chance
    form = chance.choice(("case.safetensors", "case.safetensors", "case.pth", "case-old.pth"))
    path = folder / form
    if path.suffix == ".safetensors":
        path.write_bytes(of_ours(state) if chance.random() < 0.5 and "head.weight" in state else _plain(state))
    else:
        torch.save(dict(state), path, _use_new_zipfile_serialization=form == "case.pth")
    done = []
    for _ in range(chance.choice((1, 1, 2))):
        data = path.read_bytes()
        if path.suffix == ".safetensors" and chance.random() < 0.5 and (changed := rewritten(data, chance)):
            path.write_bytes(changed)
            done.append("rewritten header")
        elif data:
            mutation = chance.choice(mutations.ANY)
            path.write_bytes(mutation(data, chance))
            done.append(mutation.__name__)
    tried(folder.parent, f"{form}: {', '.join(done)}")
    return path


def _plain(state: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return bytes(save(dict(state)))


@functools.cache
def weights(network: str) -> dict[str, Tensor]:
    """Small weights of a network, drawn once."""
    size = {"unet": {"width": 4, "depth": 2}, "nafnet": {"width": 4, "blocks": [1] * 9}}[network]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = build_restorer(RestorerSettings(network=network, **size))
    return {name: weight.detach().clone().contiguous() for name, weight in built.tensors().items()}


def _same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights, whatever comes before their names."""
    plain = {name.removeprefix("network."): weight for name, weight in found.items()}
    return plain.keys() == expected.keys() and all(torch.equal(plain[name], expected[name]) for name in expected)
