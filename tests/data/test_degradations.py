"""What holds for every degradation: the contract, the table, and messages to the user."""

import pickle
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from noiseda.config import Task
from noiseda.data.degradations import DEGRADATIONS, Grey, degradation, degraded, prepared, without_colour
from noiseda.data.noise import White
from noiseda.errors import UserError
from noiseda.tasks import MATCHED, TASKS

KINDS = tuple(DEGRADATIONS)
MILD_AND_STRONG = {
    "white": (5, 50),
    "poisson-gaussian": (5, 50),
    "shot": (5, 50),
    "camera": (500, 10000),
    "shrunk": (500, 10000),
    "phone": (500, 10000),
    "rain": (2, 20),
    "streaks": (2, 20),
    "drops": (2, 20),
    "camera-shake": (4, 20),
    "defocus": (1.5, 6),
    "frame-average": (4, 20),
    "jpeg": (90, 10),
}

TASK_DEGRADATIONS = {name: task.degradations for name, task in TASKS.items()}
DEFAULTS = {name: task.usual for name, task in TASKS.items()}


def photo(side: int = 64, channels: int = 3) -> Tensor:
    pixels = torch.from_numpy(data.astronaut()[40 : 40 + side, 180 : 180 + side].copy()).permute(2, 0, 1).float() / 255
    return pixels if channels == 3 else pixels.mean(0, keepdim=True)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_shape_is_kept_and_the_clean_image_is_left_alone(kind: str, channels: int) -> None:
    clean = photo(channels=channels)[:, :50]
    before = clean.clone()
    degraded = DEGRADATIONS[kind]()(clean, seeded())
    assert degraded.shape == clean.shape
    assert degraded.dtype == torch.float32
    assert torch.equal(clean, before)
    assert not torch.equal(degraded, clean)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 1), (9, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_tiny_images_are_degraded_too(kind: str, size: tuple[int, int]) -> None:
    for channels in (1, 3):
        clean = torch.full((channels, *size), 0.5)
        degraded = DEGRADATIONS[kind]()(clean, seeded())
        assert degraded.shape == clean.shape
        assert degraded.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_alone_decides_every_bit(kind: str) -> None:
    degrade, clean = DEGRADATIONS[kind](), photo()
    torch.manual_seed(1)
    first = degrade(clean, seeded(7))
    torch.manual_seed(2)
    elsewhere = pickle.loads(pickle.dumps(degrade))  # as a loader's worker process gets it
    assert torch.equal(first, elsewhere(clean, seeded(7)))
    assert not torch.equal(first, degrade(clean, seeded(8)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_decides_nothing_and_is_kept(kind: str) -> None:
    clean, before = torch.rand(3, 224, 224, generator=seeded()), torch.get_num_threads()
    pictures = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            pictures.append(DEGRADATIONS[kind]()(clean, seeded(3)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_generator_is_not_touched(kind: str) -> None:
    state = torch.get_rng_state()
    DEGRADATIONS[kind]()(photo(), seeded())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "white"])
def test_what_a_file_holds_lies_between_black_and_white(kind: str) -> None:
    high = MILD_AND_STRONG[kind][1]
    degraded = DEGRADATIONS[kind](strength=(high, high))(photo(), seeded())
    assert degraded.min() >= 0
    assert degraded.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_greater_strength_does_more(kind: str) -> None:
    def error(strength: float) -> float:
        degrade, clean = DEGRADATIONS[kind](strength=(strength, strength)), photo()
        return sum((degrade(clean, seeded(seed)) - clean).square().mean().item() for seed in range(5))

    mild, strong = MILD_AND_STRONG[kind]
    assert error(strong) > 1.5 * error(mild)


@pytest.mark.parametrize("kind", ["camera-shake", "defocus"])
def test_the_margin_is_all_the_context_a_pixel_depends_on(kind: str) -> None:
    degrade = DEGRADATIONS[kind](sigma=(0, 0))
    large = photo(128)
    side = 32 + 2 * degrade.margin
    start = 20
    patch = large[:, start : start + side, start : start + side]
    inner = slice(degrade.margin, -degrade.margin)
    whole = degrade(large, seeded())[:, start : start + side, start : start + side]
    torch.testing.assert_close(degrade(patch, seeded())[:, inner, inner], whole[:, inner, inner], atol=2e-5, rtol=0)


@given(kind=st.sampled_from(KINDS), height=st.integers(16, 40), width=st.integers(16, 40), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_any_shape_and_seed_gives_finite_pixels(kind: str, height: int, width: int, seed: int) -> None:
    clean = torch.rand(3, height, width, generator=seeded(seed))
    degraded = DEGRADATIONS[kind]()(clean, seeded(seed))
    assert degraded.shape == clean.shape
    assert degraded.isfinite().all()


def test_every_degradation_serves_one_task_and_every_task_has_a_default() -> None:
    assert set(TASK_DEGRADATIONS) == set(get_args(Task))
    named = [name for names in TASK_DEGRADATIONS.values() for name in names if name != MATCHED]
    assert sorted(named) == sorted(DEGRADATIONS)
    for task, default in DEFAULTS.items():
        assert degradation(task) == degradation(task, default)


def test_kind_and_strength_are_taken_from_the_settings() -> None:
    chosen = degradation("deblur", "defocus", (2.0, 3.5))
    assert type(chosen) is DEGRADATIONS["defocus"]
    assert chosen.strength == (2.0, 3.5)
    assert chosen.margin == 4


def test_a_misspelt_kind_is_named_with_the_nearest_right_one() -> None:
    with pytest.raises(UserError) as caught:
        degradation("denoise", "posson-gaussian")
    for part in (
        "--degradation.kind",
        "'posson-gaussian'",
        "white, poisson-gaussian, shot, camera, shrunk, phone, matched",
        "mean poisson-gaussian",
    ):
        assert part in str(caught.value)


def test_a_kind_of_another_task_is_refused() -> None:
    with pytest.raises(UserError, match="--task derain must be one of rain, streaks, drops, matched, not 'white'"):
        degradation("derain", "white")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [(-1.0, 5.0), (5.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)])
def test_a_range_that_is_none_is_refused(kind: str, strength: tuple[float, float]) -> None:
    task = next(task for task, names in TASK_DEGRADATIONS.items() if kind in names)
    with pytest.raises(UserError, match=r"--degradation\.strength \(.+\) must satisfy"):
        degradation(task, kind, strength)


@pytest.mark.parametrize("kind", ["poisson-gaussian", "camera"])
def test_a_strength_drawn_by_octaves_cannot_be_zero(kind: str) -> None:
    with pytest.raises(UserError, match="0 < low"):
        degradation("denoise", kind, (0.0, 5.0))


def test_a_mixture_draws_each_of_its_parts_as_often_with_the_larger_margin() -> None:
    mixed, clean = degradation("denoise", "white+camera"), photo()
    assert mixed.margin == DEGRADATIONS["camera"].margin
    outside = [bool((mixed(clean, seeded(seed)) > 1).any()) for seed in range(200)]  # only white noise is not clipped
    assert 75 < sum(outside) < 125
    assert torch.equal(mixed(clean, seeded(5)), mixed(clean, seeded(5)))


def test_one_part_of_a_mixture_is_drawn_more_often() -> None:
    mixed, clean = degradation("denoise", "white+3*camera"), photo()
    outside = [bool((mixed(clean, seeded(seed)) > 1).any()) for seed in range(200)]
    assert 30 < sum(outside) < 70


def test_a_mixture_says_what_is_wrong_with_it() -> None:
    for kind, strength, message in (
        ("white+white", None, "each degradation of a mixture once"),
        ("white+2*white", None, "each degradation of a mixture once"),
        ("white+0*camera", None, "how often camera is drawn, a whole number from 1 to 100, not '0'"),
        ("white+1.5*camera", None, "a whole number from 1 to 100, not '1.5'"),
        ("white+camera", (1.0, 2.0), "--degradation.strength.*own unit"),
        ("white+rain", None, "must be one of white, .* not 'rain'"),
        ("white+", None, "must be one of white, .* not ''"),
    ):
        with pytest.raises(UserError, match=message):
            degradation("denoise", kind, strength)


def test_matched_needs_something_to_be_matched_to_and_no_strength() -> None:
    with pytest.raises(UserError, match="matched needs real photographs"):
        degradation("denoise", "white+matched")
    with pytest.raises(UserError, match="cannot be given for matched"):
        degradation("denoise", "matched", (1.0, 2.0), matched=degradation("denoise", "white"))
    assert degradation("denoise", "matched", matched=degradation("denoise", "white")) == degradation("denoise", "white")


def test_one_that_changes_the_size_is_named_with_both_sizes() -> None:
    def halved(clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return clean[:, ::2, ::2]

    def listed(clean: torch.Tensor, generator: torch.Generator) -> Any:
        return clean.tolist()

    clean, generator = torch.rand(3, 16, 12), torch.Generator()
    with pytest.raises(UserError, match=r"degradation halved made an image \(3, 8, 6\) of .* \(3, 16, 12\): it must"):
        degraded(halved, clean, generator)
    with pytest.raises(UserError, match="degradation listed made a list of"):
        degraded(listed, clean, generator)
    assert degraded(White(), clean, generator).shape == clean.shape


def test_grey_photographs_lose_their_colour_first_and_their_noise_has_none() -> None:
    clean, greyed = photo(), Grey(White(strength=(20.0, 20.0)))
    target = prepared(greyed, clean, seeded())
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    torch.testing.assert_close(target, (weights * clean).sum(0, keepdim=True).expand(3, -1, -1))
    noisy = greyed(target, seeded())
    assert noisy.shape == clean.shape
    assert torch.equal(noisy[0], noisy[1])
    assert torch.equal(noisy[0], noisy[2])
    assert float((noisy - target).std()) * 255 == pytest.approx(20, rel=0.05)
    torch.testing.assert_close(greyed(clean, seeded()), noisy)  # of an image with colour, its brightness
    one = photo(channels=1)
    assert torch.equal(without_colour(one), one)
    assert greyed(one, seeded()).shape == one.shape
    assert Grey(degradation("denoise", "camera")).margin == degradation("denoise", "camera").margin
