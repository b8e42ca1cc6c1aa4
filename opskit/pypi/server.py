"""uvicorn around the application: worker processes, the reason phrase, and the fast path for pages."""

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from opskit.errors import Unable, os_reason
from opskit.pypi.answers import App, Message, Prepared, Receive, Scope, Send
from opskit.pypi.plan import Settings
from opskit.pypi.worker import Worker

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # no wheel of httptools here: h11 does the same, slower
    HttpToolsProtocol = None  # type: ignore[assignment,misc]


_HEAD_LIMIT = 64 * 1024  # bytes of a request's head; h11 has the same bound
_HEAD_WITHIN_S = 30.0


class _FirstLine:
    """A transport for one write: the reason phrase becomes ours. RFC 9112 section 4 allows any text."""

    def __init__(self, transport: Any, status: int, reason: str) -> None:
        self._transport = transport
        text = "".join(c if " " <= c <= "~" else "?" for c in reason)[:300]
        self._status = status
        self._line = f"HTTP/1.1 {status} {text}\r\n".encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        standard, _, rest = data.partition(b"\r\n")
        self._transport.write(self._line + rest if standard.startswith(b"HTTP/1.1 ") else data)


def _with_reasons(app: App, cycle: Callable[[], Any]) -> App:
    """The application, whose `reason` of a response start reaches the status line."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_reason(message: Message) -> None:
            reason = message.get("reason")
            if not reason:
                await send(message)
                return
            current = cycle()
            transport = current.transport
            current.transport = _FirstLine(transport, message["status"], reason)
            try:
                await send(message)
            finally:
                current.transport = transport

        await app(scope, receive, send_with_reason)

    return run


class PlainProtocol(H11Protocol):
    """uvicorn's pure Python protocol, with reason phrases."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app = _with_reasons(self.app, lambda: self.cycle)


if HttpToolsProtocol is not None:

    class FastProtocol(HttpToolsProtocol):
        """uvicorn's protocol on httptools, with reason phrases, and pages answered without a task.

        A GET of a page that is prepared already is answered where its head was parsed: no scope, no task, no
        event. Everything else takes the ordinary way.
        """

        _answered = False
        _in_head = True
        _head_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._head_since = self.loop.time()
            self.loop.call_later(_HEAD_WITHIN_S, self._look_at_head)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > _HEAD_LIMIT:
                    self._refuse(b"431 Request Header Fields Too Large")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head, self._head_bytes, self._head_since = True, 0, self.loop.time()

        def _look_at_head(self) -> None:
            """Close a connection that sends its head a byte now and then, to hold as many as there can be."""
            if self.transport.is_closing():
                return
            left = _HEAD_WITHIN_S - (self.loop.time() - self._head_since) if self._in_head else _HEAD_WITHIN_S
            if left <= 0:
                self._refuse(b"408 Request Timeout")
            else:
                self.loop.call_later(left, self._look_at_head)

        def _refuse(self, status: bytes) -> None:
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
            self.transport.close()

        def on_headers_complete(self) -> None:
            self._in_head = False
            if self.url.startswith(b"/simple/") and self._is_idle:
                answer = self._prepared()
                if answer is not None:
                    self._answered = True
                    date = b"".join([b"%s: %s\r\n" % pair for pair in self.server_state.default_headers])
                    self.transport.write(_head(answer) + date + b"\r\n" + answer.body)
                    return
            super().on_headers_complete()

        @property
        def _is_idle(self) -> bool:
            """Whether no earlier request of this connection is still being answered."""
            cycle: Any = self.cycle  # None until the first request
            return cycle is None or cycle.response_complete

        def _prepared(self) -> Prepared | None:
            parser = self.parser
            if parser.get_method() != b"GET" or parser.get_http_version() != "1.1":
                return None
            if not parser.should_keep_alive() or self.flow.write_paused:
                return None
            quick = self.app_state.get("quick")
            found: Prepared | None = quick(self.url, self.headers) if quick else None
            return found

        def on_message_complete(self) -> None:
            if self._answered:
                self._answered = False
                self.on_response_complete()
            else:
                super().on_message_complete()

        def on_body(self, body: bytes) -> None:
            if not self._answered:
                super().on_body(body)

        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            super()._start_asgi_task(cycle, _with_reasons(app, lambda: cycle))  # type: ignore[arg-type]


def _head(answer: Prepared) -> bytes:
    """The head of a prepared answer as bytes, all but the date, made once per answer and kept with it."""
    head = _HEADS.get(id(answer))
    if head is None or head[0] is not answer:
        if len(_HEADS) > 50_000:
            _HEADS.clear()
        phrase = HTTPStatus(answer.status).phrase.encode()
        lines = [b"HTTP/1.1 %d %s\r\n" % (answer.status, phrase)]
        lines += [b"%s: %s\r\n" % pair for pair in answer.headers]
        head = _HEADS[id(answer)] = (answer, b"".join(lines))
    return head[1]


_HEADS: dict[int, tuple[Prepared, bytes]] = {}


@dataclass(frozen=True)
class WorkerFactory:
    """Makes the application inside a worker process; small, because it is pickled to get there."""

    settings: Settings

    def __call__(self) -> Any:
        return Worker(self.settings)


def listen(settings: Settings) -> socket.socket:
    """The listening socket, bound before anything is announced. Raises Unable."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host.strip("[]"), settings.port))
        listener.listen(2048)
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise Unable(f"{settings.host} is not an address of this machine") from error
        raise Unable(
            f"cannot listen on {settings.host} port {settings.port}: {os_reason(error)}",
            hint="choose another with --port, or 0 for any",
            code="port",
        ) from error
    listener.set_inheritable(True)
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises Unable."""
    with tempfile.TemporaryDirectory(prefix="opskit-") as run:
        settings = replace(settings, run_directory=Path(run))
        config = uvicorn.Config(
            WorkerFactory(settings),
            factory=True,
            interface="asgi3",
            http=PlainProtocol if HttpToolsProtocol is None else FastProtocol,
            loop="auto",
            workers=settings.workers,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            lifespan="on",
            ws="none",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        _check_tls(settings)
        if settings.workers > 1:
            from uvicorn.supervisors import Multiprocess

            Multiprocess(config, sockets=[listener]).run()
            return
        _run_one(config, listener)


def _run_one(config: uvicorn.Config, listener: socket.socket) -> None:
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):  # passed on by uvicorn after it has shut down
        server.run(sockets=[listener])
    if not server.started:
        raise Unable("the server did not start", hint="the lines above say why")


def _check_tls(settings: Settings) -> None:
    if settings.tls_cert is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise Unable(
            f"cannot use {settings.tls_cert} with {settings.tls_key}: {os_reason(error)}",
            hint="both must be PEM files that belong together",
        ) from error
