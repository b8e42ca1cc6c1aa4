"""Compression, protocol versions, other connections, other origins: the same file by another way."""

from opskit.httprange.cases.base import (
    CLIENT,
    FAIL,
    INFO,
    MUST,
    NA,
    PASS,
    POLITE,
    SHOULD,
    WARN,
    case,
    honoured,
    labelled,
    plain,
    span_of,
    worst_of,
)  # fmt: skip
from opskit.httprange.exchange import Got
from opskit.httprange.fields import is_strong
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding, Verdict

GZIP = ("Accept-Encoding", "gzip")


@case(
    43,
    "Compressed and plain have different tags",
    "8.8.3.3",
    MUST,
    POLITE,
    expected="another ETag, or a weak one",
    needs_ranges=False,
    meaning="With one tag for both, half a compressed file is completed with half a plain one.",
)
def tags(run: Inspection) -> Finding:
    coded = run.ask(GZIP)
    if not coded.header("content-encoding") or run.facts.whole.header("content-encoding"):
        return Finding(NA, "it is not compressed")
    tag = coded.header("etag") or ""
    if is_strong(tag) and tag == run.facts.etag:
        return Finding(FAIL, f"{tag} for both")
    return Finding(PASS, f"{tag or 'no tag'} compressed, {run.facts.etag or 'no tag'} plain")


@case(
    42,
    "Range of a compressed file",
    "14.1.2, 8.8.3.3",
    MUST,
    POLITE,
    expected="a plain part, the compressed whole, or a part of the compressed",
    meaning="Middleware that compresses each part sends pieces that fit nowhere.",
)
def compressed(run: Inspection) -> Finding:
    span = run.middle
    got = run.range(str(span), GZIP)
    if finding := plain(got):
        return finding
    if got.status != 206 or not got.header("content-encoding"):
        return Finding(PASS if got.status in (200, 206) else FAIL, str(got))
    whole = next((e.got for e in run.answers(["43"]) if e.got.header("content-encoding")), None)
    sent = span_of(got)
    if whole is None or whole.cut or sent is None:
        return Finding(INFO, f"{got}: encoded, and not to be compared")
    same = got.body == whole.body[sent.first : sent.last + 1]
    return Finding(PASS if same else FAIL, f"{got}: {'a part' if same else 'no part'} of the encoded file")


@case(
    44,
    "The same in HTTP/1.0, 1.1 and 2",
    "2.5",
    SHOULD,
    POLITE,
    expected="the same answer",
    needs_ranges=False,
    meaning="Old proxies ask in 1.0. A server that itself answers in 1.0 often leaves ranges out.",
)
def versions(run: Inspection) -> Finding:
    ours = run.facts.whole.version
    findings = [_own_version(ours, run.web.access.version)]
    if run.facts.length and any(e.got.status == 206 for e in run.answers()):
        findings += _other_versions(run)
    return worst_of(findings)


def _own_version(version: str, asked: str) -> Finding:
    if version == "1.0" and asked != "1.0":
        return Finding(WARN, "the server answers in HTTP/1.0")
    return Finding(PASS, f"HTTP/{version}")


def _other_versions(run: Inspection) -> list[Finding]:
    span, others = run.middle, []
    if not run.web.access.proxy and run.web.access.version != "1.0":
        others.append(("1.0", INFO))
    if run.web.can_http2 and run.web.access.version != "2":
        others.append(("2", WARN))
    found = []
    for version, on_200 in others:
        got = run.ask(("Range", f"bytes={span}"), version=version, expect=span)
        found.append(labelled(f"HTTP/{version}", honoured(got, span, on_200=on_200)))
    return found


@case(
    47,
    "The same on every connection",
    "8.8.3, 15.3.7.3",
    MUST,
    POLITE,
    expected="the same ETag, date and length",
    needs_ranges=False,
    meaning="Servers behind one name that disagree make every resume a lottery.",
)
def connections(run: Inspection) -> Finding:
    return compared([run.ask(method=_method(run), fresh=True) for _ in range(2)])


def _method(run: Inspection) -> str:
    return "HEAD" if run.facts.head.status == 200 else "GET"


def compared(answers: list[Got]) -> Finding:
    """Whether answers of several connections agree on what the file is."""
    seen = {identity(got) for got in answers}
    if len(seen) == 1:
        return Finding(PASS, "the same")
    return Finding(FAIL, " and ".join(sorted(" ".join(filter(None, who)) for who in seen)))


def identity(got: Got) -> tuple[str, ...]:
    """What tells one version of a file from another."""
    return tuple(got.header(name) or "" for name in ("etag", "last-modified", "content-length"))


EXPOSED = ("content-range", "accept-ranges", "etag")


@case(
    48,
    "Browsers of other origins",
    "CORS",
    CLIENT,
    POLITE,
    expected="Content-Range, Accept-Ranges and ETag exposed",
    meaning="Scripts see these headers only if the server says so; map and data viewers need them.",
)
def other_origins(run: Inspection) -> Finding:
    origin = ("Origin", "https://opskit.example")
    got = run.range(str(run.middle), origin)
    if got.header("access-control-allow-origin") is None:
        return Finding(INFO, "closed to scripts of other origins")
    exposed = (got.header("access-control-expose-headers") or "").lower()
    missing = [name for name in EXPOSED if name not in exposed and exposed.strip() != "*"]
    if missing:
        return Finding(WARN, f"not exposed: {', '.join(missing)}")
    asked = ("Access-Control-Request-Headers", "range")
    preflight = run.ask(origin, ("Access-Control-Request-Method", "GET"), asked, method="OPTIONS")
    allowed = (preflight.header("access-control-allow-headers") or "").lower()
    good = preflight.status < 300 and ("range" in allowed or allowed.strip() == "*")
    return Finding(PASS if good else Verdict.INFO, "open" if good else "suffix ranges fail their preflight")


CASES = (tags, compressed, versions, connections, other_origins)
