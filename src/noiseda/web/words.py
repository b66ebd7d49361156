"""What the page says, as HTML; whatever comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from noiseda.report import curves as drawing
from noiseda.report.logged import Line, charts
from noiseda.tasks import TaskName
from noiseda.web.adapting import Progress
from noiseda.web.limits import Limits

HEAD = (
    '<header class="noiseda-head"><h1>noiseda</h1><p>Takes noise, rain, blur and JPEG blocks out of photographs. '
    "It can learn those of yours.</p></header>"
)
TASKS: dict[str, TaskName] = {"Noise": "denoise", "Rain": "derain", "Blur": "deblur", "JPEG blocks": "dejpeg"}
"""What may be taken away, as the page calls it -> the task, whose ready weights are called the same."""
READY = "The ready weights are used, those for what is chosen above."
OTHER = "Yours are used, whatever is chosen above."
WAITING = "The restored photographs will be here."
NOTHING = "There is no photograph yet: drop some into the box first."
ADAPTING = (
    "The network starts from the ready weights, and learns from your photographs alone.\n"
    "Twenty photographs of one camera, under one light, are a good number. More minutes do better."
)
STARTING = "It begins …"
QUEUED = "Another adaptation is running on this machine. Yours begins when it has ended: leave this page open."
KEEPING = "It ends after this step. Then the best so far is judged and kept."
TOO_EARLY = "Nothing was learnt yet, so that there is nothing to keep. It was stopped."
NO_VERDICT = "There was nothing to judge this run by."
ADAPTED = "Download the weights to use them again: they fit into 'Other weights' of the first tab."

_DRAWN = ("loss", "validation_psnr")


def foot(limits: Limits) -> str:
    """What the page keeps, and what it takes."""
    return (
        '<footer class="noiseda-foot"><p>Your files stay on the machine that serves this page. They are removed when '
        "you close or reload it. Nothing is asked for from outside.</p>"
        f"<p>PNG, JPEG, TIFF or WebP, or a zip of them: at most {limits.files} photographs at once, "
        f"{limits.megabytes} MB a file, {limits.megapixels:g} megapixels a photograph.</p></footer>"
    )


def said(text: str, *, bad: bool = False) -> str:
    """Lines of text, each a paragraph.

    >>> said("<b>.png: empty", bad=True)
    '<div class="noiseda-said bad" role="status"><p>&lt;b&gt;.png: empty</p></div>'
    """
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines())
    return f'<div class="noiseda-said{" bad" if bad else ""}" role="status">{lines}</div>'


def count(number: int) -> str:
    """So many photographs.

    >>> count(1), count(20)
    ('1 photograph', '20 photographs')
    """
    return "1 photograph" if number == 1 else f"{number} photographs"


def names(paths: Sequence[Path]) -> list[str]:
    """The files' names, with their folders where two are the same.

    >>> names([Path("x/a.png"), Path("y/a.png")]), names([Path("x/a.png")])
    (['x/a.png', 'y/a.png'], ['a.png'])
    """
    plain = [path.name for path in paths]
    alone = len(set(plain)) == len(plain)
    return plain if alone else ["/".join(path.parts[-2:]) for path in paths]


def done(pairs: Sequence[tuple[Path, Path]]) -> str:
    """What was restored."""
    if not pairs:
        return "None could be restored."
    kept = "bit depth, EXIF and colour profile are kept"
    return f"{count(len(pairs))} restored; in the download, {kept}."


def progress(number: int, total: int, what: str) -> str:
    """A bar, and how many of how many."""
    return _bar(number / total, f"{number} of {total} {what}")


def adapting(now: Progress) -> str:
    """A bar, the steps, and how long it may still take."""
    if now.steps is None or not now.done:
        return _bar(None, f"Looking at the photographs and measuring this machine … {clock(now.seconds)}", now.said)
    return _bar(now.share, f"Step {now.done} of {now.steps}, {clock(now.seconds)} so far", now.said)


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(75.4)
    '1:15'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def curves(lines: Sequence[Line]) -> str:
    """The curves of a run so far."""
    found = charts([{key: line[key] for key in ("step", *_DRAWN) if key in line} for line in lines], of="look-alikes")
    drawn = "".join(drawing.figure(chart, number) for number, chart in enumerate(found, 1))
    return f'<div class="noiseda-charts">{drawn}</div>' if drawn else ""


def _bar(share: float | None, text: str, more: str = "") -> str:
    """A bar that is full to some share; None: nobody knows to which."""
    value = "" if share is None else f' value="{round(100 * share)}"'
    below = f'<p class="more">{escape(more)}</p>' if more else ""
    return (
        f'<div class="noiseda-said" role="status"><p>{escape(text)}</p>'
        f'<progress max="100"{value} aria-label="{escape(text)}"></progress>{below}</div>'
    )
