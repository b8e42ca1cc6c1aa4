"""The scenarios of the first boot. `quick` marks the subset of every CI run."""

from pathlib import Path

import pytest

from tests.vm.guest import host
from tests.vm.guest.host import MD, ZVOL, Before, apply, opskit, part, plan, sh

pytestmark = pytest.mark.usefixtures("clean_host")
quick = pytest.mark.quick
METHODS = pytest.mark.parametrize("method", [ZVOL, MD], ids=["zvol", "md"])


@quick
@METHODS
def test_keep_swap_apply_and_undo_leave_all_as_it_was(method: tuple[str, ...]) -> None:
    old, idle = part(0), part(1)
    uuid = host.make_swap(old)
    before = Before.of(idle)
    header = host.ends(old)[:4096]
    plan(old, idle, *method)
    applied = apply(old, idle)
    assert "mirror: done" in applied.err
    swapped = host.swaps()
    assert old not in swapped
    assert len(swapped) == 1
    report = opskit("verify", "--json").data
    assert report["level"] == "ok"
    assert len(report["sides"]) == 2
    assert "#opskit:" in Path("/etc/fstab").read_text()
    again = apply(old, idle)
    assert "Nothing to do" in again.out
    assert "Taken back" in opskit("undo").out
    assert Before.of(idle) == before
    assert host.ends(old)[:4096] == header
    assert sh(f"blkid -p -s UUID -o value {old}").strip() == uuid
    assert "Nothing to do" in opskit("undo").out
