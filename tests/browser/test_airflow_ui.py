"""What a person sees of us in Airflow's own UI, in a real browser; `make screenshots` keeps the pictures."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from stage import BUCKET, LIST_ID

from airflow_provider_kore.connection_form import conn_fields, ui_field_behaviour
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

if TYPE_CHECKING:
    from airflow_processes import AirflowProcesses
    from airflow_ui import AirflowUi
    from stage import Stage

pytestmark = [
    pytest.mark.system,
    pytest.mark.debian,
    pytest.mark.once,
    pytest.mark.timeout(1200),
]

CONNECTION, TYPE = "kore_by_hand", "Kore.ai"
READY = "kore_default"
"""The connection that `make ui` brings along."""
DAG_ID, TASK_ID = "kore_contact_list_daily", "snapshot"
STANDARD = ui_field_behaviour()["relabeling"]
WRONG_SECRET = "not-the-secret-of-this-app-but-as-long-as-any-algorithm-asks-for-0123456789"


def test_a_person_connects_runs_the_example_and_reads_what_it_says(
    ui: AirflowUi, airflow: AirflowProcesses, stage: Stage
) -> None:
    secret = stage.kore.connection["password"]

    ui.add_connection(CONNECTION, TYPE)
    check_standard_fields(ui)
    fill_in_standard_fields(ui, stage)
    ui.picture("connection-form")
    ui.show_extra_fields()
    check_extra_fields(ui)
    fill_in_extra_fields(ui, stage)
    ui.picture("connection-form-extra")
    ui.save()

    ui.test_connection(CONNECTION)
    ui.await_message("Test Connection Successful", "the application has 3 contact lists.")
    ui.picture("connection-test")
    ui.dismiss_message("Test Connection Successful")

    ui.edit_connection(CONNECTION)
    check_the_secret_is_not_shown(ui)
    ui.field(STANDARD["password"]).get_by_role("textbox").fill(WRONG_SECRET)
    ui.save()
    ui.test_connection(CONNECTION)
    ui.await_message("Test Connection Failed", "check the client secret (password), the client id (login)")
    ui.picture("connection-test-refused")
    ui.dismiss_message("Test Connection Failed")

    ui.edit_connection(CONNECTION)
    ui.field(STANDARD["password"]).get_by_role("textbox").fill(secret)
    ui.save()
    check_nobody_is_told_the_secret(ui, airflow, secret)

    ui.test_connection(READY)
    ui.await_message("Test Connection Successful", "the application has 3 contact lists.")
    ui.dismiss_message("Test Connection Successful")

    ui.trigger(DAG_ID)
    assert ui.await_end() == "Success"
    ui.picture("dag-run")
    ui.open_task(TASK_ID)
    log = ui.log(until="Landed")
    assert f"Contact list {LIST_ID}: 2,000 contacts, 50 per page, 60 requests a minute" in log
    assert f"Landed 2,000 contacts of {LIST_ID} in s3://{BUCKET}/kore/contact_lists/" in log
    assert "WARNING" not in log
    assert "ERROR" not in log
    ui.picture("task-log")
    check_extra_links(ui)

    ui.show_xcom("return_value", "manifest_key")
    ui.picture("task-xcom")
    summary = ui.copy_xcom("return_value")
    assert summary["contacts"] == 2_000
    manifest = json.loads(stage.s3.get_object(Bucket=BUCKET, Key=summary["manifest_key"])["Body"].read())
    assert manifest["contacts"] == 2_000


def check_standard_fields(ui: AirflowUi) -> None:
    for label in STANDARD.values():
        expect(ui.field(label)).to_be_visible()
    for name, placeholder in ui_field_behaviour()["placeholders"].items():
        expect(ui.field(STANDARD[name]).get_by_role("textbox")).to_have_attribute("placeholder", placeholder)
    expect(ui.field("Schema")).to_have_count(0)
    expect(ui.field(STANDARD["password"]).get_by_role("textbox")).to_have_attribute("type", "password")


def fill_in_standard_fields(ui: AirflowUi, stage: Stage) -> None:
    host, _, port = stage.kore.url.rpartition(":")
    ui.field(STANDARD["host"]).get_by_role("textbox").fill(host)
    ui.field("Port").get_by_role("spinbutton").fill(port)
    ui.field(STANDARD["login"]).get_by_role("textbox").fill(stage.kore.connection["login"])
    ui.field(STANDARD["password"]).get_by_role("textbox").fill(stage.kore.connection["password"])


def check_extra_fields(ui: AirflowUi) -> None:
    """Each is labelled, described, and of a kind that takes what the connection takes."""
    roles = {"boolean": "checkbox", "integer": "spinbutton", "number": "spinbutton", "string": "textbox"}
    for declared in conn_fields().values():
        field, schema = ui.field(declared["label"]), declared["schema"]
        expect(field).to_have_count(1)
        expect(field).to_contain_text(declared["description"])
        role = "combobox" if "enum" in schema else roles[schema["type"][0]]
        expect(field.get_by_role(role)).to_be_attached()
        if schema.get("format") == "password":
            expect(field.get_by_role("textbox")).to_have_attribute("type", "password")
        if "enum" in schema:
            field.get_by_role("combobox").press("ArrowDown")
            expect(ui.page.get_by_role("option")).to_have_text(schema["enum"])
            field.get_by_role("combobox").blur()


def fill_in_extra_fields(ui: AirflowUi, stage: Stage) -> None:
    values = {"contact_list_url": "https://console.kore.example/lists/{contact_list_id}"}
    values |= {name: stage.kore.connection["extra"][name] for name in ("stream_id", "account_id")}
    for name, value in values.items():
        if name in conn_fields():
            ui.field(conn_fields()[name]["label"]).get_by_role("textbox").fill(value)
    ui.field("Connection ID").scroll_into_view_if_needed()


def check_the_secret_is_not_shown(ui: AirflowUi) -> None:
    """Not even to who asks for it."""
    field = ui.field(STANDARD["password"])
    expect(field.get_by_role("textbox")).to_have_value("***")
    expect(field.get_by_role("textbox")).to_have_attribute("type", "password")
    field.get_by_role("button", name="Show value").click()
    expect(field.get_by_role("textbox")).to_have_attribute("type", "text")
    expect(field.get_by_role("textbox")).to_have_value("***")


def check_nobody_is_told_the_secret(ui: AirflowUi, airflow: AirflowProcesses, secret: str) -> None:
    one, several = airflow.get(f"/api/v2/connections/{CONNECTION}"), airflow.get("/api/v2/connections")
    assert {one["password"], *(each["password"] for each in several["connections"])} == {"***"}
    told = [*ui.answers, ui.page.content(), json.dumps(one), json.dumps(several)]
    assert len([answer for answer in told if CONNECTION in answer]) >= 6  # made, listed, changed: all was overheard
    for answer in told:
        assert secret not in answer
        assert WRONG_SECRET not in answer
    proxy = json.dumps({"proxy": f"http://user:{secret}@proxy.example:3128"})
    airflow.call("POST", "/api/v2/connections", {"connection_id": "kore_proxy", "conn_type": "kore", "extra": proxy})
    assert json.loads(airflow.get("/api/v2/connections/kore_proxy")["extra"]) == {"proxy": "***"}


def check_extra_links(ui: AirflowUi) -> None:
    ui.show_details()
    for link in ContactListToS3Operator.operator_extra_links:
        expect(ui.extra_link(link.name)).to_have_attribute("href", re.compile(f"^https?://.*{LIST_ID}"))
        answer = ui.page.request.get(ui.extra_link(link.name).get_attribute("href") or "")
        assert answer.ok
        assert LIST_ID in answer.text()
    ui.picture("task-links")
