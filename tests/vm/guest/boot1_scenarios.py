"""The scenarios of the first boot, on real disks. `quick` marks the subset of every CI run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vm.guest import host
from tests.vm.guest.host import MD, ZVOL, Before, apply, killed_at, name, opskit, part, plan, sh

pytestmark = pytest.mark.usefixtures("clean_host")
quick = pytest.mark.quick
QUICK_ZVOL = pytest.mark.parametrize(
    "method", [pytest.param(ZVOL, marks=quick, id="zvol"), pytest.param(MD, id="md")]
)
QUICK_MD = pytest.mark.parametrize(
    "method", [pytest.param(ZVOL, id="zvol"), pytest.param(MD, marks=quick, id="md")]
)
BOTH = pytest.mark.parametrize("method", [ZVOL, MD], ids=["zvol", "md"])


def whole(pool: str = "swap") -> None:
    report = opskit("verify", "--pool", pool, "--json").data
    assert report["level"] == "ok"
    assert report["active"]
    assert len(report["sides"]) == 2


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def without(program: str) -> Iterator[None]:
    """The program is there, and cannot be run."""
    sh(f"mount --bind /dev/null {program}")
    try:
        yield
    finally:
        sh(f"umount {program}")


@quick
@BOTH
def test_keep_swap_apply_and_undo_leave_all_as_it_was(method: tuple[str, ...]) -> None:
    old, idle = part(0), part(1)
    uuid = host.make_swap(old)
    before, header = Before.of(idle), host.ends(old)[:4096]
    plan(old, idle, *method)
    assert "mirror: done" in apply(old, idle).err
    assert old not in host.swaps()
    assert len(host.swaps()) == 1
    whole()
    assert "#opskit:" in Path("/etc/fstab").read_text()
    assert "Nothing to do" in apply(old, idle).out
    assert "Taken back" in opskit("undo").out
    assert Before.of(idle) == before
    assert host.ends(old)[:4096] == header
    assert sh(f"blkid -p -s UUID -o value {old}").strip() == uuid
    assert "Nothing to do" in opskit("undo").out


@BOTH
def test_release_first_with_two_active_slices(method: tuple[str, ...]) -> None:
    first, second = part(0), part(1)
    for path in (first, second):
        host.make_swap(path)
    plan(first, second, *method, expect=3)
    plan(first, second, *method, "--allow-less-swap")
    before, headers = Before.of(), [host.ends(path)[:4096] for path in (first, second)]
    apply(first, second)
    assert len(host.swaps()) == 1
    whole()
    opskit("undo")
    assert Before.of() == before
    assert [host.ends(path)[:4096] for path in (first, second)] == headers


@QUICK_ZVOL
def test_one_disk_then_mirror(method: tuple[str, ...]) -> None:
    plan(part(0), *method)
    apply(part(0))
    assert opskit("verify", expect=5).out.count("not redundant") == 1
    dry = opskit("mirror", name(part(1)), "--dry-run").out
    assert "keep its first and last MiB" in dry
    opskit("mirror", name(part(1)), "--yes", "--confirm", name(part(1)))
    whole()
    assert "has 2 sides already" in opskit("mirror", name(part(2)), expect=3).err


@QUICK_ZVOL
def test_killed_after_every_line_of_the_journal_then_resumed(method: tuple[str, ...]) -> None:
    old, idle = part(0), part(1)
    host.make_swap(old)
    before = Before.of(idle)
    plan(old, idle, *method)
    kills = 0
    names = f"{name(old)},{name(idle)}"
    command: tuple[str, ...] = ("apply", "/run/plan.json", "--yes", "--confirm", names)
    while killed_at(host.journal_lines() + 2, *command):
        kills += 1
        assert kills < 60
        assert host.swaps(), "there was a moment without swap"
        command = ("resume",)
    assert kills >= 8
    whole()
    assert "Nothing to do" in apply(old, idle).out
    opskit("undo")
    assert Before.of(idle) == before


@BOTH
def test_killed_at_every_point_then_undone(method: tuple[str, ...]) -> None:
    old, idle = part(0), part(1)
    host.make_swap(old)
    before = Before.of(idle)
    plan(old, idle, *method)
    lines = 2
    while True:
        killed = killed_at(lines, "apply", "/run/plan.json", "--yes", "--confirm", f"{name(old)},{name(idle)}")
        opskit("undo")
        assert Before.of(idle) == before, f"killed at line {lines} of the journal"
        if not killed:
            break
        sh(f"rm -rf {host.JOURNALS}")
        lines += 2  # a step has two lines, before it runs and after: this kills inside of each
    assert lines > 20


@QUICK_ZVOL
def test_a_disk_is_pulled_out_and_replaced(method: tuple[str, ...]) -> None:
    gone = part(1)
    plan(part(0), gone, *method)
    apply(part(0), gone)
    host.pull(host.disk(1))
    sh("dd if=/dev/zero of=/run/filler bs=1M count=64 status=none; sync; zpool sync 2>/dev/null; true")
    if method == ZVOL:
        sh("zpool scrub -w swap", check=False)
    report = opskit("status", "--json", expect=5).data["mirrors"][0]
    assert report["level"] == "degraded"
    assert report["active"]
    assert opskit("status", "--nagios", expect=1).out.startswith("SWAP MIRROR WARNING: swap: ")
    assert 'opskit_swap_mirror_healthy{name="swap"' in opskit("status", "--prometheus", expect=5).out
    side = next((s["path"] for s in report["sides"] if s["state"] not in ("ONLINE", "active")), gone)
    new = name(part(2))
    opskit("replace", side, new, "--yes", "--confirm", new)
    whole()


@quick
def test_slices_that_something_needs_are_refused_and_untouched() -> None:
    sh(f"mkfs.ext4 -q {part(1)} && mkfs.ext4 -q {part(1, 2)} && mount {part(1, 2)} /mnt")
    sh(f"zpool create -f tank {part(2)} && zpool create -f gone {part(2, 2)} && zpool export gone")
    # The mounted one is judged by fsck at the end: its file system writes to it by itself.
    untouched = (part(1), part(2, 2))
    before = [host.ends(path) for path in untouched]
    for path, words in (
        (part(1), "a signature of type 'ext4'"),
        (part(1, 2), "is mounted on /mnt"),
        (part(2), "is part of the active pool 'tank'"),
        (part(2, 2), "the label of the pool 'gone'"),
        (part(0, 2), "are on one disk"),
        (host.disk(1), "is a whole disk"),
        ("/dev/sdz9", "there is no slice"),
    ):
        for method in (ZVOL, MD):
            refused = plan(part(0), path, *method, expect=3)
            assert words in refused.err
    plan(part(0), part(0), *MD, expect=2)
    assert "add --accept-deadlock-risk" in plan(part(0), part(3), "--method", "zvol", expect=3).err
    assert [host.ends(path) for path in untouched] == before
    assert not host.swaps()
    plan(part(0), part(1), *ZVOL, "--allow", f"foreign-fs={part(1)}")
    apply(part(0), part(1))
    whole()
    opskit("undo")
    assert [host.ends(path) for path in untouched] == before
    sh(f"umount /mnt && fsck.ext4 -fn {part(1, 2)}")


@quick
def test_hosts_and_names_that_are_refused() -> None:
    """Not root, a missing command, unequal slices, a name that is taken: the fact is named, nothing changed."""
    sh(f"printf 'label: gpt\\nsize=128MiB\\n' | sfdisk -q --wipe always {host.disk(2)} && udevadm settle")
    sh(f"zpool create -f swap {part(1, 2)}")
    before = Before.of(part(0), part(1), part(2))
    with as_nobody():
        assert "only root can read" in plan(part(0), part(1), expect=3).err
    with without("/usr/sbin/mdadm"):
        assert "mdadm cannot be run here" in plan(part(0), part(1), *MD, expect=3).err
    with without("/usr/sbin/zpool"):
        assert "zpool cannot be run here" in plan(part(0), part(1), *ZVOL, expect=3).err
    assert "differ by 128.0 MiB" in plan(part(0), part(2), *MD, expect=3).err
    assert "the name 'swap' is taken" in plan(part(0), part(1), *ZVOL, expect=3).err
    for verb in (("destroy",), ("mirror", name(part(1))), ("replace", name(part(1, 2)), name(part(1)))):
        assert "does not carry our mark" in opskit(*verb, "--yes", "--confirm", name(part(1)), expect=3).err
    assert Before.of(part(0), part(1), part(2)) == before
    assert sh("zpool list -Ho name,health") == "swap\tONLINE\n"
    assert not host.JOURNALS.exists()


@QUICK_MD
def test_a_4kn_disk_beside_one_of_512_bytes(method: tuple[str, ...]) -> None:
    plan(part(0), part(3), *method)
    apply(part(0), part(3))
    whole()
    if method == ZVOL:
        assert "ashift: 12" in sh("zdb -C swap")


@quick
def test_a_host_that_changed_since_the_plan_is_refused() -> None:
    plan(part(0), part(1), *MD)
    with Path("/etc/fstab").open("a") as file:
        file.write("# a person was here\n")
    refused = apply(part(0), part(1), expect=7)
    assert "/etc/fstab was edited" in refused.err
    plan(part(0), part(1), *MD)
    apply(part(0), part(2), expect=2)
    sh(f"dd if=/dev/urandom of={part(1)} bs=4096 count=1 status=none")
    assert f"{part(1)} has another" in apply(part(0), part(1), expect=7).err.replace(name(part(1)), part(1))
    assert not host.JOURNALS.exists() or not list(host.JOURNALS.glob("*/journal.jsonl"))


@QUICK_ZVOL
def test_destroy_takes_only_what_is_ours(method: tuple[str, ...]) -> None:
    fstab = Path("/etc/fstab").read_text()
    plan(part(0), part(1), *method)
    apply(part(0), part(1))
    opskit("destroy", "--yes", "--confirm", f"{name(part(0))},{name(part(1))}", expect=3)
    opskit("destroy", "--allow-less-swap", "--yes", "--confirm", f"{name(part(0))},{name(part(1))}")
    assert not host.swaps()
    assert Path("/etc/fstab").read_text() == fstab
    assert sh("zpool list -Ho name") == ""
    assert "raid1" not in Path("/proc/mdstat").read_text().partition("\n")[2]


@BOTH
def test_the_script_does_by_hand_what_apply_does(method: tuple[str, ...]) -> None:
    old, idle = part(0), part(1)
    host.make_swap(old)
    plan(old, idle, *method, "--script", "/run/plan.sh")
    sh("sh /run/plan.sh </dev/null >/run/script.log 2>&1 || { cat /run/script.log; exit 1; }")
    whole()


@quick
def test_zz_before_the_reboot() -> None:
    """The last of this boot: both methods, kept over the reboot."""
    host.make_swap(part(0))
    plan(part(0), part(1), *ZVOL)
    apply(part(0), part(1))
    plan(part(0, 2), part(1, 2), *MD, "--pool", "swapmd")
    apply(part(0, 2), part(1, 2))
    opskit("verify", "--after-reboot", expect=2)
    Path("/var/lib/opskit-vm/go-on").write_text("")
