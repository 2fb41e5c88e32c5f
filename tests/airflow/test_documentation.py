"""What README and pages show is tried here: connections, sentences, DAGs."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.api.config import FIELDS, ApiConfig
from airflow_provider_kore.exceptions import ConfigError
from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.sensors.contact_list import ContactListSensor

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/connection.md",
    "docs/operator.md",
    "docs/campaigns-to-s3.md",
    "docs/contact-lists-to-s3.md",
    "docs/sensors.md",
    "docs/airflow.md",
    "docs/changes.md",
    "docs/examples.md",
)
OPERATOR = "from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator"
CONNECTION = (ROOT / "docs" / "connection.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", sorted(FIELDS | {"host", "login", "password", "port"}))
def test_every_field_of_the_connection_has_its_row(name: str) -> None:
    assert f"\n| `{name}` |" in CONNECTION


@pytest.mark.parametrize("page", PAGES[:2])
def test_connections_as_they_are_shown_work(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(blocks(page, "shell"))
    found = re.findall(r"(?:AIRFLOW_CONN_KORE_DEFAULT=|kore_default --conn-json )'(.*?)'", text, re.DOTALL)
    assert found
    for value in found:
        monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", value)
        config = KoreCampaignHook().config
        assert (config.base_url, config.stream_id, config.account_id) == ("https://platform.kore.ai", "st-1", "a-1")


def test_an_outer_key_that_airflow_does_not_know_hides_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "kore", "host": "https://kore.example", "stream_id": "st-1"}
    monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(connection))
    with pytest.raises(Exception, match=r"kore_default.* isn't defined"):
        _ = KoreCampaignHook().config


@pytest.mark.parametrize("extra", [{"token_lifetime": "4"}, {"streamId": "st-1"}])
def test_sentences_are_quoted_as_they_are(extra: dict[str, Any]) -> None:
    given = {"stream_id": "st-1", "account_id": "a-1"} | extra
    with pytest.raises(ConfigError) as caught:
        ApiConfig.parse(host="https://kore.example", login="cs-1", password="x", extra=given)
    assert str(caught.value) in CONNECTION


@pytest.mark.parametrize("page", PAGES)
def test_python_as_it_is_shown_runs(page: str, define: Callable[..., None]) -> None:
    define("kore_default", {"conn_type": "kore", "host": "http://127.0.0.1:9"})
    for code in blocks(page, "python"):
        given: dict[str, Any] = {}
        exec(f"from datetime import timedelta\n{OPERATOR}", given)  # noqa: S102
        exec(code, given)  # noqa: S102 - as a DAG processor would


def test_the_pictures_are_those_that_the_browser_test_takes_and_all_are_shown() -> None:
    taken = set(re.findall(r'ui\.picture\("([a-z-]+)"\)', (ROOT / "tests/browser/test_airflow_ui.py").read_text()))
    kept = {file.stem: file.stat().st_size for file in (ROOT / "docs" / "images").glob("*.png")}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    image = re.compile(r"!\[[^\]]+\]\([a-z/]*images/([a-z-]+)\.png\)")
    shown = {name for page in pages for name in image.findall(page.read_text())}
    assert taken == set(kept) == shown
    assert max(kept.values()) < 150_000


@pytest.mark.parametrize("sensor", [CampaignStatusSensor, ContactListSensor])
def test_every_parameter_of_a_sensor_has_its_row(sensor: type) -> None:
    text = (ROOT / "docs" / "sensors.md").read_text()
    own = {name for kind in sensor.__mro__[:2] for name in inspect.signature(kind.__init__).parameters}  # type: ignore[misc]
    assert {"deferrable", "status"} <= own
    assert [name for name in own - {"self", "kwargs"} if f"\n| `{name}` |" not in text] == []


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), (page, target)
