"""Field policies change what they name, nothing else, and never show the key."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import pickle
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.snapshot.fields import POLICIES, FieldCounts, FieldPolicies

KEY = b"0123456789abcdef0123456789abcdef"
CONTACT = '{"_id": "cc-1", "phoneNumber" :"+4915112345678","firstName":"Jos\\u00e9","n":1.10,"x":{"b":[1, 2]},"e":null}'


def policies(fields: object = None, **field_policies: str) -> FieldPolicies:
    return FieldPolicies.parse(fields, field_policies).with_key(KEY, "k-2025")


def digest(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("given", [(None, None), (None, {})])
def test_without_policies_a_contact_passes_as_it_is(given: tuple[object, object]) -> None:
    nothing = FieldPolicies.parse(*given)
    assert nothing.unchanged
    assert nothing.apply(CONTACT) is CONTACT
    assert nothing.unseen(set()) == []


def test_a_policy_leaves_all_other_members_as_they_were_written() -> None:
    assert policies(phoneNumber="drop").apply(CONTACT) == (
        '{"_id": "cc-1", "firstName":"Jos\\u00e9", "n":1.10, "x":{"b":[1, 2]}, "e":null}'
    )
    assert policies(other="drop").apply(CONTACT) is CONTACT


@pytest.mark.parametrize("fields", [["n", "x"], {"keep": ("_id", "x", "n")}])
def test_fields_keeps_only_what_it_names_and_the_id(fields: object) -> None:
    assert policies(fields).apply(CONTACT) == '{"_id": "cc-1", "n":1.10, "x":{"b":[1, 2]}}'


def test_fields_can_drop_what_it_names() -> None:
    assert json.loads(policies({"drop": ["n", "x", "e"]}, phoneNumber="mask").apply(CONTACT)) == {
        "_id": "cc-1",
        "phoneNumber": "****78",
        "firstName": "José",
    }


@pytest.mark.parametrize(
    ("raw", "hashed"),
    [
        ('"+4915112345678"', "+4915112345678"),
        ('"\\u002b4915112345678"', "+4915112345678"),
        ('" +49 "', " +49 "),
        ('""', ""),
        ("4915112345678", "4915112345678"),
        ("1.10", "1.10"),
        ("true", "true"),
        ('{"a": [1,2]}', '{"a": [1,2]}'),
    ],
)
def test_a_hash_is_an_hmac_of_the_exact_value(raw: str, hashed: str) -> None:
    assert json.loads(policies(p="hash").apply(f'{{"p":{raw}}}')) == {"p": digest(hashed)}


@pytest.mark.parametrize("policy", ["hash", "mask"])
def test_null_stays_null(policy: str) -> None:
    assert policies(p=policy).apply('{"_id":"cc-1","p": null}') == '{"_id":"cc-1", "p": null}'


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        ('"+4915112345678"', "****78"),
        ('"abcdef"', "****ef"),
        ('"abcde"', "****"),
        ('""', "****"),
        ("4915112345678", "****78"),
        ("true", "****"),
        ('"abcde\\ud800"', "****e\ud800"),
    ],
)
def test_a_mask_shows_two_characters_and_no_length(raw: str, masked: str) -> None:
    assert json.loads(policies(p="mask").apply(f'{{"p":{raw}}}')) == {"p": masked}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_key_that_stands_twice_or_in_disguise_is_treated_each_time(policy: str) -> None:
    twice = '{"_id":"cc-1","phoneNumber":"+4915112345678","\\u0070honeNumber" : "+4915187654321"}'
    out = policies(phoneNumber=policy).apply(twice)
    assert "49151" not in out
    assert json.loads(out)["_id"] == "cc-1"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
names = st.sampled_from(["a", "b", " Priority", "", 'quo"te', "é", "\ud800"])


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(names, values), st.dictionaries(names, st.sampled_from(sorted(POLICIES))), st.booleans())
def test_policies_agree_with_a_model(contact: dict[str, object], wanted: dict[str, str], ascii_only: bool) -> None:
    raw = json.dumps({"_id": "cc-1", **contact}, ensure_ascii=ascii_only)
    seen = FieldCounts()
    chosen = FieldPolicies.parse(None, wanted).with_key(KEY, "k")
    out = json.loads(chosen.apply(raw, seen))
    assert list(out) == ["_id", *(name for name in contact if wanted.get(name) != "drop")]
    for name, value in contact.items():
        if name not in wanted or (value is None and wanted[name] != "drop"):
            assert out[name] == value
        elif wanted[name] == "hash":
            assert re.fullmatch("[0-9a-f]{64}", out[name])
        elif wanted[name] == "mask":
            assert out[name].startswith("****")
            assert len(out[name]) <= 6
    assert seen.found == dict.fromkeys(wanted.keys() & contact.keys(), 1)
    assert chosen.unseen(seen.found) == sorted(wanted.keys() - contact.keys())


def test_fields_that_no_contact_has_are_reported_over_all_chunks() -> None:
    chosen = policies(["phoneNumber", "lastName", "phonenumber"], phoneNumber="hash")
    first: set[str] = set()
    second: set[str] = set()
    chosen.apply(CONTACT, first)
    chosen.apply('{"_id": "cc-2", "lastName": "x"}', second)
    assert chosen.unseen(first) == ["lastName", "phonenumber"]
    assert chosen.unseen(first | second) == ["phonenumber"]


def test_contacts_that_lack_a_field_are_counted_once_each_and_survive_a_checkpoint() -> None:
    chosen = policies(["phoneNumber", "lastName", "n"], phoneNumber="hash", lastName="mask")
    counts = FieldCounts()
    for raw in (CONTACT, '{"_id": "cc-2", "lastName": null}', '{"_id": "cc-3", "phoneNumber": 1, "phoneNumber": 2}'):
        chosen.apply(raw, counts)
        counts.contacts += 1
        counts = FieldCounts(**json.loads(json.dumps(asdict(counts))))
    assert chosen.missing(counts) == {"lastName": 3 - counts.found["lastName"], "phoneNumber": 1}
    assert counts.found["phoneNumber"] == 2, "a key that stands twice in one contact counts once"
    assert "n" not in chosen.missing(counts), "a field that is only kept may be missing: nothing leaks"


def test_a_missing_field_fails_only_where_the_author_wants_that() -> None:
    counts = FieldCounts(5, {"a": 4, "b": 5})
    FieldPolicies.parse(None, {"a": "mask"}).check_missing(counts)
    FieldPolicies.parse(None, {"b": "mask"}, "fail").check_missing(counts)
    FieldPolicies.parse(["a", "zzz"], None, "fail").check_missing(counts)
    for policy in ("mask", "drop"):
        with pytest.raises(ParameterError, match=r"'a' \(1 of them\).*renamed"):
            FieldPolicies.parse(None, {"a": policy}, "fail").check_missing(counts)
    with pytest.raises(ParameterError, match="'on_missing_field': is 'ignore'; use 'warn' or 'fail'"):
        FieldPolicies.parse(None, None, "ignore")


def test_names_in_messages_are_escaped_and_shortened() -> None:
    wanted = {f"\x1b[31m{number}" + "x" * 5_000: "mask" for number in range(50)}
    with pytest.raises(ParameterError) as caught:
        FieldPolicies.parse(None, wanted, "fail").check_missing(FieldCounts(1))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_500


@pytest.mark.parametrize(
    ("fields", "field_policies", "said"),
    [
        ("phoneNumber", None, "'fields': it is not a list"),
        ([], None, "'fields': it is not a list"),
        ([1], None, "'fields': it is not a list"),
        ({"keep": ["a"], "drop": ["b"]}, None, "'fields': it is not a list"),
        ({"only": ["a"]}, None, "'fields': it is not a list"),
        ({"drop": "abc"}, None, "'fields': it is not a list"),
        ({"drop": ["_id"]}, None, "'_id' cannot be dropped"),
        (None, {"_id": "drop"}, "'_id' cannot be dropped"),
        (None, {"_id": "hash"}, "'_id' cannot be dropped"),
        (["a"], {"_id": "mask"}, "'_id' cannot be dropped"),
        (["a"], {"a": "drop"}, "'a' is kept, and field_policies drops it"),
        (["a"], {"b": "hash"}, "'b' is not kept, yet field_policies wants 'hash'"),
        ({"drop": ["b"]}, {"b": "mask"}, "'b' is dropped, and field_policies wants 'mask'"),
        (None, {"a": "encrypt"}, "'a' has the unknown policy 'encrypt'; use one of 'hash', 'mask', 'drop'"),
        (None, {"a": None}, "'a' has the unknown policy None"),
        (None, {1: "drop"}, "not a dictionary"),
        (None, ["a"], "not a dictionary"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: object, field_policies: object, said: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(said)):
        FieldPolicies.parse(fields, field_policies)


@pytest.mark.parametrize(
    ("key", "key_id", "said"),
    [
        (None, None, "there is no key"),
        (b"", "k", "there is no key"),
        (b"short", "k", "fewer than 16 bytes"),
        (KEY, None, "no name"),
        (KEY, "", "no name"),
        (KEY, "a\nb", "no name"),
        (KEY, KEY.decode(), "stands in its own name"),
    ],
)
def test_a_hash_needs_a_fit_key(key: bytes | None, key_id: str | None, said: str) -> None:
    unkeyed = FieldPolicies.parse(None, {"phoneNumber": "hash", "x": "mask"})
    with pytest.raises(ParameterError, match=f"'phoneNumber' cannot be hashed: .*{said}") as caught:
        unkeyed.with_key(key, key_id)
    assert KEY.decode() not in str(caught.value)
    with pytest.raises(ParameterError, match="there is no key"):
        unkeyed.apply(CONTACT)
    assert not FieldPolicies.parse(None, {"x": "mask"}).with_key(key, key_id).needs_key


def test_the_manifest_names_the_key_and_never_shows_it() -> None:
    chosen = policies(["phoneNumber", "n"], phoneNumber="hash", n="mask")
    described = chosen.describe()
    assert json.loads(json.dumps(described)) == {
        "keep": ["_id", "n", "phoneNumber"],
        "policies": {"n": "mask", "phoneNumber": "hash"},
        "hash": {
            "algorithm": "HMAC-SHA256",
            "key_id": "k-2025",
            "key_check": digest("airflow-provider-kore key check")[:8],
        },
    }
    assert chosen.with_key(KEY[::-1], "k-2025").describe() != described
    for shown in (repr(chosen), str(described)):
        assert KEY.decode() not in shown
    assert policies(n="mask").describe()["hash"] is None


def test_policies_survive_what_airflow_does_to_operators() -> None:
    chosen = policies(phoneNumber="hash")
    assert copy.deepcopy(chosen) == chosen
    assert pickle.loads(pickle.dumps(chosen)) == chosen  # noqa: S301


@pytest.mark.parametrize("name", [*POLICIES, "fields", "field_policies", "key_id"])
def test_each_policy_is_documented(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "field-policies.md"
    assert f"`{name}`" in page.read_text(encoding="utf-8")
