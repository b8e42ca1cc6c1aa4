"""Starts the servers of the world for tests: the Python ones, nginx, and those of npm where node is there."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import free_port, need, wait_until_listening

CONTENT = b"".join(b"%019d\n" % offset for offset in range(0, 2000, 20))

NGINX = """
{user}
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log;
events {{ worker_connections 64; }}
http {{
  access_log off; default_type application/octet-stream;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  {extra}
  server {{ listen 127.0.0.1:{port} {listen}; root {root}/files; {server} }}
}}
"""

NODE = {
    "send": "require('http').createServer((q, s) => require('send')(q, q.url, {root: process.argv[2]})"
    ".pipe(s)).listen(+process.argv[1], '127.0.0.1')",
    "http-server": "require('http-server').createServer({root: process.argv[2], cache: 0})"
    ".listen(+process.argv[1], '127.0.0.1')",
    "serve-handler": "require('http').createServer((q, s) => require('serve-handler')(q, s, "
    "{public: process.argv[2], etag: true})).listen(+process.argv[1], '127.0.0.1')",
}
NODE_VERSIONS = {"send": "1.2.1", "http-server": "14.1.1", "serve-handler": "6.1.8"}


def files(root: Path) -> Path:
    """A directory with the file that is checked, and an empty one; both a year old, as strong dates are."""
    place = root / "files"
    place.mkdir(exist_ok=True)
    for name, content in (("file.bin", CONTENT), ("empty.bin", b"")):
        (place / name).write_bytes(content)
        os.utime(place / name, (1_704_067_200, 1_704_067_200))
    return place


@contextmanager
def running(argv: list[str], port: int, root: Path) -> Iterator[str]:
    """A program that listens on a port of 127.0.0.1; ended afterwards."""
    log = root / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=Path(__file__).parents[2])
    try:
        wait_until_listening(port, log, seconds=30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def python_server(name: str, root: Path) -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, "-m", "tests.httprange.serve", name, str(port), str(files(root))]
    if name == "http.server":
        argv = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(files(root)), str(port)]
    with running(argv, port, root) as url:
        yield url


@contextmanager
def nginx(root: Path, *, server: str = "", listen: str = "", extra: str = "") -> Iterator[str]:
    """nginx with more lines for its server block."""
    program, port = need("nginx"), free_port()
    files(root)
    config = root / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # its own user could not read a test's directory
    lines = {"user": user, "server": server, "listen": listen, "extra": extra}
    config.write_text(NGINX.format(root=root, port=port, **lines))
    with running([program, "-p", str(root), "-c", str(config)], port, root) as url:
        yield url


@functools.cache
def node_modules() -> Path:
    """The npm servers, installed once for the machine; a skip where there is no node, or no registry."""
    place = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "opskit-tests-npm"
    package = {"private": True, "dependencies": NODE_VERSIONS}
    wanted = json.dumps(package)
    done = place / "package.json"
    if not done.exists() or done.read_text() != wanted or not (place / "node_modules").is_dir():
        place.mkdir(parents=True, exist_ok=True)
        done.write_text(wanted)
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]
        ran = subprocess.run(install, cwd=place, capture_output=True, text=True, timeout=180)
        if ran.returncode:
            done.unlink()
            pytest.skip(f"npm install failed: {ran.stderr[-200:]}")
    return place / "node_modules"


@contextmanager
def node_server(name: str, root: Path) -> Iterator[str]:
    from shutil import which

    node = which("node")
    if node is None or which("npm") is None:
        pytest.skip("node and npm are not installed")
    port, modules = free_port(), node_modules()
    script = root / "server.js"
    script.write_text(f"module.paths.unshift({str(modules)!r});\nprocess.argv.splice(1, 1);\n{NODE[name]};\n")
    with running([node, str(script), str(port), str(files(root))], port, root) as url:
        yield url
