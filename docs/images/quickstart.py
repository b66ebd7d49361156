"""Draw the README's picture from a finished quickstart: ``python docs/images/quickstart.py runs/quickstart``.

Only photographs that are free of any condition are shown (see README.md in this folder).
"""

import json
import sys
from pathlib import Path

from noiseda.evaluation.sheet import Row, sheet
from noiseda.images import read

SHOWN = ("astronaut", "rocket")


def draw(run: Path, picture: Path) -> None:
    """Draw the shown rows of a run's sheet."""
    summary = json.loads((run / "summary.json").read_text())
    columns = {
        "input": run / "data" / "test" / "input",
        "ready": run / "restored" / "ready",
        "adapted": run / "restored" / "adapted",
        "target": run / "data" / "test" / "target",
    }
    rows = []
    for name in SHOWN:
        images = {column: read(folder / f"{name}.png").pixels for column, folder in columns.items()}
        rows.append(Row(name, images, images["target"]))
    sheet(
        rows,
        picture,
        title="make quickstart: before and after",
        subtitle=summary["note"],
        footer=f"adapted: {summary['steps']} steps, seed {summary['seed']}; figures are PSNR in dB (RGB, 8 bits)",
        width=160,
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_name("quickstart.png"))
