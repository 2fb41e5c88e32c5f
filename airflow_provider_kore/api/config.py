"""The connection, parsed once into something frozen and checked. After this ``extra`` is not read again."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from airflow_provider_kore import connection_fields as parsers
from airflow_provider_kore.connection_fields import connection_field, extra_fields, kind_of, standard_field
from airflow_provider_kore.exceptions import ConfigError
from airflow_provider_kore.quoting import quoted

ALGORITHMS: Final = ("HS256", "HS512", "RS256", "RS512")
"""What an app in Kore.ai can be created for. Source: the vendor's page on API scopes."""

LARGEST_RESERVE: Final = 0.95
"""With more than that left to others, a list would never be read."""

LONGEST_TIMEOUT: Final = 3600.0
"""Seconds; a page takes less than one."""

LONGEST_LIFETIME: Final = 86_400.0
"""Seconds; a token that is good for longer is a second password."""

_LARGEST_PORT: Final = 65_535
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """How to reach and authenticate with one application of one Kore.ai account.

    Each field of the connection is declared here and nowhere else: the form, the checks, :meth:`parse` and the table
    of fields read it.
    """

    base_url: str = standard_field(
        "host",
        label="Environment URL",
        placeholder="https://platform.kore.ai",
        help="URL of the environment or its region; a path in front of the API is kept. Without a scheme: https, on "
        "loopback http.",
    )
    """Scheme, host, port and, behind a gateway, a path; no trailing slash."""
    client_id: str = standard_field("login", label="Client id", placeholder="cs-…", help="Id of the JWT app.")
    client_secret: str = standard_field(
        "password",
        label="Client secret, or PEM private key",
        secret=True,
        help="The secret for HS256 and HS512; for RS256 and RS512 the whole PEM key, whose line breaks may be lost.",
    )
    stream_id: str = connection_field(
        parsers.identifier("st-…"), label="Stream id", help="Id of the application that owns the contact lists (st-…)."
    )
    account_id: str = connection_field(
        parsers.identifier("the account id"), label="Account id", help="Id of the Kore.ai account."
    )
    api_version: str = connection_field(
        parsers.choice("v2", "v1"),
        "v2",
        label="API version",
        help="Version of the environment's API: v2, or v1 for the older service.",
        schema={"enum": ["v2", "v1"]},
    )
    jwt_algorithm: str = connection_field(
        parsers.choice(*ALGORITHMS),
        "HS256",
        label="JWT algorithm",
        help="What the JWT app was created for: HS256, HS512, RS256 or RS512.",
        schema={"enum": list(ALGORITHMS)},
    )
    jwt_subject: str = connection_field(
        parsers.text("any name"),
        "airflow",
        label="JWT subject",
        help="The token's sub claim: any name, shown in Kore.ai's audit log.",
    )
    token_lifetime: float = connection_field(
        parsers.seconds(5, LONGEST_LIFETIME),
        300.0,
        label="Token lifetime (seconds)",
        help="How long a token is valid, 5 to 86,400; it is renewed in time.",
        kind="number",
        schema={"minimum": 5},
    )
    send_jti: bool = connection_field(
        parsers.boolean,
        default=False,
        label="Send JTI",
        help="Give every token a single-use id. Needed where the app enforces JTI.",
        kind="boolean",
    )
    requests_per_minute: int = connection_field(
        parsers.count(0),
        60,
        label="Requests per minute",
        help="The account's allowance in a rolling minute. 0: unlimited.",
        kind="integer",
        schema={"minimum": 0},
    )
    """Source of the default: the vendor's contact-center limits page."""
    requests_per_hour: int = connection_field(
        parsers.count(0),
        0,
        label="Requests per hour",
        help="The account's allowance in a rolling hour. 0: unlimited.",
        kind="integer",
        schema={"minimum": 0},
    )
    reserve: float = connection_field(
        parsers.share(LARGEST_RESERVE),
        0.0,
        label="Reserve",
        help="Share of both allowances that is left to other applications, 0 to 0.95.",
        kind="number",
        schema={"minimum": 0, "maximum": LARGEST_RESERVE},
    )
    even_pacing: bool = connection_field(
        parsers.boolean,
        default=False,
        label="Even pacing",
        help="Spread requests evenly over the minute instead of sending them as soon as they are allowed.",
        kind="boolean",
    )
    allowance_ledger: str | None = connection_field(
        parsers.s3_place,
        None,
        label="Allowance ledger",
        help="Where all that use this account share its allowance exactly: s3://bucket/prefix. Empty: each learns of "
        "the others by being refused.",
    )
    allowance_ledger_conn_id: str = connection_field(
        parsers.text("the id of an AWS connection"),
        "aws_default",
        label="Allowance ledger's AWS connection",
        help="Id of the AWS connection that reaches the allowance ledger.",
    )
    page_size: int | None = connection_field(
        parsers.count_or(1, server=0),
        None,
        label="Page size",
        help="Contacts to ask for in one request. Empty: as many as the server serves well, which is found out.",
        kind="integer",
        schema={"minimum": 1},
    )
    """None: found out; 0, written as the word ``server``: no limit is sent."""
    timeout: float = connection_field(
        parsers.seconds(0.001, LONGEST_TIMEOUT),
        30.0,
        label="Timeout (seconds)",
        help="How long one answer may take, from connecting to its last byte; 3,600 at the most.",
        kind="number",
    )
    verify: bool | str = connection_field(
        parsers.bundle_or_boolean,
        default=True,
        label="Verify TLS",
        help="Verify the certificate: true, false, or the path of a CA bundle on the workers.",
    )
    proxy: str | None = connection_field(
        parsers.proxy_url,
        None,
        label="Proxy",
        help="URL of a proxy, http://host:port. Empty: as HTTPS_PROXY says, and none for loopback.",
        secret=True,
    )
    id_key: str = connection_field(
        parsers.key,
        "",
        label="Id key",
        help="Key of the ids made for call results, 16 random bytes or more. Another key gives other ids.",
        secret=True,
    )
    contact_list_url: str | None = connection_field(
        parsers.console_url,
        None,
        label="Contact list URL",
        help="Address of a list in Kore.ai's web console, with {contact_list_id} in it, for a link on tasks.",
    )
    """The vendor documents no such address, so the link is there only for those who name it."""
    allow_http: bool = connection_field(
        parsers.boolean,
        default=False,
        label="Allow plain HTTP",
        help="Send tokens and contacts unencrypted to a host that is not this machine. Leave it off.",
        kind="boolean",
    )

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
    ) -> Self:
        """Check the fields of a connection, whatever wrote it (form, JSON, URI: there every value is a string).

        :param extra: a dictionary; anything else is refused by what it is.

        Raises ConfigError, which names the field.
        """
        extra, fields = _object(extra), extra_fields(cls)
        _refuse_unknown(extra, frozenset(fields))
        given = {name: value for name, value in extra.items() if value not in (None, "")}
        values = {name: field.read(name, given) for name, field in fields.items()}
        found: Self = cls(
            base_url=_base_url(host, port, schema, allow_http=values["allow_http"] is True),
            client_id=parsers.text("the client id of the JWT app")("login", parsers.number_as_text(login)),
            client_secret=_secret(password, str(values["jwt_algorithm"])),
            **values,  # type: ignore[arg-type]  # each by its own parser
        )
        return found


FIELDS: Final = frozenset(extra_fields(ApiConfig))
"""Every field a connection's extra may hold."""


def _object(extra: object) -> Mapping[str, object]:
    """Return the entries of ``extra``, which may hold secrets: nothing of it is shown."""
    if isinstance(extra, Mapping):
        return extra
    problem = f"is {kind_of(extra)}, not a JSON object"
    if isinstance(extra, str):
        problem = "is a string in JSON, not an object: it was encoded twice, perhaps"
    raise ConfigError("extra", problem, 'write an object such as {"stream_id": "st-…", "account_id": "…"}')


def _refuse_unknown(extra: Mapping[str, object], fields: frozenset[str]) -> None:
    import difflib

    for name in extra:
        if name in fields:
            continue
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)[:100]).lower()
        near = difflib.get_close_matches(snake, fields, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(sorted(fields))}"
        raise ConfigError(quoted(name), "is no field of this connection's extra", advice)


def _secret(value: object, algorithm: str) -> str:
    what = "the client secret" if algorithm.startswith("HS") else "the PEM private key"
    if value is not None and not isinstance(value, str):
        raise ConfigError("password", f"is {kind_of(value)}", f"set it to {what}, as a string")
    if not value or not value.strip():
        raise ConfigError("password", "is missing", f"set it to {what}")
    if algorithm.startswith("HS"):
        if "-----BEGIN" in value:
            raise ConfigError(
                "password", f"is a PEM key, which {algorithm} cannot use", "set jwt_algorithm to RS256 or RS512"
            )
        parsers.refuse_edges("password", value)
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
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    loopback = is_loopback(f"//{rest}")
    scheme = (scheme or schema or ("http" if loopback else "https")).strip().lower()
    if scheme not in {"http", "https"}:
        raise ConfigError("host" if separator else "schema", f"has the scheme '{quoted(scheme)}'", "use https")
    if scheme == "http" and not loopback and not allow_http:
        raise ConfigError(
            "host", "is plain http, which would send tokens and contacts in the clear", "use https, or set allow_http"
        )
    if own_port is None and port not in (None, ""):
        own_port = parsers.count(1)("port", port)
        if own_port > _LARGEST_PORT:
            raise ConfigError("port", f"is {own_port}", f"use a number up to {_LARGEST_PORT}, or leave it out")
    address = f"[{name}]" if ":" in name else name
    return f"{scheme}://{address}{f':{own_port}' if own_port else ''}{parts.path}"
