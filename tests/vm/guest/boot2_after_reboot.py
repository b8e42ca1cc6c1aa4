"""After a real reboot: both mirrors are there and active without help, and undo still knows the way."""

import time
from pathlib import Path

import pytest

from tests.vm.guest import host
from tests.vm.guest.host import opskit, sh

quick = pytest.mark.quick


@quick
@pytest.mark.parametrize("pool", ["swap", "swapmd"])
def test_the_mirror_is_active_after_the_reboot(pool: str) -> None:
    deadline = time.monotonic() + 330
    while len(host.swaps()) < 2 and time.monotonic() < deadline:
        time.sleep(1)
    report = opskit("verify", "--after-reboot", "--pool", pool, "--json").data
    assert report["level"] == "ok"
    assert report["active"]


@quick
def test_undo_after_the_reboot_gives_the_old_swap_back() -> None:
    ids = [path.name for path in host.JOURNALS.iterdir() if path.is_dir()]
    for plan_id in ids:
        opskit("undo", plan_id)
    assert list(host.swaps()) == [host.part(0)]
    uuid = sh(f"blkid -p -s UUID -o value {host.part(0)}").strip()
    assert Path("/etc/fstab").read_text() == f"{host.FSTAB}UUID={uuid} none swap sw 0 0\n"
    assert sh("zpool list -Ho name") == ""
