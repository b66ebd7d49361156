"""What a page takes, and no more."""

from __future__ import annotations

from dataclasses import dataclass, fields

from noiseda.errors import UserError


@dataclass(frozen=True)
class Limits:
    """How much one page may be given.

    Attributes:
        files: photographs at once, those in zip files among them.
        megabytes: of one file that is uploaded.
        unpacked: megabytes of all that zip files hold, once it is unpacked.
        megapixels: of one photograph.
        minutes: of one adaptation.
    """

    files: int = 200
    megabytes: int = 500
    unpacked: int = 4000
    megapixels: float = 100.0
    minutes: int = 60

    def __post_init__(self) -> None:
        """Refuse what nothing could be done with.

        Raises:
            UserError: a limit is not greater than 0.
        """
        for each in fields(self):
            if not getattr(self, each.name) > 0:
                raise UserError(f"--max-{each.name} must be greater than 0, not {getattr(self, each.name)}")
