"""What lies beside the images of a run and is not taken."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from noiseda.address import Location, Url
from noiseda.config import AdaptSettings
from noiseda.data.shards import ShardSet
from noiseda.images import list_folder
from noiseda.restoration.ready import included


def list_others(settings: AdaptSettings, groups: Mapping[str, Sized], *, quiet: bool = True) -> list[str]:
    """A line for each folder that holds more than is taken of it; none for shards.

    Args:
        settings: the run's settings.
        groups: flag -> its images, from :func:`noiseda.training.build.list_images`.
        quiet: see :meth:`noiseda.listing.Listing.notes`.
    """
    flags: dict[str, list[str]] = {}
    for flag, found in groups.items():
        place: Location = getattr(settings, flag)
        for note in [] if isinstance(found, ShardSet) else notes_of(place, quiet=quiet):
            flags.setdefault(f"{place}: {note}", []).append(f"--{flag}")
    return [f"{' and '.join(names)} {line}" for line, names in flags.items()]


def notes_of(place: Location, *, quiet: bool = False) -> list[str]:
    """What a folder of this machine holds that is not taken, in a line or two."""
    folder = place.folder if isinstance(place, Url) else included(place)
    return [] if folder is None else list_folder(folder).notes(quiet)
