"""The lines that act at boot: which name swap, which name a device, and how one is set aside.

A line is never deleted: it is commented out behind a mark, so that undo and a person can both find it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opskit.zfs.facts import Slice

TABLES = {
    "/etc/vfstab": (0, 3),
    "/etc/fstab": (0, 2),
    "/etc/crypttab": (1, None),
}  # file: (device, type) fields
RESUME = "/etc/initramfs-tools/conf.d/resume"


@dataclass(frozen=True)
class BootLine:
    """A line of a boot file that names a device: `kind` is swap, crypt, resume, dump, unit or mount."""

    file: str
    line: str
    device: str
    kind: str


def boot_lines(files: Mapping[str, str]) -> tuple[BootLine, ...]:
    """Every live line of the boot files that names a device."""
    return tuple(line for path, text in files.items() for line in _lines_of(path, text))


def _lines_of(path: str, text: str) -> Iterable[BootLine]:
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if path in TABLES:
            device, kind = TABLES[path]
            if len(words) > max(device, kind or 0):
                what = "crypt" if kind is None else "swap" if words[kind] == "swap" else "mount"
                yield BootLine(path, line, words[device], what)
        elif path == RESUME and words[0].startswith("RESUME="):
            yield BootLine(path, line, words[0].removeprefix("RESUME=").strip("\"'"), "resume")
        elif path == "/proc/cmdline":
            for word in words:
                if word.startswith("resume="):
                    yield BootLine(path, line, word.removeprefix("resume="), "resume")
        elif path.endswith(".swap") and words[0].startswith("What="):
            yield BootLine(path, line, words[0].removeprefix("What="), "unit")
        elif path == "/etc/rc.conf" and words[0].startswith("dumpdev="):
            yield BootLine(path, line, words[0].removeprefix("dumpdev=").strip("\"'"), "dump")


def naming(files: Mapping[str, str], device: Slice) -> tuple[BootLine, ...]:
    """The boot lines that name this device under any of its names; `.eli` is FreeBSD's encrypted swap."""
    known = {device.path, device.stable, *device.names} - {""}
    found = []
    for line in boot_lines(files):
        name = line.device.strip("\"'").removesuffix(".eli")
        key, equals, value = name.partition("=")
        name = f"{key}={value.strip(chr(34))}" if equals else name
        if name in known:
            found.append(line)
    return tuple(found)


def mark_of(plan_id: str) -> str:
    return f"#opskit:{plan_id} "


def commented_out(text: str, line: str, plan_id: str) -> str:
    """The text with one line behind the mark; the same text where the line is not there."""
    return _with_lines(text, [mark_of(plan_id) + old if old == line else old for old in text.splitlines()])


def uncommented(text: str, line: str, plan_id: str) -> str:
    marked = mark_of(plan_id) + line
    return _with_lines(text, [line if old == marked else old for old in text.splitlines()])


def appended(text: str, line: str) -> str:
    lines = text.splitlines()
    return text if line in lines else _with_lines(text, [*lines, line])


def dropped(text: str, line: str) -> str:
    """The text without one line that we added."""
    return _with_lines(text, [old for old in text.splitlines() if old != line])


def _with_lines(text: str, lines: list[str]) -> str:
    """Keep whether the last line ended with a newline, so that undo gives back the same bytes."""
    tail = "\n" if lines and (not text or text.endswith("\n")) else ""
    return "\n".join(lines) + tail
