"""One file for each platform, behind one interface; `here` chooses once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from opskit.errors import Unable
from opskit.zfs.facts import Facts, Slice, Swap
from opskit.zfs.machine import Machine
from opskit.zfs.steps import Action, Condition


@dataclass(frozen=True)
class Persistence:
    """What makes the new swap come back at boot, how that is undone, and how one sees that it is there."""

    do: tuple[Action, ...]
    undo: tuple[Action, ...]
    done: tuple[Condition, ...]


class Platform(Protocol):
    """What differs between platforms. Everything but `survey` is pure."""

    name: str
    methods: tuple[str, ...]  # the first is the default

    def survey(self, machine: Machine, named: Collection[str] = ()) -> Facts:
        """Read-only. The slices that are named get the digest of their ends, too. Raises Unable where
        output cannot be read."""

    def programs(self, method: str) -> tuple[str, ...]: ...
    def name_for_commands(self, device: Slice) -> str: ...
    def name_for_swap(self, device: Slice, swap: Swap) -> str:
        """The name under which an active slice is released, and made swap again by an undo."""

    def node(self, pool: str, volume: str) -> str:
        """The device of a volume."""

    def properties(self, facts: Facts) -> Mapping[str, str]:
        """The volume's properties, the block size among them."""

    def release(self, path: str) -> Action: ...
    def activate(self, path: str, priority: int | None) -> Action: ...
    def settle(self) -> tuple[Action, ...]:
        """What waits for device nodes."""

    def format(self, path: str, uuid: str) -> Action | None:
        """What writes a swap header, where the platform has one."""

    def clear(self, path: str, signature: str) -> Action | None:
        """What takes an old signature off a device that was named for it."""

    def reload(self, facts: Facts) -> tuple[Action, ...]:
        """What tells the running system that boot files changed."""

    def dump_settings(self, facts: Facts) -> tuple[Action, ...]:
        """What sets the dump device to what it was, where changing swap moves it."""

    def persist(
        self, facts: Facts, plan_id: str, method: str, target: str, priority: int | None
    ) -> Persistence: ...
    def shell_test(self, condition: Condition) -> str:
        """A condition as a POSIX test; empty where a shell cannot tell."""

    def privilege(self) -> str:
        """The word in front of a command for one who is not root."""


def by_name(name: str) -> Platform:
    if name == "illumos":
        from opskit.zfs.platforms.illumos import Illumos

        return Illumos()
    if name == "freebsd":
        from opskit.zfs.platforms.freebsd import FreeBSD

        return FreeBSD()
    from opskit.zfs.platforms.linux import Linux

    return Linux()


def here(machine: Machine) -> Platform:
    """The platform that `uname -s` names. Raises Unable for one that has no swap of this kind."""
    system = machine.run(["uname", "-s"]).text.strip()
    names = {"Linux": "linux", "SunOS": "illumos", "FreeBSD": "freebsd"}
    if system not in names:
        raise Unable(f"swap on {system} is not known to opskit", hint="it knows illumos, Linux and FreeBSD")
    return by_name(names[system])
