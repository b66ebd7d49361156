"""Names in docstrings that are marked as Sphinx does (:func:`noiseda.fit`) become code in the Python reference."""

from typing import Any

import griffe

from website.docstrings import plain


class Roles(griffe.Extension):
    """Take the marks off the docstrings of everything that is shown."""

    def on_instance(self, *, node: object, obj: griffe.Object, **more: Any) -> None:  # noqa: ANN401
        """Mend the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
