"""Scenarios on real disks, in a guest with a real ZFS module: one boot of a version runs them all, and each
is reported here under its own name.

`make vm-test` runs the quick subset, `make vm-test-all` everything; plain `make test` leaves both out.
OPSKIT_VM_CACHE names where images are kept, OPSKIT_VM_ZFS the versions (2.3 2.1), OPSKIT_VM_ONLY an expression
for pytest -k that chooses scenarios. The guest runs under KVM where that works, else it is emulated, which is
slow but works everywhere; OPSKIT_VM_ACCEL=kvm or =tcg decides instead.
"""

import functools
import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import need
from tests.vm import payload, qemu

pytestmark = pytest.mark.vm

QUICK = os.environ.get("OPSKIT_VM_SET", "quick") != "all"
VERSIONS = os.environ.get("OPSKIT_VM_ZFS", "2.3" if QUICK else "2.3 2.1").split()
ONLY = os.environ.get("OPSKIT_VM_ONLY", "")
SELECTION = f'-k "{ONLY}"' if ONLY else "-m quick" if QUICK else ""
TIMEOUT = 1800 if QUICK else 9000  # seconds for one guest, reboot included: a guest that hangs is ended
DISKS = [qemu.Disk(f"OPSKIT{n}", 700 << 20) for n in range(3)] + [qemu.Disk("OPSKIT4K", 700 << 20, 4096)]


@dataclass(frozen=True)
class Scenario:
    """What the guest reported of one scenario: `problem` is empty when it passed."""

    name: str
    problem: str
    seconds: float


@functools.cache
def scenarios(version: str, work: Path) -> tuple[Scenario, ...]:
    """Boot the guest once, and read the JUnit files of its boots."""
    for program in ("qemu-system-x86_64", "debootstrap", "mke2fs"):
        need(program)
    if os.geteuid() != 0 and not qemu.built(version):
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"building the guest needs root: run `sudo tests/vm/build-image.sh {version}` once")
    qemu.build(version)
    handed = payload.make(work / "payload", SELECTION)
    results = qemu.run(version, handed, work, DISKS, TIMEOUT)
    found = []
    for report in sorted(results.glob("boot*.xml")):
        for case in ET.parse(report).getroot().iter("testcase"):
            bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
            problem = "\n".join(child.text or str(child.get("message")) for child in bad)
            found.append(Scenario(f"{report.stem}:{case.get('name')}", problem, float(case.get("time", 0))))
    rebooted = (results / "boot2.xml").exists()
    assert rebooted or ONLY, f"the guest did not come back from its reboot; see {work}"
    return tuple(found)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guest")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_scenario_passes_on_real_disks(version: str, work: Path) -> None:
    (work / version).mkdir()
    found = scenarios(version, work / version)
    lines = [f"{'FAILED' if s.problem else 'ok':<7} {s.seconds:6.1f} s  {s.name}" for s in found]
    print(f"zfs {version}", *lines, sep="\n")
    assert len(found) >= (1 if ONLY else 15 if QUICK else 30)
    assert "\n".join(f"{s.name}\n{s.problem}" for s in found if s.problem) == ""
