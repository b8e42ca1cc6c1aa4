"""How to mend it, for servers that are known by their Server header or by what they do."""

import re
from dataclasses import dataclass

from opskit.httprange.results import Verdict

BAD = frozenset({Verdict.FAIL, Verdict.WARN})


@dataclass(frozen=True)
class Hint:
    """`server` matches the Server header (or another that gives the server away); `got` what was found."""

    cases: frozenset[str]
    server: str
    text: str
    got: str = ""


def _hint(cases: str, server: str, text: str, got: str = "") -> Hint:
    return Hint(frozenset(cases.split()), server, text, got)


HINTS = (
    _hint("4 44", r"(?i)cherrypy|cheroot",
          "CherryPy: set server.protocol_version = 'HTTP/1.1' in the [global] config"),
    _hint("4 44", r"(?i)SimpleHTTP|BaseHTTP",
          "python -m http.server knows no Range; serve the file with nginx, Caddy or starlette"),
    _hint("4", r"(?i)nginx",
          "nginx in front of another server: proxy_force_ranges on; check that gzip is off for the type"
          " and max_ranges is not 0"),
    _hint("26", r"(?i)nginx", "nginx: max_ranges 16; in the location limits what one request can cost"),
    _hint("9", r"(?i)nginx", "nginx refuses numbers beyond 63 bits with 416; harmless to real clients"),
    _hint("31 34", r"(?i)nginx",
          "nginx: gzip makes the ETag weak, and a weak one never matches; gzip off for this type"),
    _hint("I10", r"(?i)apache", "Apache leaves Content-Range out of 416 up to 2.4; clients cope without"),
    _hint("6", r"(?i)azure|windows-azure",
          "Azure Blob has no suffix ranges: ask HEAD for the length and then a-b"),
    _hint("4 5", r"(?i)azure|windows-azure", "Azure Blob: send x-ms-version 2011-08-18 or later"),
    _hint("20 21", r"(?i)AmazonS3", "S3 answers one range for each GET; clients must ask one by one"),
    _hint("26", r"(?i)cherrypy|cheroot", "CherryPy has no limit: put nginx with max_ranges in front"),
    _hint("11 14 16 I11", r"(?i)cherrypy|cheroot",
          "CherryPy up to 18.10 reads Range too loosely; a proxy that checks it (nginx) helps"),
    _hint("3 6", "", "WhiteNoise up to 6.12 takes 0-0 and -1 for nothing; serve such files by nginx",
          got=r"\b416\b"),
    _hint("32 33 35 36 41", r"(?i)aiohttp",
          "aiohttp up to 3.14 does not look at If-Range tags; upgrade, or serve files by nginx"),
    _hint("32 33 35 36 41", "",
          "the server does not look at If-Range: send no ETag and no Last-Modified, or serve the file by one"
          " that does (nginx, Apache, Caddy, starlette)"),
    _hint("42 43 I9", "", "switch compression off for answers with Range, or for this type of file"),
    _hint("2", "", "send Accept-Ranges: bytes with the 200, on HEAD too"),
    _hint("4", "", "serve the file by a server that does ranges, or let the proxy cut it (nginx: slice)"),
    _hint("I11", "", "report it to the server's makers; until then a proxy that checks Range keeps it out"),
    _hint("26", "", "limit the number of ranges, and send overlapping ones once (section 17.15)"),
    _hint("47", "", "make the ETag from the content, not from inode and time: Apache FileETag MTime Size"),
    _hint("48", "", "Access-Control-Expose-Headers: Content-Range, Accept-Ranges, ETag"),
    _hint("49", "", "let the application set Content-Length; a proxy that buffers can do it too"),
)  # fmt: skip


def hint(case: str, verdict: Verdict, got: str, server: str, url: str) -> str:
    """What to do about one finding; "" where nothing is known."""
    if verdict not in BAD:
        return ""
    if case == "4" and url.partition("?")[0].endswith("/"):
        return "this looks like a page or a list of files: give the URL of a file"
    for known in HINTS:
        if case in known.cases and re.search(known.server, server) and re.search(known.got, got):
            return known.text
    return ""
