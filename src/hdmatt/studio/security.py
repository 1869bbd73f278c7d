"""Which requests are answered: those of the person who started the server, from its own page.

Knows nothing of pictures. Any program and any web page on the same machine can send requests to a local server; so
there is a token, and what a browser says about where a request comes from is believed when it speaks against it.

    Access    the token, the port, the names that the server is called by
    Guard     an ASGI application around another one: refuses, limits bodies, adds headers

    421    the Host is none of ours: another name was pointed at this address (DNS rebinding)
    403    Origin or Sec-Fetch-Site says that another page asks, also one on another port of this machine
    401    no cookie; `/?token=...` gives it
    411, 413    a body of unknown length, or a large one
"""

import html
import ipaddress
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 2**20  # of a body: 20 000 points of a stroke
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_EVERYWHERE = ("0.0.0.0", "::")
_OWN_PAGES = ("same-origin", "none")  # of Sec-Fetch-Site: our page, or an address that was typed
# OpenSeadragon's one style, for the outlines of its own buttons
_VIEWER_STYLE = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_VIEWER_STYLE}; img-src 'self' blob: data:; "
    "connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light"><title>hdmatt studio</title></head>
<body>
<h1>hdmatt studio cannot be opened here</h1>
<p>The server says: {message}.</p>
<p>{hint} It is the line that begins with <code>hdmatt studio: http://</code>, and it is another one each time that the
studio is started. What was painted is kept.</p>
</body>
</html>
"""


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        port: That the server listens on.
        host: The address that it listens on.
        token: What the address in the terminal has, and then the cookie.
    """

    port: int
    host: str = "127.0.0.1"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def cookie(self) -> str:
        """Its name: cookies are shared by all ports of a machine."""
        return f"hdmatt_{self.port}"

    @property
    def address(self) -> str:
        """What is opened in the browser."""
        name = "127.0.0.1" if self.host in _EVERYWHERE else self.host
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/?token={self.token}"

    def knows(self, host: str) -> bool:
        """Whether a request's Host is one of ours."""
        name, _, port = host.rpartition(":")
        if not name or port != str(self.port):
            return self.port == 80 and self._is_ours(host)
        return self._is_ours(name)

    def allows(self, token: str) -> bool:
        """Whether this is the token."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def _is_ours(self, name: str) -> bool:
        name = name.lower()
        if name in _LOCAL or name.strip("[]") == self.host.lower():
            return True
        if self.host not in _EVERYWHERE:
            return False
        # every address of this machine: a number cannot be pointed at it by somebody else's name server
        return name in (socket.gethostname().lower(), socket.getfqdn().lower()) or _is_number(name.strip("[]"))


class Guard:
    """Refuses requests that are not allowed, and adds the security headers to all answers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message["headers"])
            await send(message)

        answer = self._refusal(scope) or self._exchange(scope)
        if isinstance(answer, _Refusal) and _wants_page(scope):
            answer = answer.page()
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = _headers(scope)
        if not self._access.knows(headers.get("host", "")):
            return _refused(421, "this server has another name", "Open the address that the terminal printed.")
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin):
            return _refused(403, "another page asks", "Open the address that the terminal printed.")
        if headers.get("sec-fetch-site", "none") not in _OWN_PAGES:
            return _refused(403, "another page asks", "Copy the address that the terminal printed into the browser.")
        if scope["method"] in ("GET", "HEAD"):
            return None
        if "transfer-encoding" in headers:
            return _refused(411, "a body of unknown length", "Send Content-Length.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return _refused(413, f"a body of {length[:20]} bytes, we take {MOST_BYTES}", "Send long strokes in pieces.")
        return None

    def _is_own(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and self._access.knows(parts.netloc)

    def _exchange(self, scope: Scope) -> Response | None:
        """The cookie for the token; the token leaves the address. None: the request has the cookie already."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["path"] == "/" and given and self._access.allows(given[0]):
            answer = RedirectResponse("/", 303, {"cache-control": "no-store"})
            answer.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="strict")
            return answer
        if self._access.allows(cookie_parser(_headers(scope).get("cookie", "")).get(self._access.cookie, "")):
            return None
        return _refused(401, "this browser is not known here", "Open the whole address that the terminal printed.")


class _Refusal(JSONResponse):
    """Why a request is not answered, for programs; as a page for who looks at it in a browser."""

    def __init__(self, status: int, message: str, hint: str) -> None:
        super().__init__({"message": message, "hint": hint}, status, {"cache-control": "no-store"})
        self._message, self._hint = message, hint

    def page(self) -> Response:
        text = _PAGE.format(message=html.escape(self._message), hint=html.escape(self._hint))
        return HTMLResponse(text, self.status_code, {"cache-control": "no-store"})


def _refused(status: int, message: str, hint: str) -> Response:
    return _Refusal(status, message, hint)


def _wants_page(scope: Scope) -> bool:
    return scope["method"] == "GET" and "text/html" in _headers(scope).get("accept", "")


def _headers(scope: Scope) -> Mapping[str, str]:
    """The first value of each header: Starlette's own mapping does the same, but not for a repeated Host."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _with_headers(own: Iterable[tuple[bytes, bytes]]) -> list[Any]:
    given = list(own)
    names = {name.lower() for name, _ in given}
    added = {**HEADERS, "cache-control": "no-store"}
    return given + [(n.encode(), v.encode()) for n, v in added.items() if n.encode() not in names]


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
