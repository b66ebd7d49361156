"""Every size, one way of padding, and a clear word on shapes that are none of images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseda.restoration import Restorer
from noiseda.restoration.base import pad_to_multiple


class Spy(Restorer):
    """Returns what it was given, and remembers it."""

    def __init__(self, channels=3, multiple_of=8):
        super().__init__()
        self.channels, self.multiple_of = channels, multiple_of

    def restore(self, images):
        self.seen = images
        return images + 1


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    multiple_of=st.sampled_from([1, 8]),
)
@settings(max_examples=60, deadline=None)
def test_any_size_is_padded_to_a_multiple_and_cropped_back(height, width, channels, multiple_of):
    images = torch.rand(2, channels, height, width)
    spy = Spy(channels, multiple_of)
    restored = spy(images)
    torch.testing.assert_close(restored, images + 1, rtol=0, atol=0)
    assert spy.seen.shape[-2] % multiple_of == spy.seen.shape[-1] % multiple_of == 0
    assert spy.seen.shape[-2] - height < multiple_of
    assert spy.seen.shape[-1] - width < multiple_of


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.sampled_from([2, 8, 16]))
@settings(max_examples=60, deadline=None)
def test_padding_is_numpys(height, width, multiple):
    images = torch.rand(1, 1, height, width)
    expected = images.numpy()
    for axis, length in ((2, height), (3, width)):  # as far as the image can be mirrored, then the border
        added = -length % multiple
        mirrored = min(added, length - 1)
        for mode, count in (("reflect", mirrored), ("edge", added - mirrored)):
            expected = np.pad(expected, [(0, count if side == axis else 0) for side in range(4)], mode=mode)
    np.testing.assert_array_equal(pad_to_multiple(images, multiple).numpy(), expected)


def test_multiples_are_not_copied():
    images = torch.rand(1, 3, 16, 24)
    assert pad_to_multiple(images, 8) is images


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 4, 16, 16), (1, 1, 16, 16), (16, 16), (1, 16, 16, 3)])
def test_other_shapes_are_refused_with_what_was_expected(shape):
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\), not \(" + ", ".join(map(str, shape))):
        Spy()(torch.zeros(shape))


def test_a_restorer_must_say_how_it_restores():
    with pytest.raises(TypeError, match="abstract"):
        Restorer()
