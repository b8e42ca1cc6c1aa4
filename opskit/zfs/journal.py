"""What was begun and what was done, on disk before it happens, so that a power cut leaves a trace.

A directory per plan, readable by root only: plan.json, journal.jsonl, and the kept ends of devices.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opskit.errors import Unable, os_reason
from opskit.files import whole_file
from opskit.zfs.machine import digest
from opskit.zfs.steps import Plan, load

PLACE = Path("/var/lib/opskit/zfs-swap")


class Journal:
    """The record of one plan. `state` is new, open, done or undone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def open(cls, place: Path, plan: Plan) -> "Journal":
        """The journal of a plan, made if it is not there yet. Raises Unable."""
        journal = cls(place / plan.id)
        try:
            (journal.directory / "ends").mkdir(parents=True, exist_ok=True)
            for directory in (place, journal.directory, journal.directory / "ends"):
                directory.chmod(0o700)
        except OSError as error:
            raise Unable(f"cannot keep a journal in {place}: {os_reason(error)}") from error
        if not (journal.directory / "plan.json").exists():
            with whole_file(journal.directory / "plan.json") as file:
                file.write(json.dumps(plan.to_dict(), indent=1).encode())
        return journal

    def plan(self) -> Plan:
        return load(self.directory / "plan.json")

    def note(self, event: str, step: str = "", **facts: Any) -> None:
        """Append one event and wait until it is on disk."""
        line = json.dumps({"event": event, "step": step, **facts}) + "\n"
        try:
            descriptor = os.open(self.directory / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unable(f"cannot write the journal in {self.directory}: {os_reason(error)}") from error

    def events(self) -> list[dict[str, Any]]:
        """The events; a last line that a crash cut short is left out."""
        try:
            lines = (self.directory / "journal.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    @property
    def state(self) -> str:
        words = [
            event["event"] for event in self.events() if event["event"] in ("begin", "done", "undone", "undo")
        ]
        return (
            {"begin": "open", "undo": "open", "done": "done", "undone": "undone"}.get(words[-1], "new")
            if words
            else "new"
        )

    @property
    def last(self) -> tuple[str, str]:
        """(event, step) of the newest event."""
        events = self.events()
        return (events[-1]["event"], events[-1]["step"]) if events else ("", "")

    @property
    def running(self) -> str:
        """The step that was begun and not seen to end."""
        event, step = self.last
        return step if event == "running" else ""

    def keep(self, device: str, ends: bytes) -> None:
        """Keep the ends of a device once; what was kept first is what undo needs."""
        if not self._end_file(device).exists():
            with whole_file(self._end_file(device)) as file:
                file.write(ends)

    def kept(self) -> frozenset[str]:
        return frozenset(name.name.replace("\\", "/") for name in (self.directory / "ends").glob("*"))

    def ends(self, device: str) -> bytes:
        return self._end_file(device).read_bytes()

    def kept_digest(self, device: str) -> str:
        return digest(self.ends(device)) if device in self.kept() else ""

    def forget(self, device: str) -> None:
        self._end_file(device).unlink(missing_ok=True)

    def _end_file(self, device: str) -> Path:
        return self.directory / "ends" / device.replace("/", "\\")


def journals(place: Path) -> list[Journal]:
    """Every journal, the newest first."""
    try:
        found = [path for path in place.iterdir() if (path / "plan.json").exists()]
    except OSError:
        return []
    return [Journal(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def newest_open(place: Path) -> Journal | None:
    return next((journal for journal in journals(place) if journal.state == "open"), None)


def prune(place: Path, keep: str) -> None:
    """Forget undone plans but the one named: their backups have served."""
    for journal in journals(place):
        if journal.state == "undone" and journal.directory.name != keep:
            shutil.rmtree(journal.directory, ignore_errors=True)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Only one opskit at a time may work on a host's swap: zpool-create(8) warns of two at once."""
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (place / "lock").open("w")
    except OSError as error:
        raise Unable(f"cannot keep a journal in {place}: {os_reason(error)}", hint="it takes root") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unable("another opskit works on this host's swap", hint="wait for it to end") from error
        yield
