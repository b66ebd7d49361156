"""What was found, in words and drawn, beside what is known."""

import pytest
import torch

from noiseda.data.degradations import DEGRADATIONS
from noiseda.data.noise import White
from noiseda.estimation.blur_kernel import MatchedBlur
from noiseda.estimation.finding import KINDS, finding, noise_chart
from noiseda.estimation.noise import CANDIDATES, Matched


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_white_noise_is_as_strong_everywhere_as_it_was_made() -> None:
    (line,) = noise_chart(White(strength=(10.0, 10.0)), seeded()).lines
    assert [x for x, _ in line.points] == sorted(x for x, _ in line.points)
    assert [y for _, y in line.points] == pytest.approx([10.0] * len(line.points), rel=0.05)
    assert all(low <= y <= high for low, (_, y), high in zip(line.low, line.points, line.high, strict=True))


def test_noise_is_said_in_words_and_drawn() -> None:
    found = finding(Matched((("shot", 10.0),) * 3 + (("camera", 3000.0),)), seeded())
    assert found is not None
    assert found.words.startswith(f"Their noise is most like a mixture: 75% {KINDS['shot']}; 25% {KINDS['camera']}.")
    assert "In figures: shot 75% (strength 10 to 10" in found.words
    assert found.chart is not None
    assert max(found.chart.lines[0].high) > 2 * min(found.chart.lines[0].low)
    one = finding(Matched((("phone", 900.0),)), seeded())
    assert one is not None
    assert one.words.startswith(f"Their noise is most like {KINDS['phone']}.")
    assert KINDS.keys() == CANDIDATES.keys() <= DEGRADATIONS.keys()


def test_of_blur_the_kernels_are_shown_from_the_narrowest_to_the_widest() -> None:
    kernels = torch.zeros(9, 15, 15)
    for width in range(9):
        kernels[width, 7, 7 - width // 2 : 8 + width // 2] = 1.0
    found = finding(MatchedBlur(kernels / kernels.sum(dim=(1, 2), keepdim=True)), seeded())
    assert found is not None
    assert len(found.pictures) == 6
    drawn = [float((pane.pixels > 0).sum()) for pane in found.pictures]
    assert drawn == sorted(drawn)
    assert (drawn[0], drawn[-1]) == (1.0, 9.0)
    assert all(float(pane.pixels.max()) == 1.0 for pane in found.pictures)
    assert finding(White(), seeded()) is finding(None, seeded()) is None, "neither is what is looked for"
