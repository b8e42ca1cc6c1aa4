"""Results as people and programs read them: tables, plain text, CSV, Markdown, dictionaries."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opskit.console import Stdout
from opskit.gccmacros.difference import Row
from opskit.gccmacros.discovery import Found
from opskit.gccmacros.driver import Dump
from opskit.gccmacros.identity import identify
from opskit.gccmacros.judging import Verdict
from opskit.gccmacros.macros import Macro, sort_macros
from opskit.gccmacros.numbers import number_of
from opskit.gccmacros.origins import Event, Place
from opskit.gccmacros.trial import Effect, Findings

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("name", "value", "number", "category")
TEXT_WIDTH = 78


def dump_data(dump: Dump, chosen: Sequence[Macro]) -> dict[str, Any]:
    """The `data` of the JSON envelope of a dump."""
    table = {macro.name: macro for macro in dump.macros}
    name, version = identify(dump.macros)
    return {
        "compiler": {
            "name": name,
            "version": version,
            "program": dump.spec.program,
            "command": list(dump.argv),
        },
        "lang": dump.spec.lang,
        "warnings": list(dump.warnings),
        "macros": [{**macro.to_dict(), "number": number_of(macro, table)} for macro in chosen],
    }


def _rows(dump: Dump, chosen: Sequence[Macro]) -> list[tuple[str, str, str, str]]:
    table = {macro.name: macro for macro in dump.macros}
    rows = []
    for macro in chosen:
        number = number_of(macro, table)
        rows.append((macro.head, macro.value, "" if number is None else str(number), macro.category))
    return rows


def show_dump(dump: Dump, chosen: Sequence[Macro]) -> Callable[[Stdout], None]:
    """A table by category, with a line that says of what compiler."""

    def render(out: Stdout) -> None:
        name, version = identify(dump.macros)
        table = _table("NAME", "VALUE", "NUMBER")
        previous = ""
        for macro, row in zip(sort_macros(chosen), _rows(dump, sort_macros(chosen)), strict=True):
            if macro.category != previous:
                table.add_section()
                table.add_row(f"[{macro.category}]", style="bold")
                previous = macro.category
            number = "" if row[2] == row[1] else row[2]
            table.add_row(row[0], row[1] or ("(depends on the place)" if macro.dynamic else ""), number)
        out.rich.print(table)
        out.write(f"{_count(len(chosen), 'macro')} of {dump.spec.label} ({name} {version}, {dump.spec.lang})\n")

    return render


def _table(*heads: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=False)
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def write_csv(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()


def write_markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_code(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(cell: str) -> str:
    r"""A cell as code; `|` would end it, and is written `\|` even inside code (GitHub's Markdown)."""
    return f"`{cell}`".replace("|", "\\|") if cell else ""


def dump_csv(dump: Dump, chosen: Sequence[Macro]) -> str:
    return write_csv(COLUMNS, _rows(dump, chosen))


def dump_markdown(dump: Dump, chosen: Sequence[Macro]) -> str:
    return write_markdown(COLUMNS, _rows(dump, sort_macros(chosen)))


def dump_lines(chosen: Sequence[Macro]) -> str:
    """The compiler's own lines, in its order."""
    return "".join(f"{macro.line}\n" for macro in chosen)


def diff_text(labels: Sequence[str], rows: Sequence[Row]) -> str:
    """Two sides: a signed list by category. More: what each side has, under each name."""
    if not rows:
        return "no difference\n"
    write = _two_sides if len(labels) == 2 else _many_sides
    lines = [f"{chr(ord('A') + index)}  {label}" for index, label in enumerate(labels)]
    previous = ""
    for row in rows:
        if row.category != previous:
            lines += ["", f"[{row.category}]"]
            previous = row.category
        lines += write(row)
    kinds = Counter(row.kind for row in rows)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in ("added", "removed", "changed") if kinds[kind])
    return "\n".join(lines) + f"\n\n{_count(len(rows), 'macro')} differ{'s' if len(rows) == 1 else ''}: {told}\n"


def _two_sides(row: Row) -> list[str]:
    before, after = row.macros
    if before is None:
        return [f"+ {_definition(after)}"]
    if after is None:
        return [f"- {_definition(before)}"]
    if before.params != after.params:
        return [f"- {_definition(before)}", f"+ {_definition(after)}"]
    return [f"~ {before.head}  {before.value or '(empty)'} → {after.value or '(empty)'}"]


def _many_sides(row: Row) -> list[str]:
    sign = {"added": "+", "removed": "-", "changed": "~"}[row.kind]
    values: dict[str, list[str]] = {}
    for index, macro in enumerate(row.macros):
        told = "(not defined)" if macro is None else macro.value or "(empty)"
        values.setdefault(told, []).append(chr(ord("A") + index))
    return [f"{sign} {row.name}", *(f"    {''.join(sides)}: {value}" for value, sides in values.items())]


def _definition(macro: Macro | None) -> str:
    return f"{macro.head}  {macro.value}".rstrip() if macro else ""


def diff_data(labels: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    return {"sides": list(labels), "differences": [row.to_dict() for row in rows]}


def which_text(label: str, found: Findings, effects: Sequence[Effect], wanted: str | None) -> str:
    """The flags by what they do; values of one option are told together, in the place of the smallest."""
    base = "is not defined" if found.base is None else f"is {found.base or 'defined, and empty'}"
    lines = [f"{found.name} {base} with {label}"]
    groups: dict[tuple[str, str | None, str], list[Effect]] = {}
    for effect in effects:
        option, equals, value = effect.flag.partition("=")
        groups.setdefault((effect.verb, effect.after, option + equals if value else effect.flag), []).append(
            effect
        )
    previous: tuple[str, str | None] | None = None
    for verb, after, option in sorted(groups, key=lambda key: effects.index(groups[key][0])):
        if (verb, after) != previous:
            shown = "" if after is None else f" as {after}" if verb == "defines" else f" to {after}"
            lines += ["", f"{verb} it{shown if after != '' else ', empty'}:"]
            previous = (verb, after)
        lines += _flag_lines(option, groups[verb, after, option])
    if not effects:
        goal = f"gives it the value {wanted}" if wanted is not None else "changes that"
        lines += ["", f"no flag {goal}"]
    lines += [
        "",
        f"{found.tried} flags tried, {found.refused} refused; (n): macros that differ with it in all",
    ]
    return "\n".join(lines) + "\n"


def _flag_lines(option: str, effects: Sequence[Effect]) -> list[str]:
    if len(effects) == 1:
        return [f"  {effects[0].flag} ({effects[0].changed})"]
    import textwrap

    values = " ".join(f"{effect.flag.removeprefix(option)}\u00a0({effect.changed})" for effect in effects)
    indent = " " * (len(option) + 3)
    text = textwrap.fill(
        values,
        TEXT_WIDTH,
        initial_indent=f"  {option} ",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return text.replace("\u00a0", " ").splitlines()


def where_text(name: str, events: Sequence[Event], headers: Sequence[str], *, dynamic: bool) -> str:
    """Each define and undef in order, and how the compiler came there; our own file shows as its options."""
    if not events and not dynamic:
        return ""
    lines = [name]
    if dynamic and not events:
        lines.append("  built into the compiler: defined, but without a definition to show")
    for event in events:
        told = "undefined" if event.macro is None else f"defined as {event.macro.value or '(empty)'}"
        lines.append(f"  {event.place}  {told}")
        lines += [f"      from {_includer(place, headers)}" for place in event.chain]
    if events and events[-1].macro is None:
        lines.append("  not defined in the end")
    return "\n".join(lines) + "\n"


def _includer(place: Place, headers: Sequence[str]) -> str:
    if place.file in ("<stdin>", "-"):
        return f"--header {headers[place.line - 1]}" if 0 < place.line <= len(headers) else "the compiler itself"
    return str(place)


def eval_text(sides: Mapping[str, Sequence[Verdict]]) -> str:
    """One line for each expression, in a block for each compiler when there are several."""
    lines: list[str] = []
    for label, verdicts in sides.items():
        if len(sides) > 1:
            lines += ["", label] if lines else [label]
        for verdict in verdicts:
            lines += _verdict_lines(verdict, "  " if len(sides) > 1 else "")
    return "\n".join(lines) + "\n"


def _verdict_lines(verdict: Verdict, indent: str) -> list[str]:
    if verdict.value is None:
        return [f"{indent}error  {verdict.text}", f"{indent}       {verdict.error}"]
    value = f"{verdict.value.value}{'u' if verdict.value.unsigned else ''}"
    lines = [f"{indent}{'true' if verdict.truth else 'false':5}  {verdict.text}  = {value}"]
    if verdict.expansion and verdict.expansion.split() != verdict.text.split():
        lines.append(f"{indent}       {verdict.expansion}")
    if verdict.undefined:
        lines.append(f"{indent}       taken as 0: {', '.join(verdict.undefined)}")
    return lines


def compilers_text(found: Sequence[Found]) -> str:
    """A line for each compiler, and one below with its other names."""
    rows = [(one.names[0], one.version or "?", one.target or one.error) for one in found]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = []
    for one, (name, version, target) in zip(found, rows, strict=True):
        lines.append(f"{name:{widths[0]}}  {version:{widths[1]}}  {target}".rstrip())
        lines += [f"    also {other}" for other in _wrapped(" ".join(one.names[1:]))]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, TEXT_WIDTH - 9, break_long_words=False, break_on_hyphens=False)
