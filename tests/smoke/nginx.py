"""nginx with the files and answers that checks are tried on."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs import free_port, need, wait_until_listening
from tests.smoke.certificates import Certificate

CONFIG = """
{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port};
    {tls}
    root {directory}/www;
    default_type text/html;
    location / {{ }}
    location /norange/ {{ alias {directory}/www/; max_ranges 0; }}
    location = /broken {{ return 503 "upstream is down\\n"; }}
    location = /old {{ return 302 /; }}
    location = /loop {{ return 302 /loop; }}
    location = /api {{ default_type application/json; return 200 '{{"items": [{{"name": "Dune", "n": 3}}], "ok": true}}'; }}
    location = /echo {{ default_type text/plain; return 200 "auth=$http_authorization x=$http_x_token q=$args $request_body"; }}
    location = /secret {{ auth_basic "x"; auth_basic_user_file {directory}/users; try_files /index.html =404; }}
    location = /method {{ return 200 "$request_method"; }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    url: str
    port: int
    www: Path


@contextmanager
def nginx(directory: Path, certificate: Certificate | None = None) -> Iterator[Nginx]:
    """A running nginx whose files are in `www`."""
    program = need("nginx")
    port = free_port()
    www = directory / "www"
    www.mkdir(parents=True)
    (www / "index.html").write_text("<html><title>Books</title><body>Welcome to the shop</body></html>\n")
    (www / "movie.bin").write_bytes(bytes(range(256)) * 400)
    (directory / "users").write_text("ann:{PLAIN}s3cret-word\n")
    tls = f"ssl_certificate {certificate.pem}; ssl_certificate_key {certificate.pem};" if certificate else ""
    user = "user root;" if os.getuid() == 0 else ""  # its workers must see the files of the test
    config = CONFIG.format(directory=directory, port=port, tls=tls, user=user)
    if certificate:
        config = config.replace(f"127.0.0.1:{port};", f"127.0.0.1:{port} ssl;")
    (directory / "nginx.conf").write_text(config)
    log = directory / "error.log"
    command = [program, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(log)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_listening(port, log)
        yield Nginx(
            f"{'https' if certificate else 'http'}://{'localhost' if certificate else '127.0.0.1'}:{port}",
            port,
            www,
        )
    finally:
        process.terminate()
        process.wait(10)
