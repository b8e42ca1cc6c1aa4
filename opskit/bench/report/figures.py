"""How the figures that are compared are written in a report."""

from opskit.bench.compare.comparing import Figure
from opskit.bench.report.text import milliseconds


def label(figure: Figure) -> str:
    return f"{figure.name}, {'ms' if figure.is_time else '1/s'}"


def value(figure: Figure, measured: float | None) -> str:
    """A value in the unit that `label` names; `-` for one that was not measured."""
    if measured is None:
        return "-"
    return milliseconds(measured / 1e6) if figure.is_time else f"{measured:,.{0 if measured >= 100 else 1}f}"
