"""docs/pypi.md: its console examples are run in order, and every option and command it names exists."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from opskit.cli import load
from tests.command import opskit
from tests.programs import need
from tests.pypi.dists import put_wheel, wheel_bytes, wheel_name
from tests.pypi.servers import serving, until
from tests.pypi.tools import clean_environment, tool

PAGE = Path(__file__).parents[2] / "docs" / "pypi.md"


def test_the_console_examples_do_what_they_show(tmp_path: Path) -> None:
    put_wheel(tmp_path / "dist")
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for part in block.split("$ ")[1:]:
            command, _, expected = part.partition("\n")
            assert command.startswith("opskit ")
            words = f"{sys.executable} -m {command}"
            done = subprocess.run(words, shell=True, capture_output=True, text=True, cwd=tmp_path)
            assert (done.returncode, done.stdout) == (0, expected), command + done.stderr


def shell(containing: str) -> str:
    """The one sh block of the page that has these words."""
    found = [b for b in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL) if containing in b]
    assert len(found) == 1, containing
    return str(found[0])


def run_block(block: str, place: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A block as a shell runs it that stops at the first failure."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = clean_environment(place) | {"PATH": path} | environment
    return subprocess.run(["bash", "-ec", block], cwd=place, env=env, capture_output=True, text=True)


def test_the_lines_for_clients_install_and_publish(tmp_path: Path) -> None:
    put_wheel(tmp_path / "packages")
    put_wheel(tmp_path / "dist", "fresh")
    with serving(tmp_path / "packages") as index:
        block = shell("uv publish").replace("http://127.0.0.1:8080", index.url)
        block = block.replace("pip install --index-url", f"pip install --target {tmp_path}/site --index-url")
        block = block.replace("uv pip install", f"uv pip install --python {sys.executable}")
        bins = ":".join(str(tool(name)) for name in ("uv", "twine"))
        path = f"{bins}:{tool('pip')}:{os.environ['PATH']}"
        done = run_block(block, tmp_path, PATH=path, TOKEN=index.token)
        assert done.returncode == 0, done.stderr
        assert index.filenames("fresh") == [wheel_name("fresh")]
    assert (tmp_path / "site" / "acme_tools").is_dir()


def test_the_token_commands_run(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    block = shell("opskit pypi token create")
    *made, revoke = block.strip().splitlines()
    done = run_block("\n".join(made), tmp_path)
    assert done.returncode == 0, done.stderr
    identifier = re.findall(r"opk_([0-9a-f]+)_", done.stdout)[1]
    done = run_block(re.sub(r"revoke \w+", f"revoke {identifier}", revoke), tmp_path)
    assert done.stdout == f"token {identifier} is revoked\n"


def test_a_backup_while_it_runs_is_restored_whole(tmp_path: Path) -> None:
    need("rsync")
    with serving(tmp_path / "packages") as index:
        token = index.token
        put_wheel(tmp_path / "packages")
        until(lambda: index.get("/simple/acme-tools/").status_code == 200)
        index.admin("yank", "acme-tools", "1.0", "--reason", "loses data")
        uploaded: list[str] = []
        ended = threading.Event()

        def upload() -> None:
            while not ended.is_set():
                name = f"up{len(uploaded)}"
                assert index.upload(wheel_name(name), wheel_bytes(name)).status_code == 200
                uploaded.append(name)

        writer = threading.Thread(target=upload)
        writer.start()
        until(lambda: len(uploaded) > 5)
        before = len(uploaded)
        done = run_block(shell("a.backup(b)"), tmp_path)
        ended.set()
        writer.join()
        assert done.returncode == 0, done.stderr
    block = shell("cp backup/index.db").rpartition("opskit pypi serve")[0]
    assert run_block(block, tmp_path).returncode == 0
    with serving(tmp_path / "restored") as index:
        assert index.page("acme-tools")["files"][0]["yanked"] == "loses data"
        for name in uploaded[:before]:
            assert index.filenames(name) == [wheel_name(name)]
        index.token = token
        assert index.upload(wheel_name("later"), wheel_bytes("later")).status_code == 200
        assert index.admin("log", "--json").code == 0


def test_every_command_and_option_in_the_page_exists() -> None:
    text = PAGE.read_text()
    root = load("pypi")
    for words in re.findall(r"opskit pypi ([a-z]+(?: (?:create|list|revoke))?)", text):
        command = root
        for word in words.split():
            command = getattr(command, "commands", {}).get(word, command)
        assert command is not root, words
    options = {option for command in _all(root) for p in command.params for option in getattr(p, "opts", ())}
    foreign = {
        "--index-url", "--publish-url", "--repository-url", "--token", "--exclude", "--export", "--overwrite",
    }  # fmt: skip
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - foreign:
        assert option in options, option


def _all(command: Any) -> list[Any]:
    return [command, *[c for child in getattr(command, "commands", {}).values() for c in _all(child)]]


def test_every_command_is_in_the_page() -> None:
    text = PAGE.read_text()
    for name in load("pypi").commands:
        assert f"pypi {name}" in text, name


def test_the_help_of_serve_names_the_first_lines() -> None:
    ran = opskit("pypi", "serve", "--help")
    assert "opskit pypi serve --port 8080" in ran.out
