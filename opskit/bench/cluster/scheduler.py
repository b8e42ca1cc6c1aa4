"""The way to the workers of a cluster: by a scheduler of Dask that runs, or one started here or over SSH.

Calls go to the workers outside of Dask's tasks: what is no task is never tried again elsewhere.
"""

import asyncio
import logging
import os
import pkgutil
import re
import signal
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opskit import __version__
from opskit.errors import Misuse, Unable, os_reason

# Seconds
CONNECTED_WITHIN = 4.0  # a scheduler, by TCP
REACHED_WITHIN = 8.0  # a scheduler and its workers, until they have said what they are
FIRST_WORKER_WITHIN = 2.0  # where there is none, one may be about to come
STARTED_WITHIN = 120.0  # workers that are started here or over SSH
COME_WITHIN = 30.0  # those workers to their scheduler
SSH_WITHIN = 10.0
CLOSED_WITHIN = 5.0
_LOOK_EVERY = 0.3
_HINT = "--cluster tcp://HOST:8786 (a scheduler that runs), local:4 (workers here), or ssh:FILE (a host a line)"
_INSTALL = "pip install 'opskit[cluster]'"


class Gone(Exception):
    """A worker does not answer any more."""


@dataclass(frozen=True)
class Host:
    """A line of the file of `ssh:`: where to log in, and which Python has opskit there."""

    name: str
    user: str | None = None
    python: str | None = None


@dataclass(frozen=True)
class Place:
    """Where the workers are: the address of a scheduler, a number of workers to start here, or hosts."""

    text: str
    scheduler: str | None = None
    local: int = 0
    hosts: tuple[Host, ...] = ()

    @property
    def workers(self) -> int:
        """How many there are to be at the least."""
        return self.local or len(self.hosts) or 1


def parse_place(text: str) -> Place:
    """Read what --cluster says. Raises Misuse."""
    kind, _, rest = text.partition(":")
    if kind in ("tcp", "tls") and re.fullmatch(r"//(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):\d{1,5}/?", rest):
        return Place(text, scheduler=text.rstrip("/"))
    if kind == "local" and rest.isdecimal() and int(rest) > 0:
        return Place(text, local=int(rest))
    if kind == "ssh" and rest and not rest.startswith("//"):
        return Place(text, hosts=_hosts(rest))
    raise Misuse(f"--cluster {text}: not a place where workers are", hint=_HINT)


def _hosts(path: str) -> tuple[Host, ...]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "not UTF-8"
        raise Misuse(f"--cluster ssh:{path}: {reason}", hint="a text file with a host a line") from error
    texts = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    hosts = tuple(_host(f"{path}:{number}", text) for number, text in texts if text)
    if not hosts:
        raise Misuse(f"--cluster ssh:{path}: no host in it", hint="a host a line: [USER@]HOST [PYTHON]")
    return hosts


def _host(place: str, text: str) -> Host:
    match = re.fullmatch(r"(?:([\w.-]+)@)?(\w[\w.:-]*)(?:\s+(/\S+))?", text)
    if match is None:
        raise Misuse(f"{place}: '{text[:60]}' is no host", hint="write [USER@]HOST [PYTHON]")
    return Host(match[2], match[1], match[3])


def require_extra(place: Place) -> None:
    """Raises Unable if what --cluster needs is not installed."""
    for module in ("distributed", *(["asyncssh"] if place.hosts else [])):
        if find_spec(module) is None:
            raise Unable(f"--cluster needs {module}", hint=_INSTALL, code="missing_extra")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to ourselves what Dask has to say: what matters of it is said in our own words."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@dataclass(frozen=True)
class Worker:
    """A worker that can be called. `name` is its address."""

    name: str
    client: Any

    async def call(self, function: Callable[..., Any], *args: object, within: float) -> Any:
        """Call a function of a module there; one that is asynchronous is waited for. Raises Gone."""
        try:
            async with asyncio.timeout(within):
                found = await self.client.run(function, *args, workers=[self.name], on_error="return")
        except (OSError, TimeoutError) as error:
            raise Gone(self.name) from error
        answer = found.get(self.name)
        if isinstance(answer, OSError):
            raise Gone(self.name) from answer
        if isinstance(answer, Exception):
            raise Unable(f"worker {self.name}: {_reason(answer)}", hint="its log may tell more") from answer
        return answer


@asynccontextmanager
async def workers_at(place: Place) -> AsyncIterator[list[Worker]]:
    """All workers of a place, each with the same opskit as ours. Raises Unable."""
    async with AsyncExitStack() as stack:
        address = place.scheduler
        if address is None:
            address = await stack.enter_async_context(_started(place))
        await _knock(address)
        import distributed  # noqa: F401 — takes a second, which is not to be taken from the scheduler's time

        # Those that were started here have said so, but may not have come to their scheduler yet.
        deadline = asyncio.get_running_loop().time() + (REACHED_WITHIN if place.scheduler else STARTED_WITHIN)
        client = await stack.enter_async_context(_connected(address, deadline))
        try:
            async with asyncio.timeout_at(deadline):
                names = await _known(client, address, place)
        except (OSError, TimeoutError) as error:
            raise Unable(f"the scheduler at {address} stopped answering", hint="its log may tell why") from error
        yield [Worker(name, client) for name in names]


async def _knock(address: str) -> None:
    """Whether anything listens there: Dask would try again and again, and not say what was wrong."""
    url = urlsplit(address)
    try:
        async with asyncio.timeout(CONNECTED_WITHIN):
            _, writer = await asyncio.open_connection(url.hostname, url.port)
    except TimeoutError:
        raise _no_scheduler(address, f"no answer within {CONNECTED_WITHIN:g} s") from None
    except OSError as error:
        # asyncio puts words of its own in the place of the system's.
        known = error.errno is not None and error.errno > 0
        raise _no_scheduler(address, os.strerror(error.errno or 0) if known else os_reason(error)) from error
    writer.close()


@asynccontextmanager
async def _connected(address: str, deadline: float) -> AsyncIterator[Any]:
    from distributed import Client

    client = Client(address, asynchronous=True, timeout=REACHED_WITHIN, set_as_default=False)
    try:
        try:
            async with asyncio.timeout_at(deadline):
                await client
        except Exception as error:
            raise Unable(
                f"what listens at {address} does not answer as a scheduler of Dask does",
                hint="is this the port of `dask scheduler`, of a like version, without TLS or with?",
                code="scheduler",
            ) from error
        yield client
    finally:
        with suppress(Exception):
            async with asyncio.timeout(CLOSED_WITHIN):
                await client.close()


def _no_scheduler(address: str, reason: str) -> Unable:
    return Unable(
        f"no scheduler at {address}: {reason}",
        hint="is `dask scheduler` running there, and is this its port?",
        code="scheduler",
    )


@asynccontextmanager
async def _started(place: Place) -> AsyncIterator[str]:
    """A scheduler and workers that live as long as the run; yields the scheduler's address."""
    cluster = _local(place.local) if place.local else _over_ssh(place.hosts)
    try:
        try:
            async with asyncio.timeout(STARTED_WITHIN):
                await _start(cluster)
        except Exception as error:
            why = f"not within {STARTED_WITHIN:g} s" if isinstance(error, TimeoutError) else _reason(error)
            hint = "try `ssh HOST PYTHON -m opskit --version` for each host" if place.hosts else ""
            raise Unable(f"--cluster {place.text} did not start: {why}", hint=hint, code="cluster") from error
        yield cluster.scheduler_address
    finally:
        with suppress(Exception):
            async with asyncio.timeout(CLOSED_WITHIN):
                await cluster.close()


async def _start(cluster: Any) -> None:
    """Start it, deaf to Ctrl-C: a terminal sends that to all processes, and it is ours that tells the workers."""
    resource_tracker.ensure_running()  # of multiprocessing, which would undo the next line when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which new processes inherit
    try:
        starting = asyncio.ensure_future(cluster)
        while not starting.done() and signal.SIGINT not in signal.sigpending():
            await asyncio.wait({starting}, timeout=_LOOK_EVERY)
        if not starting.done():
            starting.cancel()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)  # what was pending comes now
    await starting
    if hasattr(cluster.scheduler, "http_server"):  # it is in this process
        cluster.scheduler.http_server.stop()
        for nanny in cluster.workers.values():
            nanny.close_gracefully()  # from now on: a worker that dies is not to come again


def _reason(error: BaseException) -> str:
    """What was wrong at first, on one line: Dask wraps it."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = os_reason(error) if isinstance(error, OSError) else str(error)
    return " ".join(words.split()) or type(error).__name__


def _local(workers: int) -> Any:
    """Processes of this machine, which listen on loopback only."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        memory_limit=0,
        asynchronous=True,
    )


def _over_ssh(hosts: tuple[Host, ...]) -> Any:
    """A worker on each host, and the scheduler on the first."""
    from distributed import SSHCluster

    everyone = [hosts[0], *hosts]
    options = {"connect_timeout": SSH_WITHIN, "login_timeout": SSH_WITHIN}
    return SSHCluster(
        [host.name for host in everyone],
        connect_options=[{**options, **({"username": host.user} if host.user else {})} for host in everyone],
        remote_python=[host.python or sys.executable for host in everyone],
        worker_options={"nthreads": 1, "memory_limit": 0, "dashboard": False},
        scheduler_options={"port": 0, "dashboard": False},
        asynchronous=True,
    )


async def _known(client: Any, address: str, place: Place) -> list[str]:
    """The addresses of all workers, once it is sure that they can do what is asked of them. Raises Unable."""
    versions = await client.get_versions()
    clock = asyncio.get_running_loop().time
    patience = clock() + (FIRST_WORKER_WITHIN if place.scheduler else COME_WITHIN)
    while len(versions["workers"]) < place.workers:
        if clock() > patience:
            raise _too_few(len(versions["workers"]), address, place)
        await asyncio.sleep(_LOOK_EVERY)
        versions = await client.get_versions()
    # Nothing of ours is called before it is known to be there.
    ours = await client.run(pkgutil.resolve_name, "opskit:__version__", on_error="return")
    for mismatch in _mismatches(versions, ours):
        raise mismatch
    return list(versions["workers"])


def _too_few(workers: int, address: str, place: Place) -> Unable:
    if place.scheduler:
        return Unable(
            f"the scheduler at {address} has no workers",
            hint=f"on each machine: dask worker {address} --nworkers auto --nthreads 1",
            code="no_workers",
        )
    return Unable(
        f"only {workers} of {place.workers} workers came to the scheduler at {address}",
        hint="can every host reach the first one, at any port?",
        code="no_workers",
    )


def _mismatches(versions: Mapping[str, Any], opskits: Mapping[str, object]) -> Iterator[Unable]:
    """What keeps the machines from understanding each other. Workers need our opskit, Python and Dask."""
    mine = versions["client"]["packages"]
    workers = {name: each["packages"] for name, each in versions["workers"].items()}
    for package in ("dask", "distributed"):
        found = versions["scheduler"]["packages"].get(package)
        if found != mine[package]:
            yield _mismatch(package, mine[package], found, "the scheduler has")
        yield from _of_workers(package, mine[package], {name: each.get(package) for name, each in workers.items()})
    pythons = {name: _minor(each["python"]) for name, each in workers.items()}
    yield from _of_workers("Python", _minor(mine["python"]), pythons)
    yield from _of_workers(
        "opskit",
        __version__,
        {name: None if isinstance(each, Exception) else each for name, each in opskits.items()},
    )


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _of_workers(package: str, mine: str, theirs: Mapping[str, object]) -> Iterator[Unable]:
    others = {name: version for name, version in theirs.items() if version != mine}
    if others:
        name, version = next(iter(others.items()))
        yield _mismatch(package, mine, version, f"{len(others)} of {len(theirs)} workers ({name}) have")


def _mismatch(package: str, mine: str, found: object, who: str) -> Unable:
    return Unable(
        f"{who} {f'{package} {found}' if found else f'no {package}'}, and this machine {package} {mine}",
        hint=f"the same everywhere: Python {_minor(sys.version)}, pip install 'opskit[cluster]=={__version__}'",
        code="version_mismatch",
    )
