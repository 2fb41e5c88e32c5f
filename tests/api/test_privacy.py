"""No secret, token or contact leaves by an error, its pickle, its traceback or the log, whatever goes wrong."""

from __future__ import annotations

import http.client
import logging
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest
from clocks import ImpatientClock
from landing import QUICK, SENSITIVE, Landing, config_of

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.simulator import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.simulator import Simulator

SLOW = {"latency": {"seconds": 0.01}, "slow_body": {"piece": 4096, "pause": 0.001}}


def shown(error: BaseException) -> Iterator[str]:
    """Yield every form in which an error may reach a log, a database or another process."""
    yield str(error)
    yield repr(error)
    yield repr(error.args)
    yield repr(vars(error))
    yield pickle.dumps(error).decode("latin-1")
    yield "".join(traceback.format_exception(error))
    chain: BaseException | None = error
    while chain is not None:
        yield repr(chain)
        chain = chain.__cause__ or chain.__context__


@pytest.fixture
def spoilt(kore: Simulator, request: pytest.FixtureRequest) -> Simulator:
    """An environment in which the named fault always strikes."""
    kore.add_list("cl-1", contacts=120)
    kore.add_fault(request.param, **SLOW.get(request.param, {}))
    return kore


@pytest.mark.parametrize("spoilt", sorted(FAULTS), indirect=True)
def test_no_fault_tells_what_it_should_not(spoilt: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []
    client = CampaignClient(config_of(spoilt.connection), clock=ImpatientClock(), retry=QUICK, on_token=tokens.append)
    errors: list[KoreError] = []
    for call in (client.get_contact_lists, lambda: client.get_contact_list("cl-1"), client.check):
        try:
            call()
        except KoreError as err:
            errors.append(err)
    try:
        for _ in client.iter_pages(contacts_of("cl-1")):
            pass
    except KoreError as err:
        errors.append(err)
    try:
        Landing(spoilt).take()
    except KoreError as err:
        errors.append(err)
    for error in errors:
        for text in shown(error):
            assert not SENSITIVE.search(text), text
            assert not any(token in text for token in tokens)
    assert not SENSITIVE.search(caplog.text)


@pytest.mark.parametrize("send_jti", [False, True])
def test_no_log_of_a_library_shows_a_token(
    kore: Simulator,
    send_jti: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sensors' tokens, and those of apps that enforce JTI, are not known to the masker: it never forgets one."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    kore.add_list("cl-1", contacts=120)
    tokens: list[str] = []
    settings = config_of(kore.connection, send_jti=send_jti)
    with CampaignClient(settings, clock=ImpatientClock(), retry=QUICK, on_token=tokens.append, in_flight=4) as client:
        for _ in client.iter_pages(contacts_of("cl-1")):
            pass
    told = [caplog.text, *capfd.readouterr()]
    assert "urllib3" in caplog.text
    assert tokens
    assert not any(token.rpartition(".")[2] in text for token in tokens for text in told)


def test_objects_that_hold_secrets_do_not_show_them(kore: Simulator) -> None:
    config = config_of(kore.connection)
    client = CampaignClient(config, clock=ImpatientClock())
    for shown_object in (
        config,
        client,
        client._sender._tokens,
        client._sender._transport,
        client.allowance,
        client.spent,
    ):
        assert not SENSITIVE.search(repr(shown_object))


@pytest.mark.parametrize(
    "name", ["unauthorized", "reset_after_headers", "cut_json", "contact_without_id", "duplicate_id"]
)
def test_locals_in_a_traceback_hold_no_token_and_no_secret(kore: Simulator, name: str) -> None:
    """Some log formatters print them. Contacts may be among them: the page that is refused is in its frame."""
    kore.add_list("cl-1", contacts=20)
    kore.add_fault(name, endpoint="contacts")
    tokens: list[str] = []
    client = CampaignClient(config_of(kore.connection), clock=ImpatientClock(), retry=QUICK, on_token=tokens.append)
    text = ""
    try:
        list(client.iter_pages(contacts_of("cl-1")))
    except KoreError as err:
        text = "".join(traceback.TracebackException.from_exception(err, capture_locals=True).format())
    assert "iter_pages" in text
    assert kore.settings.client_secret not in text
    assert tokens
    secrets = [line for line in text.splitlines() if not line.strip().startswith(("tokens", "kore "))]
    assert not any(token in line for token in tokens for line in secrets)
