"""Which compiler it is, told by its own macros: the special ones first, as most also call themselves gcc."""

import re
from collections.abc import Iterable

from opskit.gccmacros.macros import Macro


def identify(macros: Iterable[Macro]) -> tuple[str, str]:
    """Name and version: ("clang", "14.0.6"); ("", "") for a stranger."""
    table = {macro.name: macro.value for macro in macros}
    dotted = {
        "icx": ("__INTEL_LLVM_COMPILER",),
        "clang": ("__clang_major__", "__clang_minor__", "__clang_patchlevel__"),
        "gcc": ("__GNUC__", "__GNUC_MINOR__", "__GNUC_PATCHLEVEL__"),
    }
    if "__TINYC__" in table:
        number = table["__TINYC__"]
        return "tcc", f"0.{number[:-2]}.{number[-2:]}" if number.isdigit() else number
    if "_MSC_VER" in table and "__clang__" not in table:
        full = table.get("_MSC_FULL_VER", table["_MSC_VER"])
        return "msvc", re.sub(r"^(\d\d)(\d\d)(\d*)$", r"\1.\2.\3", full).rstrip(".")
    for name in ("__SUNPRO_C", "__SUNPRO_CC"):
        if name in table:
            digits = table[name].removeprefix("0x")
            return "sun", f"{digits[0]}.{digits[1:3]}" if len(digits) > 2 else digits
    for name, parts in dotted.items():
        if parts[0] in table:
            return name, ".".join(table[part] for part in parts if part in table)
    return "", ""
