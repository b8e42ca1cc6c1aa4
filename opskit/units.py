"""Durations, sizes and rates: read from what people type, written as people read them."""

import re

from opskit.errors import Misuse

_DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")

_SIZE_UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration(text: str, *, bare: str = "") -> float:
    """Seconds of `500ms`, `5s`, `1h30m`, `21d`; a bare number has the unit `bare`, or none and is refused.

    Raises Misuse.
    """
    word = text.strip()
    if bare and re.fullmatch(r"\d+(\.\d+)?|\.\d+", word):
        word += bare
    if not _DURATION.fullmatch(word):
        raise Misuse(
            f"'{text}' is not a duration", hint="write a number with its unit: 500ms, 30s, 5m, 1h30m, 21d"
        )
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in _DURATION_PART.findall(word))


def format_duration(seconds: float) -> str:
    """Three significant digits with the unit that fits: `0.412 ms`, `38.2 s`, `4m05s`."""
    if seconds >= 3600:
        return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60):02}m"
    if seconds >= 60:
        return f"{int(seconds // 60)}m{int(seconds % 60):02}s"
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def parse_size(text: str) -> int:
    """Bytes of `512`, `10MB` (10^6) or `10MiB` (2^20). Raises Misuse."""
    match = _SIZE.fullmatch(text.strip())
    unit = match[2] if match else ""
    if match is None or (unit and unit not in _SIZE_UNITS):
        raise Misuse(f"'{text}' is not a size", hint="write bytes, or a unit: 64KiB, 10MB, 4GiB")
    return int(float(match[1]) * _SIZE_UNITS[unit or "B"])


def format_size(size: float) -> str:
    """Binary units, three significant digits: `1.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def parse_share(text: str, option: str) -> float:
    """A share written in percent, `5%` or `5`: 0.05. Raises Misuse."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip())
    if match is None:
        raise Misuse(f"{option} {text}: not a percentage", hint=f"write {option} 5%, for instance")
    return float(match[1]) / 100
