"""When a run counts as blown up."""

from noiseda.training.blow_up import STEPS, TIMES, BlowUp

# The paper's U-Net at three times its rate, on sidd-small: the norms of steps 1600 to 1626, as its log has them.
RECORDED = [
    *[0.36, 0.30, 0.31, 0.66, 0.15, 0.22, 0.64, 0.65, 0.23, 0.80, 0.50, 0.41, 0.85, 1.45, 0.57, 3.18, 0.63],
    *[20.12, 41.01, 24.04, 17.49, 22.83, 125.72, 450.30, 232.77, 122.95, 314.94],
]


def alarms(norms: list[float]) -> list[int]:
    watch = BlowUp()
    return [index for index, norm in enumerate(norms) if watch.take(norm) is not None]


def test_a_recorded_blow_up_is_told_within_ten_steps() -> None:
    (alarm,) = alarms(RECORDED)
    assert 1600 + alarm == 1621


def test_it_is_told_once_for_as_long_as_it_lasts() -> None:
    assert len(alarms([0.5] * 20 + [1e3] * 500)) == 1


def test_strange_images_are_no_blow_up() -> None:
    assert alarms(([0.5] * 20 + [1e3] * (STEPS - 1)) * 5) == []


def test_neither_is_a_new_loss_nor_a_start() -> None:
    """A network's first steps, and a loss that begins in the middle of a run, make gradients several times larger."""
    assert alarms([50.0, 20.0, 8.0, 5.0, 3.0, *[0.5] * 50, *[0.5 * TIMES] * 50]) == []


def test_gradients_of_zero_are_no_measure() -> None:
    assert alarms([0.0] * 30 + [1.0] * 30) == []
