"""Noise is carried from real images to clean ones, as strong as it is at the brightness it lands on."""

import torch
from torch import nn

from noiseda.data.batches import Batch
from noiseda.restoration import Restorer
from noiseda_research.rivals.settings import TransplantSettings
from noiseda_research.rivals.transplant import Moves, NoiseLevels, Transplant, rolled


class Knows(Restorer):
    """Restores whatever it is given to images it knows: a teacher whose residual is the noise itself."""

    channels, multiple_of = 3, 1

    def __init__(self, clean):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("clean", clean)
        self.seen = None

    def restore(self, images):
        self.seen = images
        return self.clean.repeat(len(images) // len(self.clean), 1, 1, 1) + self.weight


def deviation(y):
    """A known signal-dependent noise."""
    return 0.02 + 0.08 * y


def ramps(count, side=64):
    """Images that hold every brightness from 0.2 to 0.8."""
    return torch.linspace(0.2, 0.8, side).expand(count, 3, side, side).clone()


def strategy(clean, **settings):
    return Transplant(Knows(clean), TransplantSettings(**settings))


def test_it_reproduces_a_known_signal_dependent_noise_wherever_it_lands():
    generator = torch.Generator().manual_seed(0)
    clean = ramps(4)
    model = strategy(clean, strength=(1.0, 1.0))
    y_syn = clean.flip(3)  # bright where the real images are dark
    for step in range(20):
        x_real = clean + deviation(clean) * torch.randn(clean.shape, generator=generator)
        draws = Moves(torch.zeros(4, dtype=torch.long), torch.zeros(4, 2, dtype=torch.long), torch.ones(4))
        if step == 19:  # once the noise is known, carried as random draws say
            draws = model.draw(clean, generator)
        model(Batch(torch.rand(clean.shape), y_syn, x_real, None, ()), draws)
        model.levels.settle()
    noise = model.restorer.seen[4:] - y_syn
    for low in (0.25, 0.4, 0.55, 0.7):
        inside = (y_syn >= low) & (y_syn < low + 0.05)
        found, expected = noise[inside].std(), deviation(y_syn[inside]).mean()
        assert abs(found / expected - 1) < 0.08, (low, found, expected)


def test_levels_are_measured_by_channel_and_brightness():
    generator = torch.Generator().manual_seed(0)
    brightness = torch.rand(4, 2, 64, 64, generator=generator)
    scale = torch.tensor([1.0, 3.0])[:, None, None]
    levels = NoiseLevels(2, 16)
    for _ in range(20):
        levels.observe(scale * deviation(brightness) * torch.randn(brightness.shape, generator=generator), brightness)
        levels.settle()
    at = torch.tensor([0.1, 0.5, 0.9]).expand(1, 2, 1, 3)
    torch.testing.assert_close(levels(at), scale * deviation(at), rtol=0.05, atol=0)


def test_where_nothing_was_seen_noise_is_left_as_it_is():
    levels = NoiseLevels(3, 16)
    values = levels(torch.rand(1, 3, 8, 8))
    torch.testing.assert_close(values, values[:, :, :1, :1].expand_as(values))
    levels.observe(0.1 * torch.randn(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.5))
    dark, middle = (levels(torch.full((1, 3, 1, 1), value)) for value in (0.05, 0.5))
    torch.testing.assert_close(dark, middle, rtol=0.05, atol=0)


def test_each_image_is_rolled_by_its_own_shift():
    images = torch.rand(2, 3, 5, 7)
    shift = torch.tensor([[0, 3], [4, 1]])
    found = rolled(images, shift)
    for index in range(2):
        assert torch.equal(found[index], images[index].roll(tuple(shift[index].tolist()), dims=(1, 2)))


def test_strengths_and_shifts_keep_to_their_ranges():
    model = strategy(ramps(1), strength=(0.5, 2.0))
    draws = [model.draw(torch.zeros(50, 3, 8, 12), torch.Generator().manual_seed(seed)) for seed in range(4)]
    strength = torch.cat([one.strength for one in draws])
    shift = torch.cat([one.shift for one in draws])
    assert strength.min() >= 0.5
    assert strength.max() <= 2.0
    assert strength.max() - strength.min() > 1.3
    assert shift.amin(dim=0).tolist() == [0, 0]
    assert shift.amax(dim=0).tolist() == [7, 11]


def test_a_shift_of_colour_is_no_noise():
    clean = ramps(1)
    model = strategy(clean)
    model(Batch(clean, clean, clean + 0.1, None, ()), model.draw(clean, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(model.restorer.seen[1:], clean)
