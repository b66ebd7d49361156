"""Errors that speak to the user: what was given, what was expected, which file or flag."""


class UserError(Exception):
    """Something the user can put right; its message is shown alone, without a traceback."""


class ImageError(UserError):
    """An image file that cannot be read or written; the message names the file."""


class WeightsError(UserError):
    """A weights file that cannot be loaded or kept; the message names the file."""
