"""The verbs of `opskit gccmacros`. What is heavy is imported where it is used: the raw dump is a hot path."""

import re
from collections import UserDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from opskit import console
from opskit.errors import Misuse
from opskit.gccmacros import request
from opskit.options import Json, Quiet
from opskit.outcome import ErrorNote, ExitCode, Outcome

if TYPE_CHECKING:
    from opskit.console import Stdout

COMPILER_FLAG = re.compile(r"-(m|f|O|D|U|I|W|std=|isystem|include|pthread|ansi|g\d?$|x)")


class Verbs(UserDict[str, Any]):
    """The verbs by name, each built when it is looked up: to build all takes longer than gcc's own start."""

    def __getitem__(self, name: str) -> Any:
        command = typer.main.get_command(self.data[name])
        command.name = name
        return command


VERBS = Verbs()
Function = TypeVar("Function", bound=Callable[..., Any])


def verb(name: str) -> Callable[[Function], Function]:
    """Make a function a verb of `opskit gccmacros`."""

    def register(function: Function) -> Function:
        VERBS[name] = typer.Typer(add_completion=False, rich_markup_mode=None)
        return VERBS.data[name].command(name)(function)  # type: ignore[no-any-return]  # typer hands it back

    return register


class DefaultVerb(TyperGroup):
    """A group whose verb may be left out: options without one belong to `dump`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = VERBS

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["dump", *args]
        own = args[: args.index("--")] if "--" in args else args
        stray = next((arg for arg in own if not arg.startswith("--") and COMPILER_FLAG.match(arg)), "")
        if stray and own[0] != "eval":
            raise Misuse(
                f"{stray} is a flag of the compiler",
                hint=f"it comes after --, or with the compiler: -- {stray}, --cc 'gcc {stray}'",
            )
        return super().parse_args(ctx, args)


app = typer.Typer(cls=DefaultVerb, add_completion=False, rich_markup_mode=None)


@app.callback()
def gccmacros() -> None:
    """List a compiler's macros; find which flag sets them.

    Without a verb it dumps: as a table on a terminal; into a pipe, exactly what the compiler prints.

    \b
    opskit gccmacros                       everything that $CC or gcc defines
    opskit gccmacros -- -O2 -march=native  the same with flags
    opskit gccmacros --cc clang --grep AVX
    opskit gccmacros which __AVX2__        the flags that define it
    opskit gccmacros where INT_MAX --header limits.h
    opskit gccmacros diff gcc 'gcc -m32'
    opskit gccmacros eval '__GNUC__ >= 12'

    Exit codes: 0 good, equal, true; 1 different, false or not found; 2 the call is wrong; 3 no such compiler;
    4 the compiler failed (its message is shown).
    """


Compiler = Annotated[
    str,
    typer.Option("--cc", metavar="CC", help="The compiler as $CC has it: 'ccache gcc -m32'. Else $CC, gcc."),
]
Language = Annotated[
    str, typer.Option("--lang", metavar="LANG", help="c, c++, objective-c … Else by the compiler's name.")
]
Standard = Annotated[str, typer.Option("--std", metavar="STD", help="The standard: c99, gnu17, c++20 …")]
Flags = Annotated[
    list[str] | None, typer.Argument(metavar="[-- FLAGS]...", help="For the compiler.", show_default=False)
]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="The most that one start of a compiler may take.")
]
Werror = Annotated[bool, typer.Option("--werror", help="A warning of the compiler is a failure.")]
Grep = Annotated[str, typer.Option("--grep", "-g", metavar="RE", help="Only names that match.")]
Category = Annotated[
    str, typer.Option("--category", metavar="NAME", help="Only one category; a wrong one lists them all.")
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", metavar="N", min=0, help="Compilers side by side; 0: one for each CPU.")
]


@verb("dump")
def dump(
    flags: Flags = None,
    cc: Compiler = "",
    lang: Language = "",
    std: Standard = "",
    raw: Annotated[bool, typer.Option("--raw", help="The compiler's bytes, also on a terminal.")] = False,
    grep: Grep = "",
    category: Category = "",
    function_like: Annotated[bool, typer.Option("--function-like", help="Only macros with parameters.")] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Also what is defined and in no dump: __FILE__, __has_include …")
    ] = False,
    probe_names: Annotated[
        bool, typer.Option("--probe-names", help="Ask for known names, where a compiler lists none.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table.")] = False,
    werror: Werror = False,
    timeout: Timeout = "10s",
    quiet: Quiet = False,
    as_json: Json = False,
) -> Outcome:
    """Print all predefined macros; this is the default.

    On a terminal a table; into a pipe, or with --raw, exactly what the compiler prints. --grep and its kin
    keep the compiler's lines.

    \b
    opskit gccmacros dump --cc aarch64-linux-gnu-gcc --category instructions
    opskit gccmacros dump --lang c++ --std c++20 --csv > macros.csv
    opskit gccmacros dump --cc 'clang --target=riscv64' --json -- -O2
    """
    spec = request.spec_of(cc, lang, std, flags)
    request.exclude_each_other({"--raw": raw, "--csv": as_csv, "--markdown": markdown, "--json": as_json})
    choice = request.choice_of(grep, category, function_like) if grep or category or function_like else None
    driver = request.driver_of(timeout, werror)
    taken = request.take_dump(driver, spec, dynamic=dynamic, probe_names=probe_names)
    request.warn(taken.warnings, quiet)
    table = console.Stdout().is_terminal and not raw
    if not (choice or dynamic or probe_names or as_csv or markdown or as_json or table):
        return Outcome("gccmacros dump", "gccmacros-dump/1", {}, lambda out: request.write_bytes(out, taken.raw))
    chosen = choice.of(taken.macros) if choice else taken.macros
    from opskit.gccmacros import tables

    form = "csv" if as_csv else "markdown" if markdown else "table" if table else "lines"
    render: Callable[[Stdout], None] = {
        "csv": lambda out: out.write(tables.dump_csv(taken, chosen)),
        "markdown": lambda out: out.write(tables.dump_markdown(taken, chosen)),
        "lines": lambda out: out.write(tables.dump_lines(chosen)),
        "table": tables.show_dump(taken, chosen),
    }[form]
    data = tables.dump_data(taken, chosen) if as_json else {}
    return Outcome("gccmacros dump", "gccmacros-dump/1", data, render, as_json=as_json)


@verb("diff")
def diff(
    specs: Annotated[list[str], typer.Argument(metavar="SPEC...", help="'gcc -m32', or a snapshot file.")],
    lang: Language = "",
    only: Annotated[str, typer.Option("--only", metavar="KIND", help="added, removed or changed.")] = "",
    grep: Grep = "",
    category: Category = "",
    unified: Annotated[bool, typer.Option("--unified", "-u", help="As a unified diff of sorted dumps.")] = False,
    werror: Werror = False,
    timeout: Timeout = "10s",
    quiet: Quiet = False,
    as_json: Json = False,
) -> Outcome:
    """Compare the macros of compilers, flags and snapshots.

    The first SPEC is what the others are compared with; added means that it has no such macro. One snapshot
    alone is compared with what its compiler says now. Exit code 1 when something differs.

    \b
    opskit gccmacros diff gcc clang --category limits
    opskit gccmacros diff gcc 'gcc -O2' 'gcc -O3 -march=x86-64-v3'
    opskit gccmacros diff -u host-a.json host-b.json
    """
    from opskit.gccmacros import tables
    from opskit.gccmacros.difference import KINDS, compare
    from opskit.gccmacros.difference import unified as unified_diff

    if only and only not in KINDS:
        raise Misuse(f"there is no kind '{only}'", hint=f"kinds: {', '.join(KINDS)}")
    if unified and only:
        raise Misuse("--unified shows the whole of every change", hint="leave --only out")
    choice = request.choice_of(grep, category, False)
    sides = request.sides_of(request.driver_of(timeout, werror), specs, lang, quiet)
    rows = compare(sides, choice, only)
    labels = [side.label for side in sides]
    return Outcome(
        "gccmacros diff",
        "gccmacros-diff/1",
        tables.diff_data(labels, rows),
        lambda out: out.write(unified_diff(sides, choice) if unified else tables.diff_text(labels, rows)),
        ExitCode.BAD if rows else ExitCode.OK,
        as_json=as_json,
    )


@verb("which")
def which(
    name: Annotated[str, typer.Argument(metavar="NAME[=VALUE]", help="The macro, and a value it must get.")],
    flags: Flags = None,
    cc: Compiler = "",
    lang: Language = "",
    std: Standard = "",
    jobs: Jobs = 0,
    timeout: Timeout = "10s",
    quiet: Quiet = False,
    as_json: Json = False,
) -> Outcome:
    """Find the flags that define, undefine or change a macro.

    Every flag that the compiler says it has is tried on it: -m, -f, -O, -std and the values of -march, -mcpu
    and -mabi. What changes the fewest other macros comes first. Exit code 1 when no flag does it.

    \b
    opskit gccmacros which __AVX2__
    opskit gccmacros which __FLT_EVAL_METHOD__=2 -- -m32
    opskit gccmacros which __ARM_FEATURE_SVE --cc aarch64-linux-gnu-gcc
    """
    import os

    from opskit.gccmacros import tables
    from opskit.gccmacros.macros import parse_name
    from opskit.gccmacros.trial import Trial

    word, wanted = parse_name(name)
    spec = request.spec_of(cc, lang, std, flags)
    line = console.LiveLine(quiet=quiet)
    trial = Trial(
        request.driver_of(timeout, False),
        spec,
        word,
        workers=jobs or os.cpu_count() or 1,
        progress=lambda done, total: line.update(f"{done} of {total} flags tried"),
    )
    try:
        found = trial.run()
    finally:
        line.clear()
    effects = [effect for effect in found.effects if wanted is None or effect.after == wanted]
    data = {
        "name": word,
        "value": found.base,
        "command": list(spec.words),
        "flags": [effect.to_dict() for effect in effects],
        "tried": found.tried,
        "refused": found.refused,
    }
    return Outcome(
        "gccmacros which",
        "gccmacros-which/1",
        data,
        lambda out: out.write(tables.which_text(spec.label, found, effects, wanted)),
        ExitCode.OK if effects else ExitCode.BAD,
        as_json=as_json,
    )


@verb("where")
def where(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The macro.")],
    flags: Flags = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="H", help="Include this header first; repeatable.")
    ] = None,
    cc: Compiler = "",
    lang: Language = "",
    std: Standard = "",
    timeout: Timeout = "10s",
    quiet: Quiet = False,
    as_json: Json = False,
) -> Outcome:
    """Show who defined a macro: file, line and chain of includes.

    Every define and undef is told in order, from the compiler's own line markers. Exit code 1 when there is
    none.

    \b
    opskit gccmacros where INT_MAX --header limits.h
    opskit gccmacros where NDEBUG -- -DNDEBUG
    """
    from opskit.gccmacros import tables
    from opskit.gccmacros.macros import parse_name
    from opskit.gccmacros.tracing import headers_defining, trace

    word, value = parse_name(name)
    if value is not None:
        raise Misuse(f"where takes a name, not '{name}'", hint=f"opskit gccmacros where {word}")
    spec = request.spec_of(cc, lang, std, flags)
    driver = request.driver_of(timeout, False)
    traced = trace(driver, spec, word, header or ())
    request.warn(traced.warnings, quiet)
    errors: tuple[ErrorNote, ...] = ()
    if not traced.found:
        near = headers_defining(driver, spec, word)[:3]
        hint = f"a header may: --header {' or --header '.join(near)}" if near else "check its spelling"
        errors = (ErrorNote("not_found", f"nothing defines {word} with {spec.label}", hint),)
    return Outcome(
        "gccmacros where",
        "gccmacros-where/1",
        {"name": word, "dynamic": traced.dynamic, "events": [event.to_dict() for event in traced.events]},
        lambda out: out.write(tables.where_text(word, traced.events, header or (), dynamic=traced.dynamic)),
        ExitCode.OK if traced.found else ExitCode.BAD,
        errors,
        as_json,
    )


@verb("eval")
def evaluate(
    expressions: Annotated[list[str], typer.Argument(metavar="EXPR...", help="What would stand after #if.")],
    cc: Compiler = "",
    each: Annotated[
        list[str] | None, typer.Option("--each", metavar="CC", help="Ask this compiler too; repeatable.")
    ] = None,
    snapshot: Annotated[
        str, typer.Option("--from", metavar="FILE", help="Judge by a snapshot, without a compiler.")
    ] = "",
    lang: Language = "",
    std: Standard = "",
    strict_undef: Annotated[
        bool, typer.Option("--strict-undef", help="A name that is taken as 0 is a failure.")
    ] = False,
    timeout: Timeout = "10s",
    quiet: Quiet = False,
    as_json: Json = False,
) -> Outcome:
    """Judge #if expressions as the compiler does; 1 if not all true.

    All expressions need one start of the compiler. One with an error has no value, and counts as not true.

    \b
    opskit gccmacros eval '__GNUC__ >= 12' 'defined __x86_64__'
    opskit gccmacros eval --each gcc --each clang '__SIZEOF_LONG__ == 8'
    opskit gccmacros eval --from target.json '__ARM_ARCH >= 8'
    """
    from opskit.gccmacros import tables
    from opskit.gccmacros.judging import check_expression, judge_offline
    from opskit.gccmacros.snapshot import read_snapshot

    texts = [check_expression(text) for text in expressions]
    if snapshot and (cc or each or lang or std):
        raise Misuse("--from judges without a compiler", hint="leave out --cc, --each, --lang and --std")
    if snapshot:
        shot = read_snapshot(snapshot)
        sides = {snapshot: judge_offline(shot.table(), texts, frozenset(shot.dynamic))}
    else:
        driver = request.driver_of(timeout, False)
        named = [*([cc] if cc or not each else []), *(each or [])]
        specs = [request.spec_of(text, lang, std, None) for text in named]
        sides = {f"{spec.label} ({spec.lang})": request.judge(driver, spec, texts, quiet) for spec in specs}
    verdicts = [verdict for side in sides.values() for verdict in side]
    undefined = sorted({name for verdict in verdicts for name in verdict.undefined}) if strict_undef else []
    errors = (
        (ErrorNote("undefined", f"taken as 0, though nothing defines it: {', '.join(undefined)}"),)
        if undefined
        else ()
    )
    return Outcome(
        "gccmacros eval",
        "gccmacros-eval/1",
        {"compilers": [{"compiler": k, "expressions": [v.to_dict() for v in side]} for k, side in sides.items()]},
        lambda out: out.write(tables.eval_text(sides)),
        ExitCode.OK if all(verdict.truth for verdict in verdicts) and not undefined else ExitCode.BAD,
        errors,
        as_json,
    )


@verb("snapshot")
def snapshot(
    flags: Flags = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; else stdout.")
    ] = "",
    cc: Compiler = "",
    lang: Language = "",
    std: Standard = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is no snapshot.")] = False,
    werror: Werror = False,
    timeout: Timeout = "10s",
    quiet: Quiet = False,
) -> Outcome:
    """Keep all macros, with how they were asked for, in a file.

    It holds the compiler, its flags and environment and what -march=native stood for, sorted and without
    dates: equal setups give equal files. diff and eval --from read it.

    \b
    opskit gccmacros snapshot -o host.json -- -march=native
    opskit gccmacros diff host.json
    """
    from opskit.gccmacros.snapshot import SCHEMA, take

    request.refuse_foreign(output, SCHEMA, force)
    shot, warnings = take(request.driver_of(timeout, werror), request.spec_of(cc, lang, std, flags))
    request.warn(warnings, quiet)
    return request.written("gccmacros snapshot", output, shot.to_json(), len(shot.macros), quiet)


@verb("header")
def header(
    flags: Flags = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; else stdout.")
    ] = "",
    form: Annotated[
        str, typer.Option("--as", metavar="FORM", help="header, cmake, make, shell, python or clangd.")
    ] = "header",
    prefix: Annotated[str, typer.Option("--prefix", metavar="P", help="Put this before every name.")] = "",
    grep: Grep = "",
    category: Category = "",
    cc: Compiler = "",
    lang: Language = "",
    std: Standard = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that was not made by this.")] = False,
    werror: Werror = False,
    timeout: Timeout = "10s",
    quiet: Quiet = False,
) -> Outcome:
    """Write the macros as a C header, or for a build.

    In the header every macro is guarded by #ifndef. The forms for builds leave out macros with parameters,
    which they cannot express; clangd takes all.

    \b
    opskit gccmacros header -o target.h --cc arm-none-eabi-gcc
    opskit gccmacros header --as cmake --grep '^__SIZEOF' --prefix T_
    opskit gccmacros header --as clangd -o .clangd --cc avr-gcc
    """
    from opskit.gccmacros.exports import WRITERS, write_as
    from opskit.gccmacros.macros import sort_macros

    if form not in WRITERS:
        raise Misuse(f"there is no form '{form}'", hint=f"forms: {', '.join(WRITERS)}")
    if not re.fullmatch(r"(?!\d)\w*", prefix, re.ASCII):
        raise Misuse(f"'{prefix}' cannot begin a name", hint="use letters, digits and _")
    choice = request.choice_of(grep, category, False)
    request.refuse_foreign(output, request.MARK, force)
    spec = request.spec_of(cc, lang, std, flags)
    taken = request.driver_of(timeout, werror).dump(spec)
    request.warn(taken.warnings, quiet)
    chosen = sort_macros(choice.of(taken.macros))
    text, left = write_as(form, chosen, f"{request.MARK} header: {spec.label} ({spec.lang})", prefix)
    if left and not quiet:
        console.talk(f"left out, as {form} cannot express them: {', '.join(left)}")
    return request.written("gccmacros header", output, text, len(chosen) - len(left), quiet)


@verb("list")
def list_compilers(jobs: Jobs = 0, timeout: Timeout = "10s", as_json: Json = False) -> Outcome:
    """List the compilers on this machine.

    Every program in PATH that is named like a compiler is asked once for its version and target.
    """
    import os

    from opskit.errors import Unable
    from opskit.gccmacros import tables
    from opskit.gccmacros.discovery import find_compilers

    found = find_compilers(request.driver_of(timeout, False), workers=jobs or os.cpu_count() or 1)
    if not found:
        raise Unable("there is no compiler in PATH", hint="apt install gcc", code="no_compiler")
    return Outcome(
        "gccmacros list",
        "gccmacros-list/1",
        {"compilers": [one.to_dict() for one in found]},
        lambda out: out.write(tables.compilers_text(found)),
        as_json=as_json,
    )
