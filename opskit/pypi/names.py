"""Project names, versions and file names: parsed, normalised, compared. Pure.

The rules are those of the packaging specifications "Names and normalization", "Binary distribution format"
and "Source distribution format"; what they cannot parse but pypiserver lists is kept as kind "legacy".
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

PROJECT_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-_.]+")
_SAFE_FILENAME = re.compile(r"[A-Za-z0-9_.!+-]+")

SDIST_SUFFIXES = (".tar.gz", ".zip")


@lru_cache(maxsize=65536)
def normalize(name: str) -> str:
    """The one spelling under which a project is known: `Foo._Bar` → `foo-bar`."""
    return _SEPARATORS.sub("-", name).lower()


def is_project_name(name: str) -> bool:
    """Whether a name is one by the specification; a trailing newline is not let through."""
    return PROJECT_NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class FileName:
    """What a distribution's file name says.

    `project` is normalised, `version` canonical (as written for a legacy file), `kind` is wheel, sdist or
    legacy. `canonical` is equal for two spellings of the same distribution.
    """

    text: str
    project: str
    version: str
    kind: str
    canonical: str
    display: str


@lru_cache(maxsize=4096)
def parse_filename(text: str) -> FileName | None:
    """The parts of a file name by the specifications, or None."""
    try:
        if text.endswith(".whl"):
            return _wheel(text)
        if text.endswith(SDIST_SUFFIXES):
            name, version = parse_sdist_filename(text)
            stem = text.removesuffix(".tar.gz").removesuffix(".zip")
            key = f"{name}-{version}.sdist"
            return FileName(text, str(name), str(version), "sdist", key, stem.rpartition("-")[0])
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        pass
    return None


def _wheel(text: str) -> FileName:
    name, version, build, tags = parse_wheel_filename(text)
    build_word = "".join(map(str, build))
    key = f"{name}-{version}-{build_word}-{'.'.join(sorted(map(str, tags)))}.whl"
    return FileName(text, str(name), str(version), "wheel", key, text.split("-", maxsplit=1)[0])


def parse_listed(text: str) -> FileName | None:
    """The same for a file that lies in the directory: what pypiserver would list is listed too, as legacy."""
    found = parse_filename(text)
    if found or text.endswith((".asc", ".sig", ".metadata")):
        return found
    from opskit.pypi.legacy import guess

    guessed = guess(text)
    if guessed is None or not is_project_name(guessed[0]):
        return None
    name, version = guessed
    return FileName(text, normalize(name), version, "legacy", text.lower(), name)


def is_safe_filename(text: str) -> bool:
    """No separator, no control character, nothing hidden: a name that may become a file."""
    return bool(_SAFE_FILENAME.fullmatch(text)) and not text.startswith(".") and len(text) <= 240


@lru_cache(maxsize=65536)
def version_key(version: str) -> tuple[int, Version | str]:
    """Sorts versions; what is none comes first."""
    try:
        return (1, Version(version))
    except InvalidVersion:
        return (0, version)


def same_version(one: str, other: str) -> bool:
    return version_key(one) == version_key(other)


def matches(pattern: str, project: str) -> bool:
    """Whether a pattern such as `acme-*` covers a project; both are compared normalised."""
    from fnmatch import fnmatchcase

    return fnmatchcase(normalize(project), _SEPARATORS.sub("-", pattern).lower())
