"""Parameters: a template's text and a native value mean the same, and what is refused is named with what was given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import (
    check_boolean,
    check_choice,
    check_count,
    check_date,
    check_number,
    refuse_templates,
    structure,
)
from airflow_provider_kore.snapshot.fields import FieldPolicies
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.store.s3.settings import parse_settings

RUN = RunKey(dag_id="d", run_id="r", task_id="t")


def spec(**parameters: Any) -> SnapshotSpec:
    given: dict[str, Any] = {"s3_prefix": "a/b", "snapshot_date": "2026-01-01", **parameters}
    return SnapshotSpec.parse(source=ContactListSource(contact_list_id="cl-1"), run=RUN, **given)


@pytest.mark.parametrize(
    ("parameter", "native", "text"),
    [
        ("page_size", 50, "50"),
        ("page_size", None, "None"),
        ("min_rows", 5, "5"),
        ("min_rows", 0, "None"),
        ("max_rows", 10, "10"),
        ("max_shrink", 0.5, "0.5"),
        ("max_shrink", 1, "1"),
        ("rows_per_file", 500, "500"),
        ("rows_per_file", None, "None"),
        ("rows_per_file", None, ""),
        ("replace", False, "False"),
        ("replace", True, " true "),
        ("durable", False, "false"),
        ("on_drift", "accept", " accept"),
        ("staging_prefix", None, "None"),
        ("staging_expiry", 100, "100"),
        ("max_walks", 2, "2"),
    ],
)
def test_a_templates_text_and_a_native_value_mean_the_same(parameter: str, native: object, text: str) -> None:
    assert spec(**{parameter: native}) == spec(**{parameter: text})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(value=st.lists(JSON, max_size=4) | st.dictionaries(st.text(max_size=10), JSON, max_size=4))
def test_a_list_or_dictionary_is_the_same_as_json_and_as_python_writes_it(value: Any) -> None:
    assert structure("x", json.dumps(value)) == value
    assert structure("x", repr(value)) == value
    assert structure("x", value) is value


def test_field_policies_are_read_from_what_a_template_renders() -> None:
    native = FieldPolicies.parse({"drop": ["lastName"]}, {"phoneNumber": "mask"})
    for fields, policies in (
        ('{"drop": ["lastName"]}', '{"phoneNumber": "mask"}'),
        ("{'drop': ['lastName']}", "{'phoneNumber': 'mask'}"),
    ):
        assert FieldPolicies.parse(structure("fields", fields), structure("field_policies", policies)) == native


@pytest.mark.parametrize("text", ["[1, 2", "{'a': open('x')}", "[" * 5000, "{1, 2", "(" + "1," * 60_000])
def test_what_is_neither_is_refused_shortly(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        structure("fields", text)
    assert len(str(caught.value)) < 300


@given(value=JSON)
def test_no_value_of_any_kind_ends_in_anything_but_a_value_or_a_parameter_error(value: Any) -> None:
    for check in (
        lambda: check_boolean("x", value),
        lambda: check_choice("x", value, ("a", "b")),
        lambda: check_count("x", value, least=0, default=1),
        lambda: check_date("x", value),
        lambda: check_number("x", value, least=0),
        lambda: structure("x", value),
        lambda: parse_settings(value),
        lambda: refuse_templates({"x": value}),
        lambda: spec(page_size=value, rows_per_file=value),
        lambda: spec(max_shrink=value, staging_prefix=value),
    ):
        try:
            check()
        except ParameterError as err:
            assert "\n" not in str(err)  # noqa: PT017 - any of two outcomes is right


@pytest.mark.parametrize(
    "number", ["1e10000", "9" * 5000, 10**400, float("nan"), float("inf"), "\uff11\uff12", "1_000", "0x10"]
)
def test_odd_numbers_are_refused_or_mean_what_they_say(number: Any) -> None:
    try:
        found = check_number("max_shrink", number, least=0.0, most=1.0)
    except ParameterError as err:
        assert len(str(err)) < 200  # noqa: PT017
    else:
        assert 0 <= found <= 1


@pytest.mark.parametrize(
    "value", ["{{ params.x }}", "a/{{ds}}/b", ["x", "{% raw %}"], {"keep": ["{{ y }}"]}, {"tags": {"a": "{{ z }}"}}]
)
def test_a_template_that_was_left_in_a_parameter_is_no_name(value: Any) -> None:
    with pytest.raises(ParameterError, match="still holds a template") as caught:
        refuse_templates({"s3_prefix": "fine", "staging_prefix": value})
    assert caught.value.parameter == "staging_prefix"


# --- s3_settings ---


@pytest.mark.parametrize(
    "tags",
    [
        {"team": "contact center", "n": 5},
        [{"Key": "team", "Value": "contact center"}, {"Key": "n", "Value": "5"}],
        "team=contact%20center&n=5",
        '{"team": "contact center", "n": "5"}',
    ],
    ids=["dictionary", "as boto3 lists them", "as boto3 writes them", "as JSON"],
)
def test_tags_are_taken_as_boto3_takes_them(tags: Any) -> None:
    assert dict(parse_settings({"tags": tags}).tags) == {"team": "contact center", "n": "5"}


@pytest.mark.parametrize("owner", [123456789012, "123456789012", 12345])
def test_an_account_may_be_a_number(owner: Any) -> None:
    assert parse_settings({"expected_bucket_owner": owner}).expected_bucket_owner == f"{int(owner):012d}"


def test_a_setting_that_is_none_or_empty_is_left_to_the_bucket() -> None:
    assert parse_settings({"encryption": None, "acl": "", "tags": None}) == parse_settings(None) == parse_settings("")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"encription": "AES256"}, "did you mean 'encryption'"),
        ({"tags": 12}, "is 12"),
        ({"tags": {"a": ["b"]}}, "has 'a'"),
        (["encryption"], "pass a dictionary"),
        ({"kms_key_id": 5, "encryption": "aws:kms"}, "is 5"),
        ({"bucket_key": "perhaps", "encryption": "aws:kms"}, "is 'perhaps'"),
        ({5: 6}, "has 5, which is no setting"),
    ],
)
def test_an_impossible_setting_is_named_with_what_was_given(given: Any, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        parse_settings(given)


@pytest.mark.parametrize(
    ("given", "means"), [("sha256", "SHA256"), ("CRC32", "CRC32"), ("none", "NONE"), (None, "NONE"), ("None", "NONE")]
)
def test_the_checksum_is_taken_in_any_case_and_none_is_none(given: Any, means: str) -> None:
    assert parse_settings({"checksum_algorithm": given}).checksum_algorithm == means
