"""A client of the simulator and a bucket in memory: what a snapshot lands, and how errors must read."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clocks import ImpatientClock
from model_store import MemoryStore

from airflow_provider_kore.api.client import MOST_IN_FLIGHT, CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.retry import RetryPolicy
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.api.transport import RequestsTransport
from airflow_provider_kore.exceptions import ConfigError, DriftError, KoreError, ParameterError
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, Transport
    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.walk.source import Source

QUICK = RetryPolicy(first_delay=0.001, longest_delay=0.002)
"""As patient as the real one in tries, not in time."""


def config_of(connection: Mapping[str, Any], **extra: object) -> ApiConfig:
    """Return the parsed connection, with fields of its extra changed."""
    return ApiConfig.parse(
        host=connection["host"],
        login=connection["login"],
        password=connection["password"],
        extra={**connection["extra"], **extra},
    )


class Interrupted:
    """The real transport, with happenings before the request of their number (1 is the first)."""

    def __init__(self, transport: Transport, happenings: Mapping[int, Callable[[], object]]) -> None:
        self._transport = transport
        self._happenings = happenings
        self._sent = 0

    def send(self, request: HttpRequest) -> HttpResponse:
        self._sent += 1
        self._happenings.get(self._sent, lambda: None)()
        return self._transport.send(request)

    def close(self) -> None:
        self._transport.close()


def client_of(
    kore: Simulator,
    clock: ImpatientClock | None = None,
    happenings: Mapping[int, Callable[[], object]] | None = None,
    *,
    in_flight: int = 1,
    **extra: object,
) -> CampaignClient:
    """Return a client that retries at once and never sleeps; one request after the other where things happen."""
    config, clock = config_of(kore.connection, **extra), clock or ImpatientClock()
    transport = Interrupted(RequestsTransport(config, clock, connections=in_flight), happenings or {})
    return CampaignClient(
        config, clock=clock, retry=QUICK, transport=transport, in_flight=1 if happenings else in_flight
    )


@dataclass
class Landing:
    """One source's way into a bucket in memory."""

    kore: Simulator
    list_id: str = "cl-1"
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: ImpatientClock = field(default_factory=ImpatientClock)
    source: Source | None = None
    """None: the contacts of the list."""
    happenings: Mapping[int, Callable[[], object]] = field(default_factory=dict)
    """What happens before the request of this number of the next try."""
    in_flight: int = MOST_IN_FLIGHT
    """As the hook has it: pages are read ahead, whatever the server does. 1: one by one, where a test counts them."""

    def take(self, extra: Mapping[str, object] | None = None, **parameters: Any) -> Manifest:
        spec = SnapshotSpec.parse(
            source=self.source or ContactListSource(contact_list_id=self.list_id),
            s3_prefix="lake/contacts",
            run=RunKey(dag_id="dag", run_id="run", task_id="task"),
            **{"durable": False, "snapshot_date": "2026-01-02", **parameters},
        )
        with client_of(self.kore, self.clock, self.happenings, in_flight=self.in_flight, **(extra or {})) as client:
            return take_snapshot(spec, client, self.store, self.clock)

    @property
    def published(self) -> dict[str, bytes]:
        """What readers can see."""
        return self.store.bodies("lake/contacts/")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What landed, read as a reader would."""
        (key,) = [key for key in self.published if key.endswith(".jsonl.gz")]
        return [json.loads(line) for line in gzip.decompress(self.published[key]).decode().splitlines()]


SENSITIVE = re.compile(r"cc-[a-z0-9]|\+1555|eyJ[A-Za-z0-9_-]{8}|simulated-secret|BEGIN [A-Z ]*PRIVATE", re.IGNORECASE)
"""Ids and numbers of contacts, tokens, secrets: what no message may hold."""

_ADVICE = re.compile(
    r"\b(check|set|ask|grant|wait|try|raise|use|pass|clear|lower|give|install|copy|look|run|take|see)\b", re.IGNORECASE
)


def assert_clear(err: KoreError) -> None:
    """Hold a message to the house's rule: what is wrong, where, what to do; never a secret or a contact."""
    text = str(err)
    assert text.endswith((".", "?")), text
    assert not SENSITIVE.search(text), text
    assert len(text) < 600, text
    assert "\n" not in text
    assert "  " not in text
    named = ("cl-", "cd-", "campaign", "http", "skip", "page", "totalResults", "hasMore", "list", "field", "catalogue")
    assert any(name in text for name in named), text
    if isinstance(err, (ConfigError, ParameterError)):
        return  # their form is advice
    assert _ADVICE.search(text) or isinstance(err, DriftError), text


def outcome_of(call: Callable[[], object]) -> KoreError:
    """Return the error that a call must raise, after a look at its message."""
    try:
        call()
    except KoreError as err:
        assert_clear(err)
        return err
    raise AssertionError("no error")
