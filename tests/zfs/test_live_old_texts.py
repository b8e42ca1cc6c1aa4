"""The texts of an old zpool, printed by one: zfs-fuse (Debian main) speaks pool version 23, with the wording of
2010. Its pools are of files; volumes it has none, so what it prints of them stays with the fixtures."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from opskit.process import Finished
from opskit.zfs import zpool
from opskit.zfs.conditions import sound
from opskit.zfs.facts import MARK, Pool
from opskit.zfs.machine import ThisMachine
from opskit.zfs.platforms import common, illumos
from tests.programs import need

MIB = 1 << 20
# A mount namespace of its own: the daemon's socket and cache file have fixed places, and the host may have ZFS.
DAEMON = """
for place in /run/zfs /var/lib/zfs; do mkdir -p $place && mount -t tmpfs none $place; done
exec zfs-fuse --no-daemon --no-kstat-mount
"""


class OldZfs(ThisMachine):
    """A host whose zpool and zfs are zfs-fuse's, and whose slices are files of 100 MiB. `enter` is the command
    that goes before every other, into the namespace of the daemon."""

    def __init__(self, enter: Sequence[str], place: Path) -> None:
        super().__init__()
        self.enter, self.place = enter, place

    def run(self, argv: Sequence[str]) -> Finished:
        return super().run([*self.enter, *argv])

    def do(self, *argv: str) -> str:
        done = self.run(argv)
        assert done.code == 0, f"{argv}: {done.error_text}"
        return done.text

    def side(self, name: str) -> str:
        path = self.place / name
        with path.open("wb") as file:
            file.truncate(100 * MIB)
        return str(path)

    def pool(self) -> Pool:
        (pool,) = zpool.pools_of_text(self.do("zpool", "status"))
        return pool

    def settled(self) -> Pool:
        """The pool once nothing is under way; the state in between is read as well."""
        deadline = time.monotonic() + 60
        while (pool := self.pool()).scan in ("resilvering", "scrubbing"):
            assert time.monotonic() < deadline, "it never ended"
            time.sleep(0.05)
        return pool


@pytest.fixture(scope="module")
def daemon() -> Iterator[Sequence[str]]:
    """The words that enter the namespace of a running daemon."""
    need("zfs-fuse")
    if os.geteuid() != 0:
        pytest.skip("the daemon of zfs-fuse needs root")
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", DAEMON],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as child:  # fmt: skip
        enter = ["nsenter", f"--mount=/proc/{child.pid}/ns/mnt"]
        deadline = time.monotonic() + 60
        while subprocess.run([*enter, "test", "-S", "/run/zfs/zfs_socket"], capture_output=True).returncode:
            assert child.poll() is None, f"zfs-fuse did not start: {child.stdout and child.stdout.read()}"
            assert time.monotonic() < deadline, "zfs-fuse did not open its socket"
            time.sleep(0.05)
        yield enter
        child.terminate()


@pytest.fixture
def old(daemon: Sequence[str], tmp_path: Path) -> Iterator[OldZfs]:
    host = OldZfs(daemon, tmp_path)
    yield host
    for pool in zpool.pools_of_text(host.do("zpool", "status")):
        host.do("zpool", "destroy", "-f", pool.name)


def test_no_pool_one_side_and_two(old: OldZfs) -> None:
    """The way of a plan: one side, a second joins, and goes again."""
    assert zpool.pools_of_text(old.do("zpool", "status")) == ()
    first, second = old.side("first"), old.side("second")
    old.do("zpool", "create", "-m", "legacy", "-O", f"{MARK}=abc", "swap", first)
    alone = old.pool()
    assert (alone.name, alone.state, alone.kind, alone.scan) == ("swap", "ONLINE", "disk", "none")
    assert [leaf.path for leaf in alone.leaves] == [first]
    old.do("zpool", "attach", "swap", first, second)
    both = old.settled()
    assert (both.kind, both.scan) == ("mirror", "resilvered")
    assert [(leaf.path, leaf.state) for leaf in both.leaves] == [(first, "ONLINE"), (second, "ONLINE")]
    assert both.leaves[1].note.endswith("resilvered")
    assert sound(both)
    old.do("zpool", "scrub", "swap")
    assert old.settled().scan == "scrubbed"
    old.do("zpool", "detach", "swap", second)
    assert old.pool().kind == "disk"


def test_the_mark_and_the_room_are_read(old: OldZfs) -> None:
    old.do("zpool", "create", "-m", "legacy", "-O", f"{MARK}=abc", "swap", old.side("one"))
    old.do("zfs", "create", "swap/other")
    pools, volumes = common.pools_and_volumes(old, "", "/dev/", "/dev/zvol/dsk/")
    assert volumes == ()
    assert (pools[0].mark, pools[0].datasets) == ("abc", ("swap/other",))
    assert 50 * MIB < pools[0].available < 100 * MIB
    assert illumos._knows_ashift(old)
    assert common.zfs_runs(old)


def test_a_side_that_is_offline_gone_and_replaced(old: OldZfs) -> None:
    first, second, third = (old.side(name) for name in ("first", "second", "third"))
    old.do("zpool", "create", "-m", "legacy", "swap", "mirror", first, second)
    old.do("zpool", "offline", "swap", second)
    offline = old.pool()
    assert (offline.state, offline.leaves[1].state) == ("DEGRADED", "OFFLINE")
    assert not sound(offline)
    old.do("zpool", "online", "swap", second)
    assert sound(old.settled())
    old.do("zpool", "export", "swap")
    Path(second).unlink()
    old.do("zpool", "import", "-d", str(old.place), "swap")
    gone = old.pool().leaves[1]
    assert (gone.state, gone.path, gone.name) == ("UNAVAIL", second, gone.guid)
    assert not sound(old.pool())
    old.do("zpool", "replace", "swap", gone.guid, third)
    whole = old.settled()
    assert [leaf.path for leaf in whole.leaves] == [first, third]
    assert sound(whole)


def test_a_side_with_bad_content_has_errors_though_the_pool_is_online(old: OldZfs) -> None:
    first, second = old.side("first"), old.side("second")
    old.do("zpool", "create", "-m", "legacy", "swap", "mirror", first, second)
    old.do("zpool", "export", "swap")
    with open(second, "r+b") as file:
        file.seek(5 * MIB)
        file.write(os.urandom(80 * MIB))
    old.do("zpool", "import", "-d", str(old.place), "swap")
    old.do("zpool", "scrub", "swap")
    pool = old.settled()
    assert pool.state == "ONLINE"
    assert pool.leaves[0].errors == 0 < pool.leaves[1].errors
    assert pool.leaves[1].note.endswith("repaired")
    assert not sound(pool)


def test_other_layouts_are_not_taken_for_a_mirror(old: OldZfs) -> None:
    sides = [old.side(f"side{number}") for number in range(4)]
    for layout, leaves in (
        (("raidz", *sides[:3]), 3),
        (("mirror", *sides[:2], "log", sides[2]), 2),
        (("mirror", *sides[:2], "spare", sides[2]), 2),
        (("mirror", *sides[:2], "mirror", *sides[2:]), 4),
    ):
        old.do("zpool", "create", "-f", "-m", "legacy", "tank", *layout)
        pool = old.pool()
        assert (pool.kind, len(pool.leaves)) == ("other", leaves), layout
        old.do("zpool", "destroy", "tank")


def test_labels_of_a_pool_in_use_exported_and_destroyed(old: OldZfs) -> None:
    side = old.side("side")
    old.do("zpool", "create", "-m", "legacy", "swap", side)
    assert zpool.label_of(old.do("zdb", "-l", side)) == ("swap", "active")
    old.do("zpool", "export", "swap")
    assert zpool.label_of(old.do("zdb", "-l", side)) == ("swap", "exported")
    old.do("zpool", "import", "-d", str(old.place), "swap")
    old.do("zpool", "destroy", "swap")
    assert zpool.label_of(old.do("zdb", "-l", side)) == ("swap", "destroyed")
    assert zpool.label_of(old.do("zdb", "-l", old.side("empty"))) == ("", "")


def test_a_daemon_that_does_not_run_is_no_zfs(tmp_path: Path) -> None:
    """zfs-fuse without its daemon, like OpenZFS without its module: there are no pools to see."""
    need("zfs-fuse")
    if os.geteuid() != 0:
        pytest.skip("a mount namespace needs root")
    hidden = 'mkdir -p /run/zfs && mount -t tmpfs none /run/zfs && exec "$@"'
    host = OldZfs(("unshare", "--mount", "--propagation", "private", "sh", "-euc", hidden, "sh"), tmp_path)
    assert not common.zfs_runs(host)
    assert common.pools_and_volumes(host, "", "/dev/", "/dev/zvol/") == ((), ())
