"""`[process.name]`: a program runs, as whom, and how much it takes."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, ClassVar

from opskit import conditions
from opskit.conditions import Condition, Kind, parse
from opskit.errors import Unable, os_reason
from opskit.smoke.fields import Limit, Pattern, Text, Wrong, key
from opskit.smoke.model import BaseProbe, CannotTell, Observation
from opskit.smoke.positions import Path
from opskit.smoke.scene import Scene
from opskit.smoke.texts import Finding

SOME = parse(">= 1", Kind.COUNT)
_ELAPSED = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True)
class Running:
    """One line of `ps`. `rss` in bytes, `age` in seconds, `cpu` in percent of one processor."""

    pid: int
    user: str
    rss: int
    cpu: float
    age: float
    name: str
    command: str


@dataclass(frozen=True)
class Check(BaseProbe):
    """A process runs. The limits hold for each process that is found."""

    TYPE: ClassVar[str] = "process"
    EXAMPLE: ClassVar[str] = """\
[process.nginx]
name  = "nginx"
count = ">= 2"
rss   = "< 500MB"

[process.worker]
cmdline = "celery .*worker"
user    = "app"

[process.db]
pidfile = "/run/postgresql/12-main.pid"
"""

    name: str = key(Text("a name"), "The program's name, exactly.", "")
    cmdline: "re.Pattern[str] | None" = key(Pattern(), "Found in its command line.")
    pidfile: str = key(Text("a file"), "A file whose first line is its number.", "")
    count: Condition = key(Limit(Kind.COUNT), "How many run. [>= 1]", SOME)
    user: str = key(Text("a name"), "As whom.", "")
    rss: Condition | None = key(Limit(Kind.SIZE), "Its resident memory.")
    cpu: Condition | None = key(Limit(Kind.PERCENT), "Of one processor, over its life.")
    age: Condition | None = key(Limit(Kind.DURATION), 'How long it has run: `"> 10s"` finds what restarts.')
    threads: Condition | None = key(Limit(Kind.COUNT), "Its threads (Linux).")
    fds: Condition | None = key(Limit(Kind.COUNT), "Its open files (Linux; of others only as root).")

    @classmethod
    def refuse(cls, read: Mapping[str, Any], path: Path, wrong: Wrong) -> None:
        if not {"name", "cmdline", "pidfile"} & set(read):
            wrong(path, "it is not said which process", 'give "name", "cmdline" or "pidfile"', key=True)

    def target(self) -> str:
        return self.name or (self.cmdline.pattern if self.cmdline else self.pidfile)

    def look(self, scene: Scene) -> Observation:
        pid = self._pid()
        found = [each for each in _processes(scene) if self._is_meant(each, pid)]
        shown = f"{len(found)}" + (f" (pid {', '.join(str(each.pid) for each in found[:5])})" if found else "")
        findings = [Finding("processes", self.count.holds(len(found)), str(self.count), shown)]
        for each in found:
            findings += self._judged(each)
        return Observation(tuple(findings), data={"pids": [each.pid for each in found]})

    def _pid(self) -> int | None:
        """The number in the pidfile; 0, which nobody has, for a file that is not there."""
        if not self.pidfile:
            return None
        try:
            return int(FilePath(self.pidfile).read_text().split()[0])
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise CannotTell(f"cannot read {self.pidfile}: {os_reason(error)}", lasting=True) from error
        except (ValueError, IndexError) as error:
            raise CannotTell(f"{self.pidfile} does not begin with a number") from error

    def _is_meant(self, each: Running, pid: int | None) -> bool:
        import os

        return (
            each.pid not in (os.getpid(), os.getppid())
            and (not self.name or each.name.rpartition("/")[2] == self.name)
            and (self.cmdline is None or self.cmdline.search(each.command) is not None)
            and pid in (None, each.pid)
        )

    def _judged(self, each: Running) -> Iterator[Finding]:
        if self.user:
            yield Finding(f"user of {each.pid}", each.user == self.user, self.user, each.user)
        limits: tuple[tuple[str, Condition | None, Kind, Callable[[], float]], ...] = (
            ("rss", self.rss, Kind.SIZE, lambda: each.rss),
            ("cpu", self.cpu, Kind.PERCENT, lambda: each.cpu),
            ("age", self.age, Kind.DURATION, lambda: each.age),
            ("threads", self.threads, Kind.COUNT, lambda: _entries(each.pid, "task")),
            ("fds", self.fds, Kind.COUNT, lambda: _entries(each.pid, "fd")),
        )
        for what, limit, kind, measured in limits:
            if limit is not None:
                value = measured()
                yield Finding(
                    f"{what} of {each.pid}", limit.holds(value), str(limit), conditions.describe(value, kind)
                )


def _processes(scene: Scene) -> list[Running]:
    """Everything that runs, by the ps that POSIX describes. Raises CannotTell."""
    columns = ("pid", "user", "rss", "pcpu", "etime", "comm", "args")
    argv = ["ps", "-A", *(word for column in columns for word in ("-o", f"{column}="))]
    try:
        done = scene.tools.runner.run(argv, timeout=scene.left)
    except Unable as error:
        raise CannotTell(error.message, hint="install procps", lasting=True) from error
    return [running for line in done.text.splitlines() if (running := _running(line)) is not None]


def _running(line: str) -> Running | None:
    """One line of ps; None for one that is none, such as a process that ended meanwhile."""
    words = line.split(None, 6)
    match = _ELAPSED.fullmatch(words[4]) if len(words) >= 6 else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    age = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    command = words[6] if len(words) > 6 else words[5]
    return Running(int(words[0]), words[1], int(words[2]) * 1024, float(words[3]), age, words[5], command)


def _entries(pid: int, what: str) -> int:
    """How many threads or open files, from /proc. Raises CannotTell."""
    try:
        return len(list(FilePath(f"/proc/{pid}/{what}").iterdir()))
    except OSError as error:
        raise CannotTell(f"cannot count in /proc/{pid}/{what}: {os_reason(error)}", lasting=True) from error
