"""docs/bench.md and the README's first screen, run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.bench.results import MEANING
from tests import transcripts
from tests.servers import Running, target

DOCUMENT = (transcripts.ROOT / "docs/bench.md").read_text()
BLOCKS = [
    block
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    if block != "opskit target\n" and "--http2" not in block  # tests/real/test_bench_http2.py runs that one
]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with target() as running:
        yield running


def shell(script: str, server: Running) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("http://127.0.0.1:8080", server.url)],
        cwd=transcripts.ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": path},
    )  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_works(block: str, server: Running) -> None:
    ran = shell(block, server)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
    assert "error" not in ran.stderr


def test_every_failure_is_explained_as_the_report_does() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| (.+) \|$", DOCUMENT, flags=re.MULTILINE))
    assert rows == {name.value: meaning for name, meaning in MEANING.items()}


def shape(line: str) -> str:
    """A line of the report without what differs from run to run: figures, and the spaces and units around them."""
    return re.sub(r"[\d.,]+", "N", line.replace("MiB", "KiB").replace(" ms", " s")).replace(" ", "")


def test_the_readme_shows_what_the_demo_prints(server: Running) -> None:
    readme = (transcripts.ROOT / "README.md").read_text()
    command, shown = re.findall(r"```console\n\$ (opskit bench .*?)\n(.*?)…\n```", readme, flags=re.DOTALL)[0]
    ran = shell(command, server)
    assert ran.returncode == 0, ran.stderr
    shown_lines = [shape(line) for line in shown.splitlines()]
    assert [shape(line) for line in ran.stdout.splitlines()][: len(shown_lines)] == shown_lines
    assert (
        "opskit bench -k -n 20000 -c 50 -R examples/requests.txt"
        in (transcripts.ROOT / "examples/demo.sh").read_text()
    )
