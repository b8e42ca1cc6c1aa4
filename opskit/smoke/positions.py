"""Where each key of a TOML text stands. tomllib says what a text means; this says on which line.

It may be lax, because tomllib has judged the text first: it only tells tokens apart and counts brackets.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|\#[^\n]*)
      |(?P<newline>\n)
      |(?P<string>\"\"\"(?:\\.|[^\\])*?\"{3,5}|'''.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
      |(?P<sign>[\[\]{}=,.])
      |(?P<bare>[^\s\[\]{}=,."'\#]+)
    """,
    re.VERBOSE | re.DOTALL,
)


class Place(NamedTuple):
    """Offsets in the text: of the last word of the key, the end of that word, and of the value."""

    key: int
    key_end: int
    value: int


@dataclass(frozen=True)
class Positions:
    """The places of all keys of a text, and of the elements of its arrays."""

    text: str
    places: Mapping[Path, Place]
    lines: tuple[int, ...]  # the offset at which each line begins

    def nearest(self, path: Path) -> Place:
        """The place of a path, or of the closest one above it; the top of the text for none."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(0, 0, 0))

    def line_column(self, offset: int) -> tuple[int, int]:
        """Both counted from 1."""
        line = bisect_right(self.lines, offset)
        return line, offset - self.lines[line - 1] + 1

    def line_text(self, line: int) -> str:
        end = self.lines[line] - 1 if line < len(self.lines) else len(self.text)
        return self.text[self.lines[line - 1] : end].rstrip("\r\n")


def positions(text: str) -> Positions:
    """The places of all keys of a text that tomllib accepts."""
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    return Positions(text, _Scan(text).places, tuple(lines))


class _Scan:
    """One walk over the tokens. `at` is the current token; every method leaves it on the next one unread."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [
            (match.lastgroup, match.start(), match.end())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "skip"
        ]
        self.at = 0
        self.places: dict[Path, Place] = {}
        self.array_lengths: dict[Path, int] = {}
        table: Path = ()
        while self.at < len(self.tokens):
            if self._kind() == "newline":
                self.at += 1
            elif self._is("["):
                table = self._header()
            else:
                self._pair(table)

    def _kind(self) -> str | None:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else None

    def _is(self, sign: str) -> bool:
        if self.at >= len(self.tokens):
            return False
        kind, start, end = self.tokens[self.at]
        return kind == "sign" and self.text[start:end] == sign

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path that the keys below it belong to."""
        signs = 2 if self.text.startswith("[[", self.tokens[self.at][1]) else 1
        self.at += signs
        words, spans = self._key()
        start, end = spans[-1]
        self.at += signs
        if signs == 2:
            array = (*self._through_arrays(words[:-1]), words[-1])
            index = self.array_lengths.get(array, 0)
            self.array_lengths[array] = index + 1
            path = (*array, index)
            self.places.setdefault(array, Place(start, end, start))
        else:
            path = self._through_arrays(words)
        self._keep(words, path, spans, start)
        return path

    def _through_arrays(self, words: tuple[str | int, ...]) -> Path:
        """A header's words as a path: a name of an array of tables means its last element."""
        path: Path = ()
        for word in words:
            path = (*path, word)
            if path in self.array_lengths:
                path = (*path, self.array_lengths[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        words, spans = self._key()
        self.at += 1  # the equals sign
        path = (*table, *words)
        self._keep(words, path, spans, self._start())
        self._value(path)

    def _keep(self, words: Path, path: Path, spans: list[tuple[int, int]], value: int) -> None:
        """The place of a key, and of the tables that a dotted key makes on the way."""
        names = [index for index, step in enumerate(path) if isinstance(step, str)][-len(words) :]
        self.places.setdefault(path, Place(*spans[-1], value))
        for index, (start, end) in zip(names[:-1], spans[:-1], strict=True):
            self.places.setdefault(path[: index + 1], Place(start, end, start))

    def _start(self) -> int:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.text)

    def _key(self) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
        """The words of a dotted key, and where each of them stands."""
        words: list[str] = []
        spans: list[tuple[int, int]] = []
        while self._kind() in ("bare", "string", "sign"):
            kind, start, end = self.tokens[self.at]
            if kind == "sign":
                break
            words.append(_unquoted(self.text[start:end]))
            spans.append((start, end))
            self.at += 1
            if not self._is("."):
                break
            self.at += 1
        return tuple(words), spans

    def _value(self, path: Path) -> None:
        if self._is("["):
            self._array(path)
        elif self._is("{"):
            self._inline_table(path)
        else:  # a number or a date may hold dots and a space: everything to the next sign that ends a value
            while self._kind() in ("bare", "string") or self._is("."):
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self.at < len(self.tokens) and not self._is("]"):
            if self._kind() == "newline" or self._is(","):
                self.at += 1
                continue
            start = self._start()
            self.places[(*path, index)] = Place(start, self.tokens[self.at][2], start)
            self._value((*path, index))
            index += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self.at < len(self.tokens) and not self._is("}"):
            if self._kind() == "newline" or self._is(","):
                self.at += 1
                continue
            self._pair(path)
        self.at += 1


def _unquoted(word: str) -> str:
    """A word of a key as tomllib reads it."""
    if word[0] == "'":
        return word[1:-1]
    if word[0] != '"':
        return word
    if "\\" not in word:
        return word[1:-1]
    import tomllib

    return str(tomllib.loads(f"k = {word}")["k"])
