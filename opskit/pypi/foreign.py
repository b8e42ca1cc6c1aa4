"""Pages of other indexes, read: JSON or HTML in, files out, and what the rules say about each. Pure."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from opskit.pypi import names
from opskit.pypi.plan import UpstreamRules
from opskit.units import format_duration


@dataclass(frozen=True)
class ForeignFile:
    """A file as another index lists it. `uploaded` in µs since 1970; `metadata` a sha256, True, or None.

    `provenance` is the https URL of its attestations (PEP 740), which this index passes on.
    """

    filename: str
    url: str
    sha256: str
    size: int | None
    uploaded: int | None
    requires_python: str | None
    yanked: str | None
    metadata: str | bool | None
    provenance: str | None = None


@dataclass(frozen=True)
class ForeignPage:
    """A project page of another index."""

    files: tuple[ForeignFile, ...]
    status: str = "active"
    reason: str = ""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "ForeignPage":
        raw = json.loads(text)
        return cls(tuple(ForeignFile(**file) for file in raw["files"]), raw["status"], raw["reason"])


def parse(body: bytes, content_type: str, url: str) -> ForeignPage:
    """Read a page in whichever form it came. Raises ValueError."""
    if "json" in content_type:
        return _parse_json(json.loads(body), url)
    reader = _Anchors(url)
    reader.feed(body.decode("utf-8", "replace"))
    return ForeignPage(tuple(reader.files), reader.status, reader.reason)


def _parse_json(raw: Any, url: str) -> ForeignPage:
    if not isinstance(raw, dict) or not str(raw.get("meta", {}).get("api-version", "1.0")).startswith("1."):
        raise ValueError("not a page of the Simple API 1.x")
    status = raw.get("project-status") or {}
    files = tuple(_file_of(entry, url) for entry in raw.get("files", []))
    return ForeignPage(files, str(status.get("status", "active")), str(status.get("reason", "")))


def _file_of(entry: dict[str, Any], url: str) -> ForeignFile:
    metadata = entry.get("core-metadata", entry.get("dist-info-metadata", entry.get("data-dist-info-metadata")))
    if isinstance(metadata, dict):
        metadata = metadata.get("sha256") or True
    yanked = entry.get("yanked")
    return ForeignFile(
        filename=str(entry["filename"]), url=urljoin(url, str(entry["url"])),
        sha256=str(entry.get("hashes", {}).get("sha256", "")).lower(), size=entry.get("size"),
        uploaded=_micros(entry.get("upload-time")), requires_python=entry.get("requires-python"),
        yanked=None if not yanked else (yanked if isinstance(yanked, str) else ""), metadata=metadata or None,
        provenance=_secure(entry.get("provenance")),
    )  # fmt: skip


def _secure(url: Any) -> str | None:
    """PEP 740: the URL is fully qualified and of a secure origin."""
    return url if isinstance(url, str) and url.startswith("https://") else None


def _micros(text: Any) -> int | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


class _Anchors(HTMLParser):
    """The anchors of a PEP 503 page."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.files: list[ForeignFile] = []
        self.status, self.reason = "active", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "base" and found.get("href"):
            self._url = urljoin(self._url, found["href"] or "")
        elif tag == "meta" and found.get("name") == "pypi:project-status":
            self.status = found.get("content") or "active"
        elif tag == "meta" and found.get("name") == "pypi:project-status-reason":
            self.reason = found.get("content") or ""
        elif tag == "a" and found.get("href"):
            self._add(found)

    def _add(self, found: dict[str, str | None]) -> None:
        url, fragment = urldefrag(urljoin(self._url, found["href"] or ""))
        metadata = found.get("data-core-metadata", found.get("data-dist-info-metadata"))
        self.files.append(
            ForeignFile(
                filename=unquote(urlsplit(url).path.rpartition("/")[2]), url=url,
                sha256=fragment.removeprefix("sha256=").lower() if fragment.startswith("sha256=") else "",
                size=None, uploaded=None, requires_python=found.get("data-requires-python"),
                yanked=(found["data-yanked"] or "") if "data-yanked" in found else None,
                metadata=_known_metadata(metadata), provenance=_secure(found.get("data-provenance")),
            )
        )  # fmt: skip


def _known_metadata(value: str | None) -> str | bool | None:
    if not value or value == "false":
        return None
    return value.removeprefix("sha256=") if value.startswith("sha256=") else True


def decide(rules: UpstreamRules, project: str, *, here: bool) -> str:
    """Why a name is not asked for upstream, or nothing when it is.

    A name that exists here is never asked for: that is what closes the index against dependency confusion.
    """
    if any(names.matches(pattern, project) for pattern in rules.private):
        return "the name is private and never taken from upstream"
    if here and not any(names.matches(pattern, project) for pattern in rules.merge):
        return "the name exists here and is never taken from upstream"
    denied = next((pattern for pattern in rules.deny if names.matches(pattern, project)), None)
    if denied is not None:
        return f"--deny {denied} keeps the name away"
    if rules.allow and not any(names.matches(pattern, project) for pattern in rules.allow):
        return "--allow does not cover the name"
    return ""


def _age(seconds: float) -> str:
    """Ages are days to people: `7 days`; below one, as durations are written."""
    days = seconds / 86400
    return f"{days:g} day{'s' if days != 1 else ''}" if days >= 1 else format_duration(seconds)


def hide(rules: UpstreamRules, project: str, file: ForeignFile, *, seen: int, now: int, known_hash: str) -> str:
    """Why a file is kept away, or nothing. Times in µs since 1970; `seen` is when this index first saw it."""
    if names.parse_filename(file.filename) is None:
        return "its name is not that of a distribution"
    if len(file.sha256) != 64 or not set(file.sha256) <= set("0123456789abcdef"):
        return "upstream gives no sha256 for it"
    if known_hash and known_hash != file.sha256:
        return "its bytes changed upstream since this index first saw it"
    if rules.min_age and not any(names.matches(pattern, project) for pattern in rules.min_age_except):
        age = (now - (file.uploaded if file.uploaded is not None else seen)) / 1_000_000
        if age < rules.min_age:
            return f"it is younger than {_age(rules.min_age)}"
    return ""
