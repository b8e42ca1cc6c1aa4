"""`#if` expressions as a compiler judges them: many in one file, each error told apart by its own line.

Text after a bad `#if` may be printed as if it were true, and the exit status is that of the whole file; an
error may be placed in the file of a macro that the expression uses. So a `#warning` stands before each
expression, what is said until the next one is about it, and one with an error has no value.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from opskit.errors import Misuse
from opskit.gccmacros.driver import CompilerFailed, Driver, Dump, printable
from opskit.gccmacros.expansion import ONLY_THE_COMPILER, ExpressionError
from opskit.gccmacros.expression import BITS, Integer, integer, judge
from opskit.gccmacros.macros import Macro
from opskit.gccmacros.spec import Spec
from opskit.gccmacros.tokens import Token, spell, tokenize

MARK = re.compile(r"\bopskit_(if|rest)_(\d+)\b")
COMPLAINT = re.compile(r"^\S.*?: (?:fatal )?(error|warning): +(.*)", re.MULTILINE)
TAKEN_AS_0 = re.compile(r"[\"']([\w$]+)[\"'] is not defined")


@dataclass(frozen=True)
class Verdict:
    """What became of one expression: a value, or an error; never both."""

    text: str
    value: Integer | None = None
    error: str = ""
    expansion: str = ""
    undefined: tuple[str, ...] = ()

    @property
    def truth(self) -> bool:
        return self.value is not None and self.value.value != 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "expression": self.text,
            "true": None if self.value is None else self.truth,
            "value": None if self.value is None else self.value.value,
            "unsigned": None if self.value is None else self.value.unsigned,
            "expansion": self.expansion,
            "undefined": list(self.undefined),
            "error": self.error or None,
        }


def check_expression(text: str) -> str:
    """The expression, if it stays on its own line of a file. Raises Misuse."""
    tokens = tokenize(text)
    reason = ""
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        reason = "a line break or control character cannot stand in it"
    elif not text.strip():
        reason = "there is nothing in it"
    elif any(token.kind == "sign" and token.text in ("'", '"') for token in tokens):
        reason = "a quote is not closed"
    elif any(token.text.startswith("#") for token in tokens) or re.search(r"%:|\?\?=", text):
        reason = "'#' would begin another directive"
    elif text.endswith(("\\", "??/")):
        reason = "it ends in a backslash, which would join the next line"
    elif any(a.text + b.text in ("//", "/*") and not b.spaced for a, b in pairwise(tokens)):
        reason = "a comment would hide what follows it"
    elif re.search(r"R\"", text):
        reason = "a raw string can go on over several lines"
    if reason:
        raise Misuse(f"cannot judge '{printable(text)}': {reason}", hint="write what would stand after #if")
    return text


def judge_by_compiler(driver: Driver, spec: Spec, texts: Sequence[str]) -> tuple[Verdict, ...]:
    """All expressions in one start of the compiler. Raises NoCompiler, CompilerFailed."""
    argv = spec.stdin_argv("-P", "-Wundef", *spec.family.judging)
    done = driver.attempt(spec, argv, source(texts).encode())
    complaints, stray = _complaints(printable(done.error_text))
    if stray or (done.code != 0 and not any(kind == "error" for told in complaints.values() for kind, _ in told)):
        driver.ask(spec, argv, source(texts).encode())
    answers = _read_answers(done.text)
    return tuple(
        _verdict(spec, text, answers.get(index, _Answer()), complaints.get(index, []))
        for index, text in enumerate(texts)
    )


def judge_by_dump(dump: Dump, texts: Sequence[str]) -> tuple[Verdict, ...]:
    """For compilers that cannot go on after an error: our own evaluator on what they printed."""
    return judge_offline({macro.name: macro for macro in dump.macros}, texts)


def judge_offline(
    macros: Mapping[str, Macro], texts: Sequence[str], dynamic: frozenset[str] = frozenset()
) -> tuple[Verdict, ...]:
    """All expressions by our own evaluator."""
    return tuple(_offline(text, macros, dynamic) for text in texts)


def _offline(text: str, macros: Mapping[str, Macro], dynamic: frozenset[str]) -> Verdict:
    try:
        judged = judge(text, macros, dynamic=dynamic)
    except ExpressionError as error:
        return Verdict(text, error=str(error))
    return Verdict(text, judged.result, "", judged.expansion, judged.undefined)


def source(texts: Sequence[str]) -> str:
    """The file that asks for truth, expansion and value of each expression."""
    return "".join(_question(index, text) for index, text in enumerate(texts))


def _question(index: int, text: str) -> str:
    bits = "".join(f"#if (({text}) >> {bit}) & 1\nopskit_bit_{index}_{bit}\n#endif\n" for bit in range(BITS))
    return (
        f"#warning opskit_if_{index}\n#if {text}\nopskit_true_{index}\n#else\nopskit_false_{index}\n#endif\n"
        f"#warning opskit_rest_{index}\n{_expandable(index, text)}\n"
        f"#if ((({text}) & 0) - 1) > 0\nopskit_unsigned_{index}\n#endif\n"
        f"#if ({text}) == 1\nopskit_bit_{index}_0\n#elif ({text}) != 0\n{bits}#endif\n"
    )


def _expandable(index: int, text: str) -> str:
    """A line of text that the compiler expands; empty where a call would run on into the next lines."""
    depth = 0
    for token in tokenize(text):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            return ""
    visible, _ = _veil(text)
    return f"opskit_begin_{index} {visible} opskit_end_{index}" if depth == 0 else ""


def _veil(text: str) -> tuple[str, dict[str, str]]:
    """The text with `defined X`, `__has_include(…)` and such as place-holders: they expand in #if only."""
    tokens = tokenize(text)
    kept: list[Token] = []
    veiled: dict[str, str] = {}
    place = 0
    while place < len(tokens):
        token = tokens[place]
        end = place + 1
        if token.text == "defined" or token.text in ONLY_THE_COMPILER:
            end = _end_of_operand(tokens, place + 1)
        if end > place + 1:
            name = f"opskit_veil_{len(veiled)}_"
            veiled[name] = spell(tokens[place:end])
            kept.append(Token("name", name, token.spaced))
        else:
            kept.append(token)
        place = end
    return spell(kept), veiled


def _end_of_operand(tokens: list[Token], place: int) -> int:
    if place < len(tokens) and tokens[place].text == "(":
        closing = next((i for i in range(place, len(tokens)) if tokens[i].text == ")"), place - 1)
        return closing + 1
    return place + (place < len(tokens) and tokens[place].kind == "name")


def _complaints(stderr: str) -> tuple[dict[int, list[tuple[str, str]]], bool]:
    """The (kind, message) pairs that belong to each `#if`, and whether an error belongs to no expression.

    What is said about expansion and value (`rest`) repeats what was said about the `#if`.
    """
    found: dict[int, list[tuple[str, str]]] = {}
    current: tuple[str, int] | None = None
    stray = False
    for kind, message in COMPLAINT.findall(stderr):
        mark = MARK.search(message)
        if mark:
            current = (mark[1], int(mark[2]))
        elif current is None:
            stray = stray or kind == "error"
        elif current[0] == "if":
            found.setdefault(current[1], []).append((kind, message))
    return found, stray


@dataclass
class _Answer:
    """What the compiler printed for one expression."""

    true: bool = False
    false: bool = False
    unsigned: bool = False
    bits: int = 0
    expansion: str = ""


def _read_answers(printed: str) -> dict[int, _Answer]:
    """The markers of `_question`, by the index of their expression."""
    answers: dict[int, _Answer] = {}
    for word, index, bit in re.findall(r"\bopskit_(true|false|unsigned|bit)_(\d+)(?:_(\d+))?\b", printed):
        answer = answers.setdefault(int(index), _Answer())
        if word == "bit":
            answer.bits |= 1 << int(bit)
        else:
            setattr(answer, word, True)
    for index, text in re.findall(r"\bopskit_begin_(\d+)\b\s*(.*?)\s*\bopskit_end_\1\b", printed, re.DOTALL):
        answers.setdefault(int(index), _Answer()).expansion = " ".join(text.split())
    return answers


def _verdict(spec: Spec, text: str, answer: _Answer, complaints: list[tuple[str, str]]) -> Verdict:
    errors = [message for kind, message in complaints if kind == "error"]
    if errors:
        return Verdict(text, error=_hinted(text, re.sub(r" \[-W[^]]*\]$", "", errors[0].strip())))
    if not (answer.true or answer.false):
        raise CompilerFailed(f"{spec.label} gave no answer for '{text}'", hint="is it a C preprocessor?")
    undefined = dict.fromkeys(name for _, message in complaints for name in TAKEN_AS_0.findall(message))
    return Verdict(
        text, integer(answer.bits, answer.unsigned), "", _unveiled(text, answer.expansion), tuple(undefined)
    )


def _unveiled(text: str, expansion: str) -> str:
    if not expansion:
        return text
    for name, original in _veil(text)[1].items():
        expansion = expansion.replace(name, original)
    return expansion


def _hinted(text: str, message: str) -> str:
    """The compiler's words; for `sizeof`, where they mislead, what to write instead."""
    if "sizeof" in text:
        return f"{message} (sizeof is unknown to the preprocessor: use __SIZEOF_INT__ and its kin)"
    return message
