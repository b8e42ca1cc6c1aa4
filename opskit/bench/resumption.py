"""TLS sessions that new connections take up again (`--tls-resume`); loaded only for that.

With TLS 1.3 a session can be resumed once its ticket has come, which is after the handshake (RFC 8446 section
4.6.1): a session is therefore taken when its connection is closed.
"""

import ssl
from typing import Any


class Sessions:
    """The last session of each server, and how many handshakes resumed one."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.resumed = 0
        self._context = context
        self._last: dict[tuple[Any, ...], ssl.SSLSession] = {}
        context.sslsocket_class = _Resuming

    def wrap(self, sock: Any, origin: tuple[Any, ...], name: str | None) -> ssl.SSLSocket:
        wrapped = self._context.wrap_socket(
            sock, server_hostname=name, do_handshake_on_connect=False, session=self._last.get(origin)
        )
        assert isinstance(wrapped, _Resuming)
        wrapped.sessions, wrapped.origin = self, origin
        return wrapped

    def take(self, origin: tuple[Any, ...], session: ssl.SSLSession) -> None:
        self._last[origin] = session


class _Resuming(ssl.SSLSocket):
    """Counts its handshake, and leaves its session behind."""

    sessions: Sessions
    origin: tuple[Any, ...]

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        self.sessions.resumed += bool(self.session_reused)

    def close(self) -> None:
        session = self.session
        if session is not None and session.has_ticket:
            self.sessions.take(self.origin, session)
        super().close()
