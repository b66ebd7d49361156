"""What docstrings are like in the pages."""

import re


def plain(text: str) -> str:
    """A docstring without Sphinx's marks.

    >>> plain("See :func:`noiseda.fit` and :class:`~noiseda.UNet`.")
    'See `noiseda.fit` and `noiseda.UNet`.'
    """
    return re.sub(r":(?:py:)?\w+:`~?([^`]+)`", r"`\1`", text)
