"""`--check 'body ~ found'`: what must hold of an answer. Text in, conditions out, answers judged; no I/O.

`status` and `length` are compared as everywhere (`< 400`, `2xx`, `>= 1kB`), and after `=` a comma separates
alternatives; `body` and `header.NAME` are searched for a regular expression, with `~` or, not to be found, `!~`.
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from opskit.conditions import BadCondition, Condition, Kind, any_of, parse
from opskit.errors import Misuse

_NUMBERS = {"status": Kind.STATUS, "length": Kind.SIZE}
SUBJECTS = ("status", "length", "body", "header.NAME")
_SUBJECT = re.compile(r"\s*([A-Za-z][\w.-]*)\s*")
_SEARCH = re.compile(r"(!?~)\s*")
_SAMPLE = re.compile(r"(\d+(?:\.\d+)?)\s?%")


@dataclass(frozen=True)
class Answer:
    """What checks look at: `length` is that of the whole body, `body` what was kept of it."""

    status: int
    length: int
    fields: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def header(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field.lower() == name]


@dataclass(frozen=True)
class Check:
    """One `--check`, as it was written."""

    text: str
    holds: Callable[[Answer], bool]
    needs_bytes: bool = False  # whether it looks at the head or the body

    def __str__(self) -> str:
        return self.text


def parse_check(text: str) -> Check:
    """Read `status=200,204`, `length > 0`, `body ~ REGEX` or `header.NAME !~ REGEX`. Raises BadCondition."""
    match = _SUBJECT.match(text)
    subject, end = (match[1], match.end()) if match else ("", 0)
    if subject in _NUMBERS:
        return _of_a_number(text, subject, end)
    if subject == "body" or subject.lower().startswith("header."):
        return _of_a_text(text, subject, end)
    close = get_close_matches(subject, ["status", "length", "body", "header."], n=1)
    known = f"did you mean {close[0].replace('header.', 'header.NAME')}? " if close else ""
    raise BadCondition(
        f"'{subject}' is nothing to check" if subject else "nothing to check",
        text=text,
        at=match.start(1) if match else 0,
        hint=f"{known}it can be {', '.join(SUBJECTS)}",
    )


def _of_a_number(text: str, subject: str, at: int) -> Check:
    if at < len(text) and text[at] in "~!" and text[at : at + 2] != "!=":
        raise BadCondition(
            f"'{subject}' is a number, which no expression is searched in",
            text=text,
            at=at,
            hint=_EXAMPLE[subject],
        )
    if at >= len(text):
        raise BadCondition(f"'{subject}' is compared with nothing", text=text, at=at, hint=_EXAMPLE[subject])
    try:
        condition = _condition(text[at:], _NUMBERS[subject])
    except BadCondition as error:
        raise BadCondition(error.problem, text=text, at=at + error.at, hint=error.hint) from error
    if subject == "status":
        return Check(text.strip(), lambda answer: condition.holds(answer.status))
    return Check(text.strip(), lambda answer: condition.holds(answer.length))


_EXAMPLE = {
    "status": "for instance: status=200,204",
    "length": "for instance: length > 0",
    "body": "for instance: body ~ found",
    "header": "for instance: header.content-type ~ json",
}


def _condition(text: str, kind: Kind) -> Condition:
    """Alternatives after `=`, else a condition as it is everywhere."""
    match = re.match(r"\s*==?(?=[^=])", text)
    if match is None or "," not in text:
        return parse(text, kind)
    found, at = [], match.end()
    for word in text[at:].split(","):
        try:
            found.append(parse(f"={word}", kind))
        except BadCondition as error:
            raise BadCondition(error.problem, text=text, at=at + max(error.at - 1, 0), hint=error.hint) from error
        at += len(word) + 1
    return any_of(found)


def _of_a_text(text: str, subject: str, at: int) -> Check:
    kind, _, name = subject.partition(".")
    example = _EXAMPLE[kind.lower()]
    if kind != "body" and not name:
        raise BadCondition("a header's name is missing", text=text, at=at, hint=example)
    sign = _SEARCH.match(text, at)
    if sign is None:
        raise BadCondition(f"after '{subject}' stands ~ or !~ and an expression", text=text, at=at, hint=example)
    if sign.end() >= len(text):
        raise BadCondition("the expression is missing", text=text, at=sign.end(), hint=example)
    try:
        search = re.compile(text[sign.end() :]).search
    except re.error as error:
        raise BadCondition(
            f"not a regular expression: {error.msg}",
            text=text,
            at=sign.end() + (error.pos or 0),
            hint="it is one of Python's re module; a backslash takes its meaning from . * + ? ( ) [ ] { } ^ $ |",
        ) from error
    wanted = sign[1] == "~"
    if kind == "body":
        return Check(
            text.strip(), lambda answer: bool(search(answer.body.decode(errors="replace"))) is wanted, True
        )
    name = name.lower()
    return Check(text.strip(), lambda answer: any(map(search, answer.header(name))) is wanted, True)


@dataclass(frozen=True)
class Checks:
    """All checks of a run, and the share of the answers that they are made of, of 1."""

    checks: tuple[Check, ...]
    share: float = 1.0

    @property
    def need_bytes(self) -> bool:
        return any(check.needs_bytes for check in self.checks)

    def failing(self, answer: Answer) -> list[Check]:
        """Those that do not hold."""
        return [check for check in self.checks if not check.holds(answer)]

    def chance(self, seed: int | None) -> Callable[[], bool]:
        """Whether to look at the next answer: by chance, as a step might always meet the same line of a file."""
        draw, share = random.Random(seed).random, self.share
        return (lambda: draw() < share) if share < 1 else (lambda: True)


def parse_checks(texts: Iterable[str], sample: str | None) -> Checks | None:
    """All `--check`s, of the `--check-sample`; None where there are none. Raises BadCondition or Misuse."""
    checks = tuple(parse_check(text) for text in texts)
    if sample is None:
        return Checks(checks) if checks else None
    match = _SAMPLE.fullmatch(sample.strip())
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise Misuse(
            f"--check-sample {sample}: not a share of the answers", hint="--check-sample 1%, for instance"
        )
    if not checks:
        raise Misuse("--check-sample says how much to check, but nothing is", hint="add --check status=200")
    return Checks(checks, share)
