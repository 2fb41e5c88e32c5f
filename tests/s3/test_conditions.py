"""A store that ignores conditions is found out before it is trusted, and nothing is left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from model_store import MemoryStore

from airflow_provider_kore.store.capabilities import Honoured, honoured_by
from airflow_provider_kore.store.s3 import S3Store
from airflow_provider_kore.store.store import ConditionFailed, ConditionUnsupported

if TYPE_CHECKING:
    from model_store import Ignored
    from s3_servers import S3Server

KINDS: dict[Ignored, str] = {
    "put_create": "create-once put",
    "put_swap": "compare-and-swap put",
}


@pytest.mark.parametrize("ignored", [None, *KINDS])
def test_each_ignored_condition_is_found_out(ignored: Ignored | None) -> None:
    store = MemoryStore(honours_conditions=None, ignored=frozenset({ignored} if ignored else ()))
    found = honoured_by(store, "staging/")
    assert found.ignored == ((KINDS[ignored],) if ignored else ())
    assert store.bodies() == {}


def test_a_store_that_ignores_everything_is_found_out() -> None:
    store = MemoryStore(honours_conditions=None, ignored=frozenset(KINDS))
    assert set(honoured_by(store, "staging/").ignored) == set(KINDS.values())
    assert store.bodies() == {}


def test_a_store_that_knows_no_conditions_is_found_out() -> None:
    class Ignorant(MemoryStore):
        def put(self, *args: Any, condition: Any = None, **more: Any) -> Any:
            if condition:
                raise ConditionUnsupported(self.bucket)
            return super().put(*args, **more)

    store = Ignorant(honours_conditions=None)
    found = honoured_by(store, "staging/")
    assert set(found.ignored) == set(KINDS.values())
    assert not found.usable


def test_a_store_that_fails_every_condition_is_found_out() -> None:
    class Refusing(MemoryStore):
        def put(self, key: str, *args: Any, condition: Any = None, **more: Any) -> Any:
            if condition:
                raise ConditionFailed(key)
            return super().put(key, *args, **more)

    found = honoured_by(Refusing(honours_conditions=None), "staging/")
    assert not found.usable


@pytest.mark.parametrize("server", ["moto", "ministack"])
def test_real_servers_are_judged_as_they_are(server: str, request: pytest.FixtureRequest) -> None:
    running: S3Server = request.getfixturevalue(f"{server}_server")
    store = S3Store(running.client(), running.bucket())
    assert honoured_by(store, "staging/").ignored == ()
    assert list(store.list("")) == []


def test_it_costs_five_requests_and_the_probe_is_below_the_prefix() -> None:
    store = MemoryStore(honours_conditions=None)
    honoured_by(store, "staging/run 1/")
    assert [effect.name for effect in store.effects] == ["put", "put", "put", "put", "delete"]
    assert all(effect.key.startswith("staging/run 1/probe-") for effect in store.effects)


@pytest.mark.parametrize("known", [True, False])
def test_what_is_known_is_not_tried(known: bool) -> None:
    store = MemoryStore(honours_conditions=known)
    expected = Honoured(ignored=() if known else tuple(KINDS.values()), usable=known)
    assert honoured_by(store, "staging/") == expected
    assert store.effects == []


@pytest.mark.parametrize(
    ("endpoint", "known"),
    [
        (None, True),
        ("https://bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("http://127.0.0.1:9000", None),
        ("https://amazonaws.com.example", None),
    ],
)
def test_aws_is_known_by_its_endpoint(endpoint: str | None, known: bool | None) -> None:
    client: Any = boto3.Session(region_name="eu-central-1").client("s3", endpoint_url=endpoint)
    assert S3Store(client, "bucket").honours_conditions is known
