"""Who may do what: actions, project patterns, identities. Pure."""

from dataclasses import dataclass

from opskit.errors import Misuse
from opskit.pypi import names

ACTIONS = ("list", "download", "upload", "delete", "admin")
_GROUPS = {"read": ("list", "download"), "all": ACTIONS}


@dataclass(frozen=True)
class Right:
    """Some actions on the projects that a pattern covers: `upload:acme-*`."""

    actions: frozenset[str]
    pattern: str

    def __str__(self) -> str:
        return f"{','.join(action for action in ACTIONS if action in self.actions)}:{self.pattern}"

    def allows(self, action: str, project: str | None) -> bool:
        """With no project the question is about the index as a whole."""
        if action not in self.actions:
            return False
        return self.pattern == "*" or (project is not None and names.matches(self.pattern, project))


@dataclass(frozen=True)
class Identity:
    """Somebody who showed who they are, or nobody (an empty name). `expires` in µs since 1970."""

    name: str = ""
    rights: tuple[Right, ...] = ()
    by_cookie: bool = False
    expires: int | None = None

    def may(self, action: str, project: str | None) -> bool:
        return any(right.allows(action, project) for right in self.rights)

    def may_some(self, action: str) -> bool:
        """Whether there is any project on which the action is allowed."""
        return any(action in right.actions for right in self.rights)


NOBODY = Identity()
EVERYTHING = (Right(frozenset(ACTIONS), "*"),)
# What pypiserver gives everyone in the password file; administrators are named.
USER_RIGHTS = (Right(frozenset(ACTIONS) - {"admin"}, "*"),)


def parse_right(text: str) -> Right:
    """`upload:acme-*`, `read:*`, `list,download:acme-*`; without a pattern, all projects. Raises Misuse."""
    words, _, pattern = text.partition(":")
    actions: set[str] = set()
    for word in filter(None, (w.strip() for w in words.split(","))):
        if word not in ACTIONS and word not in _GROUPS:
            raise Misuse(f"'{word}' is not an action", hint=f"one of: {', '.join([*ACTIONS, *_GROUPS])}")
        actions |= set(_GROUPS.get(word, (word,)))
    if not actions:
        raise Misuse(f"'{text}' names no action", hint="write for example upload:acme-*")
    pattern = pattern.strip() or "*"
    if not pattern.replace("*", "x").replace("?", "x").replace("[", "x").replace("]", "x").isascii():
        raise Misuse(f"'{pattern}' is not a pattern of project names", hint="write for example acme-*")
    return Right(frozenset(actions), pattern)


def parse_grant(text: str) -> tuple[str, Right]:
    """`alice=upload:acme-*`. Raises Misuse."""
    user, equals, right = text.partition("=")
    if not equals or not user.strip():
        raise Misuse(f"'{text}' is not USER=ACTIONS:PATTERN", hint="write for example alice=upload:acme-*")
    return user.strip(), parse_right(right)
