from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch.utils.data import DataLoader

from noiseda.data.batches import Batch, DomainBatches, Domains, generator
from noiseda.data.blur import CameraShake
from noiseda.data.cache import ImageStore, decode
from noiseda.data.camera import Camera
from noiseda.data.noise import White

PHOTOGRAPH = skimage.data.astronaut()


def images(folder: Path, count: int = 3, top: int = 0) -> ImageStore:
    folder.mkdir()
    paths = []
    for index in range(count):
        paths.append(folder / f"{index}.png")
        Image.fromarray(PHOTOGRAPH[top + 50 * index : top + 50 * index + 48, :60]).save(paths[-1])
    return decode([(path,) for path in paths], folder / "cache", flag="--clean", max_megapixels=200)[0]


@pytest.fixture
def domains(tmp_path: Path) -> Domains:
    return Domains(
        images(tmp_path / "clean"), White(), images(tmp_path / "real", top=200), images(tmp_path / "reference", top=300)
    )


def batches(domains: Domains, **changes: int) -> DomainBatches:
    return DomainBatches(domains, **{"size": 2, "patch": 16, "channels": 3, "seed": 0, **changes})


def equal(first: Batch, second: Batch) -> bool:
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("x_syn", "y_syn", "x_real", "y_ref")]
    return first.files == second.files and all(
        a is b is None or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs
    )


def test_a_batch_has_its_shapes_and_names_its_files(domains: Domains) -> None:
    batch = batches(domains, size=4)[0]
    for part in (batch.x_syn, batch.y_syn, batch.x_real, batch.y_ref):
        assert part is not None
        assert part.shape == (4, 3, 16, 16)
        assert part.dtype == torch.float32
    assert len(batch.files) == 12
    assert {Path(file).parent.name for file in batch.files} == {"clean", "real", "reference"}
    assert batch.y_syn.min() >= 0
    assert batch.y_syn.max() <= 1


def test_it_depends_on_its_number_alone_not_on_the_order(domains: Domains) -> None:
    first = batches(domains)
    forward = [first[number] for number in range(4)]
    torch.manual_seed(99)
    second = batches(domains)
    backward = [second[number] for number in (3, 2, 1, 0)][::-1]
    assert all(equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not any(equal(forward[0], other) for other in forward[1:])


@pytest.mark.parametrize(
    "degradation", [White(), Camera(), CameraShake(strength=(5.0, 9.0))], ids=lambda d: type(d).__name__
)
def test_it_does_not_depend_on_the_number_of_workers(domains: Domains, degradation: object) -> None:
    data = batches(replace(domains, degradation=degradation))
    here, there = (list(DataLoader(data, batch_size=None, sampler=range(5), num_workers=workers)) for workers in (0, 2))
    assert all(equal(a, b) for a, b in zip(here, there, strict=True))


def test_ranks_and_seeds_draw_their_own(domains: Domains) -> None:
    different = [batches(domains, **changes)[0] for changes in ({}, {"rank": 1}, {"rank": 2}, {"seed": 1})]
    for index, batch in enumerate(different):
        assert not any(torch.equal(batch.x_syn, other.x_syn) for other in different[index + 1 :])
        assert not any(torch.equal(batch.x_real, other.x_real) for other in different[index + 1 :])  # type: ignore[arg-type]


def test_two_ranks_see_what_one_of_twice_the_batch_sees(domains: Domains) -> None:
    whole = batches(domains, size=4)[3]
    halves = [batches(domains, size=2, rank=rank)[3] for rank in (0, 1)]
    for name in ("x_syn", "y_syn", "x_real"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(half, name) for half in halves]))


def test_two_accumulated_batches_are_one_of_twice_the_size(domains: Domains) -> None:
    whole = batches(domains, size=8)[3]
    steps = [
        batches(domains, size=2, rank=rank, processes=2, gradient_accumulation=2)[6 + micro]
        for micro in (0, 1)
        for rank in (0, 1)
    ]
    for name in ("x_syn", "y_syn", "x_real"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in steps]))


def test_samples_of_a_batch_differ(domains: Domains) -> None:
    x_syn = batches(domains, size=8)[0].x_syn
    assert len({tuple(sample.flatten()[:50].tolist()) for sample in x_syn}) == 8


def test_a_smaller_batch_is_the_beginning_of_a_larger_one(domains: Domains) -> None:
    small, large = batches(domains, size=2)[3], batches(domains, size=5)[3]
    assert torch.equal(small.x_syn, large.x_syn[:2])


def test_the_synthetic_half_does_not_know_of_the_other_domains(domains: Domains) -> None:
    alone = batches(replace(domains, real=None, reference=None))
    together = batches(domains)
    for number in range(3):
        a, b = alone[number], together[number]
        assert torch.equal(a.x_syn, b.x_syn)
        assert torch.equal(a.y_syn, b.y_syn)
        assert a.x_real is None
        assert a.y_ref is None
        assert set(a.files) < set(b.files)


def test_domains_that_hold_the_same_images_are_drawn_apart(domains: Domains) -> None:
    batch = batches(replace(domains, real=domains.synthetic, reference=domains.synthetic), size=4)[0]
    assert not torch.equal(batch.x_real, batch.y_syn)  # type: ignore[arg-type]
    assert not torch.equal(batch.x_real, batch.y_ref)  # type: ignore[arg-type]


def test_white_noise_is_added_and_leaves_the_range(domains: Domains) -> None:
    batch = batches(replace(domains, degradation=White(strength=(50.0, 50.0))), size=64)[0]
    noise = batch.x_syn - batch.y_syn
    assert noise.std().item() == pytest.approx(50 / 255, rel=0.02)
    assert batch.x_syn.min() < 0


@dataclass
class Shift:
    """Looks ``margin`` pixels to the left, as a blur would."""

    margin: ClassVar[int] = 3
    strength: ClassVar[tuple[float, float]] = (0.0, 0.0)

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        assert clean.shape[-2:] == (16 + 6, 16 + 6)
        return torch.roll(clean, 3, dims=2)


def test_a_degradation_gets_the_context_it_asks_for(domains: Domains) -> None:
    batch = batches(replace(domains, degradation=Shift()), size=8)[0]
    assert batch.x_syn.shape == batch.y_syn.shape == (8, 3, 16, 16)
    # What was rolled in from the left is true context, so the shifted image continues the target.
    assert torch.equal(batch.x_syn[:, :, :, 3:], batch.y_syn[:, :, :, :-3])


def test_paired_images_are_read_as_they_are(tmp_path: Path) -> None:
    target = PHOTOGRAPH[:50, :50]
    for name, array in (("x", target // 2), ("y", target)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    pairs, _ = decode([(tmp_path / "x.png", tmp_path / "y.png")], tmp_path / "c", flag="--pairs", max_megapixels=200)
    batch = batches(Domains(pairs, None))[0]
    expected = (batch.y_syn * 255).round().numpy().astype(np.uint8) // 2
    assert np.array_equal((batch.x_syn * 255).round().numpy().astype(np.uint8), expected)
    assert {Path(file).name for file in batch.files} == {"x.png", "y.png"}


def test_generators_are_keyed(domains: Domains) -> None:
    draws = {
        key: torch.rand(3, generator=generator(*key)).tolist()
        for key in ((0, "a", 1), (0, "a", 2), (1, "a", 1), (0, "b", 1), (0, "a", 11), (0, "a1", 1))
    }
    assert len({tuple(draw) for draw in draws.values()}) == 6
    assert torch.rand(3, generator=generator(0, "a", 1)).tolist() == draws[0, "a", 1]


def test_a_share_of_the_pairs_gets_inputs_made_anew(tmp_path: Path) -> None:
    own, clean = images(tmp_path / "own", count=1, top=100), images(tmp_path / "clean", count=1)
    files = [(tmp_path / "own/0.png", tmp_path / "clean/0.png")]
    paired = decode(files, tmp_path / "cache", flag="--pairs", max_megapixels=200)[0]
    degrade = Camera()
    anew, kept, mixed = (batches(Domains(paired, degrade, share=share), size=40)[0] for share in (1.0, 0.0, 0.25))
    assert len(own) == len(clean) == 1
    assert torch.equal(kept.y_syn, anew.y_syn)
    is_own = (mixed.x_syn == kept.x_syn).flatten(1).all(dim=1)
    assert 22 <= int(is_own.sum()) <= 38
    assert torch.equal(mixed.y_syn, kept.y_syn)
    assert all((x - y).abs().mean() < 0.1 for x, y in zip(mixed.x_syn[~is_own], mixed.y_syn[~is_own], strict=True))
    assert (kept.x_syn - kept.y_syn).abs().mean() > 0.1  # of another place altogether
    plain = batches(Domains(paired, None), size=40)[0]
    assert not torch.equal(plain.y_syn, kept.y_syn)  # cut without the margin


def test_some_images_are_of_what_was_known_and_the_others_as_ever(domains: Domains) -> None:
    def darker(clean: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        return clean / 2

    def lighter(clean: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        return (1 + clean) / 2

    plain = batches(replace(domains, degradation=darker), size=40)[0]
    assert plain.known is None
    batch = batches(replace(domains, degradation=darker, known=lighter, remembered=0.25), size=40)[0]
    assert batch.known is not None
    assert 4 < batch.known.sum() < 18
    assert torch.equal(batch.x_syn[batch.known], (1 + batch.y_syn[batch.known]) / 2)
    assert torch.equal(batch.x_syn[~batch.known], batch.y_syn[~batch.known] / 2)
