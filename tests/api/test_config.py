"""A connection, whatever wrote it, is read right or refused by the name of its field; its secrets are never shown."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from landing import assert_clear

from airflow_provider_kore.api.config import ALGORITHMS, FIELDS, LONGEST_LIFETIME, LONGEST_TIMEOUT, ApiConfig
from airflow_provider_kore.exceptions import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cr3t-that-nobody-may-read"
GOOD: dict[str, Any] = {"stream_id": "st-1", "account_id": "ac-1"}
PEM = f"-----BEGIN PRIVATE KEY-----\n{'QUJD' * 16}\n{'REVG' * 9}\n-----END PRIVATE KEY-----\n"


def parsed(
    *, host: Any = "https://platform.kore.ai", login: Any = "cs-1", password: Any = SECRET, port: Any = None,
    schema: Any = None, **extra: Any,
) -> ApiConfig:  # fmt: skip
    return ApiConfig.parse(host=host, login=login, password=password, port=port, schema=schema, extra={**GOOD, **extra})


def refused(field: str, **given: Any) -> str:
    """Parse what cannot be parsed; return the message, which names the field and no secret."""
    with pytest.raises(ConfigError) as caught:
        parsed(**given)
    assert caught.value.field == field
    text = str(caught.value)
    assert f"field {field!r}" in text
    assert SECRET not in text
    assert caught.value.__cause__ is None
    assert_clear(caught.value)
    return text


def test_defaults() -> None:
    config = parsed()
    assert (config.api_version, config.jwt_algorithm, config.send_jti) == ("v2", "HS256", False)
    assert (config.requests_per_minute, config.requests_per_hour, config.page_size) == (60, 0, None)
    assert (config.timeout, config.token_lifetime, config.verify, config.proxy) == (30.0, 300.0, True, None)
    assert config.base_url == "https://platform.kore.ai"


# --- Every value means the same as a number, a boolean, a string, in JSON and in a URI --------------------------------

SPELLINGS = (int, float, str, "{} ".format, " {}".format, "+{}".format)
COUNTS = {"requests_per_minute": 0, "requests_per_hour": 0, "page_size": 1}
SECONDS = {"token_lifetime": 5.0, "timeout": 0.001}


@pytest.mark.parametrize("field", COUNTS)
@given(
    number=st.integers(-3, 10**6), spelling=st.sampled_from([int, float, str, "{} ".format, " {}".format, "+{}".format])
)
def test_a_count(field: str, number: int, spelling: Any) -> None:
    if spelling == "+{}".format and number < 0:
        return
    value = spelling(number)
    if number < COUNTS[field]:
        refused(field, **{field: value})
    else:
        assert getattr(parsed(**{field: value}), field) == number


@pytest.mark.parametrize("field", SECONDS)
@given(number=st.floats(-10, 10**6), spelling=st.sampled_from([float, str, "{} ".format]))
def test_seconds(field: str, number: float, spelling: Any) -> None:
    if not SECONDS[field] <= number <= {"timeout": LONGEST_TIMEOUT, "token_lifetime": LONGEST_LIFETIME}[field]:
        refused(field, **{field: spelling(number)})
    else:
        assert getattr(parsed(**{field: spelling(number)}), field) == number


@pytest.mark.parametrize("field", ["send_jti", "allow_http"])
@pytest.mark.parametrize("value", [True, "true", "True", " TRUE ", "1", "yes", "on", 1])
@pytest.mark.parametrize("opposite", [False, True])
def test_a_switch(field: str, value: Any, opposite: bool) -> None:
    if opposite:
        words = {"true": "false", "1": "0", "yes": "no", "on": "off"}
        value = type(value)(0) if not isinstance(value, str) else words[value.strip().lower()]
    host = "http://kore.example" if field == "allow_http" else "https://kore.example"
    if field == "allow_http" and opposite:
        refused("host", host=host, allow_http=value)
        return
    config = parsed(host=host, **{field: value})
    assert field == "allow_http" or config.send_jti is not opposite


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("field", sorted(FIELDS))
@settings(max_examples=30)
@given(value=JSON)
def test_any_value_is_read_or_refused_by_its_field(field: str, value: Any) -> None:
    try:
        config = parsed(**{field: value})
    except ConfigError as err:
        assert_named(err, field)
        return
    typed = {each.name: getattr(config, each.name) for each in fields(ApiConfig)}
    assert all(not isinstance(each, (list, dict)) for each in typed.values())
    assert typed["requests_per_minute"] >= 0
    assert typed["requests_per_hour"] >= 0
    assert typed["timeout"] > 0
    assert typed["token_lifetime"] >= 5
    assert typed["page_size"] is None or typed["page_size"] > 0
    assert typed["jwt_algorithm"] in ALGORITHMS


def assert_named(err: ConfigError, field: str) -> None:
    text = str(err)
    assert text.startswith(f"Kore connection, field {field!r}: ")
    assert text.endswith((".", "?"))
    assert "\n" not in text
    assert "\x00" not in text


@given(
    field=st.sampled_from(["host", "login", "password", "port", "schema"]),
    value=st.none() | st.text(max_size=20) | st.integers(-5, 70_000),
)
def test_any_field_of_the_connection_itself_is_read_or_refused_by_its_name(field: str, value: Any) -> None:
    if field in {"host", "login", "password", "schema"} and not isinstance(value, str | None):
        return
    try:
        config = parsed(**{field: value})
    except ConfigError as err:
        assert_named(err, field)
    else:
        parts = urlsplit(config.base_url)
        assert parts.scheme in {"http", "https"}
        assert parts.hostname
        assert parts.port is None or 0 < parts.port < 65_536


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.none() | st.just("")))
def test_an_empty_field_of_the_form_is_one_that_was_left_out(extra: dict[str, Any]) -> None:
    assert parsed(**{**extra, **GOOD}) == parsed()


def test_json_and_strings_mean_the_same() -> None:
    extra = {
        "api_version": "v1", "jwt_algorithm": "HS512", "jwt_subject": "me", "token_lifetime": 60, "send_jti": True,
        "requests_per_minute": 600, "requests_per_hour": 18_000, "page_size": 100, "timeout": 12.5, "verify": False,
        "proxy": "http://proxy:3128",
    }  # fmt: skip
    strings = {name: value if isinstance(value, str) else json.dumps(value) for name, value in extra.items()}
    assert parsed(**extra) == parsed(**strings)


# --- Fields that are missing, misspelt or impossible ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "given", "sense"),
    [
        ("host", {"host": None}, "missing; use the environment URL"),
        ("host", {"host": "  "}, "missing"),
        ("login", {"login": None}, "missing; set it to the client id"),
        ("login", {"login": " "}, "missing"),
        ("password", {"password": None}, "missing; set it to the client secret"),
        ("password", {"password": " "}, "missing"),
        ("password", {"password": None, "jwt_algorithm": "RS256"}, "missing; set it to the PEM private key"),
        ("password", {"password": SECRET, "jwt_algorithm": "RS512"}, "no PEM private key"),
        ("password", {"password": PEM}, "PEM key, which HS256 cannot use; set jwt_algorithm"),
        ("stream_id", {"stream_id": None}, "missing"),
        ("stream_id", {"stream_id": "st-1/../x"}, "character that no Kore.ai id has"),
        ("account_id", {"account_id": ""}, "missing"),
        ("account_id", {"account_id": "a b"}, "character"),
        ("account_id", {"account_id": True}, "is true or false; set it to the account id, as a string"),
        ("account_id", {"account_id": [1]}, "is a list"),
        ("stream_id", {"stream_id": 1.5}, "is a number"),
        ("login", {"login": {"id": "cs-1"}}, "is an object"),
        ("password", {"password": f"{SECRET}\n"}, "ends with a line break; remove it"),
        ("password", {"password": f"{SECRET}\r\n"}, "ends with a line break"),
        ("password", {"password": f"{SECRET} "}, "ends with a blank"),
        ("password", {"password": f"\t{SECRET}"}, "begins with a blank"),
        ("password", {"password": 12_345}, "is a number; set it to the client secret, as a string"),
        ("id_key", {"id_key": "k" * 32 + "\n"}, "ends with a line break"),
        ("id_key", {"id_key": ["k" * 32]}, "is a list"),
        ("timeout", {"timeout": "30s"}, "is '30s'; use a number of seconds, 0.001 or more, such as 30"),
        ("token_lifetime", {"token_lifetime": "5 min"}, "is '5 min'; use a number of seconds"),
        ("page_size", {"page_size": "100 rows"}, "is '100 rows'; use a whole number"),
        ("requests_per_minute", {"requests_per_minute": "60/min"}, "is '60/min'; use a whole number"),
        ("send_jti", {"send_jti": 10**5000}, "use true or false"),
        ("account_id", {"account_id": 10**5000}, "missing"),
        ("verify", {"verify": "x" * 100_000}, "does not exist here"),
        ("api_version", {"api_version": "v3"}, "use one of v2, v1"),
        ("jwt_algorithm", {"jwt_algorithm": "none"}, "use one of HS256, HS512, RS256, RS512"),
        ("jwt_algorithm", {"jwt_algorithm": "ES256"}, "use one of"),
        ("token_lifetime", {"token_lifetime": 4.9}, "5 or more"),
        ("token_lifetime", {"token_lifetime": "inf"}, "number of seconds"),
        ("token_lifetime", {"token_lifetime": "nan"}, "number of seconds"),
        ("timeout", {"timeout": 0}, "0.001 or more"),
        ("requests_per_minute", {"requests_per_minute": -1}, "0 says unlimited"),
        ("requests_per_minute", {"requests_per_minute": 1.5}, "whole number"),
        ("page_size", {"page_size": 0}, "1 or more"),
        ("verify", {"verify": "/no/such/bundle.pem"}, "does not exist here"),
        ("proxy", {"proxy": "proxy:3128"}, "use http://host:port"),
        ("streamId", {"streamId": "st-1"}, "did you mean 'stream_id'"),
        ("acount_id", {"acount_id": "x"}, "did you mean 'account_id'"),
        ("verify_ssl", {"verify_ssl": True}, "is no field"),
        ("host", {"host": "http://platform.kore.ai"}, "plain http"),
        ("host", {"host": "ftp://platform.kore.ai"}, "scheme 'ftp'"),
        ("schema", {"host": "platform.kore.ai", "schema": "ftp"}, "scheme 'ftp'"),
        ("host", {"host": "https://user:pw@platform.kore.ai"}, "no plain URL"),
        ("host", {"host": "https://platform.kore.ai?x=1"}, "no plain URL"),
        ("host", {"host": "https://"}, "no plain URL"),
        ("host", {"host": "https://platform.kore.ai:99999"}, "no URL"),
        ("port", {"port": "abc"}, "whole number"),
        ("port", {"port": 70_000}, "port"),
    ],
)  # fmt: skip
def test_a_bad_field_is_refused_by_its_name(field: str, given: dict[str, Any], sense: str) -> None:
    assert sense in refused(field, **given)


@pytest.mark.parametrize(
    ("extra", "sense"),
    [
        (json.dumps({"stream_id": "st-1"}), "encoded twice"),
        ("text", "is a string in JSON"),
        ([{"stream_id": "st-1"}], "is a list"),
        (5, "is a number"),
        (True, "is true or false"),
        (None, "is null"),
    ],
)
def test_an_extra_that_is_no_object_is_told_by_what_it_is(extra: object, sense: str) -> None:
    with pytest.raises(ConfigError, match=sense) as caught:
        ApiConfig.parse(host="https://platform.kore.ai", login="cs-1", password=SECRET, extra=extra)
    assert_named(caught.value, "extra")
    assert "st-1" not in str(caught.value)


def test_ids_may_be_written_as_numbers() -> None:
    config = parsed(stream_id=17, account_id=4711, login=12)
    assert (config.stream_id, config.account_id, config.client_id) == ("17", "4711", "12")


@pytest.mark.parametrize(
    ("host", "port", "schema", "url"),
    [
        ("https://platform.kore.ai/", None, None, "https://platform.kore.ai"),
        ("platform.kore.ai", None, None, "https://platform.kore.ai"),
        ("platform.kore.ai", 8443, "https", "https://platform.kore.ai:8443"),
        ("https://gate.example/kore/", "443", None, "https://gate.example:443/kore"),
        ("127.0.0.1", 8080, None, "http://127.0.0.1:8080"),
        ("http://localhost:5000", None, None, "http://localhost:5000"),
        ("http://[::1]:5000", None, None, "http://[::1]:5000"),
        ("::1", 5000, None, "http://[::1]:5000"),
        ("HTTPS://Platform.Kore.AI", None, None, "https://platform.kore.ai"),
    ],
)
def test_the_ways_to_write_a_host(host: str, port: Any, schema: str | None, url: str) -> None:
    assert parsed(host=host, port=port, schema=schema).base_url == url


@pytest.mark.parametrize("host", ["http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://10.0.0.1"])
def test_only_loopback_may_be_plain(host: str) -> None:
    refused("host", host=host)
    assert parsed(host=host, allow_http="true").base_url == host


@pytest.mark.parametrize("mangle", [str, lambda pem: pem.replace("\n", "\\n"), lambda pem: pem.replace("\n", " ")])
def test_a_private_key_survives_forms_and_environment_variables(mangle: Any) -> None:
    assert parsed(password=mangle(PEM), jwt_algorithm="rs256").client_secret == PEM


def test_a_ca_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert parsed(verify=str(bundle)).verify == str(bundle)


# --- Secrets ---------------------------------------------------------------------------------------------------------


@given(secret=st.text(min_size=6).filter(lambda text: len(set(text)) > 4 and text.strip() == text))
def test_no_secret_is_shown(secret: str) -> None:
    assume("-----BEGIN" not in secret)
    config = parsed(password=secret, proxy=f"http://user:{SECRET}@proxy:3128")
    assume(secret not in repr(parsed(password="another")))  # a piece of a field's name, by chance
    for shown in (repr(config), str(config), f"{config}"):
        assert secret not in shown
        assert SECRET not in shown


@pytest.mark.parametrize("secret", [SECRET, PEM, f"-----BEGIN X-----{SECRET}"])
def test_no_error_repeats_the_secret(secret: str) -> None:
    for spoilt in ({"jwt_algorithm": "RS256"}, {"jwt_algorithm": "HS256"}, {"timeout": -1}, {"stream_id": "?"}):
        try:
            parsed(password=secret, **spoilt)
        except ConfigError as err:
            shown = f"{err} {err!r} {err.args} {pickle.dumps(err)!r}"
            assert SECRET not in shown
            assert "QUJDQUJD" not in shown


def test_a_proxy_with_a_password_is_refused_without_repeating_it() -> None:
    assert SECRET not in refused("proxy", proxy=f"ftp://user:{SECRET}@proxy")


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        parsed().base_url = "x"  # type: ignore[misc]
