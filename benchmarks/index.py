"""`opskit pypi serve` beside nginx, pypiserver, proxpi and devpi-server on the same files.

Run: python -m benchmarks.index [--quick]. Servers run on core 0, clients on core 1; every ratio is the median
of interleaved rounds, or of rounds with both at once where two of ours are compared. Needs nginx and wrk; peers
that are not installed are left out and named.
"""

import argparse
import contextlib
import hashlib
import http.client
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from tests.programs import free_port, wait_until_listening
from tests.pypi.dists import wheel_bytes, wheel_name
from tests.pypi.servers import JSON, Index, start, until

SERVER, CLIENT = ("taskset", "-c", "0"), ("taskset", "-c", "1")


def say(text: str) -> None:
    print(text, flush=True)


def fill(directory: Path, projects: int, versions: int) -> None:
    """Small wheels: `projects` × `versions`."""
    directory.mkdir(parents=True, exist_ok=True)
    for project in range(projects):
        for version in range(versions):
            name = f"pkg{project}"
            body = wheel_bytes(name, f"1.{version}", extra="Requires-Python: >=3.8\n", description="words " * 80)
            (directory / wheel_name(name, f"1.{version}")).write_bytes(body)


def load(url: str, *, accept: str = JSON, seconds: int = 2, headers: tuple[str, ...] = ()) -> list[str]:
    """wrk on the client's core, asking for one page."""
    words = [*CLIENT, "wrk", "-t1", "-c16", f"-d{seconds}", "-H", f"Accept: {accept}"]
    return [*words, *(word for header in headers for word in ("-H", header)), url]


def rate(url: str, *, accept: str = JSON, seconds: int = 2) -> float:
    """Requests a second; wrong answers count for nothing."""
    words = load(url, accept=accept, seconds=seconds)
    return _requests_a_second(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def _requests_a_second(out: str) -> float:
    assert "Non-2xx" not in out, out
    return float(next(line for line in out.splitlines() if "Requests/sec" in line).split()[1])


def together(one: list[str], other: list[str], rounds: int = 7) -> tuple[float, float, float]:
    """The median of ratios one/other with both under load at once, and both medians.

    Two processes of equal rights share the server's core in equal parts, so the ratio is that of their costs,
    and whatever else the machine does slows both alike.
    """
    pairs = []
    for _ in range(rounds):
        running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for words in (one, other)]
        pairs.append(tuple(_requests_a_second(process.communicate()[0]) for process in running))
    return (
        statistics.median(a / b for a, b in pairs),
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
    )


def ratio(one: Callable[[], float], other: Callable[[], float], rounds: int = 5) -> tuple[float, float, float]:
    """The median of ratios one/other of interleaved rounds, and both medians.

    The order turns with each round: whatever slows the machine down meanwhile falls on both alike.
    """
    pairs = []
    for number in range(rounds):
        if number % 2:
            second, first = other(), one()
        else:
            first, second = one(), other()
        pairs.append((first, second))
    return (
        statistics.median(a / b for a, b in pairs),
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
    )


def verdict(what: str, value: float, bar: float, unit: str = "", *, at_most: bool = False, note: str = "") -> None:
    good = value <= bar if at_most else value >= bar
    sign = "≤" if at_most else "≥"
    mark = "ok  " if good else "MISS"
    say(f"{mark} {what}: {value:.3g}{unit} (bar {sign} {bar:g}{unit})  {note}".rstrip())


@contextlib.contextmanager
def ours(directory: Path, *options: str) -> Iterator[Index]:
    """Our server on the server's core."""
    index = start(directory, *options)
    _pin(index.process.pid)
    try:
        yield index
    finally:
        index.http.close()
        index.stop()


def _pin(pid: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {0})


@contextlib.contextmanager
def program(words: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen([*SERVER, *words], stdout=out, stderr=out, env={**os.environ, **(env or {})})
    try:
        wait_until_listening(port, log, 90)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


@contextlib.contextmanager
def nginx(root: Path, work: Path) -> Iterator[str]:
    """One nginx worker that serves a tree from disk; an index.html is a JSON page."""
    port = free_port()
    conf = work / "nginx.conf"
    conf.write_text(
        f"user root; worker_processes 1; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.err;\n"
        "events { worker_connections 1024; }\n"
        "http { access_log off; sendfile on; keepalive_requests 10000000; types {} \n"
        f"server {{ listen 127.0.0.1:{port}; root {root}; default_type application/octet-stream;\n"
        f"location /simple/ {{ default_type {JSON}; }} }} }}\n"
    )
    with program(["/usr/sbin/nginx", "-c", str(conf)], port, work / "nginx.log"):
        yield f"http://127.0.0.1:{port}"


def mirror(index: Index, projects: list[str], root: Path) -> None:
    """The same pages, files and metadata as static files."""
    for project in projects:
        page = index.get(f"/simple/{project}/", accept=JSON, accept_encoding="identity")
        place = root / "simple" / project
        place.mkdir(parents=True)
        (place / "index.html").write_bytes(page.content)
        for file in page.json()["files"]:
            target = root / file["url"].removeprefix("../../")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((index.directory / file["filename"]).read_bytes())
            metadata = index.get(f"/simple/{project}/{file['url']}.metadata")
            target.with_name(target.name + ".metadata").write_bytes(metadata.content)


def pages(work: Path, small: Path, big: Path | None) -> None:
    """Requests a second for one project page."""
    with ours(small) as index:
        until(lambda: index.get("/simple/pkg99/").status_code == 200, 60)
        root = work / "static"
        mirror(index, ["pkg7"], root)
        page = f"{index.url}/simple/pkg7/"
        with nginx(root, work) as url:
            value, mine, theirs = ratio(lambda: rate(page), lambda: rate(f"{url}/simple/pkg7/"))
        verdict("page against nginx from disk", value, 0.25, note=f"{mine:.0f}/s, nginx {theirs:.0f}/s")
        if big is not None:
            with ours(big) as other:
                url_ = f"{other.url}/simple/pkg7/"
                value, mine, theirs = together(load(url_, seconds=4), load(page, seconds=4))
            verdict("100 000 files against 1 000", value, 0.9, note=f"{mine:.0f}/s, {theirs:.0f}/s")
        peers(work, small, page)
    protected(work, small)


def peers(work: Path, directory: Path, page: str) -> None:
    html = "text/html"
    mine = statistics.median(rate(page) for _ in range(3))
    port = free_port()
    code = (
        "import sys; sys.modules['passlib.apache'] = None; import runpy; sys.argv[0] = 'pypi-server';"
        "runpy.run_module('pypiserver', run_name='__main__')"
    )
    options = ["-p", str(port), "-i", "127.0.0.1", "--backend", "simple-dir", "--disable-fallback"]
    words = [sys.executable, "-c", code, "run", *options, str(directory)]
    with program(words, port, work / "pypiserver.log"):
        theirs = statistics.median(rate(f"http://127.0.0.1:{port}/simple/pkg7/", accept=html) for _ in range(3))
        verdict(
            "against pypiserver",
            mine / theirs,
            200,
            " times",
            note=f"{mine:.0f}/s, pypiserver {theirs:.1f}/s",
        )
    with nginx(directory, work), ours(directory) as behind:
        bar_of_proxies(work, behind, mine)


def bar_of_proxies(work: Path, behind: Index, mine: float) -> None:
    """proxpi and devpi-server are caches of an index: they get ours, and answer from their own cache."""
    upstream = f"{behind.url}/simple/"
    gunicorn, devpi = _peer("proxpi", "proxpi", "gunicorn"), _peer("devpi", "devpi-server")
    if gunicorn:
        port = free_port()
        words = [str(gunicorn / "gunicorn"), "-b", f"127.0.0.1:{port}", "--threads", "4", "proxpi.server:app"]
        env = {"PROXPI_INDEX_URL": upstream, "PROXPI_INDEX_TTL": "3600"}
        with program(words, port, work / "proxpi.log", env):
            url = f"http://127.0.0.1:{port}/index/pkg7/"
            theirs = statistics.median(rate(url) for _ in range(3))
            verdict("against proxpi", mine / theirs, 5, " times", note=f"proxpi {theirs:.0f}/s")
    if devpi:
        port = free_port()
        place = work / "devpi"
        subprocess.run([str(devpi / "devpi-init"), "--serverdir", str(place)], check=True, capture_output=True)
        words = [str(devpi / "devpi-server"), "--serverdir", str(place), "--port", str(port)]
        with program(words, port, work / "devpi.log"):
            base = f"http://127.0.0.1:{port}"
            _point_devpi(base, upstream)
            theirs = statistics.median(rate(f"{base}/root/bench/+simple/pkg7/") for _ in range(3))
            verdict("against devpi-server", mine / theirs, 5, " times", note=f"devpi-server {theirs:.0f}/s")


def _point_devpi(base: str, upstream: str) -> None:
    """A mirror index of devpi whose upstream is ours."""
    with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
        login = client.post("/+login", json={"user": "root", "password": ""}).json()["result"]["password"]
        import base64

        token = base64.b64encode(f"root:{login}".encode()).decode()
        made = client.put(
            "/root/bench", json={"type": "mirror", "mirror_url": upstream, "mirror_cache_expiry": 3600},
            headers={"X-Devpi-Auth": token},
        )  # fmt: skip
        assert made.status_code == 200, made.text
        answer = client.get("/root/bench/+simple/pkg7/", headers={"accept": JSON})
        assert answer.status_code == 200, answer.text


def _peer(name: str, *packages: str) -> Path | None:
    place = Path(tempfile.gettempdir()) / f"opskit-bench-{name}"
    if not (place / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin" / "pip"), "install", "-q", *packages]
        if subprocess.run(pip, capture_output=True).returncode:
            say(f"--   {name} could not be installed and is left out")
            return None
        (place / "complete").touch()
    return place / "bin"


def protected(work: Path, directory: Path) -> None:
    import bcrypt

    users = work / "htpasswd"
    users.write_text("ann:" + bcrypt.hashpw(b"word", bcrypt.gensalt(12)).decode() + "\n")
    with ours(directory) as open_, ours(directory, "-P", str(users), "-a", "list,download,update") as closed:
        basic = "Authorization: Basic YW5uOndvcmQ="
        until(lambda: closed.http.get("/simple/pkg99/", auth=("ann", "word")).status_code == 200, 60)
        value, mine, theirs = together(
            load(f"{closed.url}/simple/pkg7/", headers=(basic,), seconds=4),
            load(f"{open_.url}/simple/pkg7/", seconds=4),
        )
    verdict("password-protected page against open", value, 0.8, note=f"{mine:.0f}/s, {theirs:.0f}/s")


def scale(work: Path, big: Path) -> None:
    """First scan, and start-up when all is known."""
    shutil.rmtree(big / ".opskit", ignore_errors=True)
    count = sum(1 for _ in big.iterdir())
    began = time.monotonic()
    with ours(big) as index:
        last = f"/simple/pkg{count // 10 - 1}/"
        until(lambda: _counted(index) >= count, 600)
        took = time.monotonic() - began
        assert index.get(last).status_code == 200
    verdict("first scan", count / took, 2000, " files/s", note=f"{count} files in {took:.1f} s")
    times = []
    for _ in range(3):
        began = time.monotonic()
        with ours(big) as index:
            assert index.get("/simple/pkg7/").status_code == 200
            times.append(time.monotonic() - began)
    verdict(f"start-up with {count} known files", statistics.median(times), 2, " s", at_most=True)
    _ = work


def _counted(index: Index) -> int:
    import sqlite3

    with contextlib.closing(sqlite3.connect(index.directory / ".opskit" / "index.db")) as db:
        found: int = db.execute("SELECT COUNT(*) FROM file").fetchone()[0]
        return found


def peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def memory(work: Path) -> None:
    """A wheel of 500 MB up and down again."""
    import zipfile

    path = work / wheel_name("huge")
    block = os.urandom(2**20)
    members = {"huge-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: huge\nVersion: 1.0\n",
               "huge-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n"}  # fmt: skip
    from tests.pypi.dists import record_of

    digest = hashlib.sha256()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        with file.open(zipfile.ZipInfo("huge/x.bin"), "w", force_zip64=True) as member:
            for _ in range(480):
                member.write(block)
                digest.update(block)
        for name, body in members.items():
            file.writestr(name, body)
        import base64

        sha = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        record = f"huge/x.bin,sha256={sha},{480 * 2**20}\n".encode() + record_of(
            members, "huge-1.0.dist-info/RECORD"
        )
        file.writestr("huge-1.0.dist-info/RECORD", record)
    with ours(work / "huge") as index:
        words = [*CLIENT, "curl", "-sS", "-w", "%{http_code}", "-u", f"__token__:{index.token}",
                 "-F", ":action=file_upload",
                 "-F", f"content=@{path}", f"{index.url}/legacy/"]  # fmt: skip
        began = time.monotonic()
        out = subprocess.run(words, capture_output=True, text=True).stdout
        assert out.endswith("200"), out
        up = time.monotonic() - began
        url = f"{index.url}/simple/huge/{index.page('huge')['files'][0]['url']}"
        began = time.monotonic()
        subprocess.run([*CLIENT, "curl", "-sS", "-o", str(work / "back"), url], check=True)
        down = time.monotonic() - began
        assert hashlib.sha256((work / "back").read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
        note = f"up {up:.1f} s, down {down:.1f} s"
        verdict(
            "peak memory of a 500 MB upload and download",
            peak_mib(index.process.pid),
            150,
            " MiB",
            at_most=True,
            note=note,
        )


def _status(index: Index, path: str) -> int:
    connection = http.client.HTTPConnection(index.url.removeprefix("http://"))
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def visibility(work: Path) -> None:
    """From the answer of an upload until another worker's page has the file."""
    with ours(work / "seen", "--workers", "2") as index:
        times = []
        for number in range(20):
            name = f"seen{number}"
            assert index.upload(wheel_name(name), wheel_bytes(name)).status_code == 200
            answered = last_stale = time.monotonic()
            fresh = 0
            while fresh < 12:  # a connection each: any of the workers answers
                found = _status(index, f"/simple/{name}/") == 200
                fresh = fresh + 1 if found else 0
                last_stale = last_stale if found else time.monotonic()
            times.append(last_stale - answered)
        verdict("upload answered → visible in every worker", max(times), 0.1, " s", at_most=True)


def installs(work: Path) -> None:
    """uv on 50 packages, from us and from static files."""
    from tests.pypi.tools import clean_environment, tool

    uv = str(tool("uv") / "uv")
    directory = work / "fifty"
    fill(directory, 50, 1)
    names = [f"pkg{number}" for number in range(50)]

    def run(url: str) -> float:
        home = Path(tempfile.mkdtemp(dir=work))
        words = [*CLIENT, uv, "pip", "install", "-q", "--no-cache", "--python", sys.executable,
                 "--default-index", url,
                 "--target", str(home / "site"), *names]  # fmt: skip
        began = time.monotonic()
        subprocess.run(words, check=True, env=clean_environment(home), capture_output=True)
        took = time.monotonic() - began
        shutil.rmtree(home)
        return took

    with ours(directory) as index:
        until(lambda: index.get("/simple/pkg49/").status_code == 200, 30)
        root = work / "static50"
        mirror(index, names, root)
        with nginx(root, work) as url:
            value, mine, theirs = ratio(lambda: run(f"{index.url}/simple/"), lambda: run(f"{url}/simple/"), 7)
    verdict(
        "uv installs 50 packages, against static files",
        value,
        1.2,
        at_most=True,
        note=f"{mine:.2f} s, {theirs:.2f} s",
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="without the 100 000 files")
    quick = options.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="opskit-bench-") as place:
        work = Path(place)
        small = work / "small"
        fill(small, 100, 10)
        big = None
        if not quick:
            big = work / "big"
            fill(big, 10_000, 10)
            scale(work, big)
        pages(work, small, big)
        memory(work)
        visibility(work)
        installs(work)


if __name__ == "__main__":
    main()
