"""A page as a browser reads it: elements with their attributes, and its text."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """What a page consists of.

    Attributes:
        found: every element: its name and its attributes.
        said: element -> its texts.
        policy: of what may be asked for.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.said: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open[-1:]:
            self.said.setdefault(tag, []).append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of every element of a name, that has some of a value."""
        return [has for name, has in self.found if name == tag and attributes.items() <= has.items()]

    @property
    def policy(self) -> str:
        (meta,) = (has for has in self.all("meta") if has.get("http-equiv") == "Content-Security-Policy")
        return meta["content"]

    @property
    def text(self) -> str:
        """What it says, but for style and script."""
        return " ".join(" ".join(texts) for tag, texts in self.said.items() if tag not in ("style", "script"))


def assert_self_contained(text: str) -> Page:
    """Nothing is asked for from outside, nothing of others runs, every picture has a text in its place."""
    page = Page(text)
    for _, has in page.found:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            assert re.match(r"data:|#|$", has.get(name, "")), has
        assert not [name for name in has if name.startswith("on")]
        assert "style" not in has, "which the policy forbids"
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert page.policy.startswith("default-src 'none'; img-src data:;")
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert all(has["alt"] for has in page.all("img"))
    ids = [has["id"] for _, has in page.found if "id" in has]
    assert len(ids) == len(set(ids))
    for _, has in page.found:
        assert set(has.get("aria-labelledby", "").split()) <= set(ids)
        assert has.get("href", "data:").removeprefix("#") in {*ids, "data:,", "data:"}
    return page
