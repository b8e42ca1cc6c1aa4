"""The number that a macro stands for, where it stands for one."""

import re
from collections.abc import Mapping

from opskit.gccmacros.expansion import ExpressionError
from opskit.gccmacros.expression import judge
from opskit.gccmacros.macros import Macro

# ((double)4.9e-324L), 1.0e+0F16, 1E-95DF: the cast and the suffix carry the type, not the number.
FLOAT = re.compile(
    r"\(*(?:\([a-z_ A-Z0-9]+\))?([+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?)"
    r"[A-Za-z]*\d*[a-zA-Z]*\)*"
)
NUMERIC = re.compile(r"[-+(]*[\d.'_A-Za-z]")


def number_of(macro: Macro, macros: Mapping[str, Macro]) -> int | float | None:
    """An integer as `#if` sees it, a floating constant as Python sees it, or None."""
    if macro.params is not None or macro.dynamic or not NUMERIC.match(macro.value):
        return None
    floating = FLOAT.fullmatch(macro.value)
    if floating:
        value = float(floating[1])
        return value if value not in (float("inf"), float("-inf")) else None
    try:
        judged = judge(macro.value, macros)
    except ExpressionError:
        return None
    return None if judged.undefined else judged.result.value
