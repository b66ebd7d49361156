"""Links of the pages to files outside docs/ lead somewhere on the site too: such files become pages of their own.

The same relative links work where the repository is read. A source file is shown as code, a page in Markdown as a page.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what needs no site is tried where mkdocs is not installed
    from mkdocs.structure.files import File, Files

PLACE = "repository"
"""Folder of the site where files from outside docs/ lie."""

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "sh"}

LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\(([^()\s#]*)(#[^()\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401 (mkdocs has no type for its settings)
    """Add the files from outside docs/ that pages link to, and those that these link to."""
    root, docs = _places(config)
    pages = [(f"{docs}/{file.src_uri}", file.content_string) for file in files.documentation_pages()]
    added: set[str] = set()
    while pages:
        page, text = pages.pop()
        for target in outside(text, page, docs):
            path = root / target
            if target in added or not path.is_file():
                continue
            added.add(target)
            made = _file(path, target, config)
            files.append(made)
            if path.suffix == ".md":
                pages.append((target, path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ANN401
    """Let links to files outside docs/ lead to their pages; a link to a folder becomes plain text."""
    root, docs = _places(config)
    here = page.file.src_uri
    inside = here.startswith(f"{PLACE}/")
    origin = here.removeprefix(f"{PLACE}/") if inside else f"{docs}/{here}"

    def lead(label: str, target: str, anchor: str) -> str:
        path = resolved(target, origin)
        if (root / path).is_dir():
            return label.strip("[]")
        place = path.removeprefix(f"{docs}/") if path.startswith(f"{docs}/") else page_of(path)
        relative = posixpath.relpath(place, posixpath.dirname(here) or ".")
        return f"{label}({relative}{anchor})"

    return rewritten(markdown, lead)


def outside(text: str, page: str, docs: str) -> Iterator[str]:
    """The files outside docs/ that a page links to, as paths in the repository.

    >>> list(outside("[a](../src/a.py), [b](b.md)", "docs/x.md", "docs"))
    ['src/a.py']
    """
    found: list[str] = []

    def note(label: str, target: str, anchor: str) -> str:
        found.append(resolved(target, page))
        return ""

    rewritten(text, note)
    return (path for path in found if not path.startswith((f"{docs}/", "../")))


def rewritten(text: str, lead: Callable[[str, str, str], str]) -> str:
    """A page with each of its relative links replaced; code is left as it is.

    >>> rewritten("[a](b.md#c), `[d](e)`, [f](https://g)", lambda *parts: "|".join(parts))
    '[a]|b.md|#c, `[d](e)`, [f](https://g)'
    """
    lines, fence = [], ""
    for line in text.splitlines(keepends=True):
        mark = re.match(r" *(`{3,}|~{3,})", line)
        if mark and (not fence or line.strip() == fence):
            fence = "" if fence else mark[1]
        if not fence and not mark:
            line = "".join(
                part if part.startswith("`") else LINK.sub(lambda found: _replaced(found, lead), part)
                for part in _parts(line)
            )
        lines.append(line)
    return "".join(lines)


def resolved(target: str, page: str) -> str:
    """Where a relative link of a page leads, as a path in the repository.

    >>> resolved("../src/a.py", "docs/b.md")
    'src/a.py'
    """
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def page_of(path: str) -> str:
    """The page of the site that shows a file of the repository.

    >>> page_of("src/a.py"), page_of("research/README.md"), page_of("research/a.png")
    ('repository/src/a.py.md', 'repository/research/README.md', 'repository/research/a.png')
    """
    as_it_is = path.endswith((".md", ".png", ".jpg"))
    return f"{PLACE}/{path}" if as_it_is else f"{PLACE}/{path}.md"


def _parts(line: str) -> list[str]:
    """A line, cut where code begins and ends; code that is the text of a link stays in its link."""
    return re.split(r"(?<!\[)(`[^`\n]+`)(?!\])", line)


def _replaced(found: re.Match[str], lead: Callable[[str, str, str], str]) -> str:
    label, target, anchor = found[1], found[2], found[3] or ""
    return found[0] if not target or ":" in target else lead(label, target, anchor)


def _file(path: Path, target: str, config: Any) -> File:  # noqa: ANN401
    from mkdocs.structure.files import File, InclusionLevel

    place = page_of(target)
    if path.suffix in (".png", ".jpg"):
        return File.generated(config, place, content=path.read_bytes())
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".md":
        fence = "`" * 8
        text = f"# {target}\n\n{fence}{LANGUAGES.get(path.suffix, 'text')}\n{text}{fence}\n"
    content = f"---\nsearch: {{exclude: true}}\n---\n\n{text}"
    return File.generated(config, place, content=content, inclusion=InclusionLevel.NOT_IN_NAV)


def _places(config: Any) -> tuple[Path, str]:  # noqa: ANN401
    """The repository, and the name of the folder of pages in it."""
    root = Path(config.config_file_path).parent
    return root, Path(config.docs_dir).relative_to(root).as_posix()
