"""Preprocessing tokens (C11 6.4, and what gcc adds), as far as macros and `#if` need them."""

import re
from typing import NamedTuple

IDENTIFIER = r"[^\W\d][\w$]*|\$[\w$]*"
_PUNCTUATION = (
    "<<=", ">>=", "<=>", "...", "->*", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=",
    "-=", "*=", "/=", "%=", "&=", "^=", "|=", "##", "::",
)  # fmt: skip
# A digit separator belongs to a number only where the language has them; `1'0'` is else a number and a char.
_NUMBER = r"\.?\d(?:[eEpP][+-]|{separator}[\w.$])*"
_TOKEN = (
    r"(?P<space>\s+)"
    r"|(?P<char>(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+')"
    r"|(?P<string>(?:u8|[uUL])?\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<number>{number})"
    rf"|(?P<name>{IDENTIFIER})"
    rf"|(?P<sign>{'|'.join(map(re.escape, _PUNCTUATION))}|.)"
)
_PLAIN = re.compile(_TOKEN.replace("{number}", _NUMBER.replace("{separator}", "")), re.DOTALL)
_SEPARATED = re.compile(_TOKEN.replace("{number}", _NUMBER.replace("{separator}", "'?")), re.DOTALL)


class Token(NamedTuple):
    """One preprocessing token. `spaced`: after white space. `hidden`: macros not to expand in it."""

    kind: str  # name, number, char, string or sign
    text: str
    spaced: bool = False
    hidden: frozenset[str] = frozenset()


def tokenize(text: str, *, separators: bool = False) -> list[Token]:
    """The tokens of one line without comments. `separators`: 1'000 is one number (C++14, C23)."""
    tokens: list[Token] = []
    spaced = False
    for match in (_SEPARATED if separators else _PLAIN).finditer(text):
        kind = match.lastgroup or "sign"
        if kind != "space":
            tokens.append(Token(kind, match[0], spaced))
        spaced = kind == "space"
    return tokens


def spell(tokens: list[Token]) -> str:
    """Tokens as text that reads back as the same tokens."""
    text = ""
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before and (token.spaced or _would_join(before, token)):
            text += " "
        text += token.text
    return text


def _would_join(before: Token, after: Token) -> bool:
    if before.kind == after.kind == "sign":
        return before.text[-1] in "+-<>=&|!*/%^#:" and after.text[0] in "+-<>=&|*:#"
    if "sign" in (before.kind, after.kind):
        return "number" in (before.kind, after.kind) and "." in (before.text, after.text)
    return True
