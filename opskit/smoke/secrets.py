"""Secrets, taken out of everything that a run has to say, before it is cut short or written anywhere."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from opskit import redact

T = TypeVar("T")
_USER_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@“”\"']*):[^\s/@“”\"']+@", re.IGNORECASE)


class Veil:
    """Hides some secrets in every form that they commonly take on the way: quoted, escaped, in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted(filter(None, secrets), key=len, reverse=True)
        forms = [
            form for secret in known for form in (_spelt(secret), *map(re.escape, _base64_forms(secret.encode())))
        ]
        self._pattern = re.compile("|".join(forms)) if forms else None

    def hide(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(redact.MASK, text)
        return _USER_PASSWORD.sub(rf"\1:{redact.MASK}@", text)

    def hide_all(self, value: T) -> T:
        """A copy of data: texts inside lists, mappings and dataclasses."""
        return self._hidden(value)  # type: ignore[no-any-return]

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, tuple | list):
            return type(value)(self._hidden(item) for item in value)
        if isinstance(value, Mapping):
            return {self._hidden(name): self._hidden(item) for name, item in value.items()}
        if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value, **{name: self._hidden(getattr(value, name)) for name in value.__dataclass_fields__}
            )
        return value


def _spelt(secret: str) -> str:
    """A pattern for a secret of which any character may be quoted for a URL, JSON, Python, or HTML.

    What quotes which characters differs from one library to the next, so each may be in any form.
    """
    return "".join(f"(?:{'|'.join(_spellings(character))})" for character in secret)


def _spellings(character: str) -> Iterable[str]:
    encoded = character.encode("utf-8", "surrogatepass")
    yield "".join(f"%(?i:{byte:02x})" for byte in encoded)
    if not character.isalnum() or not character.isascii():
        yield rf"&\#0*{ord(character)};|&\#[xX]0*(?i:{ord(character):x});|&(?:{_entities(character)});"
        yield "".join(rf"\\u(?i:{unit:04x})" for unit in _utf16(character))
        yield "".join(rf"\\x(?i:{byte:02x})" for byte in encoded)
        yield rf"\\(?:{re.escape(json.dumps(character)[2:-1] or character)}|{re.escape(character)})"
    if character == "'":
        yield re.escape("'\"'\"'")  # as shells have it between single quotes
    if character == " ":
        yield r"\+"
    yield re.escape(character)


def _entities(character: str) -> str:
    names = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
    return names.get(character, "no-such-entity")


def _utf16(character: str) -> list[int]:
    """The code units with which JSON escapes a character."""
    raw = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[start : start + 2], "big") for start in range(0, len(raw), 2)]


def _base64_forms(secret: bytes) -> Iterable[str]:
    """How base64 writes a secret that stands inside something longer, such as `user:password`.

    It depends on where the secret begins, modulo 3. The characters at both ends also hold bits of the
    neighbours and are left out; what remains of a short secret would hide too much and is not used.
    """
    for skipped in range(3):
        encoded = base64.b64encode(b"\0" * skipped + secret).decode().rstrip("=")
        start = (0, 2, 3)[skipped]
        end = len(encoded) if (skipped + len(secret)) % 3 == 0 else len(encoded) - 1
        form = encoded[start:end]
        if len(form) >= 4:
            yield form
            yield form.replace("+", "-").replace("/", "_")
    yield base64.b64encode(secret).decode()
