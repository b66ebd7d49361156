"""When a run counts as blown up."""

from noiseda.training.blow_up import STEPS, TIMES, WINDOW, BlowUp

# The paper's U-Net at three times its rate: steps 1611 to 1629 of a run on sidd-small.
RECORDED = [0.44, 0.46, 0.41, 0.52, 3.18, 0.9, 20.12, 41.01, 24.04, 17.49, 22.83, 125.72, 450.3, 232.77, 122.95, 314.94]


def alarms(norms: list[float]) -> list[int]:
    watch = BlowUp()
    return [index for index, norm in enumerate(norms) if watch.take(norm) is not None]


def test_a_recorded_blow_up_is_told_within_ten_steps() -> None:
    usual = [0.45 + 0.1 * (index % 3) for index in range(WINDOW)]
    (alarm,) = alarms(usual + RECORDED)
    assert RECORDED[alarm - len(usual)] == 22.83


def test_it_is_told_once_for_as_long_as_it_lasts() -> None:
    assert len(alarms([0.5] * 20 + [1e3] * 500)) == 1


def test_strange_images_are_no_blow_up() -> None:
    assert alarms(([0.5] * 20 + [1e3] * (STEPS - 1)) * 5) == []


def test_neither_is_a_new_loss_nor_a_start() -> None:
    """A network's first steps, and a loss that begins in the middle of a run, make gradients several times larger."""
    assert alarms([50.0, 20.0, 8.0, 5.0, 3.0, *[0.5] * 50, *[0.5 * TIMES] * 50]) == []


def test_gradients_of_zero_are_no_measure() -> None:
    assert alarms([0.0] * 30 + [1.0] * 30) == []
