"""The teacher: the closed form of a moving average, without gradient, part of the state."""

import torch

from noiseda.adaptation.teacher import Teacher
from noiseda.restoration import UNet
from noiseda.training.ema import MovingAverage


def moved(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


def test_it_is_the_closed_form_of_a_moving_average():
    torch.manual_seed(0)
    restorer = moved(UNet(width=4, depth=2))
    teacher = Teacher(restorer, decay=0.4)
    expected = [parameter.detach().clone() for parameter in restorer.parameters()]
    for step in range(6):
        moved(restorer)
        decay = min(0.4, (1 + step) / (10 + step))
        current = list(restorer.parameters())
        expected = [decay * kept + (1 - decay) * new.detach() for kept, new in zip(expected, current, strict=True)]
        teacher.follow(restorer)
    for mine, theirs in zip(teacher.network.parameters(), expected, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_it_is_the_average_that_a_run_ships():
    torch.manual_seed(0)
    restorer = UNet(width=4, depth=2)
    teacher, average = Teacher(restorer, decay=0.9), MovingAverage(restorer, 0.9)
    for step in range(12):
        moved(restorer)
        teacher.follow(restorer)
        average.update(restorer, step)
    for mine, theirs in zip(teacher.network.parameters(), average.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_it_goes_on_from_its_state():
    torch.manual_seed(0)
    restorer = moved(UNet(width=4, depth=2))
    first, second = (Teacher(UNet(width=4, depth=2), decay=0.9) for _ in range(2))
    first.follow(restorer)
    second.load_state_dict(first.state_dict())
    moved(restorer)
    for teacher in (first, second):
        teacher.follow(restorer)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_it_averages_over_orientations_and_sends_no_gradient():
    torch.manual_seed(0)
    restorer = moved(UNet(width=4, depth=2))
    images = torch.rand(2, 3, 8, 12, requires_grad=True)
    alone, mirrored, all_ways = (Teacher(restorer, decay=0.9, views=views) for views in (1, 2, 8))
    torch.testing.assert_close(alone(images), restorer(images).clamp(0, 1).detach())
    expected = (restorer(images) + restorer(images.flip(3)).flip(3)) / 2
    torch.testing.assert_close(mirrored(images), expected.clamp(0, 1).detach())
    # Turned input, turned output.
    torch.testing.assert_close(all_ways(images.transpose(2, 3)), all_ways(images).transpose(2, 3))
    assert not all_ways(images).requires_grad


def test_it_stays_out_of_training_mode():
    teacher = Teacher(UNet(width=4, depth=2), decay=0.9)
    teacher.train()
    assert not teacher.network.training
