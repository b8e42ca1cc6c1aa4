"""Facts and a wish become a plan, or a refusal that names the fact behind it. Pure: it touches nothing.

The same facts and the same wish give the same plan, which is how `apply` knows that neither has changed.
"""

from dataclasses import replace

from opskit.errors import Misuse
from opskit.units import format_size, parse_size
from opskit.zfs import sizing
from opskit.zfs.checks import (
    UNEQUAL,
    check_amounts,
    check_free_name,
    check_host,
    check_names,
    chosen_method,
    chosen_order,
    deadlock,
    named_devices,
    refuse,
)
from opskit.zfs.facts import Facts, Slice
from opskit.zfs.identity import identity
from opskit.zfs.joins import destroy, mirror, replace_side
from opskit.zfs.methods import METHODS, Maker, Zvol, header_step, new_mark
from opskit.zfs.platforms import Platform
from opskit.zfs.stages import activate, clear, fence, keep, persist, release, short, swap_of
from opskit.zfs.steps import Plan, Step, Wish


def plan(facts: Facts, wish: Wish, platform: Platform) -> Plan:
    """The plan for a wish of any verb. Raises Misuse or Refused."""
    check_names(wish)
    check_host(facts)
    makers = {"create": _create, "mirror": mirror, "replace": replace_side, "destroy": destroy}
    return makers[wish.verb](facts, wish, platform)


def _create(facts: Facts, wish: Wish, platform: Platform) -> Plan:
    if not 1 <= len(wish.devices) <= 2:
        raise Misuse(f"{len(wish.devices)} slices were named", hint="name two, or one for a mirror to be")
    method = chosen_method(facts, wish, platform)
    check_free_name(facts, wish, method)
    devices = named_devices(facts, wish)
    plan_id = identity(facts, wish)
    maker = METHODS[method](platform, facts, wish, new_mark(method, plan_id))
    size = _size(wish, maker, devices)
    if isinstance(maker, Zvol):
        maker.wanted_size = size
    order = chosen_order(facts, wish, devices)
    steps = _create_steps(facts, platform, maker, method, plan_id, order, devices)
    steps = _with_totals(facts, steps, devices, size)
    made = Plan(
        plan_id, wish, facts, method, order, maker.target, tuple(d.path for d in devices), size, tuple(steps)
    )
    check_amounts(made)
    return replace(made, warnings=tuple(_warnings(made, devices)))


def _size(wish: Wish, maker: Maker, devices: tuple[Slice, ...]) -> int:
    """auto is nine tenths of what a pool takes, because copy-on-write needs room to turn round; md and
    gmirror have no such need."""
    smallest = min(device.size for device in devices)
    if len(devices) == 2 and (more := abs(devices[0].size - devices[1].size)) > UNEQUAL:
        raise refuse(
            f"{devices[0].path} and {devices[1].path} differ by {format_size(more)}: a mirror is "
            "as small as its smaller side",
            "name slices of the same size; opskit changes no slice table",
        )
    largest = maker.size(smallest)
    if not isinstance(maker, Zvol):
        if wish.size not in ("auto", "max"):
            raise Misuse(f"--size has no meaning for {wish.method}: the mirror is the slice", hint="leave it out")
        size = largest
    elif wish.size in ("auto", "max"):
        size = largest if wish.size == "max" else largest * 9 // 10 // sizing.MIB * sizing.MIB
    else:
        size = -(-parse_size(wish.size) // maker.block) * maker.block
    if size > largest or size <= 0:
        raise refuse(
            f"{wish.size} does not fit: a slice of {format_size(smallest)} takes {format_size(largest)}",
            "--size max",
        )
    if size < wish.min_size:
        raise refuse(
            f"the mirror would hold {format_size(size)}, less than --min-size {format_size(wish.min_size)}",
            "name larger slices, or ask for less",
        )
    return size


def _create_steps(
    facts: Facts,
    platform: Platform,
    maker: Maker,
    method: str,
    plan_id: str,
    order: str,
    devices: tuple[Slice, ...],
) -> list[Step]:
    active = tuple(device for device in devices if device.in_swap)
    first = tuple(d for d in devices if not d.in_swap) if order == "keep-swap" else devices
    later = tuple(d for d in devices if d not in first)
    steps: list[Step | None] = []
    for device in first:
        steps.append(fence(facts, device, plan_id, platform))
    if order == "release-first":
        steps += [release(facts, device, platform) for device in active]
    for device in first:
        steps += [keep(device, platform), *clear(device, maker, platform)]
    steps += maker.create(first)
    steps += [header_step(platform, maker.target, plan_id), activate(facts, maker, platform, active)]
    steps += [persist(facts, maker, platform, method, plan_id, active)]
    for device in later:
        steps += [fence(facts, device, plan_id, platform), release(facts, device, platform)]
        steps += [
            keep(device, platform),
            *clear(device, maker, platform),
            maker.attach(first[0], device),
        ]
    return [step for step in steps if step is not None]


def _with_totals(facts: Facts, steps: list[Step], devices: tuple[Slice, ...], size: int) -> list[Step]:
    """Each step with the active swap after it."""
    total = facts.swap_total
    amounts = {f"release-{short(d)}": -swap_of(facts, d).size for d in devices if d.in_swap}
    amounts["activate"] = size
    found = []
    for step in steps:
        total += amounts.get(step.name, 0)
        found.append(replace(step, swap_after=total))
    return found


def _warnings(made: Plan, devices: tuple[Slice, ...]) -> list[str]:
    smallest = min(device.size for device in devices)
    found = [sizing.describe(made.size, smallest)]
    if made.swap_after < made.swap_before:
        found.append(f"active swap goes from {format_size(made.swap_before)} to {format_size(made.swap_after)}")
    if made.swap_lowest < min(made.swap_before, made.swap_after):
        found.append(f"while it works, active swap falls to {format_size(made.swap_lowest)}")
    if len(devices) == 1:
        found.append(
            "one slice is no mirror: when its disk fails, what is swapped out is lost; add one with `mirror`"
        )
    elif devices[0].disk == devices[1].disk:
        found.append(f"both sides are on {devices[0].disk}: this is a trial, not a mirror")
    if made.method == "zvol" and made.facts.platform != "illumos":
        found.append(deadlock(made.facts.platform))
    if made.method == "gmirror":
        found.append("crash dumps to a gmirror are not reliable: keep dumpdev on a partition of its own")
    strangers = [s.path for s in made.facts.swaps if made.facts.slice_named(s.path) not in devices and s.size]
    if strangers:
        found.append(f"{', '.join(strangers)} stays plain swap: a disk that fails there still takes pages with it")
    return found
