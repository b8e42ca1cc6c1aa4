"""Is Range done at all: the plain forms, as every client sends them."""

from hashlib import sha256
from itertools import pairwise
from urllib.parse import urljoin

from opskit.httprange.cases.base import (
    BASIC,
    CLIENT,
    FAIL,
    FULL,
    INFO,
    MAY,
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
    refused,
    span_of,
    worst_of,
)  # fmt: skip
from opskit.httprange.fields import Span
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding


@case(
    1,
    "The whole file",
    "15.3.1",
    MUST,
    BASIC,
    expected="200",
    needs_ranges=False,
    meaning="Without a plain 200 there is nothing to compare with.",
)
def whole_file(run: Inspection) -> Finding:
    return Finding(PASS, str(run.facts.whole))


@case(
    2,
    "Accept-Ranges is told",
    "14.3",
    CLIENT,
    BASIC,
    expected="Accept-Ranges: bytes on HEAD and GET",
    needs_ranges=False,
    meaning="pip and uv look for it on HEAD and load whole files without it.",
)
def accept_ranges(run: Inspection) -> Finding:
    head, whole = (got.header("accept-ranges") for got in (run.facts.head, run.facts.whole))
    if run.facts.head.status != 200:
        head = whole
    works = any(e.got.status == 206 for e in run.answers())
    told = ", ".join(f"{name} has {value or 'none'}" for name, value in (("HEAD", head), ("GET", whole)))
    if not works and run.facts.length == 0:
        return Finding(NA, f"{told}, for an empty file")
    if not works:
        verdict = WARN if "bytes" in (head or "") else INFO
        return Finding(verdict, f"{told}, and ranges are not answered")
    if head == whole == "bytes":
        return Finding(PASS, "Accept-Ranges: bytes")
    odd = head not in (None, "none", "bytes") and whole not in (None, "none", "bytes")
    return Finding(INFO if odd else WARN, f"{told}, yet ranges work")


@case(
    3,
    "The first byte alone",
    "14.1.2, 14.2",
    SHOULD,
    BASIC,
    expected="206, bytes 0-0, 1 byte",
    meaning="The shortest probe there is; players and download managers begin with it.",
)
def first_byte(run: Inspection) -> Finding:
    return honoured(run.range("0-0", expect=Span(0, 0)), Span(0, 0))


@case(
    4,
    "A range in the middle",
    "14.1.2, 14.2",
    SHOULD,
    BASIC,
    expected="206, bytes 10-20, 11 bytes",
    meaning="This is what Range is: a server that answers 200 here does not do it.",
)
def inner_range(run: Inspection) -> Finding:
    span = run.middle
    return honoured(run.range(str(span), expect=span), span, on_200=FAIL)


@case(
    5,
    "From a place to the end",
    "14.1.2",
    MUST,
    BASIC,
    expected="206 to the last byte",
    meaning="Every resumed download and every seek in a video is this request.",
)
def to_the_end(run: Inspection) -> Finding:
    whole, tail = Span(0, run.length - 1), Span(max(0, run.length - 16), run.length - 1)
    return worst_of([
        honoured(run.range("0-", expect=whole), whole),
        honoured(run.range(f"{tail.first}-", expect=tail), tail),
    ])  # fmt: skip


@case(
    6,
    "The last bytes",
    "14.1.2",
    MUST,
    BASIC,
    expected="206 with the last N bytes",
    meaning="Zip directories, Parquet footers and Zarr indexes are read from the end.",
)
def suffix(run: Inspection) -> Finding:
    findings = []
    for count in sorted({1, min(16, run.length)}):
        span = Span(run.length - count, run.length - 1)
        findings.append(honoured(run.range(f"-{count}", expect=span), span, on_200=WARN))
    if findings[0].verdict is WARN and not any(e.got.status == 206 for e in run.answers()):
        return Finding(NA, findings[0].got)
    return worst_of(findings)


@case(
    7,
    "More from the end than there is",
    "14.1.2",
    MUST,
    BASIC,
    expected="206 with everything, or 200",
    meaning="Readers of footers ask for 64 KiB of whatever it is; small files must not fail.",
)
def long_suffix(run: Inspection) -> Finding:
    span = Span(0, run.length - 1)
    got = run.range(f"-{run.beyond}", expect=span)
    works = any(exchange.got.status == 206 for exchange in run.answers())
    return honoured(got, span, on_200=PASS if works else NA)


@case(
    8,
    "Over the end",
    "14.1.2",
    MUST,
    BASIC,
    expected="206 up to the last byte",
    meaning="Clients that read in blocks ask over the end of every file that is no multiple of them.",
)
def over_the_end(run: Inspection) -> Finding:
    span = Span(max(0, run.length - 16), run.length - 1)
    return honoured(run.range(f"{span.first}-{run.beyond}", expect=span), span)


@case(
    9,
    "Enormous numbers",
    "14.1.2",
    MUST,
    FULL,
    expected="206 up to the last byte, or 200",
    meaning="Numbers beyond 64 bits crashed IIS (CVE-2015-1635) and leaked memory of nginx.",
)
def enormous(run: Inspection) -> Finding:
    span = Span(0, run.length - 1)
    findings = []
    for number in ("18446744073709551615", "9" * 30):
        finding = honoured(run.dare(("Range", f"bytes=0-{number}")), span, on_200=PASS)
        refused_it = finding.verdict is FAIL and ("416" in finding.got or "400" in finding.got)
        findings.append(Finding(WARN, finding.got) if refused_it else finding)
    return worst_of(findings)


@case(
    10,
    "Beyond the end",
    "14.2, 15.5.17",
    SHOULD,
    BASIC,
    expected="416 with the length",
    meaning="A download that is already complete asks this; 416 with the length tells it so.",
)
def beyond(run: Inspection) -> Finding:
    got = run.range(f"{run.length}-")
    if got.status == 206:
        return Finding(FAIL, str(got))
    if finding := plain(got):
        return finding
    return Finding(PASS if got.status == 416 else INFO, str(got))


@case(
    11,
    "The last zero bytes",
    "14.1.2",
    MUST,
    POLITE,
    expected="416, or 200",
    meaning="It cannot be answered with 206: there is no Content-Range for nothing.",
)
def zero_suffix(run: Inspection) -> Finding:
    return refused(run.range("-0"), on_206=FAIL)


@case(
    12,
    "A range of an empty file",
    "14.1.2, 14.2",
    MUST,
    POLITE,
    expected="200 with nothing, or 416",
    needs_ranges=False,
    meaning="Some servers answer 206 with a Content-Range that cannot be, and clients crash on it.",
)
def empty_file(run: Inspection) -> Finding:
    if run.facts.length and not run.empty_url:
        return Finding(NA, "no empty file to ask for; name one with --empty-url")
    findings = []
    for spec in ("0-", "0-0", "-5"):
        got = run.ask(("Range", f"bytes={spec}"), url=run.empty_url)
        verdict = FAIL if got.status == 206 else PASS if got.status in (200, 416) else WARN
        findings.append(labelled(spec, Finding(verdict, str(got))))
    return worst_of(findings)


@case(
    49,
    "A 206 has a Content-Length",
    "15.3.7",
    CLIENT,
    BASIC,
    expected="Content-Length, not chunked",
    meaning="CDNs and DuckDB want to know the length of a part before they read it.",
)
def part_length(run: Inspection) -> Finding:
    chunked = [e for e in run.answers() if e.got.status == 206 and e.got.length is None]
    if any(e.got.status == 206 for e in run.answers()):
        return Finding(WARN, "206 without Content-Length") if chunked else Finding(PASS, "all have one")
    return Finding(NA, "there is no 206")


@case(
    46,
    "Pieces make the whole",
    "15.3.7.3",
    MUST,
    POLITE,
    expected="the same bytes as in one piece",
    meaning="Parallel downloads put a file together from many ranges.",
)
def pieces(run: Inspection) -> Finding:
    size = min(run.sampled, 3 << 12)
    if size < 3 or not run.known.covers(0, size - 1):
        return Finding(NA, "too short to be cut into pieces")
    edges = [0, size // 3, 2 * size // 3, size]
    body = b""
    for first, after in pairwise(edges):
        got = run.range(f"{first}-{after - 1}", expect=Span(first, after - 1))
        if finding := plain(got):
            return finding
        if got.status != 206 or span_of(got) != Span(first, after - 1):
            return Finding(NA, f"{got}: not the piece that was asked for")
        body += got.body
    same = sha256(body).digest() == sha256(run.facts.whole.body[:size]).digest()
    return Finding(PASS if same else FAIL, f"{size} bytes in 3 pieces: {'equal' if same else 'different'}")


@case(
    24,
    "One range is not multipart",
    "15.3.7.2",
    MUST,
    BASIC,
    expected="no multipart for one range",
    meaning="A client that asked for one range does not read multipart: it saves the boundaries too.",
)
def single_part(run: Inspection) -> Finding:
    asked = [e for e in run.answers() if "," not in (e.ask.header("range") or ",")]
    wrong = [e for e in asked if e.got.status == 206 and e.got.is_multipart]
    return Finding(FAIL, str(wrong[0].got)) if wrong else Finding(PASS, "none is")


@case(
    40,
    "Not found stays not found",
    "14.2",
    MAY,
    POLITE,
    expected="404 with or without Range",
    needs_ranges=False,
    meaning="Range is looked at only where the answer would be 200.",
)
def not_found(run: Inspection) -> Finding:
    url = run.facts.redirects[-1] if run.facts.redirects else run.web.url
    missing = run.web.url.partition("?")[0].rstrip("/") + "-opskit-no-such-file"
    got = run.ask(("Range", "bytes=0-4"), url=missing)
    if got.status == 200:
        return Finding(NA, f"{got}: this server finds everything")
    return Finding(WARN if got.status in (206, 416) else PASS, f"{got} for {url.rpartition('/')[2][:20]}…")


@case(
    51,
    "Range survives the redirect",
    "14.2, 15.4",
    CLIENT,
    BASIC,
    expected="206 at the end of the hops",
    meaning="Package indexes and object stores redirect; a hop that forgets Range makes it useless.",
)
def redirected(run: Inspection) -> Finding:
    if not run.facts.redirects:
        return Finding(NA, "there is no redirect")
    span, url = run.middle, run.facts.redirects[0]
    for _ in range(len(run.facts.redirects) + 2):
        got = run.ask(("Range", f"bytes={span}"), url=url)
        if got.status not in (301, 302, 303, 307, 308):
            break
        url = urljoin(url, got.header("location") or "")
    works = any(e.got.status == 206 for e in run.answers())
    if got.status == 206 or not works:
        return Finding(PASS if works else NA, str(got))
    return Finding(FAIL, f"{got} after the redirect, 206 when asked directly")


SUPPORT = (whole_file, first_byte, inner_range, to_the_end, suffix, long_suffix, over_the_end)
AFTERWARDS = (accept_ranges, part_length, single_part)
REST = (redirected, beyond, zero_suffix, empty_file, not_found, pieces)
HUGE = (enormous,)
