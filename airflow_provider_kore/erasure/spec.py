"""One erasure: where it looks, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import (
    check_boolean,
    check_choice,
    check_date,
    check_number,
    check_prefix,
    parameter,
    shown,
    structure,
    unless_missing,
)
from airflow_provider_kore.snapshot.layout import Tables
from airflow_provider_kore.snapshot.spec import RunKey, default_staging_prefix, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_MISSING: Final = ("fail", "skip")
"""What to do about ids and phone numbers that are nowhere, or can't be looked for."""

_PHONE_FIELDS: Final = ("phoneNumber",)
_MOST_LISTS: Final = 10_000


def check_names(name: str, value: object) -> tuple[str, ...]:
    """Return a list of names, each printable and without a slash. Raises ParameterError."""
    found = structure(name, value)
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, (list, tuple)) or not found or len(found) > _MOST_LISTS:
        raise ParameterError(name, f"is {shown(value)}", "pass a list of names")
    for each in found:
        if not isinstance(each, str) or not each.strip() or "/" in each or not each.isprintable():
            raise ParameterError(name, f"has {shown(each)}", "pass names without slashes")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Table:
    """Where snapshots of one kind lie."""

    prefix: str
    """Without slashes at its ends; may be empty."""
    key: str
    """The partition key above ``snapshot_date``."""
    file_name: str
    """What the names of files begin with."""
    values: tuple[str, ...] | None
    """Of the partition key; None: all."""

    @property
    def prefixes(self) -> Iterator[str]:
        """What all that belongs to it begins with."""
        base = f"{self.prefix}/" if self.prefix else ""
        if self.values is None:
            yield base or f"{self.key}="
        for value in self.values or ():
            yield f"{base}{self.key}={value}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureSpec(Tables):
    """What an operator passes on is declared here, and in the operator's signature."""

    contact_list_ids: tuple[str, ...] | None = parameter(
        unless_missing(check_names),
        None,
        templated=True,
        is_json=True,
        doc="ids of the lists, ``cl-…``; None: all below the prefixes",
    )
    call_results_prefix: str | None = parameter(
        unless_missing(check_prefix),
        None,
        templated=True,
        doc="location of a table of call results, of which all campaigns are looked through; None: none",
    )
    staging_prefix: str = parameter(
        unless_missing(check_prefix),
        None,
        templated=True,
        doc="where the checkpoints of these lists are; None: beside the table, below ``_staging``",
    )
    receipt_prefix: str = parameter(
        unless_missing(check_prefix),
        None,
        templated=True,
        doc="where the receipt goes; None: beside the table, below ``_erasures``",
    )
    phone_fields: tuple[str, ...] = parameter(
        check_names, _PHONE_FIELDS, templated=True, is_json=True, doc="fields that hold a phone number"
    )
    gone_on: str | None = parameter(
        unless_missing(check_date),
        None,
        templated=True,
        doc="YYYY-MM-DD; erase the contacts, too, that the changes of this day say are gone",
    )
    versions: bool = parameter(
        check_boolean,
        False,
        templated=True,
        doc="delete older versions that hold a contact, too, in a versioned bucket",
    )
    plan_only: bool = parameter(
        check_boolean, True, templated=True, doc="only count, and say what it would cost; False: erase"
    )
    on_missing: str = parameter(
        partial(check_choice, choices=ON_MISSING),
        "fail",
        templated=True,
        doc="what to do if an id or a phone number is nowhere, or numbers are hidden by a field policy: ``fail`` "
        "before anything is changed, or ``skip`` them",
    )
    staging_expiry: float = parameter(
        partial(check_number, least=0.0),
        86_400.0,
        doc="seconds after which files that no manifest names are taken for those of a task that died",
    )
    run: RunKey
    generation: str | None = None

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that are looked through; changes last, for they may tell who is to be erased."""
        found = [Table(self.prefix, "contact_list_id", "contacts", self.contact_list_ids)]
        if self.call_results_prefix is not None:
            found.append(Table(self.call_results_prefix, "campaign_id", "contacts", None))
        return (*found, Table(self.changes_prefix, "contact_list_id", "changes", self.contact_list_ids))

    @property
    def staging_prefixes(self) -> tuple[str, ...]:
        """Where checkpoints may lie; each ends with a slash."""
        found = [self.staging_prefix]
        if self.call_results_prefix is not None:
            found.append(default_staging_prefix(self.call_results_prefix))
        return tuple(f"{each}/" for each in dict.fromkeys(found))

    @property
    def beside(self) -> tuple[str, ...]:
        """Below which all else is; each ends with a slash."""
        return (*self.staging_prefixes, f"{self.receipt_prefix}/")

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Below which everything is searched."""
        return (*(prefix for table in self.tables for prefix in table.prefixes), *self.beside)

    @property
    def scope(self) -> str:
        """Stands for all that is looked through, and for what is looked for, but for the persons."""
        places = [self.prefix, self.changes_prefix, self.call_results_prefix, self.staging_prefix]
        return digest([places, self.contact_list_ids, self.phone_fields, self.gone_on, self.versions])

    @property
    def name(self) -> str:
        """Stands for this erasure in each of its tries."""
        return digest([self.run.digest, self.generation, self.scope])

    @property
    def receipt(self) -> str:
        """The receipt's key."""
        return f"{self.receipt_prefix}/{self.name}.json"

    @property
    def unfinished(self) -> str:
        """Below which erasures note what their next try needs; ends with a slash."""
        return f"{self.receipt_prefix}/unfinished/"

    @property
    def notes(self) -> str:
        """The key of what this erasure notes while it goes on."""
        return f"{self.unfinished}{self.name}.json"

    @property
    def probes(self) -> str:
        """Below which this erasure tries what the store can do; ends with a slash."""
        return f"{self.unfinished}{self.name}/"

    @classmethod
    def parse(cls, *, run: RunKey, generation: object = None, **given: object) -> Self:
        """Check every parameter as a DAG's author wrote it, or a template rendered it. Raises ParameterError."""
        values = cls.places(given)
        prefix = values["prefix"]
        values["staging_prefix"] = values["staging_prefix"] or default_staging_prefix(prefix)
        values["receipt_prefix"] = values["receipt_prefix"] or _beside(prefix)
        spec = cls(run=run, generation=None if generation is None else str(generation), **values)
        spec._check_apart()
        return spec

    def _check_apart(self) -> None:
        """Keep the receipt out of the tables, and the tables out of each other. Raises ParameterError."""
        places = {
            "s3_prefix": self.prefix,
            "changes_prefix": self.changes_prefix,
            "call_results_prefix": self.call_results_prefix,
            "staging_prefix": self.staging_prefix,
            "receipt_prefix": self.receipt_prefix,
        }
        known = {name: f"{place}/" for name, place in places.items() if place}
        for name, place in known.items():
            other = next((each for each in known if each != name and known[each].startswith(place)), None)
            if other is not None:
                raise ParameterError(
                    other, f"{known[other]!r} lies inside {name} {place!r}", "pass a prefix of its own beside it"
                )


def _beside(prefix: str) -> str:
    """Return where receipts go by default: beside the table, never below it."""
    parent, _, name = prefix.rpartition("/")
    return "/".join(part for part in (parent, "_erasures", name) if part)
