import asyncio

import pytest

from noiseda.web.guard import POLICY, Guard


def answer(path: str, host: str, bound: str = "127.0.0.1") -> tuple[int, dict[bytes, bytes]]:
    """Status and headers that a request gets."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"own", b"1")]})
        await send({"type": "http.response.body", "body": b"fine"})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"host", host.encode())]}
    asyncio.run(Guard(app, bound)(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "[::1]:7860"])
def test_this_machine_is_answered_and_its_browser_may_ask_nobody_else(host: str) -> None:
    status, headers = answer("/", host)
    assert status == 200
    assert headers[b"own"] == b"1"
    assert headers[b"content-security-policy"] == POLICY.encode()
    assert "http:" not in POLICY


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "", "127.0.0.1.evil.example"])
def test_a_site_whose_name_resolves_to_this_machine_is_refused(host: str) -> None:
    assert answer("/", host)[0] == 403


def test_where_others_are_served_any_name_is_answered_to() -> None:
    assert answer("/", "studio.lan:7860", bound="0.0.0.0")[0] == 200


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=https://example.org/a", "/file=http://10.0.0.1", "/x/proxy=http://a"]
)
def test_the_server_fetches_nothing_for_anybody(path: str) -> None:
    assert answer(path, "localhost")[0] == 403
