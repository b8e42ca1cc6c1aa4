"""`#if` expressions judged without a compiler: 64-bit arithmetic as gcc's preprocessor does it.

C11 6.10.1: after macro expansion every integer is 64 bits wide, names that are left are 0, and what a short
circuit leaves out is read but not judged. libcpp's expr.c decides where the standard lets implementations
choose: shifts by a negative count, characters, constants that are too large.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from opskit.gccmacros.expansion import ONLY_THE_COMPILER, Expander, ExpressionError
from opskit.gccmacros.macros import Macro
from opskit.gccmacros.tokens import Token, spell, tokenize

BITS = 64
MASK = (1 << BITS) - 1
INT_BITS = 32
DEEPEST = 150
INTEGER = re.compile(
    r"(?P<digits>0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9]\d*)"
    r"(?P<suffix>[uU](?:ll|LL|[lL])?|(?:ll|LL|[lL])[uU]?)?"
)
BINARY = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7, ">=": 7,
    "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip
NAMED_OPERATORS = {
    "and": "&&", "or": "||", "not": "!", "bitand": "&", "bitor": "|", "xor": "^", "compl": "~",
    "not_eq": "!=",
    "and_eq": "&=", "or_eq": "|=", "xor_eq": "^=",
}  # fmt: skip
ESCAPES = {"n": 10, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11, "r": 13, "e": 27, "E": 27}


@dataclass(frozen=True)
class Integer:
    """A 64-bit value as the preprocessor holds it; `value` is the number that it means."""

    value: int
    unsigned: bool = False

    @property
    def bits(self) -> int:
        return self.value & MASK


def integer(bits: int, unsigned: bool) -> Integer:
    """The Integer of a bit pattern, cut to its width."""
    bits &= MASK
    return Integer(bits if unsigned or bits < 1 << (BITS - 1) else bits - (1 << BITS), unsigned)


@dataclass(frozen=True)
class Judged:
    """The value of an expression, its expansion, and the names in it that were taken as 0."""

    result: Integer
    expansion: str
    undefined: tuple[str, ...]


@dataclass(frozen=True)
class Dialect:
    """What of the language changes how an expression reads, taken from the macros themselves."""

    cplusplus: bool
    separators: bool
    true_false: bool
    char_unsigned: bool
    utf8_unsigned: bool
    wide_unsigned: bool

    @classmethod
    def of(cls, macros: Mapping[str, Macro]) -> "Dialect":
        def number(name: str) -> int:
            match = re.match(r"\d+", macros[name].value if name in macros else "")
            return int(match[0]) if match else 0

        c23 = number("__STDC_VERSION__") >= 202000
        wide = macros["__WCHAR_TYPE__"].value if "__WCHAR_TYPE__" in macros else "int"
        return cls(
            cplusplus="__cplusplus" in macros,
            separators=number("__cplusplus") >= 201402 or c23,
            true_false="__cplusplus" in macros or (c23 and number("__GNUC__") >= 13),
            char_unsigned="__CHAR_UNSIGNED__" in macros,
            utf8_unsigned="__cpp_char8_t" in macros or c23 or "__CHAR_UNSIGNED__" in macros,
            wide_unsigned="unsigned" in wide,
        )


def judge(text: str, macros: Mapping[str, Macro], *, dynamic: frozenset[str] = frozenset()) -> Judged:
    """The value of `#if text` under these macros; `dynamic` are names that are defined without a definition.

    Raises ExpressionError where a compiler would report an error, and where only a compiler can tell.
    """
    dialect = Dialect.of(macros)
    tokens = Expander(macros, separators=dialect.separators).expand(tokenize(text, separators=dialect.separators))
    parser = _Parser(tokens, dialect, frozenset(macros) | dynamic | ONLY_THE_COMPILER & dynamic)
    result = parser.whole()
    return Judged(result, spell(tokens), tuple(dict.fromkeys(parser.undefined)))


class _Parser:
    """Precedence climbing; `skip` is above 0 inside what a short circuit leaves out."""

    def __init__(self, tokens: list[Token], dialect: Dialect, defined: frozenset[str]) -> None:
        self.tokens = [*tokens, Token("end", "")]
        self.dialect = dialect
        self.defined = defined
        self.undefined: list[str] = []
        self.place = 0
        self.skip = 0
        self.depth = 0

    def whole(self) -> Integer:
        if self.tokens[0].kind == "end":
            raise ExpressionError("there is no expression")
        result = self.comma()
        if self.tokens[self.place].kind != "end":
            raise ExpressionError(f"missing binary operator before '{self.tokens[self.place].text}'")
        return result

    def comma(self) -> Integer:
        result = self.conditional()
        while self._accept(","):
            result = self.conditional()
        return result

    def conditional(self) -> Integer:
        condition = self.binary(1)
        if not self._accept("?"):
            return condition
        chosen = self._skipping(not condition.value, self.comma)
        self._expect(":", "'?' without following ':'")
        other = self._skipping(bool(condition.value), self.conditional)
        unsigned = chosen.unsigned or other.unsigned
        return integer((chosen if condition.value else other).bits, unsigned)

    def binary(self, lowest: int) -> Integer:
        left = self.unary()
        while (level := BINARY.get(self._sign(), 0)) >= lowest:
            operator = self._sign()
            self.place += 1
            if operator in ("&&", "||"):
                decided = bool(left.value) == (operator == "||")
                right = self._skipping(decided, lambda level=level: self.binary(level + 1))
                left = Integer(int((decided and operator == "||") or (not decided and bool(right.value))))
            else:
                left = self._apply(operator, left, self.binary(level + 1))
        return left

    def unary(self) -> Integer:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"nested more than {DEEPEST} deep")
        try:
            sign = self._sign()
            if sign in ("+", "-", "~", "!"):
                self.place += 1
                return _unary(sign, self.unary())
            if sign == "(":
                self.place += 1
                result = self.comma()
                self._expect(")", "missing ')' in expression")
                return result
            return self.operand()
        finally:
            self.depth -= 1

    def operand(self) -> Integer:
        token = self.tokens[self.place]
        if token.kind == "end":
            raise ExpressionError("an operand is missing at the end")
        self.place += 1
        if token.kind == "number":
            return read_integer(token.text.replace("'", ""))
        if token.kind == "char":
            return read_char(token.text, self.dialect)
        if token.kind == "name":
            return self._name(token.text)
        raise ExpressionError(f"'{token.text}' is not valid here in a preprocessor expression")

    def _name(self, name: str) -> Integer:
        if name == "defined":
            return self._defined()
        if self.dialect.cplusplus and name in NAMED_OPERATORS:
            raise ExpressionError(f"operator '{name}' has no left operand")
        if self.dialect.true_false and name in ("true", "false"):
            return Integer(int(name == "true"))
        if not self.skip:
            self.undefined.append(name)
        return Integer(0)

    def _defined(self) -> Integer:
        bracket = self._accept("(")
        token = self.tokens[self.place]
        if token.kind != "name":
            raise ExpressionError("operator 'defined' requires an identifier")
        self.place += 1
        if bracket:
            self._expect(")", "missing ')' after 'defined'")
        return Integer(int(token.text in self.defined))

    def _apply(self, operator: str, left: Integer, right: Integer) -> Integer:
        if operator in ("/", "%") and right.value == 0:
            if not self.skip:
                raise ExpressionError("division by zero")
            return Integer(0, left.unsigned or right.unsigned)
        return _arithmetic(operator, left, right)

    def _skipping(self, skip: bool, part) -> Integer:  # type: ignore[no-untyped-def]
        self.skip += skip
        result: Integer = part()
        self.skip -= skip
        return result

    def _sign(self) -> str:
        token = self.tokens[self.place]
        if token.kind == "name" and self.dialect.cplusplus:
            return NAMED_OPERATORS.get(token.text, "")
        return token.text if token.kind == "sign" else ""

    def _accept(self, sign: str) -> bool:
        found = self._sign() == sign
        self.place += found
        return found

    def _expect(self, sign: str, otherwise: str) -> None:
        if not self._accept(sign):
            raise ExpressionError(otherwise)


def _unary(sign: str, operand: Integer) -> Integer:
    match sign:
        case "-":
            return integer(-operand.value, operand.unsigned)
        case "~":
            return integer(~operand.value, operand.unsigned)
        case "!":
            return Integer(int(operand.value == 0))
    return operand


def _arithmetic(operator: str, left: Integer, right: Integer) -> Integer:
    if operator in ("<<", ">>"):
        return _shift(left, -right.value if operator == ">>" else right.value)
    unsigned = left.unsigned or right.unsigned
    a, b = integer(left.bits, unsigned).value, integer(right.bits, unsigned).value
    match operator:
        case "==" | "!=" | "<" | ">" | "<=" | ">=":
            return Integer(
                int({"==": a == b, "!=": a != b, "<": a < b, ">": a > b, "<=": a <= b}.get(operator, a >= b))
            )
        case "/" | "%":
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return integer(quotient if operator == "/" else a - quotient * b, unsigned)
        case "+":
            return integer(a + b, unsigned)
        case "-":
            return integer(a - b, unsigned)
        case "*":
            return integer(a * b, unsigned)
        case "&":
            return integer(a & b, unsigned)
        case "|":
            return integer(a | b, unsigned)
    return integer(a ^ b, unsigned)


def _shift(number: Integer, left: int) -> Integer:
    """A shift to the left, or for a negative count to the right; the type is that of the number alone."""
    if left >= 0:
        return integer(number.bits << left if left < BITS else 0, number.unsigned)
    return integer(number.value >> min(-left, BITS), number.unsigned)


def read_integer(text: str) -> Integer:
    """A C integer constant. Raises ExpressionError for a floating constant or a bad suffix."""
    match = INTEGER.fullmatch(text)
    if match is None:
        kind = (
            "a floating constant"
            if re.fullmatch(r"[\d.]+([eE][+-]?\d+)?\w*", text) and "." in text
            else "no integer"
        )
        raise ExpressionError(f"'{text}' is {kind}, and only integers can stand in an #if")
    digits = match["digits"].lower()
    base = {"0x": 16, "0b": 2}.get(digits[:2], 8 if digits[0] == "0" else 10)
    value = int(digits[2:] if digits[:2] in ("0x", "0b") else digits, base)
    unsigned = "u" in (match["suffix"] or "").lower()
    fits = value <= MASK
    return integer(value, unsigned or (fits and value >= 1 << (BITS - 1)))


def read_char(text: str, dialect: Dialect) -> Integer:
    """A character constant: several narrow characters make an int, their bytes from the left."""
    prefix, _, rest = text.partition("'")
    if prefix in ("", "u8"):
        units = _units(rest[:-1], "utf-8", 8)
        if prefix and len(units) > 1:
            raise ExpressionError(f"{text} has more than one character")
        width = 8 if len(units) == 1 else INT_BITS
        value = 0
        for unit in units:
            value = (value << 8 | unit) & 0xFFFFFFFF
        unsigned = len(units) == 1 and (dialect.utf8_unsigned if prefix else dialect.char_unsigned)
    else:
        width = 16 if prefix == "u" else 32
        value = _units(rest[:-1], "utf-16-le" if width == 16 else "utf-32-le", width)[-1]
        unsigned = dialect.wide_unsigned if prefix == "L" else True
    value &= (1 << width) - 1
    if not unsigned and value >> (width - 1):
        value -= 1 << width
    return Integer(value & MASK if unsigned else value, unsigned)


_PIECE = re.compile(
    r"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([^\\])", re.DOTALL
)


def _units(text: str, encoding: str, width: int) -> list[int]:
    """The code units of a character constant's inside. Raises ExpressionError for a broken escape."""
    units: list[int] = []
    for match in _PIECE.finditer(text):
        hexadecimal, octal, short, long, escaped, plain = match.groups()
        if hexadecimal or octal:
            units.append(int(hexadecimal or octal, 16 if hexadecimal else 8) & ((1 << width) - 1))
        elif escaped and escaped in "xuU":
            raise ExpressionError(f"\\{escaped} used with no following hex digits")
        elif escaped and escaped in ESCAPES:
            units.append(ESCAPES[escaped])
        else:
            character = chr(int(short or long, 16)) if short or long else (escaped or plain)
            data = character.encode(encoding, "surrogatepass")
            step = width // 8
            units += [int.from_bytes(data[i : i + step], "little") for i in range(0, len(data), step)]
    return units
