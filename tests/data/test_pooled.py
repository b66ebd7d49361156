"""Patches out of crops that were degraded whole: equal for equal numbers, varied in a batch, and really degraded."""

import pytest
import torch

from noiseda.data.noise import White
from noiseda.data.pooled import PooledBatches


class Ramps:
    """Images that say where each of their pixels lies: brightness rises along the rows, and each has its own blue."""

    levels = 255.0

    def __init__(self):
        self.drawn = 0

    def __len__(self):
        return 1000

    def draw(self, sample, size, generator, channels=3):
        self.drawn += 1
        own = torch.rand(1, generator=generator)
        rows = torch.linspace(0, 1, size)[:, None].expand(size, size)
        return (f"{own.item():.6f}",), (torch.stack([rows, rows.T, own.expand(size, size)])[:channels],)


class Shift:
    """Adds a tenth, and needs a margin."""

    margin = 3

    def __call__(self, clean, generator):
        return clean + 0.1


def pooled(images=None, degrade=None, **more):
    settings = {"size": 4, "patch": 8, "seed": 0, "crop": 32, "crops": 8} | more
    return PooledBatches(images or Ramps(), degrade or Shift(), **settings)


def test_a_patch_is_cut_from_the_same_place_of_both():
    batch = pooled()[0]
    assert batch.x_syn.shape == batch.y_syn.shape == (4, 3, 8, 8)
    torch.testing.assert_close(batch.x_syn, batch.y_syn + 0.1)
    rows = batch.y_syn[:, 0]
    assert (rows.diff(dim=1) > 0).all()  # a connected piece, the right way up


def test_a_batch_is_cut_from_as_many_images_as_it_has_samples():
    batch = pooled()[0]
    assert len(set(batch.files)) == 4
    assert [f"{blue:.6f}" for blue in batch.y_syn[:, 2, 0, 0].tolist()] == list(batch.files)


def test_a_batch_depends_on_its_number_alone():
    once = pooled()
    straight = [once[number] for number in range(40)]
    for number in (39, 3, 17):  # as after a run that was stopped there
        again = pooled()[number]
        assert torch.equal(again.x_syn, straight[number].x_syn)
        assert again.files == straight[number].files
    assert not torch.equal(straight[0].x_syn, straight[1].x_syn)
    assert not torch.equal(pooled(seed=1)[0].x_syn, straight[0].x_syn)
    assert not torch.equal(pooled(rank=1)[0].x_syn, straight[0].x_syn)


def test_the_crops_of_a_block_are_degraded_once():
    images = Ramps()
    batches = pooled(images)
    assert batches.stretch == 8 * 32**2 // (4 * 8**2)
    for number in range(batches.stretch):
        batches[number]
    assert images.drawn == 8
    assert batches[batches.stretch].files != batches[0].files


def test_real_degradations_can_be_pooled():
    batch = pooled(degrade=White(strength=(25, 25)))[0]
    assert (batch.x_syn - batch.y_syn).std().item() == pytest.approx(25 / 255, rel=0.1)


def test_functions_without_a_margin_can_be_pooled():
    batch = pooled(degrade=lambda clean, generator: 1 - clean)[0]
    torch.testing.assert_close(batch.x_syn, 1 - batch.y_syn)


@pytest.mark.parametrize("wrong", [{"crop": 7}, {"crops": 3}])
def test_crops_that_are_too_small_or_few_are_refused(wrong):
    with pytest.raises(ValueError, match="too few or small"):
        pooled(**wrong)
