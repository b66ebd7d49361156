"""When a run counts as blown up."""

from noiseda.training.blow_up import LEAST, STEPS, TIMES, BlowUp

# The paper's U-Net at three times its rate, on sidd-small: the norms of steps 1560 to 1626, as its log has them.
RECORDED = [
    *[0.57, 0.56, 0.12, 0.23, 1.35, 0.6, 0.21, 0.78, 0.66, 0.45, 0.29, 0.36, 0.35, 0.35, 0.54, 0.12, 0.53],
    *[0.58, 0.18, 0.15, 0.36, 0.65, 0.36, 0.5, 0.82, 0.56, 0.26, 0.28, 1.2, 0.73, 0.34, 0.27, 0.52, 0.45, 0.75],
    *[0.27, 0.19, 0.32, 0.22, 0.39, 0.36, 0.3, 0.31, 0.66, 0.15, 0.22, 0.64, 0.65, 0.23, 0.8, 0.5, 0.41, 0.85],
    *[1.45, 0.57, 3.18, 0.63, 20.12, 41.01, 24.04, 17.49, 22.83, 125.72, 450.3, 232.77, 122.95, 314.94],
]
# The network of `noiseda quickstart` at 1e-3, as its log has it: steps 690 to 779.
MILD = [
    *[0.94, 2.2, 1.94, 1.04, 2.65, 1.94, 1.61, 1.24, 1.23, 0.67, 1.7, 1.88, 4.0, 5.18, 2.32, 4.37, 3.56, 5.62],
    *[4.93, 0.79, 5.83, 5.09, 3.47, 2.83, 2.8, 1.5, 1.82, 2.41, 0.51, 2.61, 2.75, 0.69, 2.52, 2.94, 1.11, 2.23],
    *[2.34, 0.86, 0.67, 3.05, 3.55, 2.15, 4.01, 1.57, 1.32, 1.56, 1.19, 1.0, 2.45, 1.44, 3.07, 2.97, 0.59],
    *[2.53, 1.97, 1.35, 2.2, 4.55, 1.45, 0.79, 1.5, 2.16, 2.15, 2.35, 115.26, 47.23, 11.74, 3.1, 10.25, 14.89],
    *[3.32, 31.85, 1.48, 5.38, 7.95, 1.12, 3.58, 17.31, 6.49, 2.92, 148.85, 34.62, 6.88, 13.65, 24.52, 9.66],
    *[4.84, 24.96, 7.02, 0.61],
]


def alarms(norms: list[float]) -> list[int]:
    watch = BlowUp()
    return [index for index, norm in enumerate(norms) if watch.take(norm) is not None]


def test_a_recorded_blow_up_is_told_within_five_steps() -> None:
    alarm = alarms(RECORDED)[0]
    assert 1560 + alarm == 1621


def test_one_that_comes_in_fits_is_told_within_twenty() -> None:
    alarm = alarms(MILD)[0]
    assert 690 + alarm == 771


def test_what_stays_becomes_usual() -> None:
    """Else a new loss, if it is large, would halve the rate of a run without end."""
    assert alarms([0.5] * LEAST + [1e3] * 500) == [LEAST + 4]


def test_a_second_blow_up_is_told_too() -> None:
    assert alarms(([0.5] * LEAST + [1e3] * STEPS) * 2) == [LEAST + 4, 2 * LEAST + 9]


def test_strange_images_are_no_blow_up() -> None:
    assert alarms(([0.5] * LEAST + [1e3] * (STEPS - 1)) * 5) == []


def test_it_goes_on_from_what_it_had_seen() -> None:
    norms = [0.5] * LEAST + [1e3] * STEPS
    for cut in range(len(norms)):
        first, second = BlowUp(), BlowUp()
        for norm in norms[:cut]:
            first.take(norm)
        second.load_state_dict(first.state_dict())
        assert [second.take(norm) for norm in norms[cut:]][-1] == 2000.0


def test_neither_is_a_new_loss_nor_a_start() -> None:
    """A network's first steps, and a loss that begins in the middle of a run, make gradients several times larger."""
    assert alarms([50.0, 20.0, 8.0, 5.0, 3.0, *[0.5] * 50, *[0.5 * TIMES] * 50]) == []


def test_gradients_of_zero_are_no_measure() -> None:
    assert alarms([0.0] * LEAST + [1.0] * 30) == []
