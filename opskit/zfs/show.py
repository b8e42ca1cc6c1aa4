"""Surveys, plans and health, as text for people and as the lines that monitors read."""

import re
import shlex
import textwrap
from collections.abc import Iterable, Sequence

from opskit.units import format_size
from opskit.zfs.checks import UNEQUAL
from opskit.zfs.conditions import sentence
from opskit.zfs.facts import Facts, Slice
from opskit.zfs.health import Health
from opskit.zfs.sizing import SMALLEST
from opskit.zfs.steps import Action, Plan, Step

WIDTH = 80


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns two spaces apart; the last may be as long as it likes, up to the width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        line = "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=False))
        indent = len(line) + 2
        room = max(WIDTH - indent - 2, 24)
        first, *more = textwrap.wrap(row[-1], room) or [""]
        lines.append(f"  {line}  {first}".rstrip())
        lines += [" " * (indent + 2) + text for text in more]
    return lines


def _said(text: str, indent: str = "  ", hanging: str | None = None) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def pairs(facts: Facts) -> list[tuple[Slice, Slice]]:
    """The slices that could be mirrored with each other, best first: one active swap and one idle, alike."""
    fit = [s for s in facts.slices if s.size >= SMALLEST and not s.hindrances(frozenset({"swap"}))]
    found = [
        (first, second)
        for i, first in enumerate(fit)
        for second in fit[i + 1 :]
        if first.disk != second.disk and abs(first.size - second.size) <= UNEQUAL
    ]
    return sorted(found, key=lambda pair: (pair[0].in_swap == pair[1].in_swap, abs(pair[0].size - pair[1].size)))


def survey(facts: Facts, found: Sequence[Health]) -> str:
    lines = [f"{facts.release}, {'OpenZFS ' + facts.zfs if facts.zfs else 'no ZFS that tells its version'}"]
    lines += ["", "Swap now"]
    if facts.swaps:
        lines += _table([(s.path, format_size(s.size), f"{format_size(s.used)} used") for s in facts.swaps])
    else:
        lines.append("  none is active")
    for item in found:
        lines += ["", *_health_lines(item)]
    others = [pool for pool in facts.pools if not pool.mark]
    if others:
        lines += ["", "Other pools", *_table([(pool.name, pool.state) for pool in others])]
    lines += ["", "Disks and slices", *_slices(facts)]
    lines += ["", *_next(facts, found)]
    return "\n".join(lines) + "\n"


def _slices(facts: Facts) -> list[str]:
    rows = []
    for item in facts.slices:
        words = [str(use) for use in item.uses if use.kind != "label"]
        if any(use.kind == "label" for use in item.uses):
            continue
        if not words:
            words = ["free" if item.size >= SMALLEST else "free, but too small"]
        rows.append((item.path, format_size(item.size), item.serial or "-", "; ".join(words)))
    return _table([("slice", "size", "serial", "use"), *rows]) if rows else ["  none that can be seen"]


def _next(facts: Facts, found: Sequence[Health]) -> list[str]:
    if facts.confined:
        return [_said(f"This is {facts.confined}: its swap belongs to the host around it.", "")]
    if any(item.level != "ok" for item in found):
        return ["Next: opskit zfs swap-mirror status"]
    options = pairs(facts)
    if found:
        return ["Nothing to do: swap is mirrored."]
    if not options:
        return [
            _said(
                "No two free slices of the same size are on two disks. Make one on a second disk, as large "
                "as the swap there is now (within 16 MiB), then look again.",
                "",
            )
        ]
    first, second = (_word(item) for item in options[0])
    lines = [f"Pairs that could be mirrored: {len(options)}"]
    lines += ["", "Next, to see every command before any is run:", ""]
    return [*lines, f"  opskit zfs swap-mirror plan {first} {second} -o plan.json"]


def _word(item: Slice) -> str:
    return item.path.removeprefix("/dev/dsk/").removeprefix("/dev/")


def plan(made: Plan) -> str:
    verbs = {
        "create": "mirror swap on",
        "mirror": "add",
        "replace": "replace with",
        "destroy": "destroy the mirror on",
    }
    lines = [f"Plan {made.id}: {verbs[made.wish.verb]} {' and '.join(made.devices)}"]
    lines.append(f"  method {made.method}, order {made.order}, swap on {made.target}")
    lines.append(
        f"  active swap: {format_size(made.swap_before)} now, {format_size(made.swap_lowest)} at the lowest,"
        f" {format_size(made.swap_after)} after"
    )
    if made.warnings:
        lines += ["", "To know first"]
        lines += [
            textwrap.fill(text, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
            for text in made.warnings
        ]
    for number, step in enumerate(made.steps, 1):
        lines += ["", *_step(number, step)]
    return "\n".join(lines) + "\n"


def _step(number: int, step: Step) -> list[str]:
    lines = [f"{number}. {step.name}", _said(step.why, "   ")]
    lines += [f"     {line}" for action in step.do for line in describe(action)]
    checks = [sentence(condition) for condition in step.needs]
    if checks:
        lines.append(_said("; ".join(checks), "   first: ", "          "))
    undo = [line for action in step.undo for line in _undone(action)]
    lines.append("   undo:  " + ("nothing to do" if not undo else undo[0]))
    return lines + [f"          {line}" for line in undo[1:]]


def _undone(action: Action) -> list[str]:
    """A line that the step itself adds was shown with it."""
    return [f"{action.args[0]}: take the line out again"] if action.kind == "drop" else describe(action)


def describe(action: Action) -> list[str]:
    """An action as a person would type or say it."""
    args = action.args
    return {
        "run": lambda: _command(args),
        "comment-out": lambda: [f"{args[0]}: comment out", f"   {args[1]}"],
        "uncomment": lambda: [f"{args[0]}: restore the line"],
        "append": lambda: [f"{args[0]}: add", f"   {args[1]}"],
        "drop": lambda: [f"{args[0]}: take out", f"   {args[1]}"],
        "write": lambda: [f"{args[0]}: write", *(f"   {line}" for line in args[1].splitlines())],
        "delete": lambda: [f"{args[0]}: delete"],
        "keep": lambda: [f"{args[0]}: keep its first and last MiB"],
        "put-back": lambda: [f"{args[0]}: put its first and last MiB back"],
    }[action.kind]()


def _command(argv: Sequence[str]) -> list[str]:
    """A command over as many lines as it takes, in a form that can be pasted; an option stays with its value."""
    text = re.sub(r" (-\w) (?!-)", r" \1\0", shlex.join(argv))
    lines = textwrap.wrap(
        text, WIDTH - 14, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    lines = ["# " + lines[0], *lines[1:]]
    lines = [line.replace("\0", " ") for line in lines]
    return [line + " \\" for line in lines[:-1]] + [lines[-1]]


def status(found: Sequence[Health]) -> str:
    if not found:
        return "There is no mirrored swap of ours here.\n"
    return "\n".join(line for item in found for line in (*_health_lines(item), "")).rstrip() + "\n"


def _health_lines(item: Health) -> list[str]:
    lines = [f"Mirror '{item.name}' ({item.method}): {item.level}"]
    size = f"{format_size(item.size)}, {format_size(item.used)} used" if item.active else "not active"
    lines.append(f"  {item.target}: {size}" + (f", resync {item.resync}" if item.resync else ""))
    lines += (
        _table(
            [(leaf.path, leaf.state, f"{leaf.errors} errors" if leaf.errors else leaf.note) for leaf in item.sides]
        )
        if item.sides
        else []
    )
    lines += [_said(f"! {reason}") for reason in item.reasons]
    return lines + [_said(f"note: {note}") for note in item.notes]


def nagios(found: Sequence[Health]) -> str:
    """One line: the state, the reason, and performance data (Nagios plugin guidelines)."""
    if not found:
        return "SWAP MIRROR UNKNOWN: there is none of ours here\n"
    worst = max(found, key=lambda item: ("ok", "degraded", "failed").index(item.level))
    word = {"ok": "OK", "degraded": "WARNING", "failed": "CRITICAL"}[worst.level]
    reasons = "; ".join(worst.reasons) or f"{len(worst.sides)} sides, {worst.target} active"
    numbers = " ".join(f"{item.name}_used={item.used}B;;;0;{item.size}" for item in found)
    return f"SWAP MIRROR {word}: {worst.name}: {reasons} | {numbers}\n"


def prometheus(found: Sequence[Health]) -> str:
    """The text format, for node_exporter's textfile collector."""
    gauges: Iterable[tuple[str, str, list[tuple[Health, float]]]] = (
        (
            "healthy",
            "1 when every side is there, in step and without errors.",
            [(h, h.level == "ok") for h in found],
        ),
        ("active", "1 when the mirror is active as swap.", [(h, h.active) for h in found]),
        (
            "sides",
            "Sides that are there and good.",
            [(h, sum(leaf.state in ("ONLINE", "active") for leaf in h.sides)) for h in found],
        ),
        ("size_bytes", "Swap on the mirror.", [(h, h.size) for h in found]),
        ("used_bytes", "Swap in use on the mirror.", [(h, h.used) for h in found]),
        (
            "errors",
            "Read, write and checksum errors of all sides.",
            [(h, sum(leaf.errors for leaf in h.sides)) for h in found],
        ),
    )
    lines = []
    for name, text, values in gauges:
        lines += [f"# HELP opskit_swap_mirror_{name} {text}", f"# TYPE opskit_swap_mirror_{name} gauge"]
        lines += [f'opskit_swap_mirror_{name}{{name="{h.name}",method="{h.method}"}} {int(v)}' for h, v in values]
    return "\n".join(lines) + "\n"
