import pytest

from tests.vm.guest import host


@pytest.fixture
def clean_host() -> None:
    host.clean()
