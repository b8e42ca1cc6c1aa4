"""The cases, in the order in which they are asked: the cheapest truth first, what may hurt last."""

from opskit.httprange.cases import codings, methods, several, support, syntax, validators
from opskit.httprange.cases.base import Case
from opskit.httprange.results import Tier

IN_ORDER: tuple[Case, ...] = (
    *support.SUPPORT,
    *several.FIRST,
    *validators.CASES,
    *support.REST,
    *codings.CASES,
    *syntax.CASES,
    *methods.CASES,
    *support.HUGE,
    *several.HUGE,
    *syntax.HUGE,
    # These ask nothing: they look at the answers that the others got.
    *support.AFTERWARDS,
    *several.AFTERWARDS,
)
SUPPORT = frozenset(case.id for case in support.SUPPORT)


def by_id() -> dict[str, Case]:
    """All cases, sorted by number."""
    return {case.id: case for case in sorted(IN_ORDER, key=lambda case: int(case.id))}


TIERS = {
    Tier.BASIC: "well-formed requests, for any server",
    Tier.POLITE: "invalid ones too, one at a time; the default for loopback and private addresses",
    Tier.FULL: "many ranges and huge numbers, which can hurt; only with --tier full",
}
