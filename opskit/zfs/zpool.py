"""What `zpool` and `zfs` print, read: old wording, today's wording, and JSON. Unknown output is refused."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from opskit.errors import Unable
from opskit.zfs.facts import MARK, Leaf, Pool, Volume

STATES = frozenset(
    {"ONLINE", "DEGRADED", "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "AVAIL", "INUSE", "SUSPENDED"}
)
# The words that JSON has for what text prints; HEALTHY stands in the manual, ONLINE in the program.
JSON_STATES = {"CANT_OPEN": "UNAVAIL", "HEALTHY": "ONLINE"}
_GROUP = re.compile(r"(mirror|raidz\d?|draid\S*|replacing|spare|logs|cache|spares|special|dedup)(-\d+)?$")
_SIDE = frozenset({"logs", "cache", "spares", "special", "dedup"})
_LABEL = re.compile(r"\s{0,10}(\w+): ?(.*)")
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)")


class UnknownOutput(Unable):
    """A program printed what this version of opskit cannot read: it stops rather than guesses."""


def unknown(command: str, text: str) -> UnknownOutput:
    shown = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
    return UnknownOutput(
        f"{command} printed what opskit cannot read: {shown[:120]}",
        hint="nothing was changed; report the whole output, so that the next version can read it",
    )


def _number(word: str) -> int:
    """A counter as `zpool status` prints it: `0`, `17`, `1.32K`."""
    match = _COUNT.fullmatch(word)
    if match is None:
        raise ValueError(word)
    return int(float(match[1]) * 1024 ** " KMGTPE".index(match[2] or " "))


def pools_of_text(text: str) -> tuple[Pool, ...]:
    """The pools of `zpool status`, in the wording of any release since 2008."""
    if text.strip() in ("", "no pools available"):
        return ()
    pools = []
    for section in re.split(r"(?m)^(?=\s{0,4}pool: )", text):
        if section.strip():
            pools.append(_pool_of_section(section))
    return tuple(pools)


def _pool_of_section(section: str) -> Pool:
    labels: dict[str, list[str]] = {}
    current: list[str] = []
    for line in section.splitlines():
        match = None if line.startswith("\t") else _LABEL.match(line)
        if match:
            current = labels.setdefault(match[1], [match[2]])
        else:
            current.append(line)
    if not {"pool", "state", "config"} <= set(labels):
        raise unknown("zpool status", section)
    name = labels["pool"][0].strip()
    kind, leaves = _tree(name, labels["config"], section)
    scan, progress = _scan(labels.get("scan") or labels.get("scrub") or [])
    errors = " ".join(labels.get("errors", [""])).strip()
    return Pool(
        name,
        labels["state"][0].strip(),
        kind,
        leaves,
        scan,
        progress,
        errors="" if errors.startswith("No known data errors") else errors,
        checkpoint="checkpoint" in labels,
    )


def _tree(pool: str, lines: list[str], section: str) -> tuple[str, tuple[Leaf, ...]]:
    rows = [line.lstrip("\t").rstrip() for line in lines if line.strip()]
    if not rows or rows[0].split()[:5] != ["NAME", "STATE", "READ", "WRITE", "CKSUM"]:
        raise unknown("zpool status", section)
    leaves: list[Leaf] = []
    tops: list[str] = []
    side = False
    for row in rows[1:]:
        words = row.split()
        depth = len(row) - len(row.lstrip())
        side = side or words[0] in _SIDE
        if side or words[0] == pool:
            continue
        if depth == 2:
            tops.append(
                "mirror" if words[0].startswith("mirror") else "other" if _GROUP.match(words[0]) else "disk"
            )
        if not _GROUP.match(words[0]):
            leaves.append(_leaf(words, section))
    return tops[0] if len(tops) == 1 and not side else "other", tuple(leaves)


def _leaf(words: list[str], section: str) -> Leaf:
    try:
        state, counters = words[1], words[2:5]
        errors = sum(_number(word) for word in counters)
    except (IndexError, ValueError) as error:
        raise unknown("zpool status", section) from error
    if state not in STATES:
        raise unknown("zpool status", " ".join(words))
    note = " ".join(words[5:])
    was = note.removeprefix("was ") if note.startswith("was ") else ""
    return Leaf(words[0], was or words[0], state, errors, note, words[0] if words[0].isdigit() else "")


def _scan(lines: list[str]) -> tuple[str, str]:
    """(scan, progress) of the lines after `scan:`, or `scrub:` before 2010."""
    text = " ".join(line.strip() for line in lines)
    done = re.search(r"(\d+(?:\.\d+)?)% done", text)
    progress = f"{done[1]}%" if done else ""
    for start, name in (
        ("none requested", "none"),
        ("resilver in progress", "resilvering"),
        ("scrub in progress", "scrubbing"),
        ("resilvered", "resilvered"),
        ("resilver completed", "resilvered"),
        ("scrub repaired", "scrubbed"),
        ("scrub completed", "scrubbed"),
        ("resilver canceled", "canceled"),
        ("scrub canceled", "canceled"),
        ("resilver stopped", "canceled"),
        ("scrub stopped", "canceled"),
        ("scrub paused", "scrubbing"),
    ):
        if text.startswith(start):
            return name, progress
    if text:
        raise unknown("zpool status", f"scan: {text}")
    return "none", ""


def pools_of_json(text: str) -> tuple[Pool, ...]:
    """The pools of `zpool status -j`, OpenZFS 2.3 and newer."""
    try:
        document = json.loads(text or "{}")
        return tuple(_pool_of_object(pool) for pool in document.get("pools", {}).values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unknown("zpool status -j", text) from error


def _pool_of_object(pool: Mapping[str, Any]) -> Pool:
    root = next(iter(pool["vdevs"].values()))
    tops = list(root["vdevs"].values())
    kinds = [{"mirror": "mirror"}.get(top["vdev_type"], "other" if "vdevs" in top else "disk") for top in tops]
    scan = pool.get("scan_stats", {})
    errors = int(pool.get("error_count") or 0)
    return Pool(
        pool["name"],
        JSON_STATES.get(pool["state"], pool["state"]),
        kinds[0]
        if len(kinds) == 1 and not {"logs", "l2cache", "spares", "special", "dedup"} & set(pool)
        else "other",
        tuple(leaf for top in tops for leaf in _leaves_of(top)),
        _scan_of(scan),
        _progress_of(scan),
        errors=f"{errors} data errors" if errors else "",
        checkpoint="checkpoint_stats" in pool,
    )


def _leaves_of(vdev: Mapping[str, Any]) -> Iterable[Leaf]:
    if "vdevs" in vdev:
        for child in vdev["vdevs"].values():
            yield from _leaves_of(child)
        return
    state = JSON_STATES.get(vdev["state"], vdev["state"])
    if state not in STATES:
        raise ValueError(state)
    counters = ("read_errors", "write_errors", "checksum_errors")
    errors = sum(_number(str(vdev.get(counter, 0))) for counter in counters)
    path = vdev.get("path") or vdev.get("was") or vdev["name"]
    note = vdev.get("aux") or (f"was {vdev['was']}" if "was" in vdev else "")
    yield Leaf(vdev["name"], path, state, errors, note, str(vdev.get("guid", "")))


def _scan_of(scan: Mapping[str, Any]) -> str:
    function, state = str(scan.get("function", "NONE")), str(scan.get("state", "NONE"))
    if function == "NONE" or state == "NONE":
        return "none"
    doing, done = ("resilvering", "resilvered") if function == "RESILVER" else ("scrubbing", "scrubbed")
    return {"SCANNING": doing, "FINISHED": done, "CANCELED": "canceled", "ERRORSCRUBBING": doing}[state]


def _progress_of(scan: Mapping[str, Any]) -> str:
    try:
        return f"{100 * _number(str(scan['issued'])) / _number(str(scan['to_examine'])):.1f}%"
    except (KeyError, ValueError, ZeroDivisionError):
        return ""


PROPERTIES = f"type,available,volsize,volblocksize,{MARK}"


def with_properties(pools: Iterable[Pool], text: str) -> tuple[tuple[Pool, ...], tuple[Volume, ...]]:
    """Pools and volumes of `zfs get -Hp -o name,property,value,source`, joined to what status said."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) != 4:
            raise unknown("zfs get", line)
        name, key, value, source = words
        inherited = key == MARK and source not in ("local", "received")
        found.setdefault(name, {})[key] = "" if value == "-" or inherited else value
    volumes = tuple(
        Volume(name, int(values["volsize"]), int(values["volblocksize"]), values.get(MARK, ""))
        for name, values in found.items()
        if values.get("type") == "volume"
    )
    joined = tuple(
        replace(
            pool,
            mark=found.get(pool.name, {}).get(MARK, ""),
            available=int(found.get(pool.name, {}).get("available") or 0),
            datasets=tuple(name for name in found if name.startswith(pool.name + "/")),
        )
        for pool in pools
    )
    return joined, volumes


def label_of(text: str) -> tuple[str, str]:
    """(pool name, state) of `zdb -l`: state is active, exported or destroyed; empty without a label."""
    name = re.search(r"(?m)^\s+name[=:] ?'([^']+)'", text)
    state = re.search(r"(?m)^\s+state[=:] ?(\d)", text)
    if not name or not state:
        return "", ""
    return name[1], {"0": "active", "1": "exported", "2": "destroyed"}.get(state[1], "unknown")


def version_of(text: str) -> str:
    """`2.1.11` of `zfs version`'s first line, `zfs-2.1.11-1+deb12u1`."""
    match = re.search(r"zfs-(?:kmod-)?(?:v)?(\d+\.\d+(?:\.\d+)?)", text)
    return match[1] if match else ""


def speaks_json(version: str) -> bool:
    """`zpool status -j` came with OpenZFS 2.3.0."""
    return bool(version) and tuple(int(part) for part in version.split(".")[:2]) >= (2, 3)
