"""`opskit smoke add`: look at something, and write down as a check what was seen."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.errors import Misuse, Unable
from opskit.files import append_text
from opskit.smoke.checks import probe_type
from opskit.smoke.fields import suggestion
from opskit.smoke.model import CannotTell
from opskit.smoke.scene import Scene, Tools, Unmet
from opskit.units import parse_duration


@dataclass(frozen=True)
class Added:
    """A check as it is written: its id and its TOML."""

    id: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "toml": self.text}


def observe(kind: str, target: str, *, name: str, file: str, timeout: str) -> Added:
    """Look at `target` and write a check that passes now. Raises Misuse, Unable."""
    if kind not in OBSERVERS:
        raise Misuse(f"cannot add a check of type '{kind}'", hint=suggestion(kind, [*OBSERVERS]))
    name = name or _name_of(target)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise Misuse(f"'{name}' is no name for a check", hint="letters, digits, - and _")
    if file and f"{kind}.{name}" in _ids(file):
        raise Misuse(f"{kind}.{name} is in {file} already", hint="give it another name with --name")
    tools = Tools()
    try:
        keys = OBSERVERS[kind](target, Scene(tools, parse_duration(timeout, bare="s")))
    except Unmet as unmet:
        raise Unable(f"{target}: {unmet.actual}", hint="only what answers can be observed") from unmet
    except CannotTell as error:
        raise Unable(error.message, hint=error.hint) from error
    finally:
        tools.close()
    return Added(f"{kind}.{name}", _toml(kind, name, keys))


def append(file: str, added: Added) -> None:
    """Put a check at the end of a checks file. Raises Unable."""
    path = Path(file)
    text = path.read_text() if path.exists() else ""
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    append_text(file, gap + added.text)


def _ids(file: str) -> set[str]:
    """The checks that a file has; it must be sound, so that it still is after the addition. Raises Misuse."""
    from opskit.smoke.load import load

    if not Path(file).exists():
        return set()
    if Path(file).is_file() and not Path(file).read_bytes().strip():
        return set()
    import os

    checks, mistakes = load([file], os.environ)
    serious = [mistake for mistake in mistakes if mistake.line or mistake.problem != "there is no check in it"]
    if serious:
        raise Misuse(str(serious[0]), hint="mend the file first")
    return {check.id for check in checks.checks}


def _http(target: str, scene: Scene) -> dict[str, Any]:
    """Status, type, where it redirects to, the title of a page, the keys of a JSON document."""
    import json

    from opskit.smoke.addresses import check_url

    check_url(target)
    seen = probe_type("http")(url=target).look(scene)
    head: Mapping[str, str] = seen.data["headers"]
    keys: dict[str, Any] = {"url": target, "status": seen.data["status"]}
    if location := head.get("location"):
        return {**keys, "redirect": location}
    if kind := head.get("content-type", "").partition(";")[0].strip():
        keys["header"] = {"content-type": {"matches": f"^{re.escape(kind)}"}}
    if title := re.search(r"<title>\s*([^<]{1,80}?)\s*</title>", seen.excerpt, re.IGNORECASE):
        keys["body"] = {"contains": title[1]}
    if kind.endswith("json"):
        try:
            document = json.loads(seen.excerpt)
        except ValueError:
            return keys
        found = _json_facts(document)
        keys.update({"json": found} if found else {})
    return keys


def _json_facts(document: Any) -> dict[str, Any]:
    """Short words at the top of a document; of a list, that it is not empty."""
    if isinstance(document, list):
        return {"#": "> 0"} if document else {}
    if not isinstance(document, dict):
        return {}
    plain = {
        name: value
        for name, value in document.items()
        if re.fullmatch(r"[A-Za-z_][\w-]*", name)
        and (isinstance(value, bool) or (isinstance(value, str) and 0 < len(value) <= 40 and value[0] not in "<>"))
    }
    return dict(list(plain.items())[:5])


def _tcp(target: str, scene: Scene) -> dict[str, Any]:
    from opskit.smoke.addresses import parse_address

    parse_address(target)
    _must_be_good(probe_type("tcp")(address=target).look(scene))
    return {"address": target}


def _tls(target: str, scene: Scene) -> dict[str, Any]:
    from opskit.smoke.addresses import parse_host_port

    parse_host_port(target)
    seen = probe_type("tls")(address=target).look(scene)
    shake = seen.data["handshakes"][0]
    keys: dict[str, Any] = {"address": target, "left": "> 21d", "issuer": shake["chain"][0]["issuer"]}
    return keys if shake["trusted"] else {**keys, "self-signed": True, "fingerprint": shake["chain"][0]["sha256"]}


def _dns(target: str, scene: Scene) -> dict[str, Any]:
    seen = probe_type("dns")(name=target).look(scene)
    _must_be_good(seen)
    return {"name": target, "answers": sorted(seen.data["answers"])}


def _file(target: str, scene: Scene) -> dict[str, Any]:
    import stat

    try:
        facts = Path(target).stat()
    except OSError as error:
        raise Unable(f"{target}: {error.strerror}", hint="only what is there can be observed") from error
    kinds = {"directory": stat.S_ISDIR, "file": stat.S_ISREG, "socket": stat.S_ISSOCK}
    kind = next((name for name, test in kinds.items() if test(facts.st_mode)), "")
    keys = {
        "path": str(Path(target).absolute()),
        "mode": f"{stat.S_IMODE(facts.st_mode):04o}",
        "owner": Path(target).owner(),
    }
    return {**keys, "kind": kind} if kind else keys


def _must_be_good(seen: Any) -> None:
    bad = next((finding for finding in seen.findings if not finding.good), None)
    if bad is not None:
        raise Unmet(bad.expected, bad.actual)


OBSERVERS: Mapping[str, Callable[[str, Scene], dict[str, Any]]] = {
    "http": _http,
    "tcp": _tcp,
    "tls": _tls,
    "dns": _dns,
    "file": _file,
}


def _name_of(target: str) -> str:
    """A name from a URL or an address: its host, and the end of its path."""
    rest = re.sub(r"^[a-z]+://", "", target).partition("?")[0].strip("/")
    return re.sub(r"[^A-Za-z0-9_]+", "-", rest).strip("-").lower()[-60:].strip("-") or "it"


def _toml(kind: str, name: str, keys: Mapping[str, Any]) -> str:
    width = max(map(len, keys))
    lines = [f"{key:<{width}} = {_value(value)}" for key, value in keys.items()]
    return "\n".join([f"[{kind}.{name}]", *lines, ""])


def _value(value: Any) -> str:
    """A value as TOML; strings as JSON writes them, which TOML reads, with variables' braces doubled."""
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        if "\\" in value and "'" not in value and value.isprintable():
            return f"'{value}'"
        return json.dumps(re.sub(r"\{(?=[A-Za-z_{])", "{{", value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(name: str) -> str:
    import json

    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
