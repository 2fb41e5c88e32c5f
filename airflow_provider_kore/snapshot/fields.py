"""Field policies: what may leave the API's answer, applied before anything touches S3, staging included.

A policy rewrites one member of a contact; all others keep the text the server wrote. Where a key stands twice in one
contact, which JSON allows, both are treated: dropping only the last would publish the first.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.json_text import spans
from airflow_provider_kore.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ID = "_id"
_NAMES_SHOWN = 5
_MASK = "****"
_MASK_SHOWS = 2
_MASK_HIDES_AT_LEAST = 4
_SHORTEST_KEY = 16
"""Bytes. All phone numbers there are can be tried with a shorter key."""


def hash_value(raw: str, key: bytes) -> str:
    """Return the HMAC-SHA256 of a value under ``key`` as a JSON string of 64 hexadecimal digits; null stays null.

    Hashed are the UTF-8 bytes of a string's exact value, nothing trimmed, folded or reformatted, and of anything else
    the JSON text that the server wrote. So the same value gives the same hash in every field, list and run (joins
    work), and ``+49 151`` another one than ``+49151``. Lone surrogates go in as three bytes each.
    """
    text = _text(raw)
    if text is None:
        return raw
    return f'"{hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()}"'


def mask(raw: str, key: bytes) -> str:  # noqa: ARG001  # every policy takes the key
    """Return four asterisks and the value's last two characters as a JSON string; null stays null.

    Values of fewer than six characters are asterisks alone. Always four of them: the length stays private.
    """
    text = _text(raw)
    if text is None:
        return raw
    return json.dumps(_MASK + (text[-_MASK_SHOWS:] if len(text) >= _MASK_SHOWS + _MASK_HIDES_AT_LEAST else ""))


def drop(raw: str, key: bytes) -> None:
    """Leave the field out."""


POLICIES: Mapping[str, Callable[[str, bytes], str | None]] = MappingProxyType(
    {"hash": hash_value, "mask": mask, "drop": drop}
)
"""By the name that ``field_policies`` takes: raw text of a value and the key in, raw text out, or None for nothing."""


ON_MISSING: Final = ("warn", "fail")
"""What to do about a contact that has no field of a name that a policy wants to change."""


@dataclass(slots=True)
class FieldCounts:
    """How many contacts have each field that the author named. Belongs to a walk, and is part of its checkpoints."""

    contacts: int = 0
    """How many were looked at."""
    found: dict[str, int] = field(default_factory=dict)
    """By name, how many of them have such a field; names that no contact has are left out."""

    def copy(self) -> Self:
        """Return the same counts, to be counted on apart from these."""
        return replace(self, found=dict(self.found))

    def add(self, name: str) -> None:
        """Count a field of one contact."""
        self.found[name] = self.found.get(name, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPolicies:
    """What happens to each field. Built by :meth:`parse`; the key is added where it is known, by :meth:`with_key`."""

    keep: frozenset[str] | None = None
    """The only fields that stay, ``_id`` among them. None: all."""
    policies: Mapping[str, str] = field(default_factory=dict)
    """Field to policy name."""
    key: bytes | None = field(default=None, repr=False)
    key_id: str | None = None
    on_missing: str = "warn"
    """One of :data:`ON_MISSING`."""

    @classmethod
    def parse(cls, fields: object = None, field_policies: object = None, on_missing_field: object = "warn") -> Self:
        """Check the operator's parameters of these names.

        :param fields: a list of the fields to keep, or ``{"keep": [...]}``, or ``{"drop": [...]}``; ``_id`` always
            stays. None keeps all.
        :param field_policies: field name to ``"hash"``, ``"mask"`` or ``"drop"``.
        :param on_missing_field: ``"warn"``, or ``"fail"`` as soon as a contact lacks a field that a policy names.

        Field names are exact: ``" Priority"`` has its blank, ``phonenumber`` is not ``phoneNumber``. Only a contact's
        outermost members have names here.

        Raises ParameterError if a policy is unknown, two demands contradict each other, or ``_id`` is to be changed.
        """
        if on_missing_field not in ON_MISSING:
            raise ParameterError(
                "on_missing_field", f"is {quoted(repr(on_missing_field))}", f"use {' or '.join(map(repr, ON_MISSING))}"
            )
        keep, dropped = _parse_fields(fields)
        policies = _parse_policies(field_policies)
        for name in dropped:
            if policies.setdefault(name, "drop") != "drop":
                raise _contradiction(name, f"dropped, and field_policies wants {policies[name]!r} for it")
        if _ID in policies:
            raise ParameterError(
                "fields" if _ID in dropped else "field_policies",
                f"{_ID!r} cannot be dropped, hashed or masked: snapshots are verified and resumed by it",
                "leave it as it is; it is the vendor's number, not a person's",
            )
        if keep is not None:
            for name, policy in policies.items():
                if policy == "drop" and name in keep:
                    raise _contradiction(name, "kept, and field_policies drops it")
                if policy != "drop" and name not in keep:
                    raise _contradiction(name, f"not kept, yet field_policies wants {policy!r} for it")
            keep |= {_ID}
        return cls(keep=keep, policies=policies, on_missing=str(on_missing_field))

    @property
    def unchanged(self) -> bool:
        """Whether every contact passes as it is."""
        return self.keep is None and not self.policies

    @property
    def needs_key(self) -> bool:
        """Whether a field is to be hashed."""
        return "hash" in self.policies.values()

    @property
    def named(self) -> frozenset[str]:
        """All fields that the author named, ``_id`` left out."""
        return (frozenset(self.policies) | (self.keep or frozenset())) - {_ID}

    def hides(self, name: str) -> bool:
        """Say whether a field does not leave as the server sent it."""
        return name in self.policies or (self.keep is not None and name not in self.keep)

    def leaves_out(self, name: str) -> bool:
        """Say whether a field does not leave at all."""
        return self.policies.get(name) == "drop" or (self.keep is not None and name not in self.keep)

    def with_key(self, key: bytes | None, key_id: str | None) -> Self:
        """Return the same policies with the key for their hashes; themselves if they hash nothing.

        :param key: at least 16 random bytes, kept secret and never changed: the same key gives the same hashes.
        :param key_id: a name for the key, written to the manifest; snapshots with the same one can be joined.

        Raises ParameterError if a field is to be hashed and the key or its name is missing or unfit.
        """
        if not self.needs_key:
            return self
        problem = None
        if not key:
            problem = "there is no key"
        elif len(key) < _SHORTEST_KEY:
            problem = f"the key has fewer than {_SHORTEST_KEY} bytes, few enough to be found by trying"
        elif not key_id or not key_id.isprintable():
            problem = "the key has no name (key id)"
        elif key in key_id.encode():
            problem = "the key stands in its own name, and names are published"
        if problem:
            raise self._keyless(problem)
        return replace(self, key=key, key_id=key_id)

    def apply(self, raw: str, seen: FieldCounts | None = None) -> str:
        """Return the contact, a raw JSON object, as it may be stored.

        :param seen: every named field that this contact has is counted, once.

        Raises ValueError if it is no JSON object, ParameterError if a field is to be hashed without a key.
        """
        if self.keep is None and not self.policies:
            return raw
        if self.key is None and self.needs_key:
            raise self._keyless("there is no key")
        keep, policies, key = self.keep, self.policies, self.key or b""
        pieces: list[str] = []
        has: set[str] = set()
        changed = False
        for name, start, value_start, end in spans(raw):
            policy = policies.get(name)
            named = policy is not None or (keep is not None and name in keep)
            if named and seen is not None and name != _ID and name not in has:
                has.add(name)
                seen.add(name)
            if policy is not None:
                value = POLICIES[policy](raw[value_start:end], key)
                changed = True
                if value is not None:
                    pieces.append(raw[start:value_start] + value)
            elif named or keep is None:
                pieces.append(raw[start:end])
            else:
                changed = True
        return "{" + ", ".join(pieces) + "}" if changed else raw

    def unseen(self, seen: Iterable[str]) -> list[str]:
        """Return the named fields that no contact had, sorted: most likely misspelt, and worth a warning."""
        return sorted(self.named.difference(seen))

    def missing(self, counts: FieldCounts) -> dict[str, int]:
        """Return how many contacts lack each field that a policy names, those that no contact lacks left out."""
        lacking = {name: counts.contacts - counts.found.get(name, 0) for name in sorted(self.policies)}
        return {name: number for name, number in lacking.items() if number}

    def check_missing(self, counts: FieldCounts) -> None:
        """Raise ParameterError if a contact lacks a field that a policy names, and the author wants to fail then.

        The vendor may have renamed it: under its new name no policy would hold it back.
        """
        missing = self.missing(counts) if self.on_missing == "fail" else {}
        if not missing:
            return
        shown = [f"'{quoted(name)}' ({number:,} of them)" for name, number in missing.items()]
        more = [f"{len(shown) - _NAMES_SHOWN} more"] if len(shown) > _NAMES_SHOWN else []
        raise ParameterError(
            "on_missing_field",
            f"of the {counts.contacts:,} rows that were read, some lack a field that a policy names: "
            f"{', '.join(shown[:_NAMES_SHOWN] + more)}; nothing was published",
            'look whether it was renamed in Kore.ai and name it anew, or pass "warn" if rows may lack it',
        )

    def describe(self) -> dict[str, object]:
        """Return what the manifest says about the policies: names, and of the key its id and a check value.

        ``key_check`` are eight digits of a hash under the key. They differ where the key was replaced without
        a new name, and say no more about it than the hashes in the snapshot do.
        """
        hashing: dict[str, object] = {}
        if self.needs_key:
            hashing = {"algorithm": "HMAC-SHA256", "key_id": self.key_id}
            if self.key is not None:
                digest = hmac.digest(self.key, b"airflow-provider-kore key check", "sha256")
                hashing["key_check"] = digest.hex()[:8]
        return {
            "keep": None if self.keep is None else sorted(self.keep),
            "policies": dict(sorted(self.policies.items())),
            "hash": hashing or None,
        }

    def _keyless(self, problem: str) -> ParameterError:
        hashed = [f"'{quoted(name)}'" for name, policy in self.policies.items() if policy == "hash"]
        return ParameterError(
            "field_policies",
            f"{', '.join(hashed[:_NAMES_SHOWN])} cannot be hashed: {problem}",
            f"name an Airflow connection that holds a key of at least {_SHORTEST_KEY} random bytes and a key id",
        )


def _text(raw: str) -> str | None:
    """Return a string's value, anything else as its JSON text; None for null."""
    if raw.startswith('"'):
        return str(json.loads(raw))
    return None if raw == "null" else raw


def _contradiction(name: str, problem: str) -> ParameterError:
    return ParameterError("fields", f"'{quoted(name)}' is {problem}", "say one thing about each field")


def _parse_fields(fields: object) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Return the fields to keep, or None for all, and those to drop."""
    if fields is None:
        return None, frozenset()
    if isinstance(fields, Mapping):
        match dict(fields):
            case {"keep": names, **rest} if not rest:
                return _names(names), frozenset()
            case {"drop": names, **rest} if not rest:
                return None, _names(names)
        raise _not_fields()
    return _names(fields), frozenset()


def _names(names: object) -> frozenset[str]:
    if isinstance(names, str) or not isinstance(names, Sequence | set | frozenset) or not names:
        raise _not_fields()
    if not all(isinstance(name, str) for name in names):
        raise _not_fields()
    return frozenset(names)


def _not_fields() -> ParameterError:
    return ParameterError(
        "fields",
        "it is not a list of field names",
        'pass ["phoneNumber", ...] to keep only these, {"drop": ["lastName", ...]} to keep all but these, or nothing',
    )


def _parse_policies(field_policies: object) -> dict[str, str]:
    allowed = ", ".join(repr(name) for name in POLICIES)
    if field_policies is None:
        return {}
    if not isinstance(field_policies, Mapping) or not all(isinstance(name, str) for name in field_policies):
        raise ParameterError("field_policies", "it is not a dictionary", f"map field names to one of {allowed}")
    for name, policy in field_policies.items():
        if not isinstance(policy, str) or policy not in POLICIES:
            raise ParameterError(
                "field_policies",
                f"'{quoted(name)}' has the unknown policy {quoted(repr(policy))}",
                f"use one of {allowed}",
            )
    return dict(field_policies)
