"""Tokens: what is in them, how long they are kept, and what clocks may do."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from clocks import ImpatientClock, StoppedClock
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from landing import QUICK, Landing, config_of, outcome_of

from airflow_provider_kore.api.auth import BACKDATED, TOLERATED_SKEW, TokenSource
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.exceptions import ConfigError, CredentialsError
from airflow_provider_kore.simulator.tokens import make_key_pair

if TYPE_CHECKING:
    from airflow_provider_kore.simulator import Simulator

SECRET = "a-secret-that-is-long-enough-for-every-algorithm-0123456789-0123456789"
PRIVATE, PUBLIC = make_key_pair()
EC = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)
ENCRYPTED = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    .decode()
)


def config(**changes: Any) -> ApiConfig:
    given: dict[str, Any] = {
        "base_url": "https://kore.test", "client_id": "cs-1", "client_secret": SECRET, "stream_id": "st-1",
        "account_id": "ac-1", "jwt_subject": "me",
    }  # fmt: skip
    return ApiConfig(**{**given, **changes})


def claims_of(token: str, key: str = SECRET, algorithm: str = "HS256") -> dict[str, Any]:
    return jwt.decode(token, key, algorithms=[algorithm], options={"verify_exp": False, "verify_iat": False})


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "RS512"])
def test_the_claims_are_the_documented_ones(algorithm: str) -> None:
    private, public = (PRIVATE, PUBLIC) if algorithm.startswith("RS") else (SECRET, SECRET)
    clock = StoppedClock()
    token = TokenSource(config(jwt_algorithm=algorithm, client_secret=private, send_jti=True), clock).token()
    claims = claims_of(token, public, algorithm)
    assert set(claims) == {"appId", "sub", "iat", "exp", "jti"}
    assert (claims["appId"], claims["sub"]) == ("cs-1", "me")
    assert (claims["iat"], claims["exp"]) == (clock.epoch - BACKDATED, clock.epoch + 300)


def test_no_jti_unless_asked() -> None:
    assert "jti" not in claims_of(TokenSource(config(), StoppedClock()).token())


@given(
    lifetime=st.floats(5, 3600),
    skew=st.floats(-TOLERATED_SKEW, TOLERATED_SKEW),
    pauses=st.lists(st.floats(0, 2000), max_size=10),
)
def test_a_token_is_always_good_for_the_next_request(lifetime: float, skew: float, pauses: list[float]) -> None:
    """By the server's clock, whatever it is ahead or behind, once it has been heard."""
    clock = StoppedClock()
    tokens = TokenSource(config(token_lifetime=lifetime), clock)
    tokens.observe(clock.time() + skew)
    for pause in pauses:
        clock.now += pause
        claims = claims_of(tokens.token())
        server = clock.time() + skew
        assert claims["iat"] <= server
        assert claims["exp"] >= server + lifetime / 2 - 3.1  # 2 s of skew say nothing, and claims are whole seconds
        assert claims["exp"] <= server + lifetime + 2.1


def test_tokens_are_kept_for_half_their_life() -> None:
    clock, minted = StoppedClock(), list[str]()
    tokens = TokenSource(config(token_lifetime=60), clock, minted.append)
    for _ in range(29):
        tokens.token()
        clock.now += 1
    assert len(minted) == 1
    clock.now += 1
    assert tokens.token() == minted[-1]
    assert len(minted) == 2


def test_renewing_forgets_the_token() -> None:
    clock = StoppedClock()
    tokens = TokenSource(config(), clock)
    old = tokens.token()
    assert not tokens.corrected
    tokens.renew()
    clock.now += 1
    assert tokens.token() != old


def test_every_token_with_a_jti_is_another() -> None:
    tokens = TokenSource(config(send_jti=True), StoppedClock())
    found = [tokens.token() for _ in range(50)]
    assert len({claims_of(token)["jti"] for token in found}) == 50


def test_threads_share_a_token() -> None:
    minted: list[str] = []
    tokens = TokenSource(config(), StoppedClock(), minted.append)
    threads = [Thread(target=lambda: [tokens.token() for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(minted) == 1


@pytest.mark.parametrize(
    ("skew", "corrected"),
    [(0, False), (1.9, False), (-1.9, False), (10, True), (-10, True), (301, False), (-7200, False)],
)
def test_some_seconds_are_corrected_and_hours_are_not(skew: float, corrected: bool) -> None:
    clock = StoppedClock()
    tokens = TokenSource(config(), clock)
    tokens.token()
    tokens.observe(clock.time() + skew)
    assert tokens.corrected is corrected
    tokens.token()
    tokens.observe(clock.time() + skew)
    assert tokens.corrected is False


@pytest.mark.parametrize("algorithm", ["RS256", "RS512"])
@pytest.mark.parametrize(
    "key",
    ["-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n", PUBLIC, EC, ENCRYPTED, "x"],
    ids=["no key", "public key", "elliptic curve", "encrypted", "one letter"],
)
def test_a_key_that_cannot_sign_is_refused_by_its_field(algorithm: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"'password': cannot sign with {algorithm}") as caught:
        TokenSource(config(jwt_algorithm=algorithm, client_secret=key), StoppedClock()).token()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "QUJD" not in str(caught.value)


# --- Against the server ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "RS512"])
@pytest.mark.parametrize("enforce_jti", [False, True])
def test_the_server_takes_them(kore: Simulator, algorithm: str, enforce_jti: bool) -> None:
    kore.configure(jwt_algorithm=algorithm, enforce_jti=enforce_jti, require_exp=True)
    kore.add_list("cl-1", contacts=120)
    kore.add_fault("server_error", after_requests=1, times=2)
    assert Landing(kore).take().rows == 120


@pytest.mark.parametrize(
    ("offset", "lifetime"),
    [(-250, 5), (-250, 300), (-60, 5), (-3, 300), (-1, 5), (1, 300), (2, 5), (10, 5), (250, 5), (250, 300)],
)
def test_some_seconds_of_skew_do_no_harm(kore: Simulator, offset: float, lifetime: float) -> None:
    kore.configure(clock_offset=float(offset))
    kore.add_list("cl-1", contacts=120)
    landing = Landing(kore)
    assert landing.take({"token_lifetime": lifetime}).rows == 120
    assert sum(record.status == 401 for record in kore.requests) <= 1


@pytest.mark.parametrize("offset", [-7200.0, 7200.0])
def test_hours_of_skew_are_named_and_not_retried(kore: Simulator, offset: float) -> None:
    kore.configure(clock_offset=offset)
    kore.add_list("cl-1", contacts=120)
    with pytest.raises(CredentialsError, match=r"clock is 7,(200|199|201) s"):
        Landing(kore).take()
    assert len(kore.requests) == 1


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"password": "another-secret-that-is-long-enough-0123456789-0123456789-0123456789"}, CredentialsError),
        ({"login": "cs-unknown"}, CredentialsError),
        ({"stream_id": "st-unknown"}, CredentialsError),
        ({"account_id": "unknown"}, CredentialsError),
        ({"stream_id": "unknown"}, ConfigError),
        ({"jwt_algorithm": "HS512"}, CredentialsError),
    ],
)
def test_wrong_credentials_cost_one_request(kore: Simulator, wrong: dict[str, str], kind: type[Exception]) -> None:
    kore.add_list("cl-1", contacts=1)
    connection = kore.connection
    connection["extra"].update({name: value for name, value in wrong.items() if name not in connection})
    connection.update({name: value for name, value in wrong.items() if name in connection})
    error = outcome_of(lambda: CampaignClient(config_of(connection), clock=ImpatientClock(), retry=QUICK).check())
    assert isinstance(error, kind)
    assert len(kore.requests) == 1
