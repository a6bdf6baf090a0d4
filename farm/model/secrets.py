"""What must not be told: passwords in URLs, and what an environment holds under such a name.

A secret is taken out where text comes in (what a container says, an error's message) or where a
value goes out (a plan that is shown, a job's result), never by looking at finished files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, cast
from urllib.parse import unquote

HIDDEN = "***"

_USERINFO = re.compile(r'://(?!git@)[^\s/?#"<>]*@')
"""`user:password@` of a URL (RFC 3986, 3.2.1); `git@` is what ssh calls everyone.

Linear: what it reads ends before the next `://`, as the next does.
"""
_QUOTED = re.compile(r"%3a%2f%2f(?:[^\s/?#\"<>%]|%(?!2f|40))*%40", re.IGNORECASE)
"""The same in a URL that is itself a part of another."""
_NAME = re.compile(
    r"passw(?:or)?d|passphrase"
    r"|(?:^|[_-])(?:token|secret|credentials?|pat|(?:api|access|private|signing)[_-]?key)"
    r"(?:$|[_-](?!provider))",
    re.IGNORECASE,
)
"""Variables that hold a secret; TOKENIZERS_PARALLELISM and cargo's CREDENTIAL_PROVIDERS do not."""
_LEAST = 6
"""Characters of a secret that is looked for by itself: a shorter one is part of many words."""
_LONG = 16
"""Characters of a user's name that can only be a token."""

Value = TypeVar("Value")


def redact(text: str) -> str:
    """Return `text` with HIDDEN for the user and password of every URL."""
    return _QUOTED.sub(f"%3A%2F%2F{HIDDEN}%40", _USERINFO.sub(f"://{HIDDEN}@", text))


def redactor(environment: Mapping[str, str]) -> Callable[[str], str]:
    """Return `redact` for who was given `environment`: it also hides the secrets in there.

    These are the passwords of its URLs, as they stand and decoded, and all that is in a variable
    with a name such as `..._TOKEN`.
    """
    found = {secret for name in environment for secret in _secrets(name, environment[name])}
    longest_first = sorted((s for s in found if len(s) >= _LEAST), key=lambda s: (-len(s), s))
    if not longest_first:
        return redact
    known = re.compile("|".join(map(re.escape, longest_first)))
    return lambda text: redact(known.sub(HIDDEN, text))


def without_secrets(value: Value) -> Value:
    """Return a copy of a value of the farm's, of dataclasses, tuples, mappings and text.

    Every text is as by `redact`, and what a mapping has under a secret's name is HIDDEN.
    """
    return cast("Value", _cleaned(value))


def _cleaned(value: Any) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return redact(value)
        case tuple():
            return tuple(map(_cleaned, value))
        case Mapping():
            return {key: HIDDEN if _NAME.search(key) else _cleaned(value[key]) for key in value}
        case _ if is_dataclass(value) and not isinstance(value, type):
            changed = {f.name: _cleaned(getattr(value, f.name)) for f in fields(value) if f.init}
            return replace(value, **changed)
        case _:
            return value


def _secrets(name: str, value: str) -> Iterator[str]:
    """Yield what is secret in one variable; a proxy may be given without `http://`."""
    if _NAME.search(name):
        yield value
    for word in value.split():
        scheme, separator, rest = word.partition("://")
        if separator or name.upper().endswith("_PROXY"):
            authority = re.split(r"[/?#]", rest if separator else scheme, maxsplit=1)[0]
            user, _, password = authority.rpartition("@")[0].partition(":")
            for secret in (password, user if len(user) >= _LONG or not password else ""):
                yield from (secret, unquote(secret))
