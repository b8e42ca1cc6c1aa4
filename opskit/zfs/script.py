"""A plan as a POSIX shell script, for one who wants to read every command, or to run them by hand.

Each command stands behind the test that opskit would make, so the script stops where opskit would stop.
"""

import shlex
from collections.abc import Iterable

from opskit.zfs.bootfiles import mark_of
from opskit.zfs.conditions import sentence
from opskit.zfs.platforms import Platform
from opskit.zfs.steps import Action, Condition, Plan

HEAD = """#!/bin/sh
# opskit plan {id}: {verb} mirrored swap ({method}) on {devices}
# Stops at the first test that fails. Every line may be read, and run by hand, as it stands.
set -eu
PATH=/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin LC_ALL=C; export PATH LC_ALL
backup={backup}
edited=$(mktemp); trap 'rm -f "$edited"' EXIT
stop() {{ echo "stopped: $1" >&2; exit 4; }}
as_root() {{ if [ "$(id -u)" = 0 ]; then "$@"; else {privilege} "$@"; fi; }}
{wait}
"""
WAIT = """wait_for() {{ tries=0; until eval "$1"; do
  tries=$((tries + 1)); [ $tries -lt 86400 ] || stop "$2"; sleep 1; done; }}"""


def script(plan: Plan, platform: Platform) -> str:
    """The script; it ends with what undoes it, as comments."""
    parts = [
        HEAD.format(
            id=plan.id,
            verb=plan.wish.verb,
            method=plan.method,
            devices=" and ".join(plan.devices),
            backup=f"/var/lib/opskit/zfs-swap/{plan.id}",
            privilege=platform.privilege(),
            wait=WAIT.format(),
        ),
        'as_root mkdir -p "$backup"; as_root chmod 700 "$backup"',
    ]
    for number, step in enumerate(plan.steps, 1):
        parts.append(f"\n# {number}. {step.name}: {step.why}")
        parts += _guards(step.needs, platform)
        parts += [_shown(action) for action in step.do]
        for wait in step.waits:
            if test := platform.shell_test(wait):
                parts.append(f"wait_for {shlex.quote(test)} {shlex.quote(sentence(wait))}")
        parts += _guards(step.done, platform)
    parts.append("\n# To take it back, by hand, from here upwards:")
    for step in reversed(plan.steps):
        parts += [f"#   {line}" for action in step.undo for line in _shown(action).splitlines()]
    return "\n".join(parts) + "\n"


def _guards(conditions: Iterable[Condition], platform: Platform) -> list[str]:
    """Each condition as a test; what a shell cannot see is said as a comment."""
    lines = []
    for condition in conditions:
        test = platform.shell_test(condition)
        words = sentence(condition)
        lines.append(f"{test} || stop {shlex.quote('not so: ' + words)}" if test else f"# look: {words}")
    return lines


def _shown(action: Action) -> str:
    """One action as shell. Lines of files are edited through a copy that replaces the file at once."""
    args = action.args
    if action.kind == "run":
        return "as_root " + shlex.join(args)
    if action.kind in ("keep", "put-back"):
        return _ends(action)
    if action.kind == "write":
        path = shlex.quote(args[0])
        return (
            f"as_root mkdir -p $(dirname {path})\nprintf %s {shlex.quote(args[1])} | as_root tee {path} >/dev/null"
        )
    if action.kind == "delete":
        return f"as_root rm -f {shlex.quote(args[0])}"
    return _edited(action)


def _ends(action: Action) -> str:
    """`dd` on whole sectors: the last MiB begins at size − 1 MiB, counted in blocks of 512."""
    device, size = action.args
    name = device.strip("/").replace("/", "-")
    head, tail = f'"$backup"/{shlex.quote(name)}.head', f'"$backup"/{shlex.quote(name)}.tail'
    offset = (int(size) - (1 << 20)) // 512
    word = shlex.quote(device)
    if action.kind == "keep":
        return (
            f"[ -e {tail} ] || as_root dd if={word} of={head} bs=512 count=2048\n"
            f"[ -e {tail} ] || as_root dd if={word} of={tail} bs=512 skip={offset} count=2048"
        )
    return (
        f"as_root dd if={head} of={word} bs=512 conv=notrunc\n"
        f"as_root dd if={tail} of={word} bs=512 seek={offset} conv=notrunc"
    )


def _edited(action: Action) -> str:
    path, line, *rest = action.args
    file, text = shlex.quote(path), shlex.quote(line)
    if action.kind == "append":
        return f"grep -Fqx -- {text} {file} || printf '%s\\n' {text} | as_root tee -a {file} >/dev/null"
    marked = shlex.quote(mark_of(rest[0]) + line) if rest else "''"
    program = {
        "comment-out": "$0 == old { print new; next } { print }",
        "uncomment": "$0 == new { print old; next } { print }",
        "drop": "$0 == old { next } { print }",
    }[action.kind]
    return (
        f'old={text} new={marked} awk \'BEGIN {{ old = ENVIRON["old"]; new = ENVIRON["new"] }} {program}\''
        f' {file} >"$edited" && as_root cp "$edited" {file}'
    )
