"""The connection, parsed once into something frozen and checked. Nobody reads ``extra`` again after this."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from airflow_provider_kore.exceptions import ConfigError
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHMS: Final = ("HS256", "HS512", "RS256", "RS512")
"""What an app in Kore.ai can be created for. Source: the vendor's page on API scopes."""

LARGEST_RESERVE: Final = 0.95
"""With more than that left to others, a list would never be read."""

LONGEST_TIMEOUT: Final = 3600.0
"""Seconds; a page takes less than one."""

LONGEST_LIFETIME: Final = 86_400.0
"""Seconds; a token that is good for longer is a second password."""

MOST_REQUESTS: Final = 1_000_000_000
"""In a window; beyond that, write 0: unlimited."""

LEAST_ID_KEY: Final = 16
"""Bytes of a key that nobody guesses."""

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:-]+")
_LARGEST_PORT: Final = 65_535
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """How to reach and authenticate with one application of one Kore.ai account."""

    base_url: str
    """Scheme, host, port and, behind a gateway, a path; no trailing slash."""
    client_id: str
    client_secret: str = field(repr=False)
    """Shared secret (HS*) or PEM private key (RS*)."""
    stream_id: str
    account_id: str
    api_version: str = "v2"
    jwt_algorithm: str = "HS256"
    jwt_subject: str = "airflow"
    token_lifetime: float = 300.0
    """Seconds from signing to expiry."""
    send_jti: bool = False
    requests_per_minute: int = 60
    """Per account, rolling; 0: unlimited. Source: the vendor's contact-center limits page."""
    requests_per_hour: int = 0
    reserve: float = 0.0
    """Share of both limits that is left to other applications of the account, from 0 to 0.95."""
    even_pacing: bool = False
    """Spread requests evenly over the minute instead of sending them as soon as they are allowed."""
    page_size: int | None = None
    """Contacts to ask for in a page; None: as many as the server gives."""
    timeout: float = 30.0
    """Seconds one answer may take, from connecting to its last byte."""
    verify: bool | str = True
    """Verify the server's certificate; a path names the CA bundle to verify it with."""
    proxy: str | None = field(default=None, repr=False)
    id_key: str = field(default="", repr=False)
    """Key of the ids that are made for call results; empty: they are digests without a key."""
    contact_list_url: str | None = None
    """How a contact list's address in Kore.ai's web console looks, with ``{contact_list_id}`` in it.

    The vendor documents no such address, so whoever wants the link has to say it.
    """

    @property
    def source(self) -> tuple[str, ...]:
        """Where contacts come from; two connections that agree in this read the same lists."""
        return (self.base_url, self.api_version, self.account_id, self.stream_id)

    @classmethod
    def parse(
        cls,
        *,
        host: str | None,
        login: str | None,
        password: str | None,
        extra: object,
        port: int | str | None = None,
        schema: str | None = None,
    ) -> ApiConfig:
        """Check the fields of a connection, whatever wrote it (form, JSON, URI: there every value is a string).

        :param extra: a dictionary; anything else is refused by what it is.

        Raises ConfigError, which names the field.
        """
        extra = _object(extra)
        _refuse_unknown(extra)
        given = {name: value for name, value in extra.items() if value not in (None, "")}

        def read(name: str, parse: Callable[[str, object], object], default: object) -> object:
            return parse(name, given[name]) if name in given else default

        algorithm = _choice("jwt_algorithm", given.get("jwt_algorithm", "HS256"), ALGORITHMS)
        allow_http = read("allow_http", _boolean, default=False)
        return cls(
            base_url=_base_url(host, port, schema, allow_http=bool(allow_http)),
            client_id=_text("login", _number_as_text(login), "the client id of the JWT app"),
            client_secret=_secret(password, algorithm),
            stream_id=_identifier("stream_id", given.get("stream_id"), "st-…"),
            account_id=_identifier("account_id", given.get("account_id"), "the account id"),
            api_version=_choice("api_version", given.get("api_version", "v2"), ("v2", "v1")),
            jwt_algorithm=algorithm,
            jwt_subject=_text("jwt_subject", given.get("jwt_subject", "airflow"), "any name"),
            token_lifetime=_number("token_lifetime", given.get("token_lifetime", 300), least=5, most=LONGEST_LIFETIME),
            send_jti=bool(read("send_jti", _boolean, default=False)),
            requests_per_minute=_count("requests_per_minute", given.get("requests_per_minute", 60), least=0),
            requests_per_hour=_count("requests_per_hour", given.get("requests_per_hour", 0), least=0),
            reserve=_share("reserve", given.get("reserve", 0)),
            even_pacing=bool(read("even_pacing", _boolean, default=False)),
            page_size=_count("page_size", given["page_size"], least=1) if "page_size" in given else None,
            timeout=_number("timeout", given.get("timeout", 30), least=0.001, most=LONGEST_TIMEOUT),
            verify=_verify(given.get("verify", True)),
            id_key=_id_key(given.get("id_key")),
            proxy=_proxy(given.get("proxy")),
            contact_list_url=_console_url("contact_list_url", given.get("contact_list_url")),
        )


FIELDS: Final = frozenset(
    {
        "account_id",
        "allow_http",
        "api_version",
        "contact_list_url",
        "even_pacing",
        "id_key",
        "jwt_algorithm",
        "jwt_subject",
        "page_size",
        "proxy",
        "requests_per_hour",
        "requests_per_minute",
        "reserve",
        "send_jti",
        "stream_id",
        "timeout",
        "token_lifetime",
        "verify",
    }
)
"""Every field a connection's extra may hold."""


def _object(extra: object) -> Mapping[str, object]:
    """Return the entries of ``extra``, which may hold secrets: nothing of it is shown."""
    if isinstance(extra, Mapping):
        return extra
    problem = f"is {_kind(extra)}, not a JSON object"
    if isinstance(extra, str):
        problem = "is a string in JSON, not an object: it was encoded twice, perhaps"
    raise ConfigError("extra", problem, 'write an object such as {"stream_id": "st-…", "account_id": "…"}')


_KINDS: Final[Mapping[type, str]] = MappingProxyType(
    {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list",
     tuple: "a list", dict: "an object"}
)  # fmt: skip


def _kind(value: object) -> str:
    return _KINDS.get(type(value), f"of type {type(value).__name__}")


def _refuse_unknown(extra: Mapping[str, object]) -> None:
    for name in extra:
        if name in FIELDS:
            continue
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)[:100]).lower()
        near = difflib.get_close_matches(snake, FIELDS, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(sorted(FIELDS))}"
        raise ConfigError(quoted(name), "is no field of this connection's extra", advice)


def _text(name: str, value: object, what: str) -> str:
    if value is not None and not isinstance(value, str):
        raise ConfigError(name, f"is {_kind(value)}", f"set it to {what}, as a string")
    if not value or not value.strip():
        raise ConfigError(name, "is missing", f"set it to {what}")
    return value.strip()


def _number_as_text(value: object) -> object:
    """Return an id that was written as a number as the text it stands for."""
    return _written(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _written(value: object) -> str:
    """Return a value as text; empty for an integer of more digits than Python writes."""
    try:
        return str(value).strip()
    except ValueError:
        return ""


def _identifier(name: str, value: object, what: str) -> str:
    text = _text(name, _number_as_text(value), what)
    if not _IDENTIFIER.fullmatch(text):
        raise ConfigError(
            name, "holds a character that no Kore.ai id has", "copy it from the app's settings, without blanks"
        )
    return text


def _choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    for choice in choices:
        if isinstance(value, str) and value.strip().lower() == choice.lower():
            return choice
    raise ConfigError(name, f"is {_shown(value)}", f"use one of {', '.join(choices)}")


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = _written(value).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ConfigError(name, f"is {_shown(value)}", "use true or false")


def _number(name: str, value: object, *, least: float, most: float) -> float:
    number = _parse_number(value)
    if number > most:
        raise ConfigError(name, f"is {_shown(value)}", f"use a number of seconds, {most:,.0f} at the most")
    if not least <= number:
        raise ConfigError(
            name, f"is {_shown(value)}", f"use a number of seconds, {least:g} or more, such as 30, or leave it out"
        )
    return number


def _share(name: str, value: object) -> float:
    number = _parse_number(value)
    if not 0 <= number <= LARGEST_RESERVE:
        raise ConfigError(name, f"is {_shown(value)}", f"use a number from 0 to {LARGEST_RESERVE}, such as 0.25")
    return number


def _parse_number(value: object) -> float:
    """Return a number, not-a-number for anything else."""
    try:
        return float("nan") if isinstance(value, bool) else float(str(value))
    except (ValueError, OverflowError):
        return float("nan")


def _shown(value: object) -> str:
    """Return a value as Python writes it, on one short line."""
    return f"'{quoted(value)}'" if isinstance(value, str) else quoted(value)


def _count(name: str, value: object, *, least: int) -> int:
    text = _written(value)
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,18}", text) or not least <= int(text) <= MOST_REQUESTS:
        unlimited = " (0 says unlimited)" if least == 0 else ""
        raise ConfigError(
            name, f"is {_shown(value)}", f"use a whole number, {least} or more{unlimited}, or leave it out"
        )
    return int(text)


def _refuse_edges(name: str, value: str) -> None:
    """Refuse what a copy, a file or ``echo`` has added to a secret: it would sign something else, and not be seen."""
    if value != value.strip():
        where = "begins" if value != value.lstrip() else "ends"
        edge = value[0] if where == "begins" else value[-1]
        what = "a line break" if edge in "\r\n" else "a blank"
        raise ConfigError(name, f"{where} with {what}", "remove it")


def _secret(value: object, algorithm: str) -> str:
    what = "the client secret" if algorithm.startswith("HS") else "the PEM private key"
    if value is not None and not isinstance(value, str):
        raise ConfigError("password", f"is {_kind(value)}", f"set it to {what}, as a string")
    if not value or not value.strip():
        raise ConfigError("password", "is missing", f"set it to {what}")
    if algorithm.startswith("HS"):
        if "-----BEGIN" in value:
            raise ConfigError(
                "password", f"is a PEM key, which {algorithm} cannot use", "set jwt_algorithm to RS256 or RS512"
            )
        _refuse_edges("password", value)
        return value
    # A one-line form field, an environment variable or a secrets backend loses or escapes the line breaks.
    found = _PEM.search(value.replace("\\n", "\n"))
    if found is None:
        raise ConfigError(
            "password",
            f"is no PEM private key, which {algorithm} needs",
            "paste the whole key, BEGIN and END lines included",
        )
    label, body = found[1], re.sub(r"\s+", "", found[2])
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _id_key(value: object) -> str:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise ConfigError("id_key", f"is {_kind(value)}", f"use {LEAST_ID_KEY} random characters or more, as a string")
    text = "" if value is None else value if isinstance(value, str) else _written(value)
    _refuse_edges("id_key", text)
    if text and len(text.encode("utf-8", "surrogatepass")) < LEAST_ID_KEY:
        raise ConfigError("id_key", "is too short", f"use {LEAST_ID_KEY} random characters or more, or leave it out")
    return text


def _verify(value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    text = _written(value)
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if not os.path.exists(text):  # noqa: PTH110 - Path.exists raises for names that are too long
        raise ConfigError(
            "verify",
            f"names the CA bundle '{quoted(text)}', which does not exist here",
            "use true, false, or a path that exists on every worker",
        )
    return text


def _proxy(value: object) -> str | None:
    if value is None:
        return None
    text = _written(value)
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https", "socks5", "socks5h"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError("proxy", "is no URL of a proxy", "use http://host:port")
    return text


def _console_url(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = _written(value)
    if not re.fullmatch(r"https?://[^\s/]+/\S*", text) or "{contact_list_id}" not in text:
        raise ConfigError(
            name,
            "is no address of a contact list",
            "copy one from the browser, and put {contact_list_id} where its id stands",
        )
    return text


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secrets_of(config: ApiConfig) -> list[str]:
    """Return what a secrets masker should know, in every form in which it may appear: a key also line by line."""
    found = {config.client_secret, config.client_secret.strip()}
    if not config.jwt_algorithm.startswith("HS"):
        lines = [line for line in config.client_secret.splitlines() if line and not line.startswith("-----")]
        found |= {*lines, "".join(lines), config.client_secret.replace("\n", "\\n")}
    if config.proxy:
        password = urlsplit(config.proxy).password
        found |= {config.proxy, *((password, unquote(password)) if password else ())}
    if config.id_key:
        found.add(config.id_key)
    return sorted(filter(None, found))


def risks_of(config: ApiConfig) -> list[str]:
    """Return a sentence for each protection that a connection does without."""
    if is_loopback(config.base_url):
        return []
    risks = []
    if config.verify is False:
        risks.append("verify is false, so anybody in between may read and change what is sent.")
    if config.base_url.startswith("http:"):
        risks.append("allow_http is set, so tokens and contacts travel unencrypted.")
    return risks


def is_loopback(base_url: str) -> bool:
    """Say whether a URL leads to this very machine."""
    return _is_loopback(urlsplit(base_url).hostname or "")


def _base_url(host: str | None, port: int | str | None, schema: str | None, *, allow_http: bool) -> str:
    advice = "use the environment URL, such as https://platform.kore.ai"
    if not host or not host.strip():
        raise ConfigError("host", "is missing", advice)
    scheme, separator, rest = host.strip().rpartition("://")
    rest = rest.rstrip("/")
    if not separator and rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"  # an IPv6 address: Airflow strips the brackets from a URI
    try:
        parts = urlsplit(f"//{rest}")
        name, own_port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("host", "is no URL", advice) from None
    if not name or re.search(r"[\s\\]", rest) or parts.query or parts.fragment or parts.username is not None:
        raise ConfigError("host", "is no plain URL of a host", advice)
    loopback = _is_loopback(name)
    scheme = (scheme or schema or ("http" if loopback else "https")).strip().lower()
    if scheme not in {"http", "https"}:
        raise ConfigError("host" if separator else "schema", f"has the scheme '{quoted(scheme)}'", "use https")
    if scheme == "http" and not loopback and not allow_http:
        raise ConfigError(
            "host", "is plain http, which would send tokens and contacts in the clear", "use https, or set allow_http"
        )
    if own_port is None and port not in (None, ""):
        own_port = _count("port", port, least=1)
        if own_port > _LARGEST_PORT:
            raise ConfigError("port", f"is {own_port}", f"use a number up to {_LARGEST_PORT}, or leave it out")
    address = f"[{name}]" if ":" in name else name
    return f"{scheme}://{address}{f':{own_port}' if own_port else ''}{parts.path}"
