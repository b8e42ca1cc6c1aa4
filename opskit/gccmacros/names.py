"""Names of macros that no dump lists, and names to ask a compiler for that lists none."""

from functools import cache
from pathlib import Path

# Defined though -dM does not print them: their value depends on the place, or only #if may use them.
DYNAMIC = (
    "__FILE__", "__LINE__", "__DATE__", "__TIME__", "__TIMESTAMP__", "__COUNTER__", "__INCLUDE_LEVEL__",
    "__BASE_FILE__", "__FILE_NAME__", "_Pragma", "__has_attribute", "__has_cpp_attribute",
    "__has_c_attribute",
    "__has_declspec_attribute", "__has_builtin", "__has_constexpr_builtin", "__has_feature",
    "__has_extension", "__has_include", "__has_include_next", "__has_embed", "__has_warning",
    "__is_identifier", "__building_module", "__pragma", "__FUNCTION__", "__func__",
)  # fmt: skip


@cache
def known_names() -> tuple[str, ...]:
    """The macros that compilers in use today are known to define."""
    return tuple(Path(__file__).with_name("names.txt").read_text(encoding="ascii").split())
