"""Debian's nginx with a configuration of its own, on free ports, in a directory of its own."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority
from tests.programs import free_port, need, wait_until_listening

_CONFIG = """\
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 2048; }}
http {{
    log_format line '$request_method $request_uri';
    access_log {directory}/access.log line;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000;
    root {directory}/www;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/plain;

    map $cookie_sid $new_session {{ "" "sid=$request_id; Path=/; HttpOnly"; default ""; }}

    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        listen unix:{directory}/socket;
        listen 127.0.0.1:{tls_port} ssl;
        listen 127.0.0.1:{http2_port} http2;
        listen 127.0.0.1:{http2_tls_port} ssl http2;
        listen unix:{directory}/socket2 http2;
        location /search {{ return 200 "found\\n"; }}
        location /status/404 {{ return 404; }}
        location /status/500 {{ return 500; }}
        location /from {{ return 200 "$remote_addr\\n"; }}
        location /tls {{ return 200 "$ssl_protocol $ssl_cipher '$ssl_server_name'\\n"; }}
        location /resumed {{ return 200 "$ssl_session_reused\n"; }}
        location /session {{ add_header Set-Cookie $new_session; return 200 "$cookie_sid\n"; }}
        location /login {{ add_header Set-Cookie "sid=$request_id; Path=/"; return 303 /session; }}
        location /counted {{ add_header Set-Cookie "n=$request_id; Path=/"; return 200 "$cookie_n\n"; }}
        location /version {{ return 200 "$server_protocol\n"; }}
        location /upload {{ client_max_body_size 0; proxy_pass http://127.0.0.1:{port}/search; }}
        location /ten/ {{ keepalive_requests 10; alias {directory}/www/; }}
    }}
    server {{
        listen 127.0.0.1:{ten_port} http2;
        keepalive_requests 10;
        location / {{ return 200 "ten\n"; }}
    }}
    server {{
        listen 127.0.0.1:{mutual_port} ssl;
        ssl_client_certificate {directory}/ca.pem;
        ssl_verify_client on;
        location / {{ return 200 "$ssl_client_s_dn\\n"; }}
    }}
    server {{
        listen 127.0.0.1:{expired_port} ssl;
        ssl_certificate {directory}/expired.pem;
        ssl_certificate_key {directory}/expired.pem;
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """`url`s without the slash at the end. `/1k` is 1024 bytes, `/100k` 102400.

    `http2_port` and `http2_tls_port` speak HTTP/2; at `ten_port` as well, but for ten requests to a connection.
    """

    directory: Path
    port: int
    tls_port: int
    mutual_port: int
    expired_port: int
    http2_port: int
    http2_tls_port: int
    ten_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    @property
    def http2_url(self) -> str:
        return f"http://127.0.0.1:{self.http2_port}"

    @property
    def http2_tls_url(self) -> str:
        return f"https://127.0.0.1:{self.http2_tls_port}"

    @property
    def socket(self) -> Path:
        return self.directory / "socket"

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def forget(self) -> None:
        """Empty the access log."""
        with (self.directory / "access.log").open("r+") as log:
            log.truncate()

    def requests(self, expected: int) -> list[str]:
        """The access log as `METHOD URI` lines; nginx writes each just after it has answered."""
        deadline = time.monotonic() + 3
        while len(lines := (self.directory / "access.log").read_text().splitlines()) < expected:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        time.sleep(0.02)  # for the one too many that a test is to find
        return (self.directory / "access.log").read_text().splitlines() or lines


@contextmanager
def running_nginx(directory: Path) -> Iterator[Nginx]:
    program = need("nginx")
    need("openssl")
    server = Nginx(directory, *(free_port() for _ in range(7)))
    www = directory / "www"
    www.mkdir()
    (www / "1k").write_bytes(b"x" * 1024)
    (www / "100k").write_bytes(b"y" * 102400)
    authority = Authority(directory)
    authority.sign("server", "subjectAltName=DNS:good.test,DNS:localhost,IP:127.0.0.1")
    authority.sign("client")
    authority.sign("expired", "subjectAltName=DNS:localhost,IP:127.0.0.1", days=-1)
    config = directory / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            **vars(server),
        )
    )
    with (directory / "stderr").open("w") as stderr:
        process = subprocess.Popen([program, "-c", str(config), "-p", str(directory)], stderr=stderr)
    try:
        wait_until_listening(server.port, directory / "error.log")
        yield server
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(www, ignore_errors=True)
