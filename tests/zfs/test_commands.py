"""The command line over simulated hosts: what a person types and reads."""

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from opskit.cli import run
from opskit.zfs import cli
from tests.zfs.desks import desk_of
from tests.zfs.simulated import MIB, Host, SimPool, freebsd, illumos, names_of

HOSTS = pytest.mark.parametrize("make", [illumos, freebsd])


class Shell:
    """Types commands at one simulated host."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch
        self.out = self.err = ""

    def __call__(self, *args: str) -> int:
        self.monkeypatch.setattr("sys.stdin", io.StringIO(""))
        code = run(["zfs", "swap-mirror", *args])
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        return code


At = Callable[[Host], AbstractContextManager[Shell]]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> At:
    @contextmanager
    def at(host: Host) -> Iterator[Shell]:
        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(cli, "_desk", lambda: desk_of(host, tmp_path))
            yield Shell(capsys, patch)

    return at


@HOSTS
def test_the_whole_way_of_a_person(make: Callable[[], Host], shell: At) -> None:
    host = make()
    before = host.state()
    old, idle = names_of(host, 0, 1)
    with shell(host) as do:
        assert do() == 0
        assert f"opskit zfs swap-mirror plan {old} {idle} -o plan.json" in do.out
        assert all(len(line) <= 80 for line in do.out.splitlines())
        assert do("plan", old, idle, "-o", "plan.json", "--script", "plan.sh") == 0
        assert "Next: opskit zfs swap-mirror apply plan.json" in do.out
        assert host.state() == before
        assert do("apply", "plan.json") == 2  # nobody typed the names
        assert f"--yes --confirm {old},{idle}" in do.err
        assert do("apply", "plan.json", "--yes", "--confirm", f"{idle},{old}") == 0
        assert "mirror: done" in do.err
        assert do("status") == 0
        assert "ok" in do.out
        assert do("status", "--nagios") == 0
        assert do.out.startswith("SWAP MIRROR OK: swap: 2 sides")
        assert do("status", "--prometheus") == 0
        assert 'opskit_swap_mirror_sides{name="swap",method=' in do.out
        assert do("verify", "--json") == 0
        assert json.loads(do.out)["data"]["level"] == "ok"
        assert do("undo") == 0
        assert "Taken back" in do.out
    assert host.state() == before


def test_refusals_name_the_fact_and_change_nothing(shell: At) -> None:
    host = illumos()
    before = host.state()
    with shell(host) as do:
        for args, code, words in (
            (("plan", "c3d0s1", "c9d9s1"), 3, "there is no slice c9d9s1 here"),
            (("plan", "c3d0s1", "c3d0s1"), 2, "was named twice"),
            (("plan", "c3d0s1", "c3d1s1", "c3d2s1"), 2, "3 slices were named"),
            (("plan", "c3d0s1", "c3d1s1", "--pool", "mirrorx"), 2, "zpool reserves the name"),
            (("plan", "c3d0s1", "c3d1s1", "--pool", "a/b"), 2, "is no name for a pool"),
            (("plan", "c3d0s1", "c3d1s1", "--size", "4GiB"), 3, "does not fit"),
            (("plan", "c3d0s1", "c3d1s1", "--size", "huge"), 2, "'huge' is not a size"),
            (("plan", "c3d0s1", "c3d1s1", "--method", "md"), 2, "md is no method on illumos"),
            (("plan", "c3d0s1", "c3d1s1", "--method", "raid"), 2, "--method raid is not known"),
            (("plan", "c3d0s1", "c3d1s1", "--allow", "everything"), 2, "is no consent"),
            (("plan", "c3d0s1", "c3d1s1", "-o", "/no/such/plan.json"), 3, "there is no directory"),
            (("apply", "missing.json"), 2, "cannot read missing.json"),
            (("apply", "/dev/null"), 2, "is not a plan"),
            (("resume",), 2, "no plan stands half-done here"),
            (("undo",), 2, "no plan stands half-done here"),
            (("undo", "abc"), 2, "no plan abc is known here"),
            (("verify",), 3, "there is no mirrored swap called 'swap' here"),
            (("mirror", "c3d1s1"), 3, "there is no mirrored swap called"),
            (("status", "--nagios", "--json"), 2, "exclude each other"),
            (("status", "--nagios"), 3, ""),
        ):
            assert do(*args) == code, args
            assert words in do.err, args
    assert host.state() == before


def test_hosts_that_are_refused(shell: At) -> None:
    """Not root, a zone, a missing command, unequal slices, one disk, little memory, a name that is taken."""

    def changed(**values: object) -> Host:
        host = illumos()
        for name, value in values.items():
            setattr(host, name, value)
        return host

    unequal, one_disk, zone = illumos(), illumos(), illumos()
    unequal.slices["/dev/dsk/c3d1s1"].size += 64 * MIB
    moved = one_disk.slices.pop("/dev/dsk/c3d1s1")
    moved.disk, moved.start = "c3d0", 8 << 30
    one_disk.slices["/dev/dsk/c3d0s3"] = moved
    one_disk.swaps.clear()
    zone.do_zonename = lambda args: (0, "web1\n", "")  # type: ignore[method-assign]
    taken = changed(pools={"swap": SimPool(["/dev/dsk/c3d2s1"], "")})
    active = illumos()
    active.swaps["/dev/dsk/c3d1s1"] = 2048 * MIB
    active.memory = 100 * MIB
    for host, args, words in (
        (changed(root=False), ("c3d0s1", "c3d1s1"), "only root can read"),
        (zone, ("c3d0s1", "c3d1s1"), "this is the zone web1"),
        (changed(missing={"prtvtoc"}), ("c3d0s1", "c3d1s1"), "prtvtoc cannot be run here"),
        (unequal, ("c3d0s1", "c3d1s1"), "differ by 64.0 MiB"),
        (one_disk, ("c3d0s1", "c3d0s3"), "are on one disk"),
        (taken, ("c3d0s1", "c3d1s1"), "the name 'swap' is taken"),
        (active, ("c3d0s1", "c3d1s1", "--allow-less-swap"), "memory cannot take back"),
    ):
        before = host.state()
        with shell(host) as do:
            assert do("plan", *args) == 3, words
            assert words in do.err
            assert "hint: " in do.err
        assert host.state() == before


def test_one_disk_then_two_then_another(shell: At) -> None:
    host = illumos()
    with shell(host) as do:
        assert do("plan", "c3d1s1", "-o", "p.json") == 0
        assert "one slice is no mirror" in do.out
        assert do("apply", "p.json", "--yes", "--confirm", "c3d1s1") == 0
        assert do("status") == 5
        assert "not redundant" in do.out
        assert do("mirror", "c3d2s1", "--dry-run") == 0
        assert do("mirror", "c3d2s1", "--yes", "--confirm", "c3d2s1") == 0
        assert do("verify") == 0
        host.pools["swap"].states["/dev/dsk/c3d2s1"] = "UNAVAIL"
        assert do("verify") == 5
        assert "c3d2s1 is UNAVAIL" in do.out
        assert do("status", "--nagios") == 1
        assert do("destroy", "--dry-run") == 3
        assert "--allow-less-swap" in do.err
        assert do("destroy", "--allow-less-swap", "--yes", "--confirm", "c3d1s1,c3d2s1") == 0
    assert not host.pools
    assert "zvol" not in host.files["/etc/vfstab"]


def test_a_failed_first_step_changes_nothing_and_rollback_takes_back(shell: At) -> None:
    host = illumos()
    before = host.state()
    with shell(host) as do:
        do("plan", "c3d0s1", "c3d1s1", "-o", "p.json")
        host.faults = {0: "fail"}
        assert do("apply", "p.json", "--yes", "--confirm", "c3d0s1,c3d1s1") == 1
        assert "nothing was changed" in do.err
        assert host.state() == before
        host.faults = {host.changes + 4: "fail"}
        do("plan", "c3d0s1", "c3d1s1", "-o", "p.json")
        assert do("apply", "p.json", "--rollback", "--yes", "--confirm", "c3d0s1,c3d1s1") == 1
        assert "everything was taken back" in do.err
        assert host.state() == before


def test_until_and_undo_to_a_step(shell: At) -> None:
    host = illumos()
    with shell(host) as do:
        do("plan", "c3d0s1", "c3d1s1", "-o", "p.json")
        names = ("--yes", "--confirm", "c3d0s1,c3d1s1")
        assert do("apply", "p.json", *names, "--until", "no-such") == 2
        assert do("apply", "p.json", *names, "--until", "activate") == 0
        assert len(host.swaps) == 2
        assert do("apply", "p.json", *names) == 4
        assert "resume" in do.err
        assert do("undo", "--to", "create-pool") == 0
        assert not host.volume_nodes()
        assert do("resume") == 0
        assert do("verify") == 0


@HOSTS
def test_the_script_is_sound_shell(make: Callable[[], Host], shell: At, tmp_path: Path) -> None:
    host = make()
    with shell(host) as do:
        assert do("plan", *names_of(host, 0, 1), "--script", "plan.sh") == 0
    text = (tmp_path / "plan.sh").read_text()
    assert subprocess.run(["sh", "-n", tmp_path / "plan.sh"]).returncode == 0
    assert "swap" in text
    assert "set -eu" in text
    assert (tmp_path / "plan.sh").stat().st_mode & 0o111


def test_a_password_in_a_boot_file_is_in_no_plan(shell: At, tmp_path: Path) -> None:
    host = freebsd()
    host.files["/etc/fstab"] += "//nas/share\t/mnt\tcifs\tusername=me,password=hunter2\t0\t0\n"
    with shell(host) as do:
        assert do("plan", *names_of(host, 0, 1), "-o", "p.json") == 0
        assert do("apply", "p.json", "--yes", "--confirm", ",".join(names_of(host, 0, 1))) == 0
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hunter2" in text for text in kept)
    assert "password=hunter2" in host.files["/etc/fstab"]


def test_a_survey_and_a_plan_speak_json(shell: At) -> None:
    with shell(illumos()) as do:
        assert do("--json") == 0
        document = json.loads(do.out)
        assert document["schema"] == "zfs-swap-mirror/1"
        assert document["data"]["pairs"][0] == ["/dev/dsk/c3d0s1", "/dev/dsk/c3d1s1"]
        assert do("plan", "c3d0s1", "c3d1s1", "--json") == 0
        plan = json.loads(do.out)["data"]
        assert [step["name"] for step in plan["steps"]][-1] == "mirror"
