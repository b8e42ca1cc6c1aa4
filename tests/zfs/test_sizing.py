"""The sizes that OpenZFS gives; real pools judge the same formula in tests/vm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.zfs import sizing

MIB = 1 << 20


@pytest.mark.parametrize(
    ("slice_", "usable", "largest"),
    [
        (512, 480, (328, 338, 343)),
        (1024, 960, (780, 803, 816)),
        (2048, 1920, (1683, 1734, 1761)),
        (4096, 3840, (3490, 3596, 3651)),
        (8192, 7680, (6999, 7211, 7322)),
        (32768, 32256, (29405, 30297, 30763)),
    ],
)
def test_the_known_sizes(slice_: int, usable: int, largest: tuple[int, ...]) -> None:
    assert sizing.usable(slice_ * MIB) == usable * MIB
    assert tuple(sizing.largest_volume(slice_ * MIB, block) // MIB for block in (4096, 8192, 16384)) == largest


def test_the_old_rule_of_thumb_no_longer_fits() -> None:
    """1900 MiB at 8 KiB on a slice of 2 GiB: the story's volume."""
    assert sizing.largest_volume(2048 * MIB, 8192) < 1900 * MIB


@given(st.integers(0, 1 << 44), st.sampled_from([4096, 8192, 16384]))
def test_what_is_offered_fits_by_its_own_arithmetic(slice_: int, block: int) -> None:
    size = sizing.largest_volume(slice_, block)
    assert size % MIB == 0
    assert size == 0 or sizing.reservation(size, block) <= sizing.available(slice_)
    assert size <= max(slice_, 0)
