"""How a field of a connection is declared, once: its parser, default, label, help, and its place in Airflow's form.

A parser takes the field's name and what was written there (a URI makes a string of everything), and returns the value
or raises ConfigError with the name, what is wrong, and what to do. Imports little: Airflow asks for the form in every
one of its processes.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from airflow_provider_kore.exceptions import ConfigError
from airflow_provider_kore.quoting import number_of, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUIRED: Final = object()
"""In place of a default: a connection without the field is refused."""

MOST_COUNT: Final = 1_000_000_000
"""Of requests in a window, or contacts in a page; beyond that, write 0: unlimited."""

LEAST_ID_KEY: Final = 16
"""Bytes of a key that cannot be guessed."""

_LEAST_STORED: Final = 5
"""Characters. Airflow 3.3 warns in every task's log of a value in extra that is shorter: no such default is stored."""

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:-]+")
_DECLARED: Final = "connection field"
_KINDS: Final[Mapping[type, str]] = MappingProxyType(
    {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list",
     tuple: "a list", dict: "an object"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionField:
    """One field: an entry of the connection's extra, or one that every connection has."""

    label: str
    help: str
    standard: str | None = None
    """Airflow's own name of a field that every connection has (``host``); None: an entry of extra."""
    placeholder: str | None = None
    parse: Callable[[str, Any], Any] | None = None
    """None: a standard field, which is read together with others."""
    default: Any = REQUIRED
    """As parsed."""
    kind: str = "string"
    """Of the form's field: ``string``, ``integer``, ``number`` or ``boolean``."""
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else its JSON schema says: ``enum``, ``minimum``, ``format``."""

    @property
    def is_required(self) -> bool:
        """Whether a connection without it is refused."""
        return self.default is REQUIRED

    @property
    def description(self) -> str:
        """What the form says below the field."""
        if self.is_required:
            return f"{self.help} Required."
        is_obvious = self.kind == "boolean" or self.default in (None, "")
        return self.help if is_obvious else f"{self.help} Default: {self.shown_default}."

    @property
    def shown_default(self) -> str:
        """The default as a person writes it; empty where there is none."""
        if self.default is None or self.is_required:
            return ""
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default).removesuffix(".0")

    def read(self, name: str, given: Mapping[str, object]) -> object:
        """Return the value: parsed, or the default where none is given. Raises ConfigError."""
        if self.parse is None or (name not in given and not self.is_required):
            return self.default
        return self.parse(name, given.get(name))

    def in_form(self) -> dict[str, Any]:
        """Return the field as the provider info declares it (``conn-fields``)."""
        schema: dict[str, Any] = {"type": [self.kind, "null"], **self.schema}
        if self.kind == "boolean" or ("enum" in schema and len(self.default) >= _LEAST_STORED):
            schema["default"] = self.default
        return {"label": self.label, "description": self.description, "schema": schema}


def connection_field(
    parse: Callable[[str, Any], Any], default: Any = REQUIRED, *, secret: bool = False, **said: Any
) -> Any:
    """Declare an attribute of a dataclass as an entry of the connection's extra.

    :param secret: keep it out of ``repr``, and hide what is typed into the form.
    :param said: label, help, kind and schema of :class:`ConnectionField`.
    """
    if secret:
        said["schema"] = {"format": "password"}
    found = ConnectionField(parse=parse, default=default, **said)
    declared: Any = {} if default is REQUIRED else {"default": default}
    return dataclasses.field(**declared, repr=not secret, metadata={_DECLARED: found})


def standard_field(name: str, *, secret: bool = False, **said: Any) -> Any:
    """Declare an attribute of a dataclass as what a field that every connection has, such as ``host``, is read for."""
    return dataclasses.field(repr=not secret, metadata={_DECLARED: ConnectionField(standard=name, **said)})


def standard_fields(config: type) -> dict[str, ConnectionField]:
    """Return what a dataclass declares of the fields that every connection has, by Airflow's name."""
    return {field.standard: field for field in _declared(config).values() if field.standard}


def extra_fields(config: type) -> dict[str, ConnectionField]:
    """Return what a dataclass declares as entries of the connection's extra, by name."""
    return {name: field for name, field in _declared(config).items() if field.standard is None}


def _declared(config: type) -> dict[str, ConnectionField]:
    found = {each.name: each.metadata.get(_DECLARED) for each in dataclasses.fields(config)}
    return {name: field for name, field in found.items() if field is not None}


def kind_of(value: object) -> str:
    """Return what a value of JSON is, in words."""
    return _KINDS.get(type(value), f"of type {type(value).__name__}")


# --- Parsers: (name, value) to the value, or ConfigError --------------------------------------------------------------


def text(what: str) -> Callable[[str, object], str]:
    """Return a parser of text. ``what`` says what to set it to."""

    def parse(name: str, value: object) -> str:
        if value is not None and not isinstance(value, str):
            raise ConfigError(name, f"is {kind_of(value)}", f"set it to {what}, as a string")
        if not value or not value.strip():
            raise ConfigError(name, "is missing", f"set it to {what}")
        return value.strip()

    return parse


def identifier(what: str) -> Callable[[str, object], str]:
    """Return a parser of an id of Kore.ai's, also one that was written as a number."""

    def parse(name: str, value: object) -> str:
        found = text(what)(name, number_as_text(value))
        if not _IDENTIFIER.fullmatch(found):
            raise ConfigError(
                name, "holds a character that no Kore.ai id has", "copy it from the app's settings, without blanks"
            )
        return found

    return parse


def choice(*choices: str) -> Callable[[str, object], str]:
    """Return a parser of one of some words, in any case."""

    def parse(name: str, value: object) -> str:
        for each in choices:
            if isinstance(value, str) and value.strip().lower() == each.lower():
                return each
        raise ConfigError(name, f"is {_shown(value)}", f"use one of {', '.join(choices)}")

    return parse


def boolean(name: str, value: object) -> bool:
    """Return true or false, however it is written."""
    if isinstance(value, bool):
        return value
    word = _written(value).lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ConfigError(name, f"is {_shown(value)}", "use true or false")


def seconds(least: float, most: float) -> Callable[[str, object], float]:
    """Return a parser of a number of seconds."""

    def parse(name: str, value: object) -> float:
        at_most = f"use a number of seconds, {most:,.0f} at the most"
        at_least = f"use a number of seconds, {least:g} or more, such as 30, or leave it out"
        return _within(name, value, least=least, most=most, advice=at_most if number_of(value) > most else at_least)

    return parse


def share(most: float) -> Callable[[str, object], float]:
    """Return a parser of a number from 0 to ``most``."""
    return partial(_within, least=0, most=most, advice=f"use a number from 0 to {most}, such as 0.25")


def count(least: int) -> Callable[[str, object], int]:
    """Return a parser of a whole number."""
    unlimited = " (0 says unlimited)" if least == 0 else ""
    advice = f"use a whole number, {least} or more{unlimited}, or leave it out"
    return lambda name, value: int(_within(name, value, least=least, most=MOST_COUNT, advice=advice, whole=True))


def count_or(least: int, **words: int) -> Callable[[str, object], int]:
    """Return a parser of a whole number, or of a word that stands for one."""
    number = count(least)

    def parse(name: str, value: object) -> int:
        word = value.strip().lower() if isinstance(value, str) else ""
        return words[word] if word in words else number(name, value)

    return parse


def _within(name: str, value: object, *, least: float, most: float, advice: str, whole: bool = False) -> float:
    number = number_of(value)
    if not least <= number <= most or (whole and not number.is_integer()):
        raise ConfigError(name, f"is {_shown(value)}", advice)
    return number


def key(name: str, value: object) -> str:
    """Return a key as it is written, of 16 bytes or more."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ConfigError(name, f"is {kind_of(value)}", f"use {LEAST_ID_KEY} random characters or more, as a string")
    found = value if isinstance(value, str) else _written(value)
    refuse_edges(name, found)
    if found and len(found.encode("utf-8", "surrogatepass")) < LEAST_ID_KEY:
        raise ConfigError(name, "is too short", f"use {LEAST_ID_KEY} random characters or more, or leave it out")
    return found


def bundle_or_boolean(name: str, value: object) -> bool | str:
    """Return whether to verify a server's certificate, or the path of the CA bundle to verify it with."""
    if isinstance(value, bool):
        return value
    path = _written(value)
    if path.lower() in _TRUE | _FALSE:
        return path.lower() in _TRUE
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for names that are too long
        raise ConfigError(
            name,
            f"names the CA bundle '{quoted(path)}', which does not exist here",
            "use true, false, or a path that exists on every worker",
        )
    return path


def proxy_url(name: str, value: object) -> str:
    """Return the URL of a proxy."""
    url = _written(value)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https", "socks5", "socks5h"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(name, "is no URL of a proxy", "use http://host:port")
    return url


def s3_place(name: str, value: object) -> str:
    """Return a bucket and a prefix in it as a URL without a slash at its end."""
    url = _written(value).rstrip("/")
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\x21-\x7e]{1,700}))?", url)
    if found is None or any(part in {"", ".", ".."} for part in (found[2] or "x").split("/")):
        raise ConfigError(name, f"is {_shown(value)}", "use s3://bucket/prefix, or leave it out")
    return url


def console_url(name: str, value: object) -> str:
    """Return how a contact list's address in a web console looks."""
    url = _written(value)
    if not re.fullmatch(r"https?://[^\s/]+/\S*", url) or "{contact_list_id}" not in url:
        raise ConfigError(
            name,
            "is no address of a contact list",
            "copy one from the browser, and put {contact_list_id} where its id stands",
        )
    return url


def refuse_edges(name: str, value: str) -> None:
    """Refuse what a copy, a file or ``echo`` has added to a secret: it would sign something else, and not be seen."""
    if value != value.strip():
        where = "begins" if value != value.lstrip() else "ends"
        edge = value[0] if where == "begins" else value[-1]
        what = "a line break" if edge in "\r\n" else "a blank"
        raise ConfigError(name, f"{where} with {what}", "remove it")


def number_as_text(value: object) -> object:
    """Return an id that was written as a number as the text it stands for."""
    return _written(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _written(value: object) -> str:
    """Return a value as text; empty for an integer of more digits than Python writes."""
    try:
        return str(value).strip()
    except ValueError:
        return ""


def _shown(value: object) -> str:
    """Return a value as Python writes it, on one short line."""
    return f"'{quoted(value)}'" if isinstance(value, str) else quoted(value)
