"""Exchanges as an HTTP Archive (HAR 1.2), which browsers' developer tools and many programs read.

Fields that begin with an underscore are our own, as the format allows.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from opskit import __version__, redact
from opskit.bench.answers.exchanges import Exchange, Phases
from opskit.bench.wire import head_lines
from opskit.files import whole_file

Pairs = Sequence[tuple[str, str]]

_MOST_SENT = 256 * 1024  # bytes of one request's body


def write(path: str, exchanges: Iterable[Exchange]) -> None:
    """Write the exchanges, without the secrets that headers, URLs and forms are known to hold. Raises Unable."""
    with whole_file(path) as file:
        file.write(json.dumps(archive(exchanges), indent=1).encode() + b"\n")


def archive(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "opskit bench", "version": __version__},
            "pages": [],
            "entries": [_entry(each) for each in exchanges],
        }
    }


def _entry(exchange: Exchange) -> dict[str, Any]:
    timings = _timings(exchange.phases)
    return {
        "startedDateTime": datetime.fromtimestamp(exchange.began_at, UTC).isoformat(timespec="milliseconds"),
        "time": sum(timings[name] for name in timings if name != "ssl" and timings[name] >= 0),
        "request": _request(exchange),
        "response": _response(exchange),
        "cache": {},
        "timings": timings,
        "comment": f"{exchange.failure}: {exchange.words}",
        "_failure": exchange.failure,
        "_label": exchange.request.label,
    }


def _timings(phases: Phases) -> dict[str, float]:
    """In ms; -1 for what there was not. `connect` includes `ssl`."""
    connect = None if phases.connect is None else phases.connect + (phases.tls or 0)
    times = {
        "blocked": phases.blocked, "dns": None, "connect": connect, "ssl": phases.tls, "send": 0,
        "wait": phases.wait, "receive": phases.receive,
    }  # fmt: skip
    return {name: -1 if value is None else value / 1e6 for name, value in times.items()}


def _request(exchange: Exchange) -> dict[str, Any]:
    head, _, body = exchange.request.wire.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    absolute = target if "://" in target else f"{exchange.request.origin}{target}"
    url = redact.url(absolute)
    made: dict[str, Any] = {
        "method": method,
        "url": url,
        "httpVersion": version,
        "cookies": _cookies(fields, "cookie"),
        "headers": _headers(fields),
        "queryString": _pairs(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
        "headersSize": len(head) + 4,
        "bodySize": len(body),
    }
    if body:
        kind = _value(fields, "content-type")
        text = body[:_MOST_SENT].decode(errors="replace")
        form = "form" in kind or not kind
        made["postData"] = {"mimeType": kind, "params": [], "text": redact.form(text) if form else text}
    return made


def _response(exchange: Exchange) -> dict[str, Any]:
    """A status of 0 says that there was no answer, as browsers have it."""
    first, fields = head_lines(exchange.head) if exchange.head else ("", [])
    version, status, reason = [*first.split(" ", 2), "", "", ""][:3]
    content: dict[str, Any] = {
        "size": exchange.body_size,
        "mimeType": _value(fields, "content-type") or "x-unknown",
        **_text(exchange.body),
    }
    if len(exchange.body) < exchange.body_size:
        content["comment"] = f"the first {len(exchange.body)} bytes"
    return {
        "status": int(status or 0),
        "statusText": reason,
        "httpVersion": version,
        "cookies": _cookies(fields, "set-cookie"),
        "headers": _headers(fields),
        "content": content,
        "redirectURL": redact.url(_value(fields, "location")),
        "headersSize": len(exchange.head) or -1,
        "bodySize": -1,
    }


def _text(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": b64encode(body).decode(), "encoding": "base64"}


def _value(fields: Pairs, name: str) -> str:
    return next((value for field, value in fields if field.lower() == name), "")


def _headers(fields: Pairs) -> list[dict[str, str]]:
    return _pairs(
        [
            (name, redact.url(value) if name.lower() == "location" else value)
            for name, value in redact.headers(fields)
        ]
    )


def _cookies(fields: Pairs, header: str) -> list[dict[str, str]]:
    """The names of cookies; their values are secrets."""
    lines = [value for name, value in fields if name.lower() == header]
    crumbs = [line.partition(";")[0] for line in lines] if header == "set-cookie" else ";".join(lines).split(";")
    return _pairs([(crumb.partition("=")[0].strip(), redact.MASK) for crumb in crumbs if crumb.strip()])


def _pairs(pairs: Pairs) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
