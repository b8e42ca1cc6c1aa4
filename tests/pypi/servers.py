"""`opskit pypi serve` as a real process on a free port, and what tests ask of it."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.command import Ran, opskit

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Index:
    """A running server. `token` is the one it printed at its first start, or empty."""

    url: str
    directory: Path
    token: str
    process: "subprocess.Popen[bytes]"
    log: Path
    http: httpx.Client

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def page(self, project: str) -> Any:
        answer = self.get(f"/simple/{project}/", accept=JSON)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def filenames(self, project: str) -> list[str]:
        return [file["filename"] for file in self.page(project)["files"]]

    def upload(
        self, filename: str, body: bytes, *, token: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None, more: Mapping[str, str] | None = None, **fields: str,
    ) -> httpx.Response:  # fmt: skip
        """Upload as twine does: name and version from the file name unless told otherwise."""
        parts = filename.removesuffix(".tar.gz").split("-")
        form = {
            ":action": "file_upload", "protocol_version": "1", "name": parts[0],
            "version": parts[1] if len(parts) > 1 else "", "sha256_digest": hashlib.sha256(body).hexdigest(),
            **fields, **(more or {}),
        }  # fmt: skip
        return self.http.post(
            "/legacy/", data=form, files={"content": (filename, body)}, headers=headers,
            auth=auth or ("__token__", token if token is not None else self.token),
        )  # fmt: skip

    def admin(self, *words: str, **more: Any) -> Ran:
        """An administrative command on the served directory."""
        return opskit("pypi", *words, "--dir", str(self.directory), **more)

    def make_token(self, *scopes: str, **options: str) -> str:
        words = [word for scope in scopes for word in ("--scope", scope)]
        words += [word for key, value in options.items() for word in (f"--{key}", value)]
        ran = self.admin("token", "create", *words)
        assert ran.code == 0, ran.err
        return ran.out.strip()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=15)


def start(directory: Path, *options: str, **environment: str) -> Index:
    """Start a server and wait until it answers."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    log = directory.parent / f"{directory.name}-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "opskit", "pypi", "serve", str(directory), "--port", "0", *options],
            stdout=out, stderr=out, env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
    url = _wait(process, log)
    text = log.read_text()
    token = re.search(r"opk_[0-9a-f]+_[0-9a-f]+", text)
    client = httpx.Client(base_url=url, verify=False, trust_env=False, timeout=30)
    return Index(url, directory, token[0] if token else "", process, log, client)


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = re.search(r" at (https?://\S+)/\n", log.read_text())
        if found:
            try:
                if httpx.get(found[1] + "/health", verify=False, trust_env=False, timeout=5).status_code == 200:
                    return found[1]
            except httpx.TransportError:
                pass
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


@contextmanager
def serving(directory: Path, *options: str, **environment: str) -> Iterator[Index]:
    index = start(directory, *options, **environment)
    try:
        yield index
    finally:
        index.http.close()
        index.stop()


def until(condition: Any, seconds: float = 10.0) -> float:
    """Wait for something to become true; how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - started
