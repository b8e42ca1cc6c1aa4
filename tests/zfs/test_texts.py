"""Every form of output that the programs are known to print, read or refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from opskit.zfs import zpool
from opskit.zfs.conditions import sound
from opskit.zfs.facts import Slice
from opskit.zfs.platforms import freebsd, illumos, linux
from opskit.zfs.zpool import UnknownOutput, label_of, pools_of_json, pools_of_text, speaks_json, version_of
from tests.zfs.simulated import Host
from tests.zfs.simulated import illumos as illumos_host

HEALTHY = """  pool: swap
 state: ONLINE
  scan: {scan}
config:

\tNAME          STATE     READ WRITE CKSUM
\tswap          ONLINE       0     0     0
\t  {mirror}    ONLINE       0     0     0
\t    c3d0s1    ONLINE       0     0     0
\t    c3d1s1    ONLINE       0     0     0

errors: No known data errors
"""
DEGRADED = """  pool: swap
 state: DEGRADED
status: One or more devices could not be opened.  Sufficient replicas exist for
\tthe pool to continue functioning in a degraded state.
action: Attach the missing device and online it using 'zpool online'.
   see: http://illumos.org/msg/ZFS-8000-2Q
  scan: none requested
config:

\tNAME                      STATE     READ WRITE CKSUM
\tswap                      DEGRADED     0     0     0
\t  mirror-0                DEGRADED     0     0     0
\t    sda2                  ONLINE       0     0     0
\t    12897545936258916783  UNAVAIL      0     0     0  was /dev/gpt/ndisk2

errors: No known data errors
"""
RESILVERING = """  pool: tank
 state: ONLINE
status: One or more devices is currently being resilvered.  The pool will
\tcontinue to function, possibly in a degraded state.
action: Wait for the resilver to complete.
  scan: resilver in progress since Sat Jan 28 14:25:44 2023
\t12.8G / 1.49T scanned at 596M/s, 600K / 1.49T issued at 27.3K/s
\t0B resilvered, 0.04% done, no estimated completion time
config:

\tNAME                        STATE     READ WRITE CKSUM
\ttank                        ONLINE       0     0     0
\t  mirror-0                  ONLINE       0     0     0
\t    sda2                    ONLINE       0     0     0
\t    replacing-1             DEGRADED     0     0     0
\t      6544112441320430488   UNAVAIL      0     0     0  was /dev/disk/by-id/ata-OLD-part1
\t      ata-NEW               ONLINE       0     0     0  (resilvering)
\tlogs
\t  sdc1                      ONLINE       0     0     0

errors: No known data errors
"""
FAULTED = HEALTHY.replace(
    "c3d1s1    ONLINE       0     0     0", "c3d1s1    FAULTED      3 1.32K     0  too many errors"
)


@pytest.mark.parametrize(
    ("scan", "name"),
    [
        ("none requested", "none"),
        ("resilvered 2.3M in 00:00:01 with 0 errors on Thu Nov 19 10:00:00 2026", "resilvered"),
        ("scrub repaired 0B in 00:12:34 with 0 errors on Sun Nov  8 00:36:35 2026", "scrubbed"),
        ("resilver canceled on Thu Nov 19 10:00:00 2026", "canceled"),
    ],
)
def test_a_healthy_mirror_in_todays_words(scan: str, name: str) -> None:
    (pool,) = pools_of_text(HEALTHY.format(scan=scan, mirror="mirror-0"))
    assert (pool.name, pool.state, pool.kind, pool.scan) == ("swap", "ONLINE", "mirror", name)
    assert [leaf.name for leaf in pool.leaves] == ["c3d0s1", "c3d1s1"]
    assert sound(pool)


@pytest.mark.parametrize(
    ("scan", "name"),
    [
        ("none requested", "none"),
        ("resilver completed after 0h0m with 0 errors on Sat Nov 22 12:00:00 2008", "resilvered"),
        ("scrub completed after 0h12m with 0 errors on Sat Nov 22 12:00:00 2008", "scrubbed"),
        ("resilver in progress for 0h0m, 12.50% done, 0h3m to go", "resilvering"),
    ],
)
def test_the_words_of_2008(scan: str, name: str) -> None:
    """`scrub:` for `scan:`, and a mirror without its number."""
    text = HEALTHY.format(scan=scan, mirror="mirror  ").replace("  scan:", " scrub:")
    (pool,) = pools_of_text(text)
    assert (pool.kind, pool.scan) == ("mirror", name)
    assert pool.progress == ("12.50%" if name == "resilvering" else "")


def test_a_degraded_pool_says_which_side_and_why() -> None:
    (pool,) = pools_of_text(DEGRADED)
    gone = pool.leaves[1]
    assert (gone.state, gone.path, gone.guid) == ("UNAVAIL", "/dev/gpt/ndisk2", "12897545936258916783")
    assert not sound(pool)


def test_a_resilvering_pool_calls_itself_online() -> None:
    (pool,) = pools_of_text(RESILVERING)
    assert (pool.state, pool.scan, pool.progress) == ("ONLINE", "resilvering", "0.04%")
    assert pool.kind == "other"
    assert [leaf.name for leaf in pool.leaves] == ["sda2", "6544112441320430488", "ata-NEW"]


def test_faults_and_short_numbers_are_counted() -> None:
    (pool,) = pools_of_text(FAULTED.format(scan="none requested", mirror="mirror-0"))
    assert pool.leaves[1].state == "FAULTED"
    assert pool.leaves[1].errors == 3 + int(1.32 * 1024)
    assert not sound(pool)


def test_several_pools_and_none() -> None:
    both = HEALTHY.format(scan="none requested", mirror="mirror-0") + "\n" + DEGRADED.replace("swap", "tank")
    assert [pool.name for pool in pools_of_text(both)] == ["swap", "tank"]
    assert pools_of_text("no pools available\n") == ()


@pytest.mark.parametrize(
    "text",
    [
        "Grappe: swap\n",
        HEALTHY.format(scan="mending in progress", mirror="mirror-0"),
        HEALTHY.format(scan="none requested", mirror="mirror-0").replace("NAME  ", "NOM   "),
        HEALTHY.format(scan="none requested", mirror="mirror-0").replace("c3d0s1    ONLINE", "c3d0s1    RESTING"),
        HEALTHY.format(scan="none requested", mirror="mirror-0").replace(
            "c3d0s1    ONLINE       0", "c3d0s1 ONLINE x"
        ),
    ],
)
def test_unknown_text_stops_the_tool(text: str) -> None:
    with pytest.raises(UnknownOutput):
        pools_of_text(text)


def status_json(leaf_state: str = "ONLINE", **scan: Any) -> str:
    leaves = {
        f"/dev/sd{letter}1": {"name": f"/dev/sd{letter}1", "vdev_type": "disk", "path": f"/dev/sd{letter}1",
                              "guid": 7, "state": state, "read_errors": 0, "write_errors": "1.5K",
                              "checksum_errors": 0}
        for letter, state in (("a", "ONLINE"), ("b", leaf_state))
    }  # fmt: skip
    mirror = {"name": "mirror-0", "vdev_type": "mirror", "state": "ONLINE", "vdevs": leaves}
    root = {"name": "swap", "vdev_type": "root", "state": "ONLINE", "vdevs": {"mirror-0": mirror}}
    pool = {
        "name": "swap",
        "state": "ONLINE",
        "scan_stats": scan,
        "vdevs": {"swap": root},
        "error_count": "0",
    }
    return json.dumps({"output_version": {"command": "zpool status"}, "pools": {"swap": pool}})


def test_json_has_other_words_for_the_same() -> None:
    (pool,) = pools_of_json(status_json("CANT_OPEN"))
    assert pool.leaves[1].state == "UNAVAIL"
    (pool,) = pools_of_json(
        status_json("HEALTHY", function="RESILVER", state="SCANNING", issued=50, to_examine=200)
    )
    assert pool.leaves[1].state == "ONLINE"
    assert (pool.kind, pool.scan, pool.progress) == ("mirror", "resilvering", "25.0%")
    assert pool.leaves[0].errors == 1536
    assert pools_of_json('{"output_version": {}, "pools": {}}') == ()


@pytest.mark.parametrize("text", ["{", '{"pools": 3}', '{"pools": {"a": {}}}', status_json("SLEEPING")])
def test_unknown_json_stops_the_tool(text: str) -> None:
    with pytest.raises(UnknownOutput):
        pools_of_json(text)


def test_labels_versions_and_json() -> None:
    assert label_of("    version: 5000\n    name: 'tank'\n    state: 1\n") == ("tank", "exported")
    assert label_of("    version=10\n    name='swap'\n    state=2\n") == ("swap", "destroyed")
    assert label_of("failed to unpack label 0\n") == ("", "")
    assert version_of("zfs-2.1.11-1+deb12u1\nzfs-kmod-2.1.11-1+deb12u1\n") == "2.1.11"
    assert [speaks_json(v) for v in ("", "2.1.11", "2.2.9", "2.3.0", "2.4.4", "3.0")] == [
        False, False, False, True, True, True,
    ]  # fmt: skip


def test_swap_l_with_long_paths_missing_numbers_and_indel() -> None:
    host = illumos_host()
    text = (
        "swapfile             dev    swaplo   blocks     free\n"
        "/dev/zvol/dsk/rpool/swap 182,1         8  1048568  1046496\n"
        "/dev/dsk/c1t0d0s1   30,65        8  8401984  8401984 INDEL\n"
        "/export/swapfile      -          8   204792   204792\n"
    )
    rows = [illumos._swap(host, line) for line in text.splitlines()[1:]]
    assert [row.size for row in rows] == [1048568 * 512, 8401984 * 512, 204792 * 512]
    assert [row.leaving for row in rows] == [False, True, False]
    assert rows[0].used == (1048568 - 1046496) * 512
    with pytest.raises(UnknownOutput):
        illumos._swap(host, "/dev/x 1,2 8")


def test_prtvtoc_in_either_sector_size() -> None:
    table = (
        "* /dev/rdsk/c0t3d0s2 partition map\n*         {0} bytes/sector\n"
        "       0       2     00          0       76320       76319   /\n"
        "       1       3     01      76320      132480      208799\n"
        "       2       5     00          0      828720      828719\n"
        "       8      11     00     900000        16384      916383\n"
    )
    for sector in (512, 4096):
        found = illumos.slices_of(table.format(sector), "c0t3d0", "S1")
        assert [item.path for item in found] == ["/dev/dsk/c0t3d0s0", "/dev/dsk/c0t3d0s1"]
        assert found[1].size == 132480 * sector
    with pytest.raises(UnknownOutput):
        illumos.slices_of("nothing of the kind", "c0t3d0", "S1")


def test_swapinfo_and_gpart() -> None:
    host = illumos_host()
    text = (
        "Device          1K-blocks     Used    Avail Capacity\n"
        "/dev/mirror/swap  16777212        0 16777212     0%\n"
        "/dev/ada0p2.eli   2097152       12  2097140     0%\nTotal 1 1 1 0%\n"
    )
    assert [(s.path, s.size, s.used) for s in freebsd.swaps_of(text, host)] == [
        ("/dev/mirror/swap", 16777212 * 1024, 0), ("/dev/ada0p2.eli", 2097152 * 1024, 12 * 1024),
    ]  # fmt: skip
    show = (
        "=>       40  488397088    ada0  GPT  (233G)\n         40       2008          - free -  (1.0M)\n"
        "       2048    4194304  ada0p2  freebsd-swap  (2.0G)\n"
        "    4196352  484200448  ada0p3  freebsd-zfs  (231G)\n"
    )
    found = freebsd.partitions_of(show, {"ada0": 512}, {"ada0": "S"})
    assert [(item.path, item.size) for item in found] == [
        ("/dev/ada0p2", 4194304 * 512), ("/dev/ada0p3", 484200448 * 512),
    ]  # fmt: skip


def test_proc_swaps_and_mdstat() -> None:
    host = illumos_host()
    text = (
        "Filename\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        "/dev/sda1  partition\t262140\t\t12\t\t-2\n/dev/zd0 partition 4 0 5\n"
    )
    found = linux.swaps_of(text, host)
    assert [(s.size, s.used, s.priority) for s in found] == [(262140 * 1024, 12 * 1024, None), (4096, 0, 5)]
    with pytest.raises(UnknownOutput):
        linux.swaps_of("Dateiname Typ\n", host)
    members = linux._members("sda1[2] sdc1[0](F) sdb1[1]", 1)
    assert [(m.path, m.state) for m in members] == [
        ("/dev/sdc1", "faulty"), ("/dev/sdb1", "active"), ("/dev/sda1", "rebuilding"),
    ]  # fmt: skip


class Wiped(Host):
    """A Linux host of two slices: wipefs finds one signature, and udev still remembers another."""

    def do_wipefs(self, args: list[str]) -> tuple[int, str, str]:
        return 0, '{"signatures": [{"device": "sdb2", "offset": "0x0", "type": "ext4", "uuid": "u"}]}', ""


def test_udevs_memory_of_a_signature_that_is_gone_does_not_count() -> None:
    found = linux._signatures(Wiped({}, {}), ["/dev/sda2", "/dev/sdb2"])
    assert found == {"/dev/sda2": (), "/dev/sdb2": ("ext4",)}
    remembered = Slice("/dev/sda2", "/dev/sda", 1 << 30, signatures=("swap",))
    assert linux._with_signatures(remembered, found["/dev/sda2"]).signatures == ()
    assert linux._with_signatures(remembered, None).signatures == ("swap",)  # nobody could look
    other = linux._with_signatures(replace(remembered, path="/dev/sdb2"), found["/dev/sdb2"])
    assert [use.kind for use in other.uses] == ["filesystem"]


def test_a_dump_device_is_found_or_none() -> None:
    text = "      Dump content: kernel pages\n       Dump device: /dev/zvol/dsk/rpool/dump (dedicated)\n"
    assert illumos._dump(text) == "/dev/zvol/dsk/rpool/dump"
    assert illumos._dump("       Dump device: none (dumps disabled)\n") == ""
    assert freebsd._dump("ada0p2\n") == "/dev/ada0p2"
    assert freebsd._dump("/dev/null\n") == ""


def test_properties_join_pools_and_volumes() -> None:
    (pool,) = pools_of_text(HEALTHY.format(scan="none requested", mirror="mirror-0"))
    text = (
        "swap\ttype\tfilesystem\t-\nswap\tavailable\t125485056\t-\nswap\torg.opskit:swap-mirror\tabc\tlocal\n"
        "swap/swap0\ttype\tvolume\t-\nswap/swap0\tvolsize\t104857600\tlocal\nswap/swap0\tvolblocksize\t4096\t-\n"
        "swap/swap0\torg.opskit:swap-mirror\tabc\tinherited from swap\n"
    )
    pools, volumes = zpool.with_properties([pool], text)
    assert (pools[0].mark, pools[0].available, pools[0].datasets) == ("abc", 125485056, ("swap/swap0",))
    assert (volumes[0].size, volumes[0].mark) == (104857600, "")  # an inherited mark is not the volume's own
    with pytest.raises(UnknownOutput):
        zpool.with_properties([pool], "swap type filesystem\n")
