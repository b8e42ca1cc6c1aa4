"""What will be asked of which URLs, made from words; refusals before anything is sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opskit.errors import Misuse
from opskit.httprange.results import Tier

MOST_URLS = 16


@dataclass(frozen=True)
class Plan:
    """One run. `tier` None is chosen by the address; `known` are failures that are on record already."""

    urls: tuple[str, ...]
    tier: Tier | None = None
    profiles: tuple[str, ...] = ()
    strict: bool = False
    only: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()
    waivers: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unsafe_methods: bool = False
    empty_url: str = ""


def urls(words: Sequence[str]) -> tuple[str, ...]:
    """http and https URLs. Raises Misuse for anything else."""
    if len(words) > MOST_URLS:
        raise Misuse(f"{len(words)} URLs are more than can be compared", hint=f"name at most {MOST_URLS}")
    return tuple(url(word) for word in words)


def url(word: str) -> str:
    """One URL, without its fragment. Raises Misuse."""
    try:
        parts = urlsplit(word)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
        word.encode("ascii")
    except ValueError:
        usable = False
    if usable and parts.username is not None:
        raise Misuse("a URL with a password in it ends up in logs", hint="use --user NAME with OPSKIT_PASSWORD")
    if usable and not any(c.isspace() or ord(c) < 33 for c in word):
        return word.partition("#")[0]
    if Path(word).is_dir():
        raise Misuse(f"'{word}' is a directory, not a URL", hint="serve it, and give the URL of one file in it")
    if Path(word).is_file():
        raise Misuse(f"'{word}' is a file, not a URL", hint="give the URL at which a server offers it")
    raise Misuse(f"'{word}' is not a URL", hint="write it whole, as in http://127.0.0.1:8080/file.iso")


def chosen(words: Sequence[str], allowed: Collection[str], what: str) -> frozenset[str]:
    """Names out of a list, separated by commas or given again and again. Raises Misuse."""
    found = [part.strip() for word in words for part in word.split(",") if part.strip()]
    for name in found:
        if name not in allowed:
            near = get_close_matches(name, allowed, 1)
            also = f"; did you mean {near[0]}" if near else ""
            raise Misuse(f"there is no {what} '{name}'{also}", hint="opskit range --list-cases lists them")
    return frozenset(found)


def waivers(words: Sequence[str], allowed: Collection[str]) -> dict[str, str]:
    """`32=we serve immutable files` for each case. Raises Misuse without a reason."""
    found = {}
    for word in words:
        case, equals, reason = word.partition("=")
        chosen([case], allowed, "case")
        if not equals or not reason.strip():
            raise Misuse(f"'{word}' does not say why", hint=f"write --waive '{case}=the reason'")
        found[case.strip()] = reason.strip()
    return found


def probe(word: str) -> str:
    """The value of Range for `10-20`, `-5`, `10-`, or anything else: a probe may be wrong on purpose.

    Raises Misuse for what no header can hold.
    """
    if not word.strip() or not word.isprintable() or not word.isascii():
        raise Misuse(f"'{word.strip()}' is no range of bytes", hint="write the first and the last byte: 10-20")
    return word if "=" in word else f"bytes={word}"


def headers(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`Name: value` for each; `@FILE` reads such lines from a file, which keeps secrets out of sight.

    Raises Misuse.
    """
    lines: list[str] = []
    for word in words:
        lines += _lines_of(word[1:]) if word.startswith("@") else [word]
    found = []
    for line in lines:
        name, colon, value = line.partition(":")
        fine = name.strip() and colon and all(c.isascii() and (c.isalnum() or c in "-_") for c in name.strip())
        if not fine or any(c in value for c in "\r\n\0"):
            raise Misuse(f"'{name}' is no header", hint="write -H 'Name: value', or -H @FILE")
        found.append((name.strip(), value.strip()))
    return tuple(found)


def _lines_of(name: str) -> list[str]:
    try:
        return [line for line in Path(name).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"cannot read headers from {name}", hint="one 'Name: value' a line") from error


def basic_auth(user: str, password: str | None) -> tuple[str, str]:
    """The Authorization header of `NAME:PASSWORD`, or of NAME with a password from elsewhere."""
    from base64 import b64encode

    name, colon, given = user.partition(":")
    if not colon:
        if password is None:
            raise Misuse(f"there is no password for {name}", hint="put it into the environment as OPSKIT_PASSWORD")
        given = password
    return ("Authorization", "Basic " + b64encode(f"{name}:{given}".encode()).decode())


def known_failures(document: Any, name: str) -> dict[str, frozenset[str]]:
    """URL → failed cases of an earlier `--json`. Raises Misuse for another document."""
    try:
        if document["schema"] != "range/1":
            raise KeyError("schema")
        reports = document["data"].get("reports") or [document["data"]]
        return {
            report["url"]: frozenset(r["id"] for r in report["results"] if r["verdict"] == "FAIL")
            for report in reports
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise Misuse(
            f"{name} is no report of opskit range", hint="make one: opskit range --json URL > old.json"
        ) from error
