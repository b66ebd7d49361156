"""What the server answers to, and what a browser may do with its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""Content-Security-Policy of every answer: a page asks nobody but this server."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Guard:
    """Refuses requests in another host's name, and those that would fetch from elsewhere; adds headers to the rest.

    A page of some site could have its name resolve to this machine, and then read what is served here: a browser
    says in ``Host`` whose name it used.

    Args:
        app: the server's application (ASGI).
        host: the address it is bound to; where it is no address of this machine alone, any name is answered to.
    """

    def __init__(self, app: App, host: str = "127.0.0.1") -> None:
        self._app, self._local = app, host in LOOPBACK

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        if refused(dict(scope["headers"]).get(b"host", b"").decode("latin-1"), scope["path"], local=self._local):
            await with_headers({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"refused"})
            return
        await self._app(scope, receive, with_headers)


_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def refused(host: str, path: str, *, local: bool) -> bool:
    """Whether a request is not answered.

    >>> refused("localhost:7860", "/", local=True), refused("evil.example", "/", local=True)
    (False, True)
    >>> refused("localhost", "/gradio_api/file=https://example.org/a.png", local=True)
    True

    Args:
        host: the name it was sent to, perhaps with a port.
        path: what it asks for.
        local: whether this machine alone is served.
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    outside = any(word in path for word in ("file=http:", "file=https:", "/proxy="))
    return outside or (local and name not in LOOPBACK)
