"""What noiseda export makes of every network, of any size or of one: the column "exports" of noiseda networks.

python -m bench.exports [NAME ...]: small forms of each, with random weights; some minutes a network.
"""

import sys
import tempfile
import time
from pathlib import Path

from noiseda.errors import UserError
from noiseda.inference.export import SUFFIXES, export
from noiseda.restoration import save_weights
from tests.restoration.networks import SMALL, built


def measured(name: str, folder: Path) -> dict[str, str]:
    network = built(name)
    path = folder / f"{name}.safetensors"
    save_weights(
        path, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
    found = {}
    for target in SUFFIXES:
        for half in (False, True):
            if half and target == "pt2":
                continue
            begun = time.perf_counter()
            try:
                made = export(path, format=target, half=half, out=folder / f"{name}-{target}-{half}")
                result = f"{'any size' if made.size is None else 'one size'}, {made.difference:.1e} apart"
            except UserError as error:
                result = f"refused: {error}"
            found[target + (" half" if half else "")] = f"{result} ({time.perf_counter() - begun:.0f} s)"
    return found


def main() -> None:
    for name in sys.argv[1:] or SMALL:
        with tempfile.TemporaryDirectory() as folder:
            for target, result in measured(name, Path(folder)).items():
                print(f"{name:<10} {target:<18} {result}", flush=True)


if __name__ == "__main__":
    main()
