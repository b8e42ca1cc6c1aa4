"""`[http.name]`: one request, and what its answer must be."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from opskit import conditions, redact
from opskit.conditions import Condition, Kind
from opskit.smoke.addresses import HOST_PORT, URL, parse_host_port
from opskit.smoke.fields import (
    Choice,
    Flag,
    JsonTests,
    Limit,
    Text,
    TextMatch,
    TextTable,
    TextTests,
    Wrong,
    key,
    required,
)
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import MOST_TEXT, Scene, Unmet
from opskit.smoke.texts import Finding, JsonTest, TextTest

MOST_HOPS = 10
SUCCESS = conditions.parse("2xx", Kind.STATUS)


@dataclass
class Answer:
    """What came back: the head, the start of the body, its size and hash."""

    status: int
    reason: str
    version: str
    headers: Mapping[str, str]
    url: str
    text: str
    size: int
    sha256: str
    seconds: float
    hops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check(BaseProbe):
    """One request. Without another assertion its status must be 2xx; a certificate must be valid."""

    TYPE: ClassVar[str] = "http"
    EXAMPLE: ClassVar[str] = """\
[http.home]
url    = "http://127.0.0.1:8080/"
status = 200
header = { content-type = { matches = "^text/html" } }
body   = { contains = "Welcome", lacks = ["Traceback", "ORA-"] }
within = "500ms"
hint   = "see runbook/web.md"

[http.books]
url     = "http://127.0.0.1:8080/api/books"
headers = { accept = "application/json" }
json    = { "items[0].name" = "Dune", "items.#" = "> 3" }
"""

    url: str = required(URL, "What to ask for.")
    status: Condition = key(Limit(Kind.STATUS), 'The status: 200, [200, 404], `"2xx"`. [2xx]', SUCCESS)
    header: tuple[tuple[str, TextTest], ...] = key(TextTests(), "What header fields of the answer must be.", ())
    body: TextTest | None = key(TextMatch(bare_contains=True), "What the body must contain; or a table of tests.")
    json: tuple[JsonTest, ...] = key(JsonTests(), "What must be at a path of the JSON body.", ())
    size: Condition | None = key(Limit(Kind.SIZE), "The bytes of the body.")
    sha256: str = key(Text("64 hex digits", pattern="^[0-9a-f]{64}$"), "The hash of the body.", "")
    version: str = key(Choice(("1.0", "1.1", "2")), "The HTTP version that the answer must have.", "")
    redirect: TextTest | None = key(TextMatch(), "Where it redirects to; the status is then 3xx.")
    follow: bool = key(Flag(), "Follow redirects, and judge the last answer.", False)
    method: str = key(Text("a method", pattern="^[A-Z]+$"), "Another method than GET.", "")
    headers: tuple[tuple[str, str], ...] = key(TextTable(), "Header fields to send.", ())
    data: str | None = key(Text(), "A body to send; the method is then POST.")
    auth: str = key(Text("user:password"), "Basic authentication.", "")
    ca: str | None = key(Text("a file"), "Trust the certificates in this PEM file.")
    cert: str | None = key(Text("a file"), "Client certificate: chain and key in one PEM file.")
    insecure: bool = key(Flag(), "Do not verify the certificate.", False)
    resolve: str = key(HOST_PORT, "Connect there instead of to the URL's host.", "")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if "sha256" in read and not re.fullmatch("[0-9a-f]{64}", read["sha256"]):
            wrong((*path, "sha256"), "a SHA-256 has 64 hex digits")
        if read.get("follow") and "redirect" in read:
            wrong((*path, "follow"), "a redirect is either followed or judged", "leave one of them out", key=True)
        if "auth" in read and ":" not in read["auth"]:
            wrong((*path, "auth"), "a name and a password are needed", 'auth = "name:{password}"')
        for name, value in read.get("headers", ()):
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0]", value):
                wrong((*path, "headers", name), "this cannot be a header field", key=True)

    def secrets(self) -> Iterator[str]:
        """Values that stand in the file itself and are secret by their nature."""
        yield self.auth.partition(":")[2]
        for name, value in self.headers:
            if name.lower() in redact.SECRET_HEADERS:
                yield value.partition(" ")[2] or value

    def target(self) -> str:
        return self.url

    def look(self, scene: Scene) -> Observation:
        answer = self._ask(scene)
        return Observation(tuple(self._judged(answer)), excerpt=answer.text, data=_data(answer))

    def _judged(self, answer: Answer) -> Iterator[Finding]:
        status = self.status
        if self.redirect is not None and status is SUCCESS:
            status = conditions.parse("3xx", Kind.STATUS)
        actual = f"{answer.status} {answer.reason}".strip()
        yield Finding("status", status.holds(answer.status), str(status), actual)
        if self.redirect is not None:
            yield from self.redirect.findings("redirect", answer.headers.get("location"))
        for name, test in self.header:
            yield from test.findings(f"header {name}", answer.headers.get(name))
        if self.body is not None:
            yield from self.body.findings("body", answer.text)
        if self.json:
            yield from self._json_findings(answer)
        if self.size is not None:
            shown = conditions.describe(answer.size, Kind.SIZE)
            yield Finding("size", self.size.holds(answer.size), str(self.size), shown)
        if self.sha256:
            yield Finding("sha256", answer.sha256 == self.sha256, self.sha256, answer.sha256)
        if self.version:
            yield Finding("version", answer.version == self.version, self.version, answer.version)

    def _json_findings(self, answer: Answer) -> Iterator[Finding]:
        import json

        if answer.size > MOST_TEXT:
            raise CannotTell(f"the JSON body has more than {MOST_TEXT} bytes", lasting=True)
        try:
            document = json.loads(answer.text)
        except (ValueError, RecursionError) as error:
            yield Finding("json", False, "a JSON body", f"none: {error}")
            return
        for test in self.json:
            yield from test.findings(document)

    def _ask(self, scene: Scene) -> Answer:
        from opskit import http

        verify = scene.tools.tls_context(self.ca, verify=not self.insecure, certificate=self.cert) \
            if self._needs_tls else False  # fmt: skip
        try:
            with (
                http.client(timeout=scene.left, verify=verify, http2=self.version == "2") as client,
                http.faults(),
            ):
                return self._follow(client, scene)
        except http.Fault as fault:
            raise _unmet(fault, scene) from None

    @property
    def _needs_tls(self) -> bool:
        return self.url.startswith("https:") or self.follow

    def _follow(self, client: Any, scene: Scene) -> Answer:
        url, hops = self.url, list[str]()
        method = self.method or ("POST" if self.data is not None else "GET")
        while True:
            answer = self._exchange(client, method, url, scene)
            answer.hops = tuple(hops)
            location = answer.headers.get("location")
            if not self.follow or answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            hops.append(answer.url)
            if len(hops) > MOST_HOPS:
                raise Unmet("an answer at the end of the redirects", f"more than {MOST_HOPS} redirects")
            url = str(client.build_request("GET", answer.url).url.join(location))
            method = method if answer.status in (307, 308) else "GET"

    def _exchange(self, client: Any, method: str, url: str, scene: Scene) -> Answer:
        import hashlib
        import time

        begun = time.monotonic()
        with client.stream(method, **self._request(url, method)) as response:
            head_seconds = time.monotonic() - begun
            digest, size, kept = hashlib.sha256(), 0, bytearray()
            for piece in response.iter_bytes():
                digest.update(piece)
                size += len(piece)
                if len(kept) < MOST_TEXT:
                    kept += piece[: MOST_TEXT - len(kept)]
                _ = scene.left
            return Answer(
                response.status_code, response.reason_phrase, response.http_version.removeprefix("HTTP/"),
                response.headers, str(response.request.url) if not self.resolve else url, _decoded(response, kept),
                size, digest.hexdigest(), head_seconds,
            )  # fmt: skip

    def _request(self, url: str, method: str) -> dict[str, Any]:
        """What httpx is asked to send; a body and a password go to the first host only."""
        from urllib.parse import urlsplit

        headers = dict(self.headers)
        same_host = urlsplit(url).netloc == urlsplit(self.url).netloc
        if not same_host:
            headers = {name: value for name, value in headers.items() if name.lower() not in redact.SECRET_HEADERS}
        wanted: dict[str, Any] = {
            "url": url,
            "headers": headers,
            "content": self.data if method != "GET" else None,
        }
        if self.auth and same_host:
            wanted["auth"] = tuple(self.auth.split(":", 1))
        if self.resolve and same_host:
            parts = urlsplit(url)
            host, port = parse_host_port(self.resolve)
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            wanted["url"] = parts._replace(netloc=place).geturl()
            wanted["headers"] = {"host": parts.netloc.rpartition("@")[2], **headers}
            wanted["extensions"] = {"sni_hostname": parts.hostname}
        return wanted


def _decoded(response: Any, body: bytearray) -> str:
    try:
        return body.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _data(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "version": answer.version,
        "size_bytes": answer.size,
        "head_s": round(answer.seconds, 6),
        "redirects": list(answer.hops),
        "headers": dict(redact.headers(answer.headers.items())),
    }


def _unmet(fault: Exception, scene: Scene) -> Exception:
    """No answer is a failure of the service; a name that nobody knows cannot be told from a wrong file."""
    words, kind = str(fault), getattr(fault, "kind", "")
    if kind == "timeout":
        return scene.late()
    if "Name or service" in words or "name resolution" in words or "nodename" in words or "No address" in words:
        return CannotTell(words, hint="check the name")
    return Unmet("an answer", words[:1].lower() + words[1:])
