"""What options mean to the verbs: which compilers, which macros, where the result goes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opskit import console
from opskit.console import Stdout
from opskit.errors import Misuse
from opskit.outcome import Outcome

if TYPE_CHECKING:
    from opskit.gccmacros.difference import Side
    from opskit.gccmacros.driver import Driver, Dump
    from opskit.gccmacros.judging import Verdict
    from opskit.gccmacros.macros import Choice
    from opskit.gccmacros.spec import Spec

MARK = "opskit gccmacros"


def spec_of(cc: str, lang: str, std: str, flags: Sequence[str] | None) -> "Spec":
    from opskit.gccmacros.spec import default_compiler, parse_spec

    words = list(flags or ())
    if words and not words[0].startswith(("-", "@", "/")):
        raise Misuse(f"'{words[0]}' is not a flag", hint="the verb comes first: opskit gccmacros diff gcc clang")
    return parse_spec(cc or default_compiler(lang), lang=lang, std=std, flags=words)


def driver_of(timeout: str, werror: bool) -> "Driver":
    from opskit.gccmacros.driver import Driver
    from opskit.process import SystemRunner

    seconds = 10.0
    if timeout != "10s":
        from opskit.units import parse_duration

        seconds = parse_duration(timeout, bare="s")
        if seconds <= 0:
            raise Misuse(f"a time limit of {timeout} lets no compiler answer", hint="the default is 10s")
    return Driver(SystemRunner(own_group=True), timeout=seconds, werror=werror)


def choice_of(grep: str, category: str, function_like: bool) -> "Choice":
    from opskit.gccmacros.macros import parse_choice

    return parse_choice(grep, category, function_like=function_like)


def exclude_each_other(formats: dict[str, bool]) -> None:
    asked = [name for name, wanted in formats.items() if wanted]
    if len(asked) > 1:
        raise Misuse(f"{' and '.join(asked)} exclude each other", hint="choose one")


def take_dump(driver: "Driver", spec: "Spec", *, dynamic: bool, probe_names: bool) -> "Dump":
    if probe_names:
        from opskit.gccmacros.probing import probe

        return probe(driver, spec)
    if dynamic:
        from opskit.gccmacros.snapshot import with_dynamic

        return with_dynamic(driver, spec)
    return driver.dump(spec)


def sides_of(driver: "Driver", specs: Sequence[str], lang: str, quiet: bool) -> "list[Side]":
    """Snapshots and compilers, each asked once; one snapshot alone gets its compiler of now beside it."""
    from pathlib import Path

    from opskit.gccmacros.difference import Side
    from opskit.gccmacros.snapshot import ask_again, read_snapshot

    sides = []
    for text in specs:
        if text.endswith(".json") or (Path(text).is_file() and not _is_program(text)):
            shot = read_snapshot(text)
            sides.append(Side(text, shot.macros))
            if len(specs) == 1:
                now, warnings = ask_again(driver, shot, text)
                warn(warnings, quiet)
                sides.append(Side(f"{shot.label} now", now.macros))
        else:
            taken = driver.dump(spec_of(text, lang, "", None))
            warn(taken.warnings, quiet)
            sides.append(Side(taken.spec.label, taken.macros))
    if len(sides) < 2:
        raise Misuse("there is only one thing to compare", hint="name two: opskit gccmacros diff gcc 'gcc -O2'")
    return sides


def _is_program(text: str) -> bool:
    import os

    return os.access(text, os.X_OK)


def judge(driver: "Driver", spec: "Spec", texts: Sequence[str], quiet: bool) -> "tuple[Verdict, ...]":
    from opskit.gccmacros.judging import judge_by_compiler, judge_by_dump

    if spec.family.reads_stdin:
        return judge_by_compiler(driver, spec, texts)
    taken = driver.dump(spec)
    warn(taken.warnings, quiet)
    return judge_by_dump(taken, texts)


def warn(warnings: Sequence[str], quiet: bool) -> None:
    for line in () if quiet else warnings:
        console.warn(line)


def refuse_foreign(path: str, mark: str, force: bool) -> None:
    """Raises Misuse for a file with something else in it, and Unable for a place that cannot be written."""
    if not path:
        return
    from pathlib import Path

    from opskit.files import require_writable

    require_writable(path)
    target = Path(path)
    if force or not target.is_file():
        return
    with target.open("rb") as file:
        beginning = file.read(1000)
    if beginning and mark.encode() not in beginning:
        raise Misuse(f"{path} exists and was not made by this", hint="choose another name, or add --force")


def written(command: str, path: str, text: str, count: int, quiet: bool) -> Outcome:
    """The text on stdout, or in a file that appears whole."""
    if not path:
        return Outcome(command, f"{command.replace(' ', '-')}/1", {}, lambda out: write_bytes(out, text.encode()))
    from opskit.files import whole_file

    with whole_file(path) as file:
        file.write(text.encode())
    if not quiet:
        console.talk(f"{count} macros in {path}")
    return Outcome(command, f"{command.replace(' ', '-')}/1", {}, _show_nothing)


def _show_nothing(out: Stdout) -> None:
    """The result is in a file."""


def write_bytes(out: Stdout, raw: bytes) -> None:
    out.buffer.write(raw)
    out.buffer.flush()
