"""When a run counts as blown up."""

from noiseda.training.blow_up import STEPS, TIMES, WITHIN, BlowUp

# The paper's U-Net at three times its rate, on sidd-small: the norms of steps 1600 to 1626, as its log has them.
RECORDED = [
    *[0.36, 0.30, 0.31, 0.66, 0.15, 0.22, 0.64, 0.65, 0.23, 0.80, 0.50, 0.41, 0.85, 1.45, 0.57, 3.18, 0.63],
    *[20.12, 41.01, 24.04, 17.49, 22.83, 125.72, 450.30, 232.77, 122.95, 314.94],
]

# The network of `noiseda quickstart` at 1e-3, as its log has it: steps 735 to 779.
MILD = [
    *[1.56, 1.19, 1.0, 2.45, 1.44, 3.07, 2.97, 0.59, 2.53, 1.97, 1.35, 2.2, 4.55, 1.45, 0.79, 1.5, 2.16, 2.15, 2.35],
    *[115.26, 47.23, 11.74, 3.1, 10.25, 14.89, 3.32, 31.85, 1.48, 5.38, 7.95, 1.12, 3.58, 17.31, 6.49, 2.92, 148.85],
    *[34.62, 6.88, 13.65, 24.52, 9.66, 4.84, 24.96, 7.02, 0.61],
]


def alarms(norms: list[float]) -> list[int]:
    watch = BlowUp()
    return [index for index, norm in enumerate(norms) if watch.take(norm) is not None]


def test_a_recorded_blow_up_is_told_within_five_steps() -> None:
    alarm = alarms(RECORDED)[0]
    assert 1600 + alarm == 1621


def test_one_that_comes_in_fits_is_told_within_twenty() -> None:
    alarm = alarms(MILD)[0]
    assert 735 + alarm == 771


def test_what_stays_becomes_usual() -> None:
    """Else a new loss, if it is large, would halve the rate of a run without end."""
    assert alarms([0.5] * 20 + [1e3] * 500) == [24]


def test_a_second_blow_up_is_told_too() -> None:
    assert alarms(([0.5] * 20 + [1e3] * STEPS) * 2) == [24, 49]


def test_strange_images_are_no_blow_up() -> None:
    assert alarms(([0.5] * WITHIN + [1e3] * (STEPS - 1)) * 5) == []


def test_it_goes_on_from_what_it_had_seen() -> None:
    norms = [0.5] * 20 + [1e3] * STEPS
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
    assert alarms([0.0] * 30 + [1.0] * 30) == []
