"""Real servers: `python -m tests.httprange.serve NAME PORT DIRECTORY` runs until it is ended.

Defaults everywhere: it is the defaults that people meet. WSGI applications stand on cheroot, CherryPy's own
server, which does not touch Range.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def on_cheroot(application: Any, port: int) -> None:
    from cheroot.wsgi import Server

    Server(("127.0.0.1", port), application).start()


def starlette(port: int, root: Path) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    application = Starlette(routes=[Mount("/", StaticFiles(directory=root))])
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="error")


def flask(port: int, root: Path) -> None:
    from flask import Flask, send_from_directory

    application = Flask("files", static_folder=None)
    application.add_url_rule("/<name>", view_func=lambda name: send_from_directory(root, name))
    on_cheroot(application, port)


def aiohttp(port: int, root: Path) -> None:
    from aiohttp import web

    application = web.Application()
    application.router.add_static("/", root)
    web.run_app(application, host="127.0.0.1", port=port, print=None)


def whitenoise(port: int, root: Path) -> None:
    from whitenoise import WhiteNoise

    def nothing(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    on_cheroot(WhiteNoise(nothing, root=root), port)


def cherrypy(port: int, root: Path) -> None:
    import cherrypy

    cherrypy.config.update({"server.socket_host": "127.0.0.1", "server.socket_port": port, "log.screen": False})
    static = {"tools.staticdir.on": True, "tools.staticdir.dir": str(root)}
    cherrypy.quickstart(type("Root", (), {})(), "/", {"/": static})


def tornado(port: int, root: Path) -> None:
    from tornado.web import Application, StaticFileHandler

    async def serve() -> None:
        Application([("/(.*)", StaticFileHandler, {"path": str(root)})]).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(serve())


def bottle(port: int, root: Path) -> None:
    from bottle import Bottle, static_file

    application = Bottle()
    application.route("/<name>", callback=lambda name: static_file(name, root=str(root)))
    on_cheroot(application, port)


SERVERS: dict[str, Callable[[int, Path], None]] = {
    "starlette": starlette, "flask": flask, "aiohttp": aiohttp, "whitenoise": whitenoise,
    "cherrypy": cherrypy, "tornado": tornado, "bottle": bottle,
}  # fmt: skip

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
