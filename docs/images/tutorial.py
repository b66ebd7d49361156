"""Draw the tutorial's picture where its commands were run: ``python docs/images/tutorial.py DIR``.

Only photographs that are free of any condition are shown (see README.md in this folder).
"""

import sys
from pathlib import Path

from noiseda.evaluation.sheet import Row, sheet
from noiseda.images import read

SHOWN = ("astronaut", "rocket")


def draw(where: Path, picture: Path) -> None:
    """Draw the shown photographs: as they were, as the tutorial restores them, and their truth."""
    test = where / "runs" / "quickstart" / "data" / "test"
    columns = {"input": test / "input", "restored": where / "restored", "target": test / "target"}
    rows = []
    for name in SHOWN:
        images = {column: read(folder / f"{name}.png").pixels for column, folder in columns.items()}
        rows.append(Row(name, images, images["target"]))
    sheet(
        rows,
        picture,
        title="the tutorial: before and after",
        subtitle="Simulated film: these photographs are on simulated film.",
        footer="600 steps, seed 0; figures are PSNR in dB (RGB, 8 bits)",
        width=160,
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_name("tutorial.png"))
