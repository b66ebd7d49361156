"""What the ready weights of rain, blur and JPEG learn from."""

import pytest
import torch

from noiseda.data import generator
from noiseda.evaluation import psnr
from noiseda.tasks import TASKS
from noiseda_research.ready import tasks

CLEAN = torch.nn.functional.interpolate(
    torch.rand(1, 3, 20, 20, generator=generator(0, "clean")), scale_factor=4, mode="bicubic"
)[0].clamp(0, 1)


def test_there_is_something_to_learn_from_for_each_task():
    assert tasks.LESSONS.keys() == TASKS.keys()


@pytest.mark.parametrize("task", ["derain", "deblur", "dejpeg"])
def test_it_degrades_from_hardly_to_badly_and_spares_some(task):
    degrade = tasks.LESSONS[task].degraded
    made = [degrade(CLEAN, generator(0, n)) for n in range(80)]
    assert all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in made)
    decibels = [float(psnr(one[None], CLEAN[None])) for one in made if not torch.equal(one, CLEAN)]
    assert min(decibels) < 25
    assert max(decibels) > 31
    assert torch.equal(degrade(CLEAN, generator(0, 5)), made[5])
    alone = tasks.AsAFile(parts=degrade.parts, spared=1.0, noisy=0.0, jpeg=0.0)
    assert torch.equal(alone(CLEAN, generator(0)), CLEAN)


def test_what_is_sharp_stays_sharp_where_blur_is_undone():
    assert tasks.LESSONS["deblur"].varied(None).soft == 0
    assert tasks.LESSONS["derain"].varied(None).soft > 0
