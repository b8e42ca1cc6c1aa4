"""A plan as data: what is wished, and the steps that do it. Each step says why it is, what must hold before
it, what holds after it, and how it is undone; all three are data too, so that a plan can be read, saved,
compared, turned into a script, resumed and tested without touching a host."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opskit.errors import Misuse, os_reason
from opskit.zfs.facts import Facts, rebuild

SCHEMA = "zfs-swap-mirror-plan/1"


@dataclass(frozen=True)
class Action:
    """One thing to do: `run` a program, or `comment-out`, `uncomment`, `append`, `drop` a line of a file,
    `write` or `delete` a file of ours, `keep` or `put-back` the ends of a device."""

    kind: str
    args: tuple[str, ...]


@dataclass(frozen=True)
class Condition:
    """One thing that must hold; `opskit.zfs.conditions` says what each kind means."""

    kind: str
    args: tuple[str, ...]


def run(*argv: str) -> Action:
    return Action("run", argv)


def needs(kind: str, *args: str) -> Condition:
    return Condition(kind, args)


@dataclass(frozen=True)
class Step:
    """`needs` is checked seconds before, `done` after; `waits` is a condition that takes its time."""

    name: str
    why: str
    do: tuple[Action, ...]
    undo: tuple[Action, ...] = ()
    needs: tuple[Condition, ...] = ()
    done: tuple[Condition, ...] = ()
    waits: tuple[Condition, ...] = ()
    undo_needs: tuple[Condition, ...] = ()
    devices: tuple[str, ...] = ()  # what it writes to
    swap_after: int = 0  # bytes of active swap once it is done


@dataclass(frozen=True)
class Wish:
    """What was asked for. Sizes are bytes, `size` is auto, max or bytes; `allow` holds REASON=DEVICE."""

    verb: str = "create"
    devices: tuple[str, ...] = ()
    pool: str = "swap"
    volume: str = "swap0"
    size: str = "auto"
    method: str = "auto"
    order: str = "auto"
    min_size: int = 0
    accept_deadlock_risk: bool = False
    allow_less_swap: bool = False
    same_disk_ok: bool = False
    allow: tuple[str, ...] = ()

    def allowed(self, path: str, names: tuple[str, ...]) -> frozenset[str]:
        """The reasons that were allowed for a device under any of its names."""
        pairs = (word.split("=", 1) for word in self.allow)
        bare = {name.rpartition("/")[2] for name in (path, *names)}
        return frozenset(reason for reason, device in pairs if device.rpartition("/")[2] in bare)


@dataclass(frozen=True)
class Plan:
    """The steps for a wish on a host. `id` is a hash of both; what we make carries it as its mark."""

    id: str
    wish: Wish
    facts: Facts
    method: str
    order: str
    target: str
    devices: tuple[str, ...]
    size: int
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()

    @property
    def swap_before(self) -> int:
        return self.facts.swap_total

    @property
    def swap_after(self) -> int:
        return self.steps[-1].swap_after if self.steps else self.swap_before

    @property
    def swap_lowest(self) -> int:
        return min((step.swap_after for step in self.steps), default=self.swap_before)

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        body = {"schema": SCHEMA, **asdict(self)}
        return {**body, "checksum": checksum(body)}


def checksum(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load(path: Path) -> Plan:
    """A saved plan. Raises Misuse for a file that is not one, or that was edited since."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise Misuse(
            f"cannot read {path}: {os_reason(error)}",
            hint="opskit zfs swap-mirror plan … -o plan.json makes one",
        ) from error
    except ValueError as error:
        raise Misuse(f"{path} is not a plan: it is not JSON ({error})") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise Misuse(f"{path} is not a plan of this version", hint="make it again with `plan … -o`")
    kept = document.pop("checksum", "")
    if kept != checksum(document):
        raise Misuse(
            f"{path} was changed after it was made",
            hint="plans are not edited: make it again with other options",
        )
    document.pop("schema")
    try:
        return rebuild(Plan, document)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise Misuse(f"{path} is not a whole plan", hint="make it again with `plan … -o`") from error
