"""Real packaging clients in virtual environments, installed once per machine and shared by all tests."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# The environment a tool is installed in → what is asked of the package registry.
TOOLS = {
    "pip22": "pip==22.3.1", "pip23": "pip==23.3.2", "pip": "pip>=26", "uv": "uv>=0.9",
    "twine5": "twine==5.1.1",
    "twine": "twine>=6.2", "poetry": "poetry>=2", "hatch": "hatch>=1.16", "flit": "flit>=3.12",
    "pdm": "pdm>=2.26,<2.27 hishel<1 unearth<0.18",  # 2.29 starts with no released set of its parts
}  # fmt: skip


def tool(name: str) -> Path:
    """The bin directory of a tool's environment; installed when it is not there yet."""
    cache = Path(
        os.environ.get("OPSKIT_TEST_TOOLS", Path(tempfile.gettempdir()) / f"opskit-test-tools-{os.getuid()}")
    )
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _install(name, place)
    return place / "bin"


def _install(name: str, place: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True, capture_output=True)
    done = subprocess.run(
        [str(place / "bin" / "python"), "-m", "pip", "install", "-q", *TOOLS[name].split()],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = f"{TOOLS[name]} cannot be installed here: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    (place / "complete").touch()


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """No configuration of the machine's reaches a client: what it does is what the test says."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PIP_", "UV_", "TWINE_", "POETRY_", "HATCH_", "PDM_", "FLIT_"))
    }
    return {
        **kept, "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache"),
        "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_CONFIG": "1",
        "UV_KEYRING_PROVIDER": "disabled",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "NO_COLOR": "1", **more,
    }  # fmt: skip
