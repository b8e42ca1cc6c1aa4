"""Plans for a mirror that is there: a side joins, a side is replaced, the mirror goes away."""

from dataclasses import replace

from opskit.units import format_size
from opskit.zfs.checks import UNEQUAL, chosen_method, fit_device, refuse
from opskit.zfs.facts import MD_MARK, Array, Facts, Pool, Slice
from opskit.zfs.identity import identity
from opskit.zfs.methods import METHODS, Maker
from opskit.zfs.platforms import Platform
from opskit.zfs.platforms.linux import swap_uuid
from opskit.zfs.stages import clear, fence, keep
from opskit.zfs.steps import Action, Plan, Step, Wish, needs


def our_mirror(facts: Facts, wish: Wish) -> tuple[str, Pool | Array]:
    """(method, pool or array) of the mirror that carries our mark under the wished name."""
    pool = facts.pool(wish.pool)
    if pool and pool.mark:
        return "zvol", pool
    array = facts.array(wish.pool)
    if array and array.mark:
        return ("gmirror" if facts.platform == "freebsd" else "md"), array
    if pool or array:
        raise refuse(f"'{wish.pool}' does not carry our mark", "only what opskit made is touched")
    marked = [item.name for item in facts.marked]
    raise refuse(
        f"there is no mirrored swap called '{wish.pool}' here",
        f"name one with --pool: {', '.join(marked)}" if marked else "`plan` makes one",
    )


def _members(found: Pool | Array) -> tuple[str, ...]:
    if isinstance(found, Pool):
        return tuple(leaf.path for leaf in found.leaves)
    return tuple(member.path for member in found.members if member.state != "faulty")


def _joined(facts: Facts, wish: Wish, platform: Platform, step_of: str, old: str) -> Plan:
    """`mirror` and `replace`: one slice is made fit and joins what is there."""
    method, found = our_mirror(facts, wish)
    chosen_method(facts, replace(wish, method=method, accept_deadlock_risk=True), platform)
    new = fit_device(facts, wish, wish.devices[-1])
    if new.in_swap:
        raise refuse(f"{new.path} is active swap", f"release it first, or begin with `plan … {new.path}`")
    plan_id = identity(facts, wish)
    maker = METHODS[method](platform, facts, wish, found.mark)
    _check_join(facts, wish, found, new, old)
    members = _members(found)
    first = facts.slice_named(members[0]) if members else None
    if step_of == "mirror" and first is None:
        raise refuse(f"'{wish.pool}' has no side that is there", "`status` tells how it is")
    join = maker.replace(members, old, new) if step_of == "replace" else maker.attach(first or new, new)
    steps = [
        fence(facts, new, plan_id, platform),
        keep(new, platform),
        *clear(new, maker, platform),
        join,
    ]
    total = facts.swap_total
    whole = tuple(replace(step, swap_after=total) for step in steps if step)
    size = next((swap.size for swap in facts.swaps if facts.swap_on(maker.target) == swap), 0)
    return Plan(plan_id, wish, facts, method, wish.verb, maker.target, (new.path,), size, whole)


def _check_join(facts: Facts, wish: Wish, found: Pool | Array, new: Slice, old: str) -> None:
    if isinstance(found, Pool) and (found.scan == "resilvering" or found.checkpoint):
        what = "resilvers" if found.scan == "resilvering" else "has a checkpoint"
        raise refuse(f"the pool '{found.name}' {what}", "wait for it, then try again")
    for path in _members(found):
        side = facts.slice_named(path)
        if side is None or path == old:
            continue
        if side.disk == new.disk and not wish.same_disk_ok:
            raise refuse(f"{new.path} is on {new.disk}, as {side.path} is", "name a slice of another disk")
        if new.size + (UNEQUAL if isinstance(found, Pool) else 0) < side.size:
            raise refuse(
                f"{new.path} has {format_size(new.size)}, {side.path} {format_size(side.size)}: too small",
                "name one that is as large",
            )


def mirror(facts: Facts, wish: Wish, platform: Platform) -> Plan:
    _, found = our_mirror(facts, wish)
    if len(_members(found)) != 1:
        raise refuse(f"'{wish.pool}' has {len(_members(found))} sides already", "`replace OLD NEW` swaps one")
    return _joined(facts, wish, platform, "mirror", "")


def replace_side(facts: Facts, wish: Wish, platform: Platform) -> Plan:
    _, found = our_mirror(facts, wish)
    name = wish.devices[0]
    device = facts.slice_named(name)
    leaves = found.leaves if isinstance(found, Pool) else found.members
    match = [
        leaf
        for leaf in leaves
        if name in (leaf.name, leaf.path, leaf.path.rpartition("/")[2]) or (device and leaf.path == device.path)
    ]
    if not match and not (isinstance(found, Array) and len(_members(found)) < found.wanted):
        sides = ", ".join(leaf.path for leaf in leaves)
        raise refuse(f"{name} is no side of '{wish.pool}'", f"its sides: {sides}")
    return _joined(facts, wish, platform, "replace", match[0].path if match else name)


def destroy(facts: Facts, wish: Wish, platform: Platform) -> Plan:
    method, found = our_mirror(facts, wish)
    plan_id = identity(facts, wish)
    maker = METHODS[method](platform, facts, wish, found.mark)
    if isinstance(found, Pool) and (strangers := set(found.datasets) - {f"{wish.pool}/{wish.volume}"}):
        raise refuse(
            f"the pool '{wish.pool}' holds {', '.join(sorted(strangers))} too", "move or destroy it by hand"
        )
    swap = facts.swap_on(maker.target)
    steps = []
    if lines := _own_lines(facts, maker, found.mark):
        steps.append(
            Step(
                "unpersist",
                "the next boot must not look for it",
                do=lines,
                undo=(),
                done=tuple(needs("no-line", *a.args) for a in lines if a.kind == "drop"),
            )
        )
    if swap:
        if not wish.allow_less_swap:
            raise refuse(
                f"active swap would fall from {format_size(facts.swap_total)} to "
                f"{format_size(facts.swap_total - swap.size)}",
                "add --allow-less-swap if the host can bear it",
            )
        steps.append(
            Step(
                "deactivate",
                "the kernel takes back what is swapped out there",
                do=(platform.release(swap.path), *platform.settle()),
                undo=(platform.activate(swap.path, swap.priority),),
                needs=(needs("memory", swap.path, "0"),),
                done=(needs("swap-off", maker.target),),
            )
        )
    steps += [step for step in maker.remove() if step.name != "destroy-volume" or facts.volume(maker_volume(wish))]
    left = facts.swap_total - (swap.size if swap else 0)
    whole = tuple(
        replace(s, swap_after=left if s.name.startswith("destroy") or s.name == "deactivate" else facts.swap_total)
        for s in steps
    )
    sides = tuple(leaf.path for leaf in (found.leaves if isinstance(found, Pool) else found.members))
    return Plan(plan_id, wish, facts, method, "destroy", maker.target, sides, 0, whole)


def maker_volume(wish: Wish) -> str:
    return f"{wish.pool}/{wish.volume}"


def _own_lines(facts: Facts, maker: Maker, mark: str) -> tuple[Action, ...]:
    """The lines and files that name the target or carry its mark."""
    tag = (mark.replace(":", "")[len(MD_MARK) :][:12]) if mark.startswith(MD_MARK) else mark
    words = {maker.target, f"UUID={swap_uuid(tag)}", f"UUID={mark}"}
    found = []
    for path, text in facts.files.items():
        if text.startswith(f"# opskit:{tag}\n"):
            found.append(Action("delete", (path,)))
            continue
        for line in text.splitlines():
            comment = line.startswith(f"# opskit:{tag} ")
            if comment or (not line.startswith("#") and words & set(line.split())):
                found.append(Action("drop", (path, line)))
    return tuple(found)
