import sys

import pytest

from tests.vm.guest import host


@pytest.fixture
def clean_host() -> None:
    host.clean()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once what failed: the guest's console is followed while it runs."""
    if report.failed:
        sys.stderr.write(f"\n{report.longreprtext}\n")
