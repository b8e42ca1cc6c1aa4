"""A command on a real terminal, and what a person sees there: a pty, read by the emulator pyte."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyte

Lines = list[str]  # of a screen, those that are not blank, without trailing blanks


@dataclass
class Terminal:
    """`frames` are what the screen showed after each drawing, so that no test has to look at the right moment."""

    master: int
    slave: int
    process: "subprocess.Popen[bytes]"
    screen: pyte.Screen
    raw: bytearray = field(default_factory=bytearray)
    frames: list[Lines] = field(default_factory=list)
    reader: threading.Thread = field(default_factory=threading.Thread)

    def wait_for(self, seen: Callable[[Lines], object], what: str) -> Lines:
        """The first frame that shows it."""
        deadline, at = time.monotonic() + 60, 0
        while True:
            for lines in self.frames[at:]:
                at += 1
                if seen(lines):
                    return lines
            assert time.monotonic() < deadline, f"never seen: {what}\n" + "\n".join(self.frames[-1])
            time.sleep(0.02)

    def left(self) -> Lines:
        """What stands on the screen at the end."""
        return self.frames[-1]

    def resize(self, columns: int, rows: int = 24) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ended(self) -> int:
        """Wait for the end: the exit code."""
        code = self.process.wait(60)
        os.close(self.slave)
        self.slave = -1
        self.reader.join(30)
        return code


@contextmanager
def on_terminal(
    *args: str, columns: int = 80, rows: int = 24, env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """`opskit ARGS` with a terminal for all three of its streams."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    surroundings = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "opskit", *args],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=_control_terminal,  # noqa: PLW1509 — one ioctl, and no other thread of the tests holds a lock
        env={**surroundings, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(env or {})},
    )  # fmt: skip
    terminal = Terminal(master, slave, process, pyte.Screen(columns, rows))
    terminal.reader = threading.Thread(target=_read, args=(terminal,), daemon=True)
    terminal.reader.start()
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        if terminal.slave >= 0:
            os.close(slave)
        terminal.reader.join(10)
        os.close(master)


def _control_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that ^C on it becomes a signal


def _read(terminal: Terminal) -> None:
    stream = pyte.ByteStream(terminal.screen)
    while True:
        try:
            data = os.read(terminal.master, 65536)
        except OSError:  # EIO: the last one to write has closed it
            return
        terminal.raw += data
        for frame in re.split(rb"(?<=\x1b\[J)", data):  # the end of each drawing
            stream.feed(frame)
            terminal.frames.append([line.rstrip() for line in terminal.screen.display if line.strip()])
