"""opskit zfs: jobs around ZFS on a running host; `swap-mirror` is the one there is."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from opskit.console import Stdout
from opskit.errors import Misuse
from opskit.options import Json, Quiet
from opskit.outcome import ExitCode, Outcome

app = typer.Typer(add_completion=False, rich_markup_mode=None)
mirror_app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.add_typer(mirror_app, name="swap-mirror")

SCHEMA = "zfs-swap-mirror/1"
DEGRADED = 5
FAILED = 6

Pool = Annotated[str, typer.Option("--pool", help="The name of the pool, or of the array.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; goes with --confirm.")]
Confirm = Annotated[
    str, typer.Option("--confirm", metavar="A,B", help="The devices that will be written, by name.")
]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Show the plan and do nothing.")]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="REASON=DEVICE", help="Set a leftover aside: foreign-fs=… or old-pool=…"),
]
SameDisk = Annotated[bool, typer.Option("--same-disk-ok", help="Both sides on one disk, for a trial.")]
LessSwap = Annotated[
    bool, typer.Option("--allow-less-swap", help="Active swap may fall for a while, as the plan says.")
]


@app.callback(invoke_without_command=True)
def zfs(ctx: typer.Context) -> int | None:
    """Prepare mirrored swap: ZFS, md or gmirror.

    opskit zfs swap-mirror looks at this host and says what could be done; it changes nothing.
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        return ExitCode.USAGE
    return None


@mirror_app.callback(invoke_without_command=True)
def swap_mirror(ctx: typer.Context, as_json: Json = False) -> Outcome | None:
    """Mirrored swap that can be planned, applied, resumed and undone.

    Without a verb it looks at this host, read-only: its swap, pools, disks and slices, which could be
    mirrored, and what to type next.

    \b
      opskit zfs swap-mirror
      opskit zfs swap-mirror plan sda2 sdb2 -o plan.json --script plan.sh
      opskit zfs swap-mirror apply plan.json
      opskit zfs swap-mirror status

    Exit codes: 0 good, 1 failed and nothing is changed, 2 the call is wrong, 3 refused by a safety check,
    4 stopped part-way (resume or undo), 5 degraded, 6 failed mirror, 7 the host changed since the plan.
    """
    if ctx.invoked_subcommand is not None:
        return None
    from opskit.zfs import health, show

    desk = _desk()
    facts = desk.survey()
    found = [health.health(facts, item, desk.platform) for item in facts.marked]
    pairs = [[first.path, second.path] for first, second in show.pairs(facts)]
    data = {"facts": facts.to_dict(), "mirrors": [item.to_dict() for item in found], "pairs": pairs}
    return _outcome("survey", data, lambda: show.survey(facts, found), as_json=as_json)


@mirror_app.command()
def plan(
    devices: Annotated[list[str], typer.Argument(metavar="SLICE [SLICE]", help="The slices; two on two disks.")],
    pool: Pool = "swap",
    volume: Annotated[str, typer.Option(help="The name of the volume in the pool.")] = "swap0",
    size: Annotated[str, typer.Option(help="auto (9/10 of what fits), max, or a size.")] = "auto",
    method: Annotated[str, typer.Option(help="auto, zvol, md or gmirror.")] = "auto",
    order: Annotated[str, typer.Option(help="auto, keep-swap or release-first.")] = "auto",
    min_size: Annotated[str, typer.Option(help="Refuse a mirror smaller than this.")] = "0",
    accept_deadlock_risk: Annotated[
        bool, typer.Option("--accept-deadlock-risk", help="A zvol where swap on one can deadlock.")
    ] = False,
    allow_less_swap: LessSwap = False,
    same_disk_ok: SameDisk = False,
    allow: Allow = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to write the plan.")] = None,
    script: Annotated[Path | None, typer.Option(help="Write it as a shell script, too.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Show every command that will run, why, and its undo.

    \b
      opskit zfs swap-mirror plan sda2 sdb2 -o plan.json
      opskit zfs swap-mirror plan c3d0s1 c3d1s1 --size max --script plan.sh

    It writes nothing but the files that -o and --script name.
    """
    from opskit.units import parse_size
    from opskit.zfs import show
    from opskit.zfs.script import script as as_script
    from opskit.zfs.steps import Wish

    _one_of("--method", method, ("auto", "zvol", "md", "gmirror"))
    _one_of("--order", order, ("auto", "keep-swap", "release-first"))
    wish = Wish(
        "create",
        tuple(devices),
        pool,
        volume,
        size,
        method,
        order,
        parse_size(min_size),
        accept_deadlock_risk,
        allow_less_swap,
        same_disk_ok,
        tuple(allow or ()),
    )
    desk = _desk()
    made = desk.plan(wish)
    if output:
        _write(output, json.dumps(made.to_dict(), indent=1) + "\n")
    if script:
        _write(script, as_script(made, desk.platform))
        script.chmod(0o755)
    after = f"\nNext: opskit zfs swap-mirror apply {output}\n" if output else "\nSave it with -o plan.json\n"
    return _outcome("plan", made.to_dict(), lambda: show.plan(made) + after, as_json=as_json)


@mirror_app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan that `plan -o` wrote.")],
    yes: Yes = False,
    confirm: Confirm = "",
    until: Annotated[str, typer.Option(metavar="STEP", help="Stop after this step; `resume` goes on.")] = "",
    rollback: Annotated[bool, typer.Option("--rollback", help="When a step fails, take everything back.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Do a plan, step by step, with a journal.

    The host is looked at again first, and must be as it was when the plan was made. The devices that will be
    written are confirmed by typing their names, or with --yes --confirm sda2,sdb2.
    """
    from opskit.zfs import steps

    made = steps.load(file)
    return _applied(made, yes=yes, confirm=confirm, until=until, rollback=rollback, as_json=as_json, quiet=quiet)


@mirror_app.command()
def resume(
    plan_id: Annotated[str, typer.Argument(metavar="[ID]", help="Which plan; the half-done one.")] = "",
    until: Annotated[str, typer.Option(metavar="STEP", help="Stop after this step.")] = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Go on with a plan that stopped part-way.

    After a failure, a crash or a power cut. Each step is looked for on the host first; what is done is not done again.
    """
    from opskit.zfs.desk import Talker

    desk = _desk()
    end = desk.resume(plan_id, Talker(quiet=quiet), until=until)
    return _outcome("resume", {"end": end}, lambda: _ENDS[end], as_json=as_json)


@mirror_app.command()
def undo(
    plan_id: Annotated[str, typer.Argument(metavar="[ID]", help="Which plan; the newest.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="STEP", help="Take back what came after this step.")] = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Take a plan back, from its last step to its first.

    Boot files and the list of swap are then as they were, and so are the first and last MiB of each device;
    what lay between them on an idle slice is not kept.
    """
    from opskit.zfs.desk import Talker

    desk = _desk()
    end = desk.undo(plan_id, Talker(quiet=quiet), to)
    return _outcome("undo", {"end": end}, lambda: _ENDS[end], as_json=as_json)


@mirror_app.command()
def verify(
    after_reboot: Annotated[
        bool, typer.Option("--after-reboot", help="The host must have booted since the plan was done.")
    ] = False,
    pool: Pool = "swap",
    as_json: Json = False,
) -> Outcome:
    """Check that the mirror is whole and will survive a reboot.

    Exit codes: 0 whole, 5 degraded, 6 failed.
    """
    from dataclasses import replace

    from opskit.zfs import health, joins, show
    from opskit.zfs.journal import journals
    from opskit.zfs.steps import Wish

    desk = _desk()
    facts = desk.survey()
    _, found = joins.our_mirror(facts, Wish(pool=pool))
    result = health.health(facts, found, desk.platform)
    if after_reboot:
        boots = [j.plan().facts.boot_id for j in journals(desk.place) if j.state == "done"]
        if not boots or boots[0] == facts.boot_id:
            raise Misuse("this host has not booted since the plan was done", hint="reboot it, then verify again")
        result = replace(result, notes=(*result.notes, "this is so after a reboot"))
    return _outcome(
        "verify", result.to_dict(), lambda: show.status([result]), _level_code(result.level), as_json=as_json
    )


@mirror_app.command()
def status(
    nagios: Annotated[
        bool, typer.Option("--nagios", help="One line and the exit codes of Nagios: 0 1 2 3.")
    ] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="The text format, for a collector.")] = False,
    as_json: Json = False,
) -> Outcome:
    """Say how the mirror is, for people and for monitors.

    Its sides, their errors, the resync, and whether it is active.

    \b
      opskit zfs swap-mirror status --nagios
      opskit zfs swap-mirror status --prometheus > swap.prom

    Exit codes: 0 whole, 5 degraded, 6 failed; with --nagios 0, 1, 2, and 3 when there is no mirror.
    """
    from opskit.zfs import health, show

    if nagios + prometheus + as_json > 1:
        raise Misuse("--nagios, --prometheus and --json exclude each other", hint="choose one")
    desk = _desk()
    facts = desk.survey()
    found = [health.health(facts, item, desk.platform) for item in facts.marked]
    worst = max((item.level for item in found), key=health.LEVELS.index, default="ok")
    code = _level_code(worst)
    if nagios:
        code = health.NAGIOS[worst] if found else 3
    form = show.nagios if nagios else show.prometheus if prometheus else show.status
    return _outcome(
        "status", {"mirrors": [item.to_dict() for item in found]}, lambda: form(found), code, as_json=as_json
    )


@mirror_app.command()
def mirror(
    device: Annotated[str, typer.Argument(metavar="SLICE", help="The slice that joins.")],
    pool: Pool = "swap",
    same_disk_ok: SameDisk = False,
    allow: Allow = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Add a second slice to a mirror that has one side.

    \b
      opskit zfs swap-mirror mirror sdb2 --dry-run
      opskit zfs swap-mirror mirror sdb2
    """
    from opskit.zfs.steps import Wish

    wish = Wish("mirror", (device,), pool, same_disk_ok=same_disk_ok, allow=tuple(allow or ()))
    return _planned(wish, dry_run=dry_run, yes=yes, confirm=confirm, as_json=as_json, quiet=quiet)


@mirror_app.command()
def replace(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The side that leaves, by path or name.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The slice that takes its place.")],
    pool: Pool = "swap",
    same_disk_ok: SameDisk = False,
    allow: Allow = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Put a new slice in the place of a side.

    \b
      opskit zfs swap-mirror replace sdb2 sdc2 --dry-run
    """
    from opskit.zfs.steps import Wish

    wish = Wish("replace", (old, new), pool, same_disk_ok=same_disk_ok, allow=tuple(allow or ()))
    return _planned(wish, dry_run=dry_run, yes=yes, confirm=confirm, as_json=as_json, quiet=quiet)


@mirror_app.command()
def destroy(
    pool: Pool = "swap",
    volume: Annotated[str, typer.Option(help="The name of the volume in the pool.")] = "swap0",
    allow_less_swap: LessSwap = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Take a mirror of ours away.

    Its boot lines, its swap, its pool or array; nothing without our mark is ever touched.
    """
    from opskit.zfs.steps import Wish

    wish = Wish("destroy", (), pool, volume, allow_less_swap=allow_less_swap)
    return _planned(wish, dry_run=dry_run, yes=yes, confirm=confirm, as_json=as_json, quiet=quiet)


_ENDS = {
    "done": "Done. `opskit zfs swap-mirror status` tells how it is; after a reboot: verify --after-reboot.\n",
    "already": "Nothing to do: that was so already.\n",
    "undone": "Taken back: swap, boot files and the ends of the devices are as they were.\n",
    "until": "Stopped after that step, as asked. `resume` goes on, `undo` takes it back.\n",
    "to": "Taken back to that step. `resume` goes forward again, `undo` takes back the rest.\n",
}


def _planned(wish: Any, *, dry_run: bool, yes: bool, confirm: str, as_json: bool, quiet: bool) -> Outcome:
    """A verb that plans and does in one call."""
    from opskit import console
    from opskit.zfs import show

    made = _desk().plan(wish)
    if dry_run:
        return _outcome(wish.verb, made.to_dict(), lambda: show.plan(made), as_json=as_json)
    if not yes and not quiet:
        console.talk(show.plan(made))
    return _applied(made, yes=yes, confirm=confirm, until="", rollback=False, as_json=as_json, quiet=quiet)


def _applied(
    made: Any, *, yes: bool, confirm: str, until: str, rollback: bool, as_json: bool, quiet: bool
) -> Outcome:
    from opskit.zfs.desk import Talker, require_consent

    desk = _desk()
    require_consent(made, confirm, yes, _ask)
    end = desk.apply(made, Talker(quiet=quiet), until=until, rollback=rollback)
    return _outcome(
        made.wish.verb if made.wish.verb != "create" else "apply",
        {"end": end, "plan": made.id},
        lambda: _ENDS[end],
        as_json=as_json,
    )


def _desk() -> Any:
    from opskit.zfs.desk import Desk

    return Desk.open()


def _ask(question: str) -> str:
    try:
        return str(typer.prompt(question, prompt_suffix="", default="", show_default=False, err=True))
    except typer.Abort:
        return ""


def _level_code(level: str) -> int:
    return {"ok": ExitCode.OK, "degraded": DEGRADED, "failed": FAILED}[level]


def _one_of(option: str, word: str, words: Sequence[str]) -> None:
    if word not in words:
        raise Misuse(f"{option} {word} is not known", hint=f"one of: {', '.join(words)}")


def _write(path: Path, text: str) -> None:
    from opskit.files import require_writable, whole_file

    require_writable(path)
    with whole_file(path) as file:
        file.write(text.encode())


def _outcome(
    verb: str,
    data: dict[str, Any],
    text: Callable[[], str],
    code: int = ExitCode.OK,
    *,
    as_json: bool = False,
) -> Outcome:
    def render(out: Stdout) -> None:
        out.write(text())

    return Outcome(f"zfs swap-mirror {verb}".removesuffix(" survey"), SCHEMA, data, render, code, as_json=as_json)
