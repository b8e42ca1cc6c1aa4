"""The sizing formula against what a real pool takes."""

import pytest

from opskit.zfs import sizing
from tests.vm.guest.host import sh

QUICK = {256, 2048}
SIZES = [
    pytest.param(mib, marks=pytest.mark.quick if mib in QUICK else ())
    for mib in (256, 512, 1024, 1536, 2048, 3000, 4096, 8192)
]


@pytest.mark.parametrize("mib", SIZES)
def test_the_formula_is_never_too_much_and_never_below_97_percent(mib: int) -> None:
    sh(f"rm -f /root/side; truncate -s {mib}M /root/side; zpool create -o ashift=12 sized /root/side")
    try:
        for block in (4096, 8192, 16384):
            size = sizing.largest_volume(mib << 20, block)
            more = -(-int(size / 0.97) // block) * block
            sh(f"zfs create -V {size} -b {block} sized/fits && udevadm settle && zfs destroy sized/fits")
            assert "out of space" in sh(f"zfs create -V {more} -b {block} sized/more 2>&1", check=False)
    finally:
        sh("zpool destroy -f sized; rm -f /root/side")
