"""Lists: large ones, given ones, changing ones."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kore.simulator.contacts import ContactList


@pytest.mark.slow
def test_two_simulators_hold_the_same_list_byte_for_byte(kore, call, caller_of):
    from airflow_provider_kore.simulator import Simulator

    with Simulator(requests_per_minute=0) as other:
        other.add_list("cl-1", contacts=120)
        assert caller_of(other).page(skip=50).content == call.page(skip=50).content


def test_random_ids_follow_the_seed_and_the_list(kore):
    found = set()
    for seed in (1, 2):
        kore.configure(ids="random", seed=seed)
        for list_id in ("cl-a", "cl-b"):
            kore.add_list(list_id, contacts=50)
            first = list(kore.contact_ids(list_id))
            kore.add_list(list_id, contacts=50)
            assert list(kore.contact_ids(list_id)) == first
            found |= set(first)
    assert len(found) == 200


@pytest.mark.slow
def test_many_contacts_take_a_few_bytes_each():
    tracemalloc.start()
    try:
        held = ContactList("cl-1")
        held.grow(250_000)
        held.remove(100_000)
        for start in range(0, len(held), 50_000):
            held.texts(start, start + 50)
        assert tracemalloc.get_traced_memory()[0] < 5_000_000  # bytes; as many dicts would take some 125 million
    finally:
        tracemalloc.stop()
    assert json.loads(held.texts(249_998, 10**9)[0])["uniqueId"] == "u-249999"


def test_ids_and_timestamps_ascend_with_the_order_of_creation(kore):
    kore.add_list("cl-1", contacts=3_000)
    kore.append("cl-1", 5)
    kore.append("cl-1", 5)
    contacts = list(kore.contacts("cl-1"))
    for field in ("_id", "createdAt", "updatedAt"):
        values = [contact[field] for contact in contacts]
        assert values == sorted(values)
    assert len({contact["createdAt"] for contact in contacts}) == len(contacts)


def test_columns_add_fields_and_replace_generated_ones(kore, call):
    columns = {" Priority": "p-{index}", "100%": {"deep": ["{index}", 1.5]}, "firstName": None, "phoneNumber": "1"}
    kore.add_list("cl-2", contacts=2, columns=columns)
    contact = call.page("cl-2").json()["data"]["results"][1]
    assert contact[" Priority"] == "p-1"
    assert contact["100%"] == {"deep": ["1", 1.5]}
    assert (contact["firstName"], contact["phoneNumber"]) == (None, "1")
    assert " Priority" in call("contactList/cl-2").json()["data"]["columns"]


def test_given_contacts_keep_every_value_and_get_what_they_lack(kore, call):
    kore.add_list(
        "cl-2", contacts=[{"phoneNumber": "1", "big": 2**70, "none": None, "lone": "\ud800"}, {"_id": "cc-x"}]
    )
    response = call.page("cl-2")
    first, second = response.json()["data"]["results"]
    assert (first["big"], first["none"], first["lone"]) == (2**70, None, "\ud800")
    assert first["_id"].startswith("cc-")
    assert first["createdAt"] == "2025-12-09T04:28:44.832Z"
    assert second["_id"] == "cc-x"


@pytest.mark.parametrize(
    "text",
    [
        '{"_id":"cc-1","x":0.1000000000000000055511151231257827}',
        '{"_id":"cc-1",   "x" : 1E400, "x": 2}',
        '{"_id":"cc-1","x":"\\ud800 \\u00e9 é"}',
        '{"phoneNumber":"no id"}',
        "null",
    ],
)
def test_json_text_is_served_as_it_is(kore, call, text):
    kore.add_list("cl-2", contacts=[text])
    assert text.encode() in call.page("cl-2").content
    assert len(list(kore.contact_ids("cl-2"))) == 1


def test_text_that_is_no_json_is_refused_when_it_is_added(kore):
    with pytest.raises(ValueError, match="Expecting"):
        kore.add_list("cl-2", contacts=["{"])


def test_append_insert_remove_and_update_change_what_pages_hold(kore, call):
    before = list(kore.contact_ids("cl-1"))
    kore.append("cl-1", 2)
    kore.insert("cl-1", 3)
    assert kore.remove("cl-1", index=4, n=2) == 2
    kore.update("cl-1", index=3, firstName="Zoë", extra=[1])
    after = call.walk()
    found = [contact["_id"] for contact in after]
    assert found[3:-2] == [before[0], *before[3:]]
    assert len(set(found)) == len(found) == 123
    assert (after[3]["firstName"], after[3]["extra"]) == ("Zoë", [1])
    assert after[3]["updatedAt"] > after[3]["createdAt"]
    assert found == list(kore.contact_ids("cl-1"))
    assert after == list(kore.contacts("cl-1"))


def test_changing_what_does_not_exist_says_so(kore, call):
    with pytest.raises(IndexError, match="no contact at index 120"):
        kore.update("cl-1", index=120, x=1)
    with pytest.raises(KeyError, match="no contact list 'cl-none'"):
        kore.append("cl-none", 1)
    with pytest.raises(ValueError, match="from 0 on"):
        kore.append("cl-1", -1)
    assert kore.remove("cl-1", index=500) == 0


def test_every_change_moves_the_lists_updated_at_unless_it_is_set_not_to(kore, call):
    def updated_at():
        return call("contactList/cl-1").json()["data"]["updatedAt"]

    seen = [updated_at()]
    for change in (kore.append, kore.insert, kore.remove, kore.update):
        change("cl-1")
        seen.append(updated_at())
    assert len(set(seen)) == 5
    assert seen == sorted(seen)
    kore.configure(updated_at_moves=False)
    kore.append("cl-1")
    assert updated_at() == seen[-1]


def test_pushed_contacts_appear_after_the_set_number_of_requests(kore, call):
    kore.configure(add_contacts_delay=0, add_contacts_requests=2)
    answer = call.add_contacts({"contact_list_name": "List cl-1", "data": [{"phoneNumber": "77"}]})
    assert answer.json() == {"message": "Adding contacts to public list is in progress"}
    totals = [call.page().json()["data"]["totalResults"] for _ in range(3)]
    assert totals == [120, 120, 121]
    last = call.page(skip=120).json()["data"]["results"][0]
    assert last["phoneNumber"] == "77"
    assert last["createdAt"] > "2026"


def test_pushed_contacts_appear_after_the_set_delay(kore, call, clock):
    kore.configure(add_contacts_delay=0.2)
    call.add_contacts({"contact_list_name": "List cl-1", "data": [{"phoneNumber": "77"}]})
    assert len(list(kore.contact_ids("cl-1"))) == 120
    clock.now += 0.25
    assert len(list(kore.contact_ids("cl-1"))) == 121


@pytest.mark.parametrize("data", [None, [], [{}], ["x"], 3])
def test_pushing_what_is_no_contact_is_refused(call, refusal_of, data):
    assert refusal_of(call.add_contacts({"contact_list_name": "List cl-1", "data": data}))[0] == 412
    assert refusal_of(call.add_contacts({"data": [{"phoneNumber": "77"}]}))[0] == 412


def test_a_deleted_list_is_unknown(kore, call):
    kore.remove_list("cl-1")
    assert call.page().status_code == 404
    assert call.post("contactList/getAllListDetails", type="call").json()["data"] == []


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("remove"), st.integers(0, 90), st.integers(0, 30)),
        st.tuples(st.just("update"), st.integers(0, 90), st.just(0)),
        st.tuples(st.just("add"), st.integers(0, 5), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, start=st.integers(0, 100), length=st.integers(0, 60))
def test_any_sequence_of_changes_leaves_what_a_plain_list_would_hold(changes, start, length):
    held, model = ContactList("cl-1"), []
    for kind, first, second in changes:
        if kind == "grow":
            held.grow(first, at_start=second)
            new = [name for name in held.contact_ids(0, len(held)) if name not in model]
            model = new + model if second else model + new
        elif kind == "remove":
            assert held.remove(first, second) == len(model[first : first + second])
            del model[first : first + second]
        elif kind == "update" and first < len(model):
            held.update(first, {"marked": first})
            assert json.loads(held.texts(first, first + 1)[0])["marked"] == first
        elif kind == "add":
            held.add([{"_id": f"cc-given-{len(model)}-{number}-{held.version}"} for number in range(first)])
            model += held.contact_ids(len(model), len(held))
        assert len(held) == len(model) == len(set(model))
    stop = start + length
    assert held.contact_ids(start, stop) == model[start:stop]
    assert [json.loads(text)["_id"] for text in held.texts(start, stop)] == model[start:stop]
    assert held.contact_ids(start, stop, "newest_first") == model[::-1][start:stop]
    assert held.contact_ids(start, stop, "id") == sorted(model)[start:stop]
