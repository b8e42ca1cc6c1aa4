"""What names a plan: a hash of everything that it stands on."""

import hashlib
import json
from dataclasses import asdict

from opskit.zfs.facts import Facts
from opskit.zfs.steps import Wish


def identity(facts: Facts, wish: Wish) -> str:
    """The hash that names a plan: the wish, and every fact that it stands on. What merely varies (memory,
    how full swap is) is left out; a device that is gone counts as changed."""
    named = [facts.slice_named(name) for name in wish.devices]
    body = {
        "wish": asdict(wish),
        "devices": [asdict(device) if device else None for device in named],
        "swap": [(swap.path, swap.size, swap.priority) for swap in facts.swaps],
        "pools": sorted((pool.name, pool.state, pool.mark) for pool in facts.pools),
        "arrays": sorted((array.name, array.mark, len(array.members)) for array in facts.arrays),
        "files": dict(sorted(facts.files.items())),
        "host": [facts.platform, facts.hostid, facts.zfs, facts.dump],
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]


def differences(before: Facts, now: Facts, wish: Wish) -> list[str]:
    """What changed between two surveys, in words, for the refusal of `apply`."""
    found = []
    for name in wish.devices:
        old, new = before.slice_named(name), now.slice_named(name)
        if new is None:
            found.append(f"{name} is gone")
        elif old and old != new:
            fields = [key for key in asdict(old) if getattr(old, key) != getattr(new, key)]
            found.append(f"{name} has another {', '.join(fields)}")
    if [(s.path, s.size) for s in before.swaps] != [(s.path, s.size) for s in now.swaps]:
        found.append("the list of active swap is another")
    if {p.name for p in before.pools} != {p.name for p in now.pools}:
        found.append("the pools are others")
    found += [
        f"{path} was edited"
        for path in sorted({*before.files, *now.files})
        if before.files.get(path) != now.files.get(path)
    ]
    return found or ["the host is not as it was"]
