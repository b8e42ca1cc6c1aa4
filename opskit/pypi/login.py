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

from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from opskit.pypi.access import COOKIE, Access, Credentials
from opskit.pypi.answers import (
    Headers,
    Problem,
    Receive,
    Scope,
    Send,
    client,
    send_problem,
    small_body,
    with_reason,
)
from opskit.pypi.negotiate import quality, weights
from opskit.pypi.web import page

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


def routes(access: Access) -> list[BaseRoute]:
    """The form at /+login, and the log-out at /+logout."""

    async def form(request: Request) -> Response:
        return _form(access, request, 200, request.query_params.get("next", "/"), "")

    async def log_in(request: Request) -> Response:
        return await _log_in(access, request)

    async def log_out(request: Request) -> Response:
        refuse_forgery(access, request, await read_form(request.receive))
        answer = _go("/")
        answer.delete_cookie(COOKIE)
        return answer

    return [
        Route("/+login", form),
        Route("/+login", log_in, methods=["POST"]),
        Route("/+logout", log_out, methods=["POST"]),
    ]


Answer = Callable[[Scope, Receive, Send, Problem], Awaitable[None]]


def make_answer(access: Access) -> Answer:
    """How an error is told: a page or the form to people, its reason in text or JSON to programs."""

    async def answer(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
        vary = _VARY if problem.status == 401 else _VARY_BY_READER
        request = HTTPConnection(scope)
        if not prefers_form(dict(scope["headers"]), scope["query_string"]):
            await send_problem(scope, send, replace(problem, headers=[vary, *problem.headers]))
        elif problem.status == 401:
            await _form(access, request, 401, _address(request), "")(scope, receive, send)
        else:
            title = HTTPStatus(problem.status).phrase
            fields = {"status": problem.status, "title": title, "reason": problem.reason}
            headers = [vary, *problem.headers]
            shown = page(request, "error.html", fields, status=problem.status, headers=headers, store=False)
            await shown(scope, receive, with_reason(send, problem.reason))

    return answer


def _address(request: HTTPConnection) -> str:
    """Where the reader wanted to go; a form that was sent is not sent again by a log-in."""
    if request.scope["method"] not in ("GET", "HEAD"):
        return "/"
    return quote(request.url.path) + (f"?{request.url.query}" if request.url.query else "")


def _form(access: Access, request: HTTPConnection, status: int, target: str, said: str) -> Response:
    """Without `Basic` in the challenge, which would open the browser's own box over the form."""
    nonce, extra = csrf_nonce(request)
    if status == 401:
        extra.append((b"www-authenticate", b'Form realm="opskit"'))
    fields = {"next": safe_target(target), "csrf": csrf_token(access, nonce), "said": said}
    return page(request, "login.html", fields, status=status, headers=[*extra, _VARY], store=False)


async def _log_in(access: Access, request: Request) -> Response:
    form = await read_form(request.receive)
    refuse_forgery(access, request, form)
    target = safe_target(form.get("next", "/"))
    try:
        credentials = Credentials(form.get("user", ""), form.get("password", ""))
        identity = await access.check(credentials, client(request.scope))
    except Problem as problem:
        return _form(access, request, problem.status, target, problem.reason)
    answer = _go(target)
    answer.set_cookie(COOKIE, access.open_session(identity), **_cookie_rules(request))
    return answer


def _go(target: str) -> Response:
    return RedirectResponse(target, 303, {"cache-control": "no-store"})


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


def csrf_nonce(request: HTTPConnection) -> tuple[str, Headers]:
    """The browser's nonce and, when it has none yet, the header that gives it one."""
    known = request.cookies.get(CSRF_COOKIE)
    if known and re.fullmatch(r"[0-9a-f]{32}", known):
        return known, []
    nonce = secrets.token_hex(16)
    jar = Response()
    jar.set_cookie(CSRF_COOKIE, nonce, **_cookie_rules(request))
    return nonce, [pair for pair in jar.raw_headers if pair[0] == b"set-cookie"]


def csrf_token(access: Access, nonce: str) -> str:
    made = int(time.time())
    return f"{made}.{_csrf_signature(access, nonce, made)}"


def _csrf_signature(access: Access, nonce: str, made: int) -> str:
    return hmac.new(access.secret, f"csrf|{nonce}|{made}".encode(), "sha256").hexdigest()


def refuse_forgery(access: Access, request: HTTPConnection, form: dict[str, str]) -> None:
    """Raises Problem 403 for a form that did not come from a page of this server."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise Problem(403, "this form came from another site")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Problem(403, "this form came from another site")
    nonce = request.cookies.get(CSRF_COOKIE, "")
    made, _, signature = form.get("csrf", "").partition(".")
    if not made.isdigit() or time.time() - int(made) > _CSRF_S:
        raise Problem(403, "the form is too old: load its page again")
    if not nonce or not hmac.compare_digest(signature, _csrf_signature(access, nonce, int(made))):
        raise Problem(403, "the form did not come from this server's page: load it again")


def is_browser(request: HTTPConnection) -> bool:
    """Whether a request may have been started by a page, and must prove that it was one of ours."""
    return any(name in request.headers for name in ("origin", "sec-fetch-site", "cookie"))


def _cookie_rules(request: HTTPConnection) -> dict[str, Any]:
    secure = request.url.scheme == "https"
    return {"max_age": _CSRF_S, "httponly": True, "samesite": "lax", "secure": secure}


def page_fields(access: Access, request: HTTPConnection) -> tuple[dict[str, Any], Headers]:
    """What a page with a form needs: its token, and perhaps the cookie that goes with it."""
    nonce, extra = csrf_nonce(request)
    return {"csrf": csrf_token(access, nonce)}, extra
