"""Start-up is a feature, and imports point one way.

The first half starts fresh interpreters and looks at what was loaded: every module that help or completion
pulls in is paid for on each keystroke of a shell. The second half is the house's rule on imports, as a table.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import opskit
from opskit.cli import TOOLS

HEAVY = {
    "rich",
    "httpx",
    "asyncio",
    "ssl",
    "pydantic",
    "httptools",
    "h11",
    "hpack",
    "matplotlib",
    "distributed",
    "dask",
}
ROOMS = {tool.module.split(".")[1] for tool in TOOLS.values()}


def modules_after(args: list[str], env: dict[str, str] | None = None) -> set[str]:
    """The names in sys.modules of a fresh interpreter after one opskit command line."""
    code = (
        "import sys\n"
        "from opskit.cli import run\n"
        "try:\n    run(sys.argv[1:])\n"
        "finally:\n    print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    return set(done.stderr.splitlines())


def completion(words: str) -> dict[str, str]:
    return {
        "_OPSKIT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }


@pytest.mark.parametrize(
    ("args", "env"),
    [(["--help"], None), (["--version"], None), ([], completion("opskit b"))],
    ids=["help", "version", "completion"],
)
def test_the_front_door_loads_no_tool_and_nothing_heavy(args: list[str], env: dict[str, str] | None) -> None:
    loaded = modules_after(args, env)
    assert "opskit.cli" in loaded
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.split(".")[:1] == ["opskit"] and len(name.split(".")) > 1} <= {
        "opskit.cli", "opskit.console", "opskit.errors", "opskit.outcome",
    }  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_a_tools_help_loads_nothing_heavy(name: str) -> None:
    assert modules_after([name, "--help"]) & HEAVY == set()


def test_a_plain_load_test_loads_nothing_that_it_does_not_use() -> None:
    loaded = modules_after(["bench", "-qn1", "http://127.0.0.1:1/"])
    assert "opskit.bench.engine" in loaded
    unused = {"asyncio", "ssl", "statistics", "xml.sax", "multiprocessing", "hpack", "matplotlib", "distributed"}
    assert loaded & unused == set()


def test_completion_offers_the_tools() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from opskit.cli import run; run([])"],
        capture_output=True,
        text=True,
        env={**os.environ, **completion("opskit ")},
    )
    assert set(TOOLS) <= set(done.stdout.split())


# What the modules of a room may import from inside opskit. `SHARED` is everything directly under opskit/.
# A room that is not named here may import shared modules and itself.
SHARED = {path.stem for path in Path(opskit.__file__).parent.glob("*.py")} - {"cli", "__main__", "__init__"}
OTHER_ROOMS: dict[str, set[str]] = {"smoke": {"bench", "gccmacros", "httprange", "zfs"}}
# Inside a room: which of its own modules, or packages of modules, each may import beside itself. What is not named
# may import any but `cli`.
LAYERS: dict[str, dict[str, set[str]]] = {
    "bench": {
        "schedule": set(),
        "checks": set(),
        "plan": {"checks", "schedule"},
        "histogram": set(),
        "poller": set(),
        "wire": {"parser_h11", "parser_httptools"},
        "series": {"histogram"},
        "results": {"histogram", "series"},
        "recorder": {"histogram", "results", "series"},
        "lines": {"plan"},
        "requests": {"lines", "plan"},
        "resumption": set(),
        "transport": {"plan", "results", "resumption"},
        "certificate": {"results"},
        "connection": {"plan", "transport", "wire"},
        "opener": {"certificate", "connection", "plan", "poller", "recorder", "results", "transport", "wire"},
        "conductor": {"connection", "plan", "poller", "recorder", "results", "series", "transport", "wire"},
        "engine": {
            "conductor",
            "connection",
            "opener",
            "plan",
            "poller",
            "recorder",
            "results",
            "series",
            "transport",
            "wire",
        },
        "ports": {"plan", "results"},
        "cluster": {
            "conductor",
            "joined",
            "lines",
            "merging",
            "plan",
            "ports",
            "requests",
            "results",
            "run",
            "series",
            "transport",
        },
        "joined": {"conductor", "series"},
        "merging": {"histogram", "plan", "requests", "results", "series"},
        "answers": {"checks", "connection", "hooks", "plan", "results", "script", "wire"},
        "hooks": {"plan", "requests"},
        "redirects": {"plan"},
        "following": {"answers", "connection", "engine", "plan", "redirects", "results", "wire"},
        "cookies": {"plan"},
        "remembering": {"connection", "cookies", "following", "plan", "redirects", "results", "wire"},
        "script": {"hooks", "plan", "requests"},
        "http2": {
            "conductor",
            "connection",
            "opener",
            "plan",
            "poller",
            "recorder",
            "results",
            "transport",
            "wire",
        },
        "live": {"plan", "series"},
        "progress": {"live", "plan", "series", "wire"},
        "rows": {"recorder"},
        "saved": {"results"},
        "thresholds": {"histogram", "results"},
        "verdict": {"results"},
        "compare": {
            "conductor",
            "live",
            "plan",
            "processes",
            "progress",
            "report",
            "results",
            "run",
            "saved",
            "schedule",
            "series",
            "thresholds",
            "verdict",
        },
    },
    "target": {
        "content": set(),
        "message": {"content"},
        "ranges": {"content", "message"},
        "defects": {"content", "message", "ranges"},
        "pages": {"content", "message", "ranges", "defects"},
        "wire": {"message"},
        "server": {"message", "wire"},
    },
    "httprange": {
        "results": set(),
        "fields": set(),
        "exchange": set(),
        "plan": {"results"},
        "hints": {"results"},
        "profiles": {"results"},
        "archive": {"fields"},
        "boxes": {"fields"},
        "raw": {"exchange"},
        "web": {"exchange", "raw"},
        "invariants": {"exchange", "fields", "results"},
        "inspection": {"exchange", "fields", "invariants", "raw", "results", "web"},
        "clients": {"archive", "boxes", "cases", "exchange", "fields", "inspection", "web"},
        "probe": {"exchange", "fields", "raw", "web"},
        "report": {"cases", "invariants", "profiles", "results"},
        "files": {"report", "results"},
    },
}
ALONE = {"subprocess": "process", "httpx": "http"}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(Path(opskit.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(Path(opskit.__file__).parent)))
def test_imports_point_one_way(path: Path) -> None:
    parts = path.relative_to(Path(opskit.__file__).parent).with_suffix("").parts
    room = parts[0] if len(parts) > 1 else None
    for name in imports_of(path):
        words = name.split(".")
        if words[0] in ALONE:
            assert parts == (ALONE[words[0]],), f"only opskit/{ALONE[words[0]]}.py imports {words[0]}"
        if words[0] != "opskit" or len(words) < 2 or words[1] not in ROOMS:
            continue
        assert room is not None, f"shared modules import no room, but {path.name} imports {name}"
        assert words[1] == room or words[1] in OTHER_ROOMS.get(room, set()), f"{room} imports room {words[1]}"
        if words[1] == room and len(words) > 2 and len(parts) > 1:
            assert parts[1] == "cli" or words[2] != "cli", "only the front door imports a room's cli"
            layers = LAYERS.get(room, {})
            if parts[1] in layers:
                assert words[2] in layers[parts[1]] | {parts[1]}, f"{parts[1]} imports {words[2]}"


def calls(path: Path) -> list[str]:
    """The dotted names of everything a module calls."""
    return [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@pytest.mark.parametrize(
    ("name", "owner"), [("print", "console.py"), ("sys.exit", "cli.py"), ("exit", ""), ("os._exit", "")]
)
def test_only_the_console_prints_and_only_the_front_door_ends_the_process(name: str, owner: str) -> None:
    assert [str(path) for path in SOURCES if path.name != owner and name in calls(path)] == []
