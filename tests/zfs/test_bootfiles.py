"""Lines of boot files: found by every name of a device, set aside, and given back byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.zfs.bootfiles import appended, boot_lines, commented_out, dropped, naming, uncommented
from opskit.zfs.facts import Slice
from opskit.zfs.platforms.common import with_boot_uses

DEVICE = Slice(
    "/dev/sda2", "/dev/sda", 1, "/dev/disk/by-id/ata-X-part2", names=("UUID=1-2", "LABEL=old", "/dev/gpt/s0")
)


@pytest.mark.parametrize(
    ("file", "line", "kind"),
    [
        ("/etc/fstab", "/dev/sda2 none swap sw 0 0", "swap"),
        ("/etc/fstab", "UUID=1-2 none swap sw 0 0", "swap"),
        ("/etc/fstab", 'LABEL="old" none swap sw 0 0', "swap"),
        ("/etc/fstab", "/dev/disk/by-id/ata-X-part2\tnone\tswap\tsw\t0\t0", "swap"),
        ("/etc/fstab", "/dev/gpt/s0.eli none swap sw 0 0", "swap"),
        ("/etc/fstab", "/dev/sda2 /data ext4 defaults 0 2", "mount"),
        ("/etc/vfstab", "/dev/sda2 - - swap - no -", "swap"),
        ("/etc/crypttab", "cryptswap /dev/sda2 /dev/urandom swap", "crypt"),
        ("/etc/initramfs-tools/conf.d/resume", "RESUME=UUID=1-2", "resume"),
        ("/proc/cmdline", "root=/dev/sda1 resume=/dev/sda2 quiet", "resume"),
        ("/etc/systemd/system/dev-sda2.swap", "What=/dev/sda2", "unit"),
        ("/etc/rc.conf", 'dumpdev="/dev/sda2"', "dump"),
    ],
)
def test_a_device_is_found_under_each_of_its_names(file: str, line: str, kind: str) -> None:
    (found,) = naming({file: f"# comment\n\n{line}\n"}, DEVICE)
    assert (found.kind, found.line) == (kind, line)
    assert naming({file: f"#{line}\n"}, DEVICE) == ()


def test_other_devices_are_left_alone() -> None:
    assert naming({"/etc/fstab": "/dev/sda20 none swap sw 0 0\nUUID=1-20 none swap sw 0 0\n"}, DEVICE) == ()
    assert len(boot_lines({"/etc/fstab": "garbage\n\x00\n/dev/sda2\n"})) == 0


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("/etc/initramfs-tools/conf.d/resume", "RESUME=UUID=1-2"),
        ("/etc/fstab", "/dev/sda2 /data ext4 defaults 0 2"),
        ("/etc/rc.conf", "dumpdev=/dev/sda2"),
    ],
)
def test_a_slice_that_boot_needs_is_not_free(file: str, line: str) -> None:
    """Hibernation, a file system that is not mounted now, crash dumps."""
    (item,) = with_boot_uses([DEVICE], {file: line + "\n"})
    assert [str(use) for use in item.uses] == [f"is named by {file}"]


LINES = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(
    lambda text: len(text.splitlines()) == 1
)


@given(st.lists(LINES, unique=True), LINES, st.booleans())
def test_undoing_an_edit_gives_the_same_bytes(lines: list[str], ours: str, newline: bool) -> None:
    text = "\n".join(lines) + ("\n" if lines and newline else "")
    if ours not in lines:
        assert dropped(appended(text, ours), ours) == text
    for line in lines:
        fenced = commented_out(text, line, "abc")
        assert line not in fenced.splitlines()
        assert uncommented(fenced, line, "abc") == text
        assert commented_out(fenced, line, "abc") == fenced
