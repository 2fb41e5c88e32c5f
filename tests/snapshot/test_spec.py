"""Parameters are checked once, as an author writes them or as a template renders them."""

from __future__ import annotations

from typing import Any

import pytest
from model_world import World

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import check_bucket
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.spec import default_staging_prefix


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("contact_list_id", ""),
        ("contact_list_id", "a/b"),
        ("s3_prefix", "/a"),
        ("s3_prefix", "a//b"),
        ("s3_prefix", "a/../b"),
        ("s3_prefix", "a\nb"),
        ("s3_prefix", "a" * 600),
        ("s3_prefix", 7),
        ("staging_prefix", "kore/lists/x"),
        ("staging_prefix", "kore/lists"),
        ("snapshot_date", "20260101"),
        ("snapshot_date", "2026-13-01"),
        ("snapshot_date", "2026-W01-1"),
        ("file_format", "xml"),
        ("compression", "lzma"),
        ("replace", "perhaps"),
        ("durable", 2),
        ("page_size", 0),
        ("on_drift", "ignore"),
        ("max_walks", 0),
        ("max_walks", 1.5),
        ("min_contacts", -1),
        ("min_contacts", 10**9),  # more than max_contacts, which nobody has set
        ("max_shrink", 1.1),
        ("max_shrink", "nan"),
        ("rows_per_file", 0),
        ("rows_per_file", True),
        ("staging_expiry", -1),
    ],
)
def test_a_bad_value_names_its_parameter(parameter: str, value: Any) -> None:
    with pytest.raises(ParameterError) as caught:
        World().spec(**{parameter: value})
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("value", "said"), [("", "is empty"), (None, "is empty"), (["cl-1"], "is ['cl-1']"), (7, "is 7")]
)
def test_an_id_that_is_none_is_told_from_one_that_is_missing(value: Any, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        World().spec(contact_list_id=value)
    assert f"'contact_list_id': {said}; pass an id" in str(caught.value)


def test_strings_that_a_template_rendered_are_read() -> None:
    spec = World().spec(replace="False", durable="true", max_walks="2", rows_per_file="", max_shrink="0.5")
    assert (spec.replace, spec.durable, spec.max_walks, spec.rows_per_file, spec.max_shrink) == (
        False,
        True,
        2,
        None,
        0.5,
    )


@pytest.mark.parametrize("value", ["s3://b", "b/p", "", "a b", "arn:aws:s3:eu-west-1:1:accesspoint/x", "x" * 256, None])
def test_a_bucket_is_a_bare_name(value: Any) -> None:
    with pytest.raises(ParameterError):
        check_bucket(value)


@pytest.mark.parametrize(
    "value",
    [
        "my-bucket.1",
        "Upper_and_lower",
        "lake--euc1-az1--x-s3",
        "reports-8s4bn6ahs8u3xtf9a7qmnyqe1jxmweuc1a-s3alias",
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/reports",
        "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:reports",
        "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
        "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/reports",
    ],
)
def test_what_boto3_takes_for_a_bucket_is_taken(value: str) -> None:
    from botocore.handlers import validate_bucket_name

    validate_bucket_name({"Bucket": value})  # raises for what boto3 refuses
    assert check_bucket(value) == value


@pytest.mark.parametrize(("prefix", "staging"), [("", "_staging"), ("a", "_staging/a"), ("a/b", "a/_staging/b")])
def test_staging_lies_beside_the_table(prefix: str, staging: str) -> None:
    assert default_staging_prefix(prefix) == staging


def test_keys_hold_whatever_airflow_allows_in_ids() -> None:
    spec = World().spec()
    layout = Layout(spec)
    assert layout.object == "kore/lists/contact_list_id=cl-1/snapshot_date=2026-01-01/contacts.jsonl.gz"
    assert layout.staging.startswith("kore/_staging/lists/dag/land/")
    assert not layout.staging.startswith(layout.list_prefix)
