"""The page: two tabs, and what happens when their buttons are pressed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import Font
from starlette.middleware import Middleware

from noiseda.errors import UserError
from noiseda.images import SUFFIXES
from noiseda.web import uploads, words
from noiseda.web.adapting import Adaptation
from noiseda.web.guard import Guard
from noiseda.web.limits import Limits
from noiseda.web.restoring import before_and_after, check_weights, preview, restore_each
from noiseda.web.sessions import Session, Sessions

SIDE = 384
"""Side of the part of a photograph that is shown while an adaptation goes on."""

_WEIGHTS = [".safetensors", ".pth", ".pt", ".ckpt", ".bin"]
_PHOTOGRAPHS = sorted({*SUFFIXES, ".zip"})
_EVERY = 1.5  # seconds between two looks at an adaptation
_PREVIEW = 12.0  # seconds between two previews, at least

_READABLE = {
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "color_accent": "*primary_700",
}
"""Colours whose text stands out by 4.5 to 1, as WCAG 2 asks for."""

Updates = tuple[Any, ...]
"""New values of the components that an event writes to."""


class Page:
    """The page of all users, each with a session of their own.

    Args:
        sessions: where their files lie.
        limits: how much they may send.
        settings: a file of settings for adaptations, or a preset; None: the usual ones.
    """

    def __init__(self, sessions: Sessions, limits: Limits, settings: str | None = None) -> None:
        self.sessions, self.limits, self.settings = sessions, limits, settings
        with gr.Blocks(title="noiseda", analytics_enabled=False, delete_cache=(3600, 86400)) as self.blocks:
            gr.HTML(words.HEAD, padding=False)
            with gr.Tab("Restore"):
                self._restore_tab()
            with gr.Tab("Adapt"):
                self._adapt_tab()
            gr.HTML(words.foot(limits), padding=False)
            self.blocks.unload(self.closed)
        self.blocks.queue(default_concurrency_limit=8, max_size=64)

    def launch(self, host: str, port: int) -> None:
        """Serve it, in threads of its own.

        Raises:
            OSError: the port is taken.
        """
        self.blocks.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            mcp_server=False,
            ssr_mode=False,
            pwa=False,
            num_workers=0,
            max_file_size=self.limits.megabytes * 1_000_000,
            app_kwargs={"middleware": [Middleware(Guard, host=host)], "docs_url": None, "redoc_url": None},
            theme=gr.themes.Base(
                primary_hue="teal",
                neutral_hue="gray",
                font=[Font("system-ui"), Font("sans-serif")],
                font_mono=[Font("ui-monospace"), Font("monospace")],
            ).set(**_READABLE),
            css=_asset("page.css"),
            head=f"<script>{_asset('page.js')}</script>",
        )

    def close(self) -> None:
        """End serving."""
        self.blocks.close(verbose=False)

    # Sessions

    def of(self, request: gr.Request) -> Session:
        """The session of who asks."""
        self.sessions.sweep()
        return self.sessions.of(request.session_hash or "")

    def closed(self, request: gr.Request) -> None:
        """Remove everything of a page that was closed."""
        self.sessions.close(request.session_hash or "")
        self.sessions.sweep()

    def receive(self, sent: Sequence[str] | None, before: Sequence[Path], into: Path) -> tuple[list[Path], str]:
        """The photographs among what a page holds, and what is said of them.

        Args:
            sent: paths that the page names: those it has had before, and uploads.
            before: those it has had before.
            into: its folder for them.
        """
        paths = [Path(path) for path in sent or []]
        kept = [path for path in before if path in paths]
        new = [path for path in paths if path not in before and path.parent.parent == self.sessions.root]
        if not new:
            return kept, words.said(words.count(len(kept))) if kept else ""
        received = uploads.receive(new, into, self.limits)
        return [*kept, *received.images][: self.limits.files], words.said(str(received), bad=bool(received.refused))

    # Restore

    def _restore_tab(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                sent = _drop("Photographs, or a zip of them", "restore-photographs")
                taken = gr.HTML(padding=False)
                task = _tasks()
                strength = gr.Slider(0, 1.5, 1, step=0.05, label="Strength", info="0 changes nothing, 1 is usual")
                ensemble = gr.Checkbox(label="Mean of eight orientations", info="a little better, 8 times as slow")
                with gr.Accordion("Other weights", open=False):
                    weights = gr.File(label="A weights file", file_types=_WEIGHTS, type="filepath", height=120)
                    about = gr.HTML(words.said(words.READY), padding=False)
                button = gr.Button("Restore", variant="primary", elem_id="restore")
            with gr.Column(scale=5, min_width=300):
                said = gr.HTML(words.said(words.WAITING), padding=False)
                download = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="download")
                which = gr.Dropdown(label="Photograph", visible=False, interactive=True)
                slider = _slider("Before and after: drag the line", "restored")
        results = [said, which, slider, download]
        sent.upload(self.photographs, sent, [sent, taken], api_name="photographs", show_progress="minimal")
        weights.upload(self.weights, weights, [weights, about], api_name="weights")
        weights.clear(self.ready, None, about, api_name="ready")
        button.click(
            self.restore,
            [sent, strength, ensemble, task],
            results,
            api_name="restore",
            concurrency_limit=1,
            concurrency_id="restoring",
            show_progress="minimal",
        )
        which.input(self.show, which, slider, api_name="show")

    def photographs(self, sent: list[str] | None, request: gr.Request) -> Updates:
        """Take photographs that were sent."""
        session = self.of(request)
        session.photographs, taken = self.receive(sent, session.photographs, session.folder / "photographs")
        return [str(path) for path in session.photographs] or None, taken

    def weights(self, sent: str | None, request: gr.Request) -> Updates:
        """Take a weights file that was sent, if it is one."""
        session = self.of(request)
        if sent is None or Path(sent).parent.parent != self.sessions.root:
            return None, self.ready(request)
        path = Path(sent).rename(session.fresh("weights") / Path(sent).name)
        try:
            about = check_weights(path)
        except UserError as error:
            session.fresh("weights")
            session.weights = None
            return None, words.said(f"{error}\n{words.READY}", bad=True)
        session.weights = path
        return str(path), words.said(f"{about}\n{words.OTHER}")

    def ready(self, request: gr.Request) -> str:
        """Go back to the ready weights."""
        self.of(request).weights = None
        return words.said(words.READY)

    def restore(
        self, sent: list[str] | None, strength: float, self_ensemble: bool, task: str, request: gr.Request
    ) -> Iterator[Updates]:
        """Restore the photographs; what is new of the page is given again and again."""
        session = self.of(request)
        session.photographs, taken = self.receive(sent, session.photographs, session.folder / "photographs")
        if not session.photographs:
            yield taken or words.said(words.NOTHING, bad=True), *_hidden(3)
            return
        out, refused, session.pairs = session.fresh("restored"), [], []
        yield words.progress(0, len(session.photographs), "restored"), *_hidden(3)
        work = restore_each(
            session.weights or Path(words.TASKS[task]),
            session.photographs,
            session.folder / "photographs",
            out,
            strength=strength,
            self_ensemble=self_ensemble,
            megapixels=self.limits.megapixels,
        )
        try:
            for done, (path, target, reason) in enumerate(work, 1):
                if target is None:
                    refused.append(reason)
                else:
                    session.pairs.append((path, target))
                yield words.progress(done, len(session.photographs), "restored"), *_hidden(3)
            yield self._restored(session, out, refused)
        except UserError as error:
            yield words.said(str(error).splitlines()[0], bad=True), *_hidden(3)

    def _restored(self, session: Session, out: Path, refused: list[str]) -> Updates:
        said = words.said("\n".join([words.done(session.pairs), *refused]), bad=bool(refused))
        if not session.pairs:
            return said, *_hidden(3)
        names = words.names([path for path, _ in session.pairs])
        file = session.pairs[0][1]
        if len(names) > 1:
            file = uploads.pack((target for _, target in session.pairs), out, session.fresh("zip") / "restored.zip")
        shown = self._shown(session, 0)
        label = f"Download {file.name} ({file.stat().st_size / 1e6:.1f} MB)"
        choices = [(name, index) for index, name in enumerate(names)]
        return (
            said,
            gr.Dropdown(choices=choices, value=0, visible=len(names) > 1),
            gr.ImageSlider(shown, visible=True),
            gr.DownloadButton(label, value=str(file), visible=True),
        )

    def show(self, index: int | None, request: gr.Request) -> Any:  # noqa: ANN401 (a component's update)
        """Show another one of the photographs."""
        session = self.of(request)
        if index is None or not 0 <= int(index) < len(session.pairs):
            return gr.skip()
        return gr.ImageSlider(self._shown(session, int(index)), visible=True)

    def _shown(self, session: Session, index: int) -> tuple[str, str]:
        folder = session.fresh(f"shown-{index}")
        before, after = before_and_after(*session.pairs[index], folder, self.limits.megapixels)
        return str(before), str(after)

    # Adapt

    def _adapt_tab(self) -> None:
        most = self.limits.minutes
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                sent = _drop("About twenty photographs, or a zip", "adapt-photographs")
                taken = gr.HTML(padding=False)
                task = _tasks(shown=self.settings is None)
                minutes = gr.Slider(1, most, min(10, most), step=1, label="Minutes")
                with gr.Row():
                    start = gr.Button("Adapt", variant="primary", elem_id="adapt")
                    stop = gr.Button("Stop and keep", elem_id="stop")
            with gr.Column(scale=5, min_width=300):
                said = gr.HTML(words.said(words.ADAPTING), padding=False)
                slider = _slider("Before, and with the network as it is now", "preview")
                curves = gr.HTML(padding=False)
                with gr.Row():
                    downloads = [
                        gr.DownloadButton(label, visible=False, elem_id=name)
                        for label, name in (
                            ("Weights", "get-weights"),
                            ("Restored photographs", "get-restored"),
                            ("Report", "get-report"),
                        )
                    ]
        sent.upload(self.examples, sent, [sent, taken], api_name="examples", show_progress="minimal")
        start.click(self.announce, None, said, api_visibility="private", queue=False).then(
            self.adapt,
            [sent, minutes, task],
            [said, slider, curves, *downloads],
            api_name="adapt",
            concurrency_limit=1,
            concurrency_id="adapting",
            show_progress="minimal",
        )
        stop.click(self.keep, None, None, api_name="keep", queue=False)

    def examples(self, sent: list[str] | None, request: gr.Request) -> Updates:
        """Take photographs to adapt to."""
        session = self.of(request)
        session.examples, taken = self.receive(sent, session.examples, session.folder / "examples")
        return [str(path) for path in session.examples] or None, taken

    def announce(self) -> str:
        """Say that one has to wait, where that is so."""
        return words.said(words.QUEUED if self.sessions.adapting() else words.STARTING)

    def adapt(self, sent: list[str] | None, minutes: float, task: str, request: gr.Request) -> Iterator[Updates]:
        """Adapt to the photographs, and show how it goes."""
        session = self.of(request)
        session.examples, taken = self.receive(sent, session.examples, session.folder / "examples")
        if not session.examples:
            yield taken or words.said(words.NOTHING, bad=True), *_hidden(5)
            return
        photographs = session.fresh("adapted-to")  # those that are still in the page's list, and no others
        for path in session.examples:
            uploads.free(photographs / path.name).symlink_to(path)
        minutes = min(max(float(minutes), 1.0), float(self.limits.minutes))
        out, kind = session.fresh("runs") / "adapted", words.TASKS[task]
        asked = kind if self.settings is None else None
        session.adaptation = run = Adaptation(photographs, minutes, out, self.settings, asked)
        try:
            yield from self._watched(session, run, Path(kind))
        finally:
            run.kill()  # where the page was closed meanwhile
        yield from self._adapted(session, run)

    def _watched(self, session: Session, run: Adaptation, start: Path) -> Iterator[Updates]:
        """What to show while it runs; first what the weights that it starts from make of a photograph."""
        pictures, shown, due = session.fresh("preview"), start, 0.0
        look = partial(preview, source=session.examples[0], into=pictures, side=SIDE, megapixels=self.limits.megapixels)
        slider: Any = gr.ImageSlider(_texts(look(shown)), visible=True)
        while run.running:
            progress = run.progress()
            yield words.adapting(progress), slider, words.curves(progress.lines), *(gr.skip() for _ in range(3))
            slider = gr.skip()
            time.sleep(_EVERY)
            latest = run.latest()
            if latest is not None and latest != shown and time.monotonic() > due:
                began = time.monotonic()
                shown, slider = latest, gr.ImageSlider(_texts(look(latest)), visible=True)
                due = time.monotonic() + max(_PREVIEW, 10 * (time.monotonic() - began))  # a tenth of the time, at most

    def _adapted(self, session: Session, run: Adaptation) -> Iterator[Updates]:
        """What came of it: weights, photographs, report."""
        lines = words.curves(run.progress().lines)
        if run.weights is None:
            yield words.said(run.trouble(), bad=True), gr.skip(), lines, *_hidden(3)
            return
        verdict, count = run.verdict(), len(session.examples)
        weights = gr.DownloadButton("Weights", value=str(run.weights), visible=True)
        report = gr.skip() if run.report is None else gr.DownloadButton("Report", value=str(run.report), visible=True)
        out, pairs = session.fresh("adapted"), []
        work = restore_each(
            run.weights, session.examples, session.folder / "examples", out, megapixels=self.limits.megapixels
        )
        for done, (path, target, _) in enumerate(work, 1):
            pairs += [] if target is None else [(path, target)]
            said = words.progress(done, count, "restored with the adapted network")
            yield said, gr.skip(), lines, weights, gr.skip(), report
        packed = uploads.pack((target for _, target in pairs), out, session.fresh("zip-adapted") / "restored.zip")
        shown = before_and_after(*pairs[0], session.fresh("adapted-shown"), self.limits.megapixels)
        restored = gr.DownloadButton("Restored photographs", value=str(packed), visible=True)
        said = words.said(f"{verdict or words.NO_VERDICT}\n{words.ADAPTED}")
        yield said, gr.ImageSlider(_texts(shown), visible=True), lines, weights, restored, report

    def keep(self, request: gr.Request) -> None:
        """End an adaptation, and keep the best so far."""
        run = self.of(request).adaptation
        if run is not None and run.running:
            gr.Info(words.KEEPING if run.keep() else words.TOO_EARLY)


def _tasks(*, shown: bool = True) -> gr.Radio:
    """What is to be taken away."""
    return gr.Radio(list(words.TASKS), value=next(iter(words.TASKS)), label="What to take away", visible=shown)


def _drop(label: str, name: str) -> gr.File:
    """Where files are dropped."""
    return gr.File(
        label=label, file_count="multiple", file_types=_PHOTOGRAPHS, type="filepath", height=190, elem_id=name
    )


def _slider(label: str, name: str) -> gr.ImageSlider:
    """Two pictures over one another; as PNG, since gradio's own choice (WebP) changes noise."""
    return gr.ImageSlider(
        label=label,
        type="filepath",
        format="png",
        visible=False,
        interactive=False,
        buttons=["fullscreen"],
        max_height=720,
        elem_id=name,
    )


def _texts(paths: tuple[Path, Path]) -> tuple[str, str]:
    return str(paths[0]), str(paths[1])


def _hidden(count: int) -> list[Any]:
    """Updates that hide the last of the components."""
    return [gr.update(visible=False) for _ in range(count)]


def _asset(name: str) -> str:
    return files("noiseda.web").joinpath(name).read_text(encoding="utf-8")
