"""Macro expansion without a compiler (C11 6.10.3), for expressions that are judged from a snapshot."""

from collections.abc import Mapping

from opskit.gccmacros.macros import Macro
from opskit.gccmacros.tokens import Token, spell, tokenize

MOST_TOKENS = 100_000


class ExpressionError(Exception):
    """An expression that has no value; the text says why, as a compiler would."""


# Operators that look like macros; only the compiler knows its files, attributes and builtins.
ONLY_THE_COMPILER = frozenset(
    f"__has_{what}"
    for what in (
        "include", "include_next", "embed", "attribute", "cpp_attribute", "c_attribute", "builtin", "feature",
        "extension", "declspec_attribute", "warning", "constexpr_builtin", "include__", "include_next__",
    )
) | {"__is_identifier", "__building_module", "_Pragma"}  # fmt: skip
DEPENDS_ON_PLACE = frozenset(
    f"__{what}__"
    for what in (
        "LINE",
        "FILE",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "COUNTER",
        "INCLUDE_LEVEL",
        "BASE_FILE",
        "FILE_NAME",
    )
)


class Expander:
    """Expands macros the way an `#if` does: what follows `defined` is left alone.

    Prosser's algorithm: each token carries the set of macros that it came from and may not become again.
    """

    def __init__(self, macros: Mapping[str, Macro], *, separators: bool = False) -> None:
        self.macros = macros
        self.separators = separators
        self._made = 0

    def expand(self, tokens: list[Token]) -> list[Token]:
        """Raises ExpressionError for a call that does not end, or that grows beyond all measure."""
        done: list[Token] = []
        todo = tokens[::-1]
        while todo:
            token = todo.pop()
            self._count()
            if token.kind != "name":
                done.append(token)
            elif token.text == "defined":
                done.append(token)
                done += _operand_of_defined(todo)
            else:
                replaced = self._replace(token, todo)
                if replaced is None:
                    done.append(token)
                else:
                    todo += replaced[::-1]
        return done

    def _count(self) -> None:
        self._made += 1
        if self._made > MOST_TOKENS:
            raise ExpressionError("its macros grow without end")

    def _replace(self, token: Token, todo: list[Token]) -> list[Token] | None:
        """What a name stands for, with its arguments taken from `todo`; None for a name that stays."""
        name = token.text
        macro = self.macros.get(name)
        if macro is None:
            if name in ONLY_THE_COMPILER:
                raise ExpressionError(f"only the compiler can judge {name}")
            if name in DEPENDS_ON_PLACE:
                raise ExpressionError(f"{name} depends on where it stands")
            return None
        if name in token.hidden:
            return None
        body = tokenize(macro.value, separators=self.separators)
        if macro.params is None:
            return _dress(_paste_all(body, self.separators), token, token.hidden | {name})
        if not todo or todo[-1].text != "(":
            return None
        arguments, closing = _take_arguments(todo, name)
        bound = _bind(macro, arguments)
        hidden = (token.hidden & closing.hidden) | {name}
        return _dress(self._substitute(body, bound), token, hidden)

    def _substitute(self, body: list[Token], bound: dict[str, list[Token]]) -> list[Token]:
        """The body with its parameters replaced; `#` and `##` see the arguments unexpanded."""
        result: list[Token] = []
        for index, token in enumerate(body):
            before = body[index - 1].text if index else ""
            after = body[index + 1].text if index + 1 < len(body) else ""
            if token.text == "#" and after in bound:
                continue
            if token.text not in bound:
                result.append(token)
            elif before == "#":
                result.append(Token("string", _stringify(bound[token.text]), token.spaced))
            elif "##" in (before, after):
                raw = bound[token.text]
                result += raw or [Token("empty", "", token.spaced)]
            else:
                inner = Expander(self.macros, separators=self.separators)
                inner._made = self._made
                result += _dress(inner.expand(list(bound[token.text])), token, frozenset())
                self._made = inner._made
        return _paste_all(result, self.separators)


def _operand_of_defined(todo: list[Token]) -> list[Token]:
    """The tokens that `defined` looks at, taken off `todo` unexpanded."""
    taken: list[Token] = []
    if todo and todo[-1].text == "(":
        taken.append(todo.pop())
    if todo and todo[-1].kind == "name":
        taken.append(todo.pop())
    return taken


def _take_arguments(todo: list[Token], name: str) -> tuple[list[list[Token]], Token]:
    """The arguments of a call, split at its commas, and its closing parenthesis."""
    todo.pop()
    arguments: list[list[Token]] = [[]]
    depth = 0
    while todo:
        token = todo.pop()
        if token.text == ")" and depth == 0:
            return arguments, token
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(token)
    raise ExpressionError(f"unterminated argument list invoking macro '{name}'")


def _bind(macro: Macro, arguments: list[list[Token]]) -> dict[str, list[Token]]:
    names = [part.strip() for part in (macro.params or "").split(",") if part.strip()]
    if names and names[-1].endswith("..."):
        last = names[-1][:-3].strip() or "__VA_ARGS__"
        plain, rest = arguments[: len(names) - 1], arguments[len(names) - 1 :]
        joined: list[Token] = []
        for index, argument in enumerate(rest):
            joined += [Token("sign", ","), *argument] if index else argument
        names, arguments = [*names[:-1], last], [*plain, joined]
    if not names and arguments == [[]]:
        return {}
    if len(names) != len(arguments):
        raise ExpressionError(f"macro '{macro.name}' takes {len(names)} arguments, but got {len(arguments)}")
    return dict(zip(names, arguments, strict=True))


def _dress(tokens: list[Token], like: Token, hidden: frozenset[str]) -> list[Token]:
    """Tokens that stand in the place of another: its white space, and the macros that they come from."""
    dressed = [token._replace(hidden=token.hidden | hidden) for token in tokens]
    return [dressed[0]._replace(spaced=like.spaced), *dressed[1:]] if dressed else []


def _paste_all(tokens: list[Token], separators: bool) -> list[Token]:
    """Every `##` done, from left to right; place-holders of empty arguments vanish."""
    result: list[Token] = []
    pending = iter(tokens)
    for token in pending:
        if token.text == "##" and result:
            following = next(pending, None)
            result.append(_paste(result.pop(), following, separators) if following else token)
        else:
            result.append(token)
    return [token for token in result if token.kind != "empty"]


def _paste(left: Token, right: Token, separators: bool) -> Token:
    text = left.text + right.text
    if not text:
        return left
    made = tokenize(text, separators=separators)
    if len(made) != 1:
        raise ExpressionError(f"pasting '{left.text}' and '{right.text}' does not give a valid token")
    return made[0]._replace(spaced=left.spaced, hidden=left.hidden & right.hidden)


def _stringify(tokens: list[Token]) -> str:
    text = spell(tokens)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
