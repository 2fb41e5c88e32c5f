"""A field of the connection is declared in one place, and found wherever it is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_kore
from airflow_provider_kore.api import config
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.connection_fields import connection_field, count
from airflow_provider_kore.connection_form import conn_fields
from airflow_provider_kore.exceptions import ConfigError
from airflow_provider_kore.hooks.campaign import KoreCampaignHook

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import doc_tables

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTION = {"conn_type": "kore", "host": "https://kore.example", "login": "cs-1", "password": "x"}
EXTRA = {"stream_id": "st-1", "account_id": "a-1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WithFloor(ApiConfig):
    """The connection with one more field: this is all that is written for it."""

    floor: int = connection_field(count(3), 7, label="Floor", help="Where the phones ring.", kind="integer")


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ApiConfig", WithFloor)


@pytest.mark.usefixtures("one_more")
def test_a_field_that_is_added_is_in_the_form() -> None:
    info: dict[str, Any] = airflow_provider_kore.get_provider_info()
    assert info["connection-types"][0]["conn-fields"]["floor"] == {
        "label": "Floor",
        "description": "Where the phones ring. Default: 7.",
        "schema": {"type": ["integer", "null"]},
    }
    assert list(conn_fields())[-1] == "floor"


@pytest.mark.usefixtures("one_more")
def test_a_field_that_is_added_is_in_the_widgets_of_older_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from unittest.mock import MagicMock

    for name in ("wtforms", "wtforms.validators", "flask_babel", "flask_appbuilder", "flask_appbuilder.fieldwidgets"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    assert set(KoreCampaignHook.get_connection_form_widgets()) == {*conn_fields()} >= {"floor", "page_size"}


@pytest.mark.usefixtures("one_more")
def test_a_field_that_is_added_is_in_the_table_of_the_documentation() -> None:
    assert doc_tables.connection_fields()[-1] == doc_tables.Fact(
        name="floor", default="`7`", text="Where the phones ring."
    )


@pytest.mark.usefixtures("one_more")
def test_a_field_that_is_added_is_read_checked_and_known_by_its_name(define: Callable[..., None]) -> None:
    def read(**extra: object) -> Any:
        define("kore_default", CONNECTION | {"extra": EXTRA | extra})
        return KoreCampaignHook().config

    assert (read().floor, read(floor="4").floor) == (7, 4)
    with pytest.raises(ConfigError, match=r"field 'floor': is 2; use a whole number, 3 or more"):
        read(floor=2)
    with pytest.raises(ConfigError, match=r"'flor'.*did you mean 'floor'"):
        read(flor=4)


def test_without_it_the_field_is_refused() -> None:
    with pytest.raises(ConfigError, match="field 'floor': is no field"):
        ApiConfig.parse(host="kore.example", login="cs-1", password="x", extra=EXTRA | {"floor": 4})


def test_the_table_says_of_every_field_what_it_defaults_to() -> None:
    defaults = {fact.name: fact.default for fact in doc_tables.connection_fields()}
    assert set(defaults) == config.FIELDS
    assert defaults["stream_id"] == "required"
    assert defaults["requests_per_minute"] == "`60`"
    assert defaults["verify"] == "`true`"
    assert defaults["page_size"] == ""
