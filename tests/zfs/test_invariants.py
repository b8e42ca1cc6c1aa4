"""The ten promises, each a test of its own. Simulated hosts watch every change as it happens."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from opskit.errors import Misuse, OpskitError
from opskit.zfs import steps
from opskit.zfs.conditions import sound
from opskit.zfs.health import health
from opskit.zfs.machine import ThisMachine
from opskit.zfs.steps import Wish
from opskit.zfs.zpool import UnknownOutput, pools_of_text
from tests.zfs.desks import QUIET, attempt, create, desk_of
from tests.zfs.simulated import MIB, Crash, Host, fence_judge, freebsd, illumos, names_of, swap_judge

HOSTS = pytest.mark.parametrize("make", [illumos, freebsd])


@HOSTS
def test_1_nothing_in_use_is_written_to(make: Callable[[], Host], tmp_path: Path) -> None:
    """Each kind of use refuses; and a device that becomes busy after the plan is not written to either."""
    for kind in ("mounted", "dump", "pool"):
        host = make()
        path = list(host.slices)[1]
        if kind == "mounted":
            host.slices[path].mounted = "/data"
            host.files["/etc/mnttab"] = f"{path}\t/data\tufs\trw\t1\n"
        elif kind == "dump":
            host.dump = path
        else:
            host.judge = lambda seen: None
            host.run(["zpool", "create", "-O", "x=y", "tank", names_of(host, 1)[0]])
        with pytest.raises(OpskitError) as refused:
            create(desk_of(host, tmp_path / kind), *names_of(host, 0, 1))
        assert refused.value.exit_code == 3
        assert path in refused.value.message
        assert host.written == ([path] if kind == "pool" else [])


@HOSTS
def test_1b_a_slice_that_became_busy_stops_the_apply(make: Callable[[], Host], tmp_path: Path) -> None:
    host = make()
    desk = desk_of(host, tmp_path)
    made = create(desk, *names_of(host, 0, 1))
    path = list(host.slices)[1]
    host.slices[path].mounted = "/data"
    host.files["/etc/mnttab"] = f"{path}\t/data\tufs\trw\t1\n"
    assert attempt(desk, made) == "7"
    assert host.written == []


@HOSTS
@pytest.mark.parametrize("field", ["serial", "size", "content"])
def test_2_another_device_under_the_same_name_is_noticed(
    make: Callable[[], Host], field: str, tmp_path: Path
) -> None:
    host = make()
    desk = desk_of(host, tmp_path)
    made = create(desk, *names_of(host, 0, 1))
    disk = list(host.slices.values())[1]
    setattr(disk, field, {"serial": "OTHER", "size": disk.size + 512, "content": b"other"}[field])
    before = host.state()
    with pytest.raises(OpskitError) as changed:
        desk.apply(made, QUIET)
    assert changed.value.exit_code == 7
    assert names_of(host, 1)[0] in changed.value.message
    assert host.state() == before


@HOSTS
def test_3_no_boot_line_ever_swaps_on_a_side(make: Callable[[], Host], tmp_path: Path) -> None:
    """The judge reads the boot files after every single change, forwards and backwards."""
    host = make()
    looks = []

    def judge(seen: Host) -> None:
        looks.append(seen.changes)
        fence_judge(seen)

    host.judge = judge
    desk = desk_of(host, tmp_path)
    desk.apply(create(desk, *names_of(host, 0, 1)), QUIET)
    desk.undo("", QUIET)
    assert len(looks) >= 10


@HOSTS
def test_4_swap_never_falls_below_what_it_was_or_will_be(make: Callable[[], Host], tmp_path: Path) -> None:
    host = make()
    desk = desk_of(host, tmp_path)
    made = create(desk, *names_of(host, 0, 1))
    host.judge = swap_judge(min(made.swap_before, made.swap_after))
    assert made.swap_lowest >= min(made.swap_before, made.swap_after)
    desk.apply(made, QUIET)
    desk.undo("", QUIET)
    with pytest.raises(OpskitError) as refused:
        create(desk, *names_of(host, 0, 1), order="release-first")
    assert "--allow-less-swap" in refused.value.hint
    with pytest.raises(OpskitError, match="less than --min-size"):
        create(desk, *names_of(host, 0, 1), min_size=2048 * MIB)


@HOSTS
def test_5_apply_twice_and_undo_twice_change_nothing(make: Callable[[], Host], tmp_path: Path) -> None:
    host = make()
    desk = desk_of(host, tmp_path)
    at_first = host.state()
    made = create(desk, *names_of(host, 0, 1))
    assert desk.apply(made, QUIET) == "done"
    changes = host.changes
    assert desk.apply(made, QUIET) == "already"
    assert desk.resume(made.id, QUIET) == "already"
    assert host.changes == changes
    assert desk.undo("", QUIET) == "undone"
    assert host.state() == at_first
    changes = host.changes
    assert desk.undo("", QUIET) == "already"
    assert host.changes == changes


@HOSTS
def test_6_nothing_without_our_mark_is_destroyed_and_nothing_is_forced(
    make: Callable[[], Host], tmp_path: Path
) -> None:
    host = make()
    desk = desk_of(host, tmp_path)
    host.run(["zpool", "create", "swap", names_of(host, 2)[0]])  # a pool of someone else, under our name
    for wish in (Wish("destroy"), Wish("mirror", names_of(host, 1)), Wish("replace", names_of(host, 2, 1))):
        with pytest.raises(OpskitError, match="does not carry our mark"):
            desk.plan(wish)
    made = create(desk, *names_of(host, 0, 1), pool="other")
    desk.apply(made, QUIET)
    forced = [argv for argv in host.commands if {"-f", "labelclear", "wipefs"} & set(argv)]
    assert forced == []
    assert host.pools["swap"].mark == ""


def test_7_children_get_argument_lists_and_a_clean_environment() -> None:
    machine = ThisMachine()
    done = machine.run(["env"])
    assert dict(line.split("=", 1) for line in done.text.splitlines()) == {
        "PATH": "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin",
        "LC_ALL": "C",
    }
    assert done.argv[0].startswith("/")
    assert machine.run(["echo", "$(id)", ";", "id"]).text == "$(id) ; id\n"
    with pytest.raises(UnknownOutput):
        pools_of_text("  pool: x\n state: ONLINE\nconfig:\n\n\tWHAT IS THIS\n")


def test_8_health_is_read_from_the_sides_and_not_from_the_pools_own_word(tmp_path: Path) -> None:
    host = illumos()
    desk = desk_of(host, tmp_path)
    desk.apply(create(desk, *names_of(host, 0, 1)), QUIET)
    facts = desk.survey()
    assert health(facts, facts.pools[0], desk.platform).level == "ok"
    host.pools["swap"].resilvering = 3
    facts = desk.survey()
    assert facts.pools[0].state == "ONLINE"
    resilvering = health(facts, facts.pools[0], desk.platform)
    assert (resilvering.level, resilvering.resync) == ("degraded", "52.94%")
    host.pools["swap"].resilvering = 0
    host.pools["swap"].errors = 17
    facts = desk.survey()
    assert not sound(facts.pools[0])
    assert "errors" in health(facts, facts.pools[0], desk.platform).reasons[0]


def test_9_dump_device_and_priorities_are_as_before(tmp_path: Path) -> None:
    host = illumos()
    host.dump = "/dev/zvol/dsk/rpool/dump"
    desk = desk_of(host, tmp_path)
    desk.apply(create(desk, *names_of(host, 0, 1)), QUIET)
    assert host.dump == "/dev/zvol/dsk/rpool/dump"
    desk.undo("", QUIET)
    assert host.dump == "/dev/zvol/dsk/rpool/dump"


@HOSTS
def test_10_looking_and_planning_change_nothing(make: Callable[[], Host], tmp_path: Path) -> None:
    host = make()
    desk = desk_of(host, tmp_path)
    before = host.state()
    desk.survey()
    create(desk, *names_of(host, 0, 1))
    create(desk, *names_of(host, 1))
    assert host.state() == before
    assert host.changes == 0
    assert not (tmp_path / "journal").exists()


def test_a_plan_that_was_edited_is_refused(tmp_path: Path) -> None:
    host = illumos()
    made = create(desk_of(host, tmp_path), *names_of(host, 0, 1))
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(made.to_dict()))
    assert steps.load(file) == made
    file.write_text(file.read_text().replace("c3d1s1", "c3d2s1"))
    with pytest.raises(Misuse, match="was changed after it was made"):
        steps.load(file)


def test_a_crash_is_no_error_that_anything_catches() -> None:
    assert not issubclass(Crash, Exception)
    assert dataclasses.is_dataclass(Host)
