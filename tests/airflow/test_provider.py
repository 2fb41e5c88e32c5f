"""What Airflow finds out about the provider by itself: the connection type, its form, the hook behind it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from airflow_provider_kore.api.config import FIELDS
from airflow_provider_kore.connection_form import conn_fields, ui_field_behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LABELS = {name: field["label"] for name, field in conn_fields().items()}


@pytest.fixture(scope="module")
def form() -> Iterator[Mapping[str, Any]]:
    """The form as Airflow's UI asks for it, on this version's way: from the provider info, or by the hook's methods.

    3.0 asks the hooks only where flask-appbuilder is installed, and shows no provider's fields where it isn't. Later
    versions stand in for it by themselves; here 3.0 gets the same stand-ins.
    """
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    lent = []
    if importlib.metadata.version("apache-airflow").startswith("3.0.") and not importlib.util.find_spec("wtforms"):
        lent = ["wtforms", "wtforms.fields", "wtforms.fields.simple", "wtforms.validators"]
        lent += ["flask_babel", "flask_appbuilder", "flask_appbuilder.fieldwidgets"]
        sys.modules.update({name: MagicMock() for name in lent})
    (found,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "kore"]
    yield found.model_dump(by_alias=False)
    for name in lent:
        del sys.modules[name]


def test_the_form_is_there_under_the_providers_name(form: Mapping[str, Any]) -> None:
    assert form["hook_name"] == "Kore.ai"
    assert form["hook_class_name"] == "airflow_provider_kore.hooks.campaign.KoreCampaignHook"
    assert form["default_conn_name"] in {None, "kore_default"}


def test_the_form_has_exactly_the_fields_that_the_hook_reads(form: Mapping[str, Any]) -> None:
    assert set(form["extra_fields"]) == FIELDS == set(conn_fields())


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_field_is_labelled_described_and_of_its_type(form: Mapping[str, Any], name: str) -> None:
    field, declared = form["extra_fields"][name], conn_fields()[name]
    schema = field["schema"]
    assert LABELS[name] in {schema.get("title"), field.get("label")}
    assert declared["description"] in {field.get("description"), schema.get("description")}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    wanted = declared["schema"]["type"][0]
    # the forms of 3.0 and 3.1 have no field for fractions: they take text, and the hook reads the number in it
    assert kinds[0] in ({"number", "string"} if wanted == "number" else {wanted})
    assert schema.get("enum") == declared["schema"].get("enum")
    assert schema.get("format") == declared["schema"].get("format")


def test_the_standard_fields_say_what_belongs_into_them(form: Mapping[str, Any]) -> None:
    standard = form["standard_fields"]
    for name, label in ui_field_behaviour()["relabeling"].items():
        assert standard[name]["title"] == label
    assert standard["url_schema"]["hidden"]
    assert not (standard["port"] or {}).get("hidden")  # 3.3.2 tests none without a port


def test_airflow_finds_type_and_hook_and_our_code_warns_about_nothing() -> None:
    """In a fresh interpreter, once Airflow itself is imported: every warning from then on would be ours."""
    code = """
import warnings
from airflow.providers_manager import ProvidersManager
import airflow.sdk
manager = ProvidersManager()
manager.initialize_providers_list()
with warnings.catch_warnings():
    warnings.filterwarnings("error", module=r"airflow_provider_kore.*")
    warnings.filterwarnings("error", message=r".*(kore|Kore).*")
    hook = manager.hooks["kore"]
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook
    from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
    KoreCampaignHook("any")
    ContactListToS3Operator(task_id="t", contact_list_id="cl-1", s3_bucket="b")
print(hook.hook_name, hook.hook_class_name, hook.connection_type, hook.package_name)
"""
    answer = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert answer.stdout.splitlines()[-1] == (
        "Kore.ai airflow_provider_kore.hooks.campaign.KoreCampaignHook kore airflow-provider-kore"
    )
