"""Two ways to log in on one address: a form for who reads HTML, `401 Basic` for every other client.

The judgement looks at what browsers alone send (Sec-Fetch-Mode), then at what package clients say of
themselves (pip before 22.2 accepts text/html only), then at which type is preferred.
"""

import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from opskit.pypi.access import COOKIE, Access, Credentials, cookie
from opskit.pypi.answers import App, Problem, Receive, Scope, Send, client, header, send_problem, small_body
from opskit.pypi.negotiate import quality, weights
from opskit.pypi.web import send_page

_CLIENTS = re.compile(
    r"^(pip|setuptools|Python-urllib|python-requests|uv|poetry|pdm|hatch|flit|twine|bandersnatch|devpi|Artifactory"
    r"|Nexus|curl|Wget|opskit|aria2|git)\b",
    re.IGNORECASE,
)
CSRF_COOKIE = "opskit_csrf"
_CSRF_S = 12 * 3600
_VARY_BY_READER = (b"vary", b"Accept, Sec-Fetch-Mode, User-Agent")
_VARY = (b"vary", b"Accept, Authorization, Cookie, Sec-Fetch-Mode, User-Agent")


def prefers_form(headers: dict[bytes, bytes], query: bytes = b"") -> bool:
    """Whether this client is a person's browser: the form, else Basic."""
    if b"auth=basic" in query:
        return False
    mode = headers.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    if _CLIENTS.match(headers.get(b"user-agent", b"").decode("latin-1")):
        return False
    accepted = weights(headers.get(b"accept", b"*/*").decode("latin-1"))
    html = max(quality("text/html", accepted), quality("application/xhtml+xml", accepted))
    others = (quality("application/json", accepted), quality("application/vnd.pypi.simple.v1+json", accepted))
    return html > max(*others, accepted.get("*/*", 0.0))


def make_app(access: Access) -> App:
    """The form at /+login, and the log-out at /+logout."""

    async def login(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/+login" and scope["method"] == "POST":
            await _log_in(access, scope, receive, send)
        elif scope["path"] == "/+login" and scope["method"] in ("GET", "HEAD"):
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("next", ["/"])[0]
            await _show_form(access, scope, send, 200, asked, "")
        elif scope["path"] == "/+logout" and scope["method"] == "POST":
            await _log_out(access, scope, receive, send)
        else:
            raise Problem(405, "log in with the form at /+login", [(b"allow", b"GET, HEAD, POST")])

    return login


def make_answer(access: Access) -> Callable[[Scope, Send, Problem], Awaitable[None]]:
    """How an error is told: a page or the form to people, its reason in text or JSON to programs."""

    async def answer(scope: Scope, send: Send, problem: Problem) -> None:
        vary = _VARY if problem.status == 401 else _VARY_BY_READER
        if not prefers_form(dict(scope["headers"]), scope["query_string"]):
            await send_problem(scope, send, replace(problem, headers=[vary, *problem.headers]))
        elif problem.status == 401:
            await _show_form(access, scope, send, 401, _address(scope), "")
        else:
            title = HTTPStatus(problem.status).phrase
            fields = {"status": problem.status, "title": title, "reason": problem.reason}
            await send_page(
                scope, send, "error.html", fields, status=problem.status, headers=[vary, *problem.headers],
                store=False, reason=problem.reason,
            )  # fmt: skip

    return answer


def _address(scope: Scope) -> str:
    """Where the reader wanted to go; a form that was sent is not sent again by a log-in."""
    if scope["method"] not in ("GET", "HEAD"):
        return "/"
    query = scope["query_string"].decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


async def _show_form(access: Access, scope: Scope, send: Send, status: int, target: str, said: str) -> None:
    """Without `Basic` in the challenge, which would open the browser's own box over the form."""
    nonce, extra = csrf_nonce(scope)
    if status == 401:
        extra.append((b"www-authenticate", b'Form realm="opskit"'))
    extra.append(_VARY)
    fields = {"next": safe_target(target), "csrf": csrf_token(access, nonce), "said": said}
    await send_page(scope, send, "login.html", fields, status=status, headers=extra, store=False)


async def _log_in(access: Access, scope: Scope, receive: Receive, send: Send) -> None:
    form = await read_form(receive)
    refuse_forgery(access, scope, form)
    target = safe_target(form.get("next", "/"))
    try:
        credentials = Credentials(form.get("user", ""), form.get("password", ""))
        identity = await access.check(credentials, client(scope))
    except Problem as problem:
        await _show_form(
            access, scope, send, 401 if problem.status == 401 else problem.status, target, problem.reason
        )
        return
    session = access.open_session(identity)
    await _go(send, target, [_cookie(scope, COOKIE, session)])


async def _log_out(access: Access, scope: Scope, receive: Receive, send: Send) -> None:
    form = await read_form(receive)
    refuse_forgery(access, scope, form)
    await _go(send, "/", [_cookie(scope, COOKIE, "", age=0)])


async def _go(send: Send, target: str, headers: list[tuple[bytes, bytes]]) -> None:
    head = [
        (b"location", target.encode()),
        (b"content-length", b"0"),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": 303, "headers": head})
    await send({"type": "http.response.body"})


def safe_target(target: str) -> str:
    """Only a path of this server: `//elsewhere`, `https://elsewhere` and backslashes lead home."""
    parts = urlsplit(target)
    bad = parts.scheme or parts.netloc or not target.startswith("/") or target.startswith("//")
    return "/" if bad or "\\" in target or any(ord(c) < 33 or ord(c) > 126 for c in target) else target


async def read_form(receive: Receive) -> dict[str, str]:
    """A small urlencoded form. Raises Problem 408, 413."""
    body = await small_body(receive)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {key: values[0] for key, values in fields.items()}


# Forgery: a form must come from our own page. Two independent checks.


def csrf_nonce(scope: Scope) -> tuple[str, list[tuple[bytes, bytes]]]:
    """The browser's nonce and, when it has none yet, the header that gives it one."""
    known = cookie(scope, CSRF_COOKIE)
    if known and re.fullmatch(r"[0-9a-f]{32}", known):
        return known, []
    nonce = secrets.token_hex(16)
    return nonce, [_cookie(scope, CSRF_COOKIE, nonce)]


def csrf_token(access: Access, nonce: str) -> str:
    made = int(time.time())
    return f"{made}.{_csrf_signature(access, nonce, made)}"


def _csrf_signature(access: Access, nonce: str, made: int) -> str:
    return hmac.new(access.secret, f"csrf|{nonce}|{made}".encode(), "sha256").hexdigest()


def refuse_forgery(access: Access, scope: Scope, form: dict[str, str]) -> None:
    """Raises Problem 403 for a form that did not come from a page of this server."""
    site = header(scope, b"sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise Problem(403, "this form came from another site")
    origin = header(scope, b"origin")
    if origin is not None and urlsplit(origin).netloc != (header(scope, b"host") or ""):
        raise Problem(403, "this form came from another site")
    nonce = cookie(scope, CSRF_COOKIE) or ""
    made, _, signature = form.get("csrf", "").partition(".")
    if not made.isdigit() or time.time() - int(made) > _CSRF_S:
        raise Problem(403, "the form is too old: load its page again")
    if not nonce or not hmac.compare_digest(signature, _csrf_signature(access, nonce, int(made))):
        raise Problem(403, "the form did not come from this server's page: load it again")


def is_browser(scope: Scope) -> bool:
    """Whether a request may have been started by a page, and must prove that it was one of ours."""
    return any(header(scope, name) is not None for name in (b"origin", b"sec-fetch-site", b"cookie"))


def _cookie(scope: Scope, name: str, value: str, age: int = _CSRF_S) -> tuple[bytes, bytes]:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return b"set-cookie", f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}".encode()


def page_fields(access: Access, scope: Scope) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """What a page with a form needs: its token, and perhaps the cookie that goes with it."""
    nonce, extra = csrf_nonce(scope)
    return {"csrf": csrf_token(access, nonce)}, extra
