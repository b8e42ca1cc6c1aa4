"""Plans for Linux, from facts alone; what they do to real disks is shown in tests/vm."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from opskit.errors import OpskitError
from opskit.zfs import show
from opskit.zfs.facts import Array, Facts, Leaf, Memory, Slice, Swap, Use
from opskit.zfs.health import health
from opskit.zfs.planner import plan
from opskit.zfs.platforms.linux import Linux, drop_in_path
from opskit.zfs.script import script
from opskit.zfs.steps import Plan, Wish

GIB = 1 << 30


def slice_(letter: str, **more: object) -> Slice:
    known: dict[str, object] = {
        "stable": f"/dev/disk/by-id/ata-{letter}-part2",
        "serial": letter,
        "names": (f"UUID={letter}", f"/dev/disk/by-id/ata-{letter}-part2"),
    }
    return Slice(f"/dev/sd{letter}2", f"/dev/sd{letter}", 2 * GIB, **{**known, **more})  # type: ignore[arg-type]  # the fields of one test each


FACTS = Facts(
    "linux",
    "Debian GNU/Linux 12 (bookworm)",
    zfs="2.3.2",
    systemd=True,
    pool_properties=("ashift",),
    memory=Memory(8 * GIB, 4 * GIB),
    slices=(slice_("a", uses=(), signatures=("swap",)), slice_("b"), slice_("c", physical_sector=8192)),
    files={"/etc/fstab": "UUID=a none swap sw 0 0\n", "/etc/mdadm/mdadm.conf": ""},
)


def active(facts: Facts = FACTS, priority: int | None = None) -> Facts:
    used = replace(facts.slices[0], uses=(Use("swap"),))
    return replace(
        facts,
        slices=(used, *facts.slices[1:]),
        swaps=(Swap("/dev/sda2", "/dev/sda2", 2 * GIB - 4096, priority=priority),),
    )


def made(facts: Facts, *devices: str, **wish: object) -> Plan:
    return plan(facts, Wish("create", devices, **wish), Linux())  # type: ignore[arg-type]  # as above


def commands(plan_: Plan) -> list[str]:
    return [" ".join(action.args) for step in plan_.steps for action in step.do if action.kind == "run"]


def test_md_is_the_default_and_swap_is_kept() -> None:
    ready = made(active(), "sda2", "sdb2")
    assert (ready.method, ready.order, ready.target) == ("md", "keep-swap", "/dev/md/swap")
    argv = [line for line in commands(ready) if not line.startswith(("systemctl", "udevadm"))]
    assert argv[0].startswith("mdadm --create /dev/md/swap --name=swap --homehost=any --uuid=6f70736b:")
    assert argv[0].endswith("--run /dev/disk/by-id/ata-b-part2 missing")
    assert argv[1].startswith("mkswap -U ")
    assert argv[2:] == [
        "swapon /dev/md/swap",
        "swapoff /dev/disk/by-id/ata-a-part2",
        "wipefs --all --types swap /dev/disk/by-id/ata-a-part2",
        "mdadm /dev/md/swap --add /dev/disk/by-id/ata-a-part2",
    ]


def test_the_priority_of_the_old_swap_is_the_new_ones() -> None:
    ready = made(active(priority=7), "sda2", "sdb2")
    assert "swapon -p 7 /dev/md/swap" in commands(ready)
    (line,) = [a.args[1] for s in ready.steps for a in s.do if a.kind == "append" and " none swap " in a.args[1]]
    assert line.endswith(" none swap nofail,pri=7,x-systemd.device-timeout=300 0 0")


def test_a_zvol_wants_its_risk_accepted_and_gets_an_ordered_unit() -> None:
    with pytest.raises(OpskitError, match="can deadlock Linux") as refused:
        made(active(), "sda2", "sdb2", method="zvol")
    assert refused.value.exit_code == 3
    ready = made(active(), "sda2", "sdb2", method="zvol", accept_deadlock_risk=True)
    assert any("deadlock" in warning for warning in ready.warnings)
    (drop_in,) = [action for step in ready.steps for action in step.do if action.kind == "write"]
    assert drop_in.args[0] == "/etc/systemd/system/dev-zvol-swap-swap0.swap.d/50-opskit.conf"
    assert "After=zfs-import.target zfs-volumes.target" in drop_in.args[1]
    assert drop_in_path("/dev/zvol/my-pool/swap0").startswith(
        "/etc/systemd/system/dev-zvol-my\\x2dpool-swap0.swap.d"
    )


def test_the_properties_of_the_volume() -> None:
    ready = made(FACTS, "sda2", "sdc2", method="zvol", accept_deadlock_risk=True)
    (create,) = [line for line in commands(ready) if line.startswith("zfs create")]
    for option in (
        "checksum=on", "sync=always", "logbias=throughput", "primarycache=metadata", "secondarycache=none",
        "compression=zle", "copies=1", "dedup=off", "volmode=dev", "com.sun:auto-snapshot=false", "-b 4096",
    ):  # fmt: skip
        assert option in create
    assert "ashift=13" in next(line for line in commands(ready) if line.startswith("zpool create"))


@pytest.mark.parametrize("order", ["keep-swap", "release-first"])
def test_no_command_stands_on_a_node_that_a_reboot_may_give_to_another_disk(order: str) -> None:
    for wish in ({}, {"method": "zvol", "accept_deadlock_risk": True}):
        ready = made(active(), "sda2", "sdb2", order=order, allow_less_swap=True, **wish)
        told = [arg for s in ready.steps for a in (*s.do, *s.undo) for arg in a.args]
        told += [arg for s in ready.steps for c in (*s.needs, *s.done, *s.undo_needs) for arg in c.args]
        assert not [word for word in told if word.startswith("/dev/sd")]


def test_release_first_falls_and_says_so() -> None:
    ready = made(active(), "sda2", "sdb2", order="release-first", allow_less_swap=True)
    assert ready.swap_lowest == 0
    assert any("falls to 0 B" in warning for warning in ready.warnings)
    names = [step.name for step in ready.steps]
    assert names.index("release-sda2") < names.index("create-array")


@pytest.mark.parametrize("wish", [{}, {"method": "zvol", "accept_deadlock_risk": True}], ids=["md", "zvol"])
def test_a_plan_fits_80_columns_and_keeps_options_with_their_values(wish: dict[str, object]) -> None:
    """But for the lines of boot files, which are shown as they will stand there."""
    ready = made(active(), "sda2", "sdb2", **wish)
    text = show.plan(ready)
    files = {a.args[1] for s in ready.steps for a in s.do if a.kind == "append"}
    assert [line for line in text.splitlines() if len(line) > 80 and line.strip() not in files] == []
    assert " -o \\\n" not in text
    assert "take the line out again" in text


def test_nothing_is_ever_forced() -> None:
    for wish in ({}, {"method": "zvol", "accept_deadlock_risk": True}):
        ready = made(active(), "sda2", "sdb2", **wish)
        assert not [line for line in commands(ready) if " -f" in line or "labelclear" in line]


@pytest.mark.parametrize("wish", [{}, {"method": "zvol", "accept_deadlock_risk": True}], ids=["md", "zvol"])
def test_the_script_is_sound_shell(wish: dict[str, object], tmp_path: Path) -> None:
    text = script(made(active(priority=3), "sda2", "sdb2", **wish), Linux())
    (tmp_path / "plan.sh").write_text(text)
    assert subprocess.run(["sh", "-n", tmp_path / "plan.sh"]).returncode == 0
    assert text.index("swapon -p 3") < text.index("swapoff /dev/disk/by-id/ata-a-part2")


def test_an_array_with_a_boot_line_on_a_side_is_degraded() -> None:
    sides = (Leaf("sda2", "/dev/sda2", "active"), Leaf("sdb2", "/dev/sdb2", "active"))
    array = Array("swap", "/dev/md/swap", "/dev/md127", GIB, 2, sides, mark="6f70736b:1", signature="swap:u-1")
    line = "UUID=u-1 none swap nofail 0 0\n"
    facts = replace(
        FACTS,
        arrays=(array,),
        swaps=(Swap("/dev/md127", "/dev/md127", GIB),),
        files={"/etc/fstab": line},
    )
    assert health(facts, array, Linux()).level == "ok"
    stale = health(replace(facts, files={"/etc/fstab": line + "UUID=a none swap sw 0 0\n"}), array, Linux())
    assert stale.level == "degraded"
    assert "would page over the mirror" in stale.reasons[0]
    forgotten = health(replace(facts, files={}), array, Linux())
    assert "no boot line names /dev/md/swap" in forgotten.reasons[0]
    gone = replace(array, members=sides[:1])
    assert "not redundant" in health(replace(facts, arrays=(gone,)), gone, Linux()).reasons[0]
