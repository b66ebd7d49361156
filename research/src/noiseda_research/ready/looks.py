"""What noise looks like on the photographs that come with noiseda: `python -m noiseda_research.ready.looks`.

To be run again where a candidate, or one of those photographs, has changed.
"""

from noiseda import find_images
from noiseda.estimation import LOOKS, keep_looks


def main() -> None:
    """Simulate and write."""
    keep_looks(find_images(LOOKS.parent / "clean"), LOOKS)


if __name__ == "__main__":
    main()
