"""Range requests, as RFC 9110 section 14 has them: which bytes to send, or that none can be. Pure."""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from opskit.pypi.negotiate import is_fresh

_SPEC = re.compile(r"([0-9]{1,1000})-([0-9]{0,1000})|-([0-9]{1,1000})")
_MOST_RANGES = 10  # section 17.15: more, or ranges that together exceed the file, are answered whole


@dataclass(frozen=True)
class Unsatisfiable:
    """No range of the request overlaps the file: 416."""


Slice = tuple[int, int]  # first byte, number of bytes


def parse(header: str, size: int) -> tuple[Slice, ...] | Unsatisfiable | None:
    """The slices to send in request order, Unsatisfiable, or None when the header is to be ignored."""
    unit, equals, specs = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    slices: list[Slice] = []
    words = [word.strip(" \t") for word in specs.split(",")]
    for word in filter(None, words):
        match = _SPEC.fullmatch(word)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            return None  # section 14.1.1: one invalid spec makes the whole set invalid
        slices += _clamp(match, size)
    if not any(words):
        return None
    if not slices:
        return Unsatisfiable()
    if len(slices) > _MOST_RANGES or sum(length for _, length in slices) > size:
        return None
    return tuple(slices)


def _clamp(match: re.Match[str], size: int) -> list[Slice]:
    """One spec cut to the file; nothing when it lies beyond it."""
    if match[3] is not None:
        length = min(int(match[3]), size)
        return [(size - length, length)] if length else []
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    return [(first, last - first + 1)] if first < size else []


def if_range_holds(value: str | None, etag: str, modified: int) -> bool:
    """Section 13.1.5: the tag must match strongly, a date exactly."""
    if value is None or value == etag:
        return True
    try:
        return '"' not in value and int(parsedate_to_datetime(value).timestamp()) == modified
    except (ValueError, TypeError, OverflowError):
        return False


def precondition(headers: dict[bytes, bytes], etag: str, modified: int) -> int | None:
    """412, 304 or None (go on), in the order of section 13.2.2. `modified` in s since 1970."""
    match = headers.get(b"if-match")
    if match is not None:
        held = {tag.strip() for tag in match.decode("latin-1").split(",")}
        if not held & {"*", etag}:
            return 412
    elif (since := _date(headers.get(b"if-unmodified-since"))) is not None and modified > since:
        return 412
    none_match = headers.get(b"if-none-match")
    if none_match is not None:
        return 304 if is_fresh(none_match.decode("latin-1"), etag) else None
    since = _date(headers.get(b"if-modified-since"))
    return 304 if since is not None and modified <= since else None


def _date(value: bytes | None) -> int | None:
    try:
        return None if value is None else int(parsedate_to_datetime(value.decode("latin-1")).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
