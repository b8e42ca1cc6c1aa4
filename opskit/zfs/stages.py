"""The steps that every method needs around its own: fences, backups, releases, boot lines."""

from opskit.zfs import bootfiles
from opskit.zfs.checks import refuse
from opskit.zfs.facts import Facts, Slice, Swap
from opskit.zfs.methods import Maker
from opskit.zfs.platforms import Platform
from opskit.zfs.steps import Action, Step, needs


def short(device: Slice) -> str:
    return device.path.rpartition("/")[2]


def fence(facts: Facts, device: Slice, plan_id: str, platform: Platform) -> Step | None:
    """Boot lines that would page over the mirror are set aside before it is made."""
    lines = [line for line in bootfiles.naming(facts.files, device) if line.kind in ("swap", "crypt")]
    if not lines:
        return None
    reload = platform.reload(facts)
    return Step(
        f"fence-{short(device)}",
        "a boot line that names this slice as swap would page over the mirror",
        do=(*(Action("comment-out", (line.file, line.line, plan_id)) for line in lines), *reload),
        undo=(*(Action("uncomment", (line.file, line.line, plan_id)) for line in lines), *reload),
        done=tuple(needs("no-line", line.file, line.line) for line in lines),
    )


def keep(device: Slice, platform: Platform) -> Step:
    """The first and last MiB: all that labels, headers and superblocks of any kind overwrite."""
    word = platform.name_for_commands(device)
    return Step(
        f"keep-{short(device)}",
        "its first and last MiB, kept in the journal's directory, so that undo can put them back",
        do=(Action("keep", (word, str(device.size))),),
        undo=(Action("put-back", (word, str(device.size))),),
        needs=(needs("swap-off", word),),
        done=(needs("kept", word),),
        undo_needs=(needs("swap-off", word),),
    )


def clear(device: Slice, maker: Maker, platform: Platform) -> list[Step]:
    """Old signatures go before the tools see them: nothing then has to be forced."""
    word = platform.name_for_commands(device)
    kinds = dict.fromkeys(kind for kind in (*device.signatures, "swap" if device.in_swap else "") if kind)
    actions = [(kind, platform.clear(word, kind)) for kind in kinds]
    known = [(kind, action) for kind, action in actions if action]
    if not known:
        return []
    return [
        Step(
            f"clear-{short(device)}",
            f"the old signature ({', '.join(kind for kind, _ in known)}) would be taken for what is there",
            do=tuple(action for _, action in known),
            needs=maker.usable(device),
            done=(needs("clear", word, *(kind for kind, _ in known)),),
            devices=(word,),
        )
    ]


def release(facts: Facts, device: Slice, platform: Platform) -> Step:
    swap = swap_of(facts, device)
    word = platform.name_for_swap(device, swap)
    back = (platform.activate(word, swap.priority),)
    extra = platform.dump_settings(facts)
    return Step(
        f"release-{short(device)}",
        "the kernel takes back what is swapped out there; this can take minutes and is never hurried",
        do=(platform.release(word), *extra),
        undo=(*back, *extra),
        needs=(needs("memory", word, str(swap.size)),),
        done=(needs("swap-off", word),),
    )


def swap_of(facts: Facts, device: Slice) -> Swap:
    found = facts.swap_on(device.path)
    if found is None:
        raise refuse(f"{device.path} is no active swap any more", "look again with `survey`")
    return found


def activate(facts: Facts, maker: Maker, platform: Platform, active: tuple[Slice, ...]) -> Step:
    extra = platform.dump_settings(facts)
    return Step(
        "activate",
        "the mirror becomes swap",
        do=(platform.activate(maker.target, priority(facts, active)), *extra),
        undo=(platform.release(maker.target), *platform.settle(), *extra),
        done=(needs("swap-on", maker.target),),
        undo_needs=(needs("memory", maker.target, "0"),),
    )


def priority(facts: Facts, active: tuple[Slice, ...]) -> int | None:
    return next((swap_of(facts, device).priority for device in active), None)


def persist(
    facts: Facts,
    maker: Maker,
    platform: Platform,
    method: str,
    plan_id: str,
    active: tuple[Slice, ...],
) -> Step:
    lines = platform.persist(facts, plan_id, method, maker.target, priority(facts, active))
    return Step(
        "persist",
        "the boot files name the mirror, after it was seen to work",
        do=lines.do,
        undo=lines.undo,
        needs=(needs("swap-on", maker.target),),
        done=lines.done,
    )
