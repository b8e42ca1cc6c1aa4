"""HEAD and the other methods, for which Range means nothing."""

from opskit.httprange.cases.base import (
    BASIC,
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
    ignored,
    plain,
)  # fmt: skip
from opskit.httprange.exchange import Ask
from opskit.httprange.inspection import Inspection
from opskit.httprange.results import Finding


@case(
    50,
    "HEAD says how long it is",
    "9.3.2",
    CLIENT,
    BASIC,
    expected="200 with Content-Length",
    needs_ranges=False,
    meaning="pip, uv, DuckDB and GDAL ask HEAD first and give up on ranges without it.",
)
def head_length(run: Inspection) -> Finding:
    head = run.facts.head
    if head.status != 200:
        return Finding(WARN, f"HEAD is answered with {head}")
    if head.length is None:
        return Finding(WARN, "HEAD without Content-Length")
    same = run.facts.length is None or head.length == run.facts.length
    return Finding(PASS if same else FAIL, f"HEAD says {head.length} bytes")


@case(
    27,
    "HEAD with Range",
    "14.2, 9.3.2",
    MUST,
    BASIC,
    expected="200 and no body",
    meaning="Range is defined for GET alone; nearly every server gets this wrong, few clients mind.",
)
def head(run: Inspection) -> Finding:
    if run.facts.head.status != 200:
        return Finding(NA, "HEAD is not answered")
    ask = Ask("HEAD", (("Range", f"bytes={run.middle}"),))
    if run.web.access.proxy or run.web.access.version == "2":
        got, extra = run.ask(*ask.headers, method="HEAD"), b""
    else:
        talk = run.converse(ask, to_end=True)
        got, extra = talk.got, talk.after_head
    if extra:
        return Finding(FAIL, f"{len(extra)} bytes of body to a HEAD")
    if got.status == 206:
        return Finding(WARN, "206")
    return plain(got) or Finding(PASS if got.status == 200 else WARN, str(got.status))


@case(
    28,
    "Other methods with Range",
    "14.2",
    MUST,
    POLITE,
    expected="no 206",
    meaning="A part of the answer to a POST or OPTIONS is nothing anyone asked for.",
)
def other_methods(run: Inspection) -> Finding:
    methods = ("OPTIONS", "POST") if run.unsafe_methods else ("OPTIONS",)
    for method in methods:
        got = run.ask(("Range", f"bytes={run.middle}"), method=method)
        if got.status == 206:
            return Finding(FAIL, f"{method}: {got}")
    return Finding(PASS, "no 206")


@case(
    29,
    "Content-Range in a request",
    "14.4",
    MUST,
    POLITE,
    expected="200: it is ignored",
    needs_ranges=False,
    meaning="It has no meaning on a GET.",
)
def content_range_sent(run: Inspection) -> Finding:
    got = run.ask(("Content-Range", f"bytes 0-4/{run.length}"))
    return ignored(got, on_206=FAIL, otherwise=FAIL)


@case(
    30,
    "PUT of a part",
    "14.5",
    SHOULD,
    POLITE,
    expected="400, 405 or 403",
    needs_ranges=False,
    meaning="A server that takes a part for the whole destroys the file. Asked with --unsafe-methods only.",
)
def partial_put(run: Inspection) -> Finding:
    if not run.unsafe_methods:
        return Finding(NA, "only with --unsafe-methods: it could change the file")
    url = run.web.url.partition("?")[0] + "-opskit-partial-put"
    got = run.ask(("Content-Range", f"bytes 0-0/{run.length}"), method="PUT", url=url)
    if got.status in (400, 401, 403, 404, 405, 411, 501):
        return Finding(PASS, str(got.status))
    return Finding(FAIL if got.status < 300 else INFO, str(got))


CASES = (head_length, head, other_methods, content_range_sent, partial_put)
