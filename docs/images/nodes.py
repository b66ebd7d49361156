"""Draw the node graphs of docs/how-to/comfyui-and-chainner.md: what to place, what to choose, what to join.

    python docs/images/nodes.py

They are drawings, not screenshots: names and joints are those of the programs, looks are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, ROW, GAP, HEAD, BORDER = 200, 24, 70, 30, 20


@dataclass(frozen=True)
class Node:
    """A box: its title, and rows of inputs, outputs and settings.

    Attributes:
        title: its name in the program.
        takes: inputs, on the left.
        gives: outputs, on the right.
        chosen: settings and what to choose.
        place: column and row of its top, in boxes and in rows.
    """

    title: str
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    chosen: tuple[tuple[str, str], ...] = ()
    place: tuple[int, float] = (0, 0.0)

    @property
    def corner(self) -> tuple[float, float]:
        """Left and top, in pixels."""
        column, row = self.place
        return BORDER + column * (WIDTH + GAP), BORDER + row * ROW

    @property
    def height(self) -> int:
        """In pixels."""
        return HEAD + ROW * (max(len(self.takes), len(self.gives)) + len(self.chosen)) + 8

    def joint(self, name: str, *, given: bool) -> tuple[float, float]:
        """Where a wire ends."""
        left, top = self.corner
        row = (self.gives if given else self.takes).index(name)
        return left + (WIDTH if given else 0), top + HEAD + ROW * row + ROW / 2

    def drawn(self) -> str:
        """As SVG."""
        left, top = self.corner
        parts = [
            f'<rect class="box" x="{left}" y="{top}" width="{WIDTH}" height="{self.height}" rx="8"/>',
            f'<text class="title" x="{left + 12}" y="{top + 20}">{escape(self.title)}</text>',
        ]
        for given, names in ((False, self.takes), (True, self.gives)):
            for name in names:
                x, y = self.joint(name, given=given)
                inward, anchor = (-12, "end") if given else (12, "start")
                parts.append(f'<circle class="joint" cx="{x}" cy="{y}" r="5"/>')
                parts.append(f'<text x="{x + inward}" y="{y + 4}" text-anchor="{anchor}">{escape(name)}</text>')
        first = top + HEAD + ROW * max(len(self.takes), len(self.gives))
        for number, (name, value) in enumerate(self.chosen):
            y = first + ROW * number
            parts.append(
                f'<rect class="field" x="{left + 8}" y="{y + 2}" width="{WIDTH - 16}" height="{ROW - 4}" rx="4"/>'
                f'<text class="name" x="{left + 14}" y="{y + 16}">{escape(name)}</text>'
                f'<text x="{left + WIDTH - 14}" y="{y + 16}" text-anchor="end">{escape(value)}</text>'
            )
        return "".join(parts)


Wire = tuple[Node, str, Node, str]

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}.title{font-weight:600}.name{fill:#57606a}"
    ".box{fill:#f6f8fa;stroke:#8c959f}.field{fill:#fff;stroke:#d0d7de}.joint{fill:#0969da}"
    ".wire{fill:none;stroke:#0969da;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.name{fill:#9da7b3}.box{fill:#161b22;stroke:#6e7681}"
    ".field{fill:#0d1117;stroke:#30363d}.joint{fill:#58a6ff}.wire{stroke:#58a6ff}}"
)


def drawing(nodes: tuple[Node, ...], wires: tuple[Wire, ...], says: str) -> str:
    """A graph as SVG, with what it says for those who do not see it."""
    width = max(node.corner[0] for node in nodes) + WIDTH + BORDER
    height = max(node.corner[1] + node.height for node in nodes) + BORDER
    lines = []
    for one, output, other, taken in wires:
        (x0, y0), (x1, y1) = one.joint(output, given=True), other.joint(taken, given=False)
        middle = (x0 + x1) / 2
        lines.append(f'<path class="wire" d="M{x0} {y0}C{middle} {y0} {middle} {y1} {x1} {y1}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">'
        f"<title>{escape(says)}</title><style>{STYLE}</style>"
        f"{''.join(lines)}{''.join(node.drawn() for node in nodes)}</svg>\n"
    )


def main() -> None:
    """Write both drawings beside this file."""
    folder = Path(__file__).parent
    photo = Node("Load Image", gives=("IMAGE",), chosen=(("image", "photo.png"),))
    restore = Node(
        "Restore (noiseda)", ("image",), ("IMAGE",),
        (("ready", "denoise"), ("strength", "1.00"), ("weights", "")), (1, 0),
    )  # fmt: skip
    kept = Node("Save Image", ("images",), (), (("filename_prefix", "restored"),), (2, 0))
    comfy = drawing(
        (photo, restore, kept), ((photo, "IMAGE", restore, "image"), (restore, "IMAGE", kept, "images")),
        "ComfyUI: Load Image, Restore (noiseda) with ready weights denoise, Save Image",
    )  # fmt: skip
    (folder / "comfyui.svg").write_text(comfy)

    model = Node("Load Model · ONNX", gives=("Model", "Directory", "Name"), chosen=(("ONNX Model", "restorer.onnx"),))
    image = Node("Load Image", gives=("Image",), chosen=(("Image File", "photo.png"),), place=(0, 6.5))
    upscale = Node("Upscale Image · ONNX", ("Image", "Model"), ("Image",), (("Tile Size", "256"),), (1, 2))
    saved = Node("Save Image", ("Image",), (), (("Directory", "restored"), ("Image Format", "PNG")), (2, 2))
    chain = drawing(
        (model, image, upscale, saved),
        (
            (model, "Model", upscale, "Model"), (image, "Image", upscale, "Image"), (upscale, "Image", saved, "Image"),
        ),
        "chaiNNer: Load Model (ONNX) and Load Image go into Upscale Image (ONNX), whose image goes into Save Image",
    )  # fmt: skip
    (folder / "chainner.svg").write_text(chain)


if __name__ == "__main__":
    main()
