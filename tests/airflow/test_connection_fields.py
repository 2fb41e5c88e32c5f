"""The connection as people write it down: JSON, URI, strings for everything; and what they get wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from airflow_provider_kore.api.config import FIELDS
from airflow_provider_kore.exceptions import ConfigError, ConnectionNotFoundError
from airflow_provider_kore.hooks.campaign import KoreCampaignHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.simulator import Simulator

    Define = Callable[[str, dict[str, Any]], None]

SECRET = "s3cr3t/with=odd&chars%and+more"
NEEDED = {"stream_id": "st-1", "account_id": "a-1"}
FULL = {
    **NEEDED,
    "api_version": "v1",
    "jwt_algorithm": "HS512",
    "jwt_subject": "nightly",
    "token_lifetime": 120.5,
    "send_jti": True,
    "requests_per_minute": 30,
    "requests_per_hour": 900,
    "reserve": 0.2,
    "even_pacing": True,
    "allowance_ledger": "s3://lake/kore/ledgers",
    "allowance_ledger_conn_id": "aws_lake",
    "page_size": 25,
    "timeout": 10,
    "verify": False,
    "proxy": "http://user:pass@proxy.example:3128",
    "id_key": "k" * 16,
    "contact_list_url": "https://platform.kore.ai/lists/{contact_list_id}",
    "allow_http": True,
}


def connection(**changes: Any) -> dict[str, Any]:
    """Return a good connection with changes to its fields or its extra."""
    made: dict[str, Any] = {
        "conn_type": "kore",
        "host": "https://kore.example",
        "login": "cs-1",
        "password": SECRET,
        "extra": dict(NEEDED),
    }
    for name, value in changes.items():
        target = made if name in made and name != "extra" else made["extra"]
        if value is None:
            target.pop(name, None)
        else:
            target[name] = value
    return made


def uri(**changes: Any) -> str:
    """Return the same as a URI."""
    made = connection(**changes)
    extra = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in made["extra"].items()
    }
    login, password = quote(made.get("login", ""), safe=""), quote(made.get("password", ""), safe="")
    return f"kore://{login}:{password}@{made['host'].partition('://')[2]}/?{urlencode(extra)}"


def config_of(name: str = "kore_default") -> ApiConfig:
    return KoreCampaignHook(name).config


def check_full(config: ApiConfig) -> None:
    assert config.base_url == "https://kore.example"
    assert (config.client_id, config.client_secret) == ("cs-1", SECRET)
    assert (config.stream_id, config.account_id) == ("st-1", "a-1")
    assert (config.api_version, config.jwt_algorithm, config.jwt_subject) == ("v1", "HS512", "nightly")
    assert (config.token_lifetime, config.send_jti) == (120.5, True)
    assert (config.requests_per_minute, config.requests_per_hour, config.page_size) == (30, 900, 25)
    assert (config.reserve, config.even_pacing) == (0.2, True)
    assert config.contact_list_url == FULL["contact_list_url"]
    assert (config.timeout, config.verify, config.proxy) == (10.0, False, FULL["proxy"])


def test_the_samples_here_name_every_field() -> None:
    assert set(FULL) == FIELDS


def test_json_with_types(define: Define) -> None:
    define("kore_default", connection(**FULL))
    check_full(config_of())


def test_json_with_strings_for_everything(define: Define) -> None:
    define("kore_default", connection(**{name: str(value) for name, value in FULL.items()}))
    check_full(config_of())


def test_json_whose_extra_is_a_string(define: Define) -> None:
    define("kore_default", {**connection(), "extra": json.dumps(FULL)})
    check_full(config_of())


def test_uri_whose_values_are_all_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", uri(**FULL))
    check_full(config_of())


@pytest.mark.parametrize(
    ("extra", "sense"),
    [
        (json.dumps(json.dumps(FULL)), "encoded twice"),
        (json.dumps([FULL]), "is a list"),
        ("5", "is a number"),
        ("null", "is null"),
        ("stream_id=st-1", "is no JSON"),
        ("[1", "is no JSON"),
    ],
)
def test_an_extra_that_is_no_object_is_told_by_what_it_is(define: Define, extra: str, sense: str) -> None:
    define("kore_default", {**connection(), "extra": extra})
    told = f"field 'extra': .*{sense}|check its outer keys and its extra"  # the latter where Airflow ignores it (3.0)
    with pytest.raises((ConfigError, ConnectionNotFoundError), match=told):
        _ = KoreCampaignHook().config


def test_uri_whose_extra_is_one_json_value(monkeypatch: pytest.MonkeyPatch) -> None:
    value = f"kore://cs-1:{quote(SECRET, safe='')}@kore.example/?{urlencode({'__extra__': json.dumps(FULL)})}"
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", value)
    check_full(config_of())


def test_what_is_left_out_or_empty_has_the_documented_default(define: Define) -> None:
    define("bare", connection())
    define("empty", connection(**dict.fromkeys(set(FULL) - set(NEEDED), "")))
    bare = config_of("bare")
    assert bare == config_of("empty")
    assert (bare.api_version, bare.jwt_algorithm, bare.jwt_subject) == ("v2", "HS256", "airflow")
    assert (bare.token_lifetime, bare.send_jti, bare.timeout) == (300.0, False, 30.0)
    assert (bare.requests_per_minute, bare.requests_per_hour, bare.page_size) == (60, 0, None)
    assert (bare.reserve, bare.even_pacing) == (0.0, False)
    assert (bare.verify, bare.proxy, bare.contact_list_url) == (True, None, None)


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("kore.example", None, "https://kore.example"),
        ("https://kore.example/", None, "https://kore.example"),
        ("https://kore.example/gateway/kore/", None, "https://kore.example/gateway/kore"),
        ("kore.example", 8443, "https://kore.example:8443"),
        ("https://kore.example:8443", 443, "https://kore.example:8443"),
        ("127.0.0.1", 8080, "http://127.0.0.1:8080"),
        ("http://localhost:8080", None, "http://localhost:8080"),
        ("http://[::1]:8080", None, "http://[::1]:8080"),
    ],
)
def test_the_host_as_people_write_it(define: Define, host: str, port: int | None, base_url: str) -> None:
    define("kore_default", {**connection(host=host), "port": port})
    assert config_of().base_url == base_url


IMPOSSIBLE: dict[str, list[Any]] = {
    "stream_id": [None, "", "st 1", "st/1", True],
    "account_id": [None, "", "a 1", "a/../b"],
    "api_version": ["v3", 2],
    "jwt_algorithm": ["HS384", "none", "RS265"],
    "jwt_subject": [["x"], 5],
    "token_lifetime": [4, 0, -1, "soon", True, "inf"],
    "send_jti": ["maybe", 2],
    "requests_per_minute": [-1, "many", 1.5, True],
    "requests_per_hour": [-1, "many", True],
    "reserve": [-0.1, 1, "half", True],
    "even_pacing": ["evenly", 2],
    "allowance_ledger": [
        "lake/kore",
        "s3://",
        "s3://Lake/kore",
        "s3://lake//kore",
        "https://lake/kore",
        "s3://lake/../x",
        5,
    ],
    "allowance_ledger_conn_id": [["aws"], 5],
    "page_size": [0, -5, "all", 2.5],
    "timeout": [0, -1, "long", "nan"],
    "verify": ["/no/such/bundle.pem", "perhaps"],
    "proxy": ["proxy.example", "ftp://proxy.example:1", "http:///nowhere"],
    "id_key": ["short", "k" * 15],
    "contact_list_url": ["https://platform.kore.ai/lists", "lists/{contact_list_id}", "javascript:{contact_list_id}"],
    "allow_http": ["sometimes", 7],
    "host": [None, "", "https://", "ftp://kore.example", "https://kore example", "https://kore.example/?a=b"],
    "login": [None, "", "  "],
    "password": [None, "", "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"],
}


def test_every_field_has_impossible_values_here() -> None:
    assert set(IMPOSSIBLE) == FIELDS | {"host", "login", "password"}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in IMPOSSIBLE.items() for value in values], ids=repr
)
def test_a_missing_or_impossible_value_is_refused_by_the_fields_name(define: Define, field: str, value: Any) -> None:
    define("kore_default", connection(**{field: value}))
    with pytest.raises(ConfigError) as caught:
        _ = KoreCampaignHook().config
    assert caught.value.field == field
    assert f"field {field!r}" in str(caught.value)
    assert str(caught.value).count(";") >= 1  # what is wrong; what to do
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_a_misspelt_field_is_named_together_with_the_right_one(define: Define, field: str) -> None:
    first, *rest = field.split("_")
    misspelt = first + "".join(word.title() for word in rest) if rest else f"{field}s"
    define("kore_default", connection(**{misspelt: FULL[field]}))
    with pytest.raises(ConfigError, match=rf"'{misspelt}'.*did you mean '{field}'"):
        _ = KoreCampaignHook().config


def test_plain_http_is_for_loopback_only_unless_it_is_allowed(define: Define) -> None:
    define("refused", connection(host="http://kore.example"))
    with pytest.raises(ConfigError, match=r"'host'.*plain http.*allow_http"):
        config_of("refused")
    define("allowed", connection(host="http://kore.example", allow_http="true"))
    assert config_of("allowed").base_url == "http://kore.example"
    define("loopback", connection(host="http://127.0.0.2:81"))
    assert config_of("loopback").base_url == "http://127.0.0.2:81"


def test_no_repr_shows_the_secret(define: Define) -> None:
    define("kore_default", connection(**FULL))
    shown = repr(config_of()) + repr(KoreCampaignHook().client.config)
    assert SECRET not in shown
    assert "pass@" not in shown


@pytest.mark.parametrize(
    ("algorithm", "written"),
    [
        pytest.param("RS512", lambda pem: pem, id="as it is"),
        pytest.param("RS256", lambda pem: pem.replace("\n", "\\n"), id="escaped line breaks"),
        pytest.param("RS256", lambda pem: " ".join(pem.split("\n")), id="one line"),
        pytest.param("RS256", lambda pem: pem.replace("\n", "\r\n"), id="from Windows"),
    ],
)
def test_a_pem_key_signs_however_its_lines_were_lost(
    kore: Simulator, define: Define, algorithm: str, written: Callable[[str], str]
) -> None:
    kore.configure(jwt_algorithm=algorithm)
    kore.add_list("cl-1", contacts=60)
    given = kore.connection
    assert "BEGIN" in given["password"]
    define("kore_default", {**given, "password": written(given["password"])})
    assert len(list(KoreCampaignHook().iter_contacts("cl-1"))) == 60


def test_a_pem_key_in_a_uri(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    kore.configure(jwt_algorithm="RS256")
    given = kore.connection
    extra = urlencode({name: str(value).lower() for name, value in given["extra"].items()})
    extra = extra.replace("rs256", "RS256")
    host = given["host"].partition("://")[2]
    monkeypatch.setenv(
        "AIRFLOW_CONN_KORE_DEFAULT", f"kore://{given['login']}:{quote(given['password'], safe='')}@{host}/?{extra}"
    )
    assert KoreCampaignHook().test_connection()[0] is True


def test_a_broken_pem_key_is_refused_before_any_request(kore: Simulator, define: Define) -> None:
    kore.configure(jwt_algorithm="RS256")
    given = kore.connection
    lines = given["password"].strip().split("\n")
    define("kore_default", {**given, "password": "\n".join([lines[0], "QUJD" * 12, lines[-1]])})
    works, sentence = KoreCampaignHook().test_connection()
    assert not works
    assert "password" in sentence
    assert "QUJD" not in sentence
    assert kore.requests == []
