"""What each condition of a step means, judged on a survey: true, false, or None for neither as expected."""

from collections.abc import Callable, Collection, Mapping

from opskit.units import format_size
from opskit.zfs.facts import CONSENTS, Facts, Pool
from opskit.zfs.steps import Condition

Judge = Callable[[Facts, tuple[str, ...]], bool | None]


def holds(condition: Condition, facts: Facts, kept: Collection[str] = ()) -> bool | None:
    """Whether a condition holds; None when something of that name is there but is not ours."""
    if condition.kind == "kept":
        return condition.args[0] in kept
    return JUDGES[condition.kind](facts, condition.args)


def sentence(condition: Condition) -> str:
    """The condition in words, for plans and refusals."""
    first, *rest = (*condition.args, "")
    if condition.kind == "memory":
        rest = [format_size(int(condition.args[1]))]
    return SENTENCES[condition.kind].format(first, *rest, all=", ".join(condition.args[1:]))


SENTENCES: Mapping[str, str] = {
    "unused": "nothing uses {0}",
    "same": "{0} is the device that was surveyed",
    "swap-on": "{0} is active swap",
    "swap-off": "{0} is not swap",
    "pool": "the pool {0} is ours",
    "no-pool": "no pool is called {0}",
    "leaves": "the pool {0} consists of {all}, and none has errors",
    "resilvered": "the pool {0} has nothing left to resilver",
    "volume": "the volume {0} is there and ours",
    "no-volume": "there is no volume {0}",
    "node": "{0} is there",
    "header": "{0} carries our swap header",
    "array": "the mirror {0} is ours",
    "no-array": "no mirror is called {0}",
    "members": "the mirror {0} consists of {all}",
    "sides": "{all} is part of {0}",
    "synced": "the mirror {0} is whole and in step",
    "line": "{0} holds our line",
    "no-line": "{0} no longer holds the line `{1}`",
    "file": "{0} is there",
    "no-file": "{0} is gone",
    "kept": "the ends of {0} are kept",
    "memory": "memory can take back what {0} holds ({1})",
    "room": "the pool {0} has room for the volume",
    "clear": "{0} carries no old signature",
    "dump": "the dump device is {0}",
}


def _unused(facts: Facts, args: tuple[str, ...]) -> bool:
    found = facts.slice_named(args[0])
    return found is not None and not found.hindrances(frozenset(CONSENTS[reason] for reason in args[1:]))


def _same(facts: Facts, args: tuple[str, ...]) -> bool:
    found = facts.slice_named(args[0])
    return found is not None and (str(found.size), found.serial) == args[1:3]


def _pool(facts: Facts, args: tuple[str, ...]) -> bool | None:
    pool = facts.pool(args[0])
    return False if pool is None else (True if pool.mark == args[1] else None)


def _leaves(facts: Facts, args: tuple[str, ...]) -> bool:
    pool = facts.pool(args[0])
    if pool is None:
        return False
    return _paths(facts, args[1:]) == sorted(leaf.path for leaf in pool.leaves) and sound(pool)


def sound(pool: Pool) -> bool:
    """Health is read from leaves, counters and scan; a pool that resilvers calls itself ONLINE."""
    leaves = all(leaf.state == "ONLINE" and not leaf.errors for leaf in pool.leaves)
    return leaves and not pool.errors and pool.state == "ONLINE"


def _resilvered(facts: Facts, args: tuple[str, ...]) -> bool:
    pool = facts.pool(args[0])
    return pool is not None and pool.scan != "resilvering"


def _paths(facts: Facts, names: tuple[str, ...]) -> list[str]:
    return sorted(found.path if (found := facts.slice_named(name)) else name for name in names)


def _volume(facts: Facts, args: tuple[str, ...]) -> bool | None:
    volume = facts.volume(args[0])
    return False if volume is None else (True if (str(volume.size), volume.mark) == args[1:3] else None)


def _node(facts: Facts, args: tuple[str, ...]) -> bool:
    return any(volume.node for volume in facts.volumes if args[0].endswith("/" + volume.name))


def _header(facts: Facts, args: tuple[str, ...]) -> bool | None:
    signatures = [v.signature for v in facts.volumes if args[0].endswith("/" + v.name)]
    signatures += [array.signature for array in facts.arrays if array.path == args[0]]
    if not signatures:
        return False
    return True if signatures[0] == f"swap:{args[1]}" else (None if signatures[0] else False)


def _array(facts: Facts, args: tuple[str, ...]) -> bool | None:
    array = facts.array(args[0])
    return False if array is None else (True if array.mark == args[1] else None)


def _members(facts: Facts, args: tuple[str, ...]) -> bool:
    array = facts.array(args[0])
    if array is None:
        return False
    there = sorted(member.path for member in array.members if member.state != "faulty")
    return there == _paths(facts, args[1:])


def _sides(facts: Facts, args: tuple[str, ...]) -> bool:
    """Whether the devices are sides of the pool or array, whoever else is one too, healthy or not."""
    pool, array = facts.pool(args[0]), facts.array(args[0])
    there = {leaf.path for leaf in pool.leaves} if pool else set()
    there |= {member.path for member in array.members} if array else set()
    return set(_paths(facts, args[1:])) <= there


def _synced(facts: Facts, args: tuple[str, ...]) -> bool:
    array = facts.array(args[0])
    if array is None or array.syncing:
        return False
    return len(array.members) == array.wanted and all(m.state == "active" for m in array.members)


def _clear(facts: Facts, args: tuple[str, ...]) -> bool:
    found = facts.slice_named(args[0])
    return found is not None and not (set(found.signatures) & set(args[1:]))


def _room(facts: Facts, args: tuple[str, ...]) -> bool:
    pool = facts.pool(args[0])
    return pool is not None and pool.available >= int(args[1])


def _memory(facts: Facts, args: tuple[str, ...]) -> bool:
    """illumos wants room for the whole area, and its "available" counts the other areas already
    (vm_swap.c, swapdel); Linux and FreeBSD have to place what is used, in memory or in the other areas."""
    swap = facts.swap_on(args[0])
    if swap is None:
        return True
    if facts.platform == "illumos":
        return facts.memory.releasable >= swap.size
    others = sum(other.size - other.used for other in facts.swaps if other != swap)
    return facts.memory.releasable + others >= swap.used


def _has_line(facts: Facts, args: tuple[str, ...]) -> bool:
    return args[1] in facts.files.get(args[0], "").splitlines()


JUDGES: Mapping[str, Judge] = {
    "unused": _unused,
    "same": _same,
    "swap-on": lambda facts, args: facts.swap_on(args[0]) is not None,
    "swap-off": lambda facts, args: facts.swap_on(args[0]) is None,
    "pool": _pool,
    "no-pool": lambda facts, args: facts.pool(args[0]) is None,
    "leaves": _leaves,
    "resilvered": _resilvered,
    "volume": _volume,
    "no-volume": lambda facts, args: facts.volume(args[0]) is None,
    "node": _node,
    "header": _header,
    "array": _array,
    "no-array": lambda facts, args: facts.array(args[0]) is None,
    "members": _members,
    "sides": _sides,
    "synced": _synced,
    "line": _has_line,
    "no-line": lambda facts, args: not _has_line(facts, args),
    "file": lambda facts, args: facts.files.get(args[0]) == args[1],
    "no-file": lambda facts, args: args[0] not in facts.files,
    "memory": _memory,
    "room": _room,
    "clear": _clear,
    "dump": lambda facts, args: facts.dump == args[0],
}
