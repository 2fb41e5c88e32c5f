"""Fill the tables of the documentation from the code: ``make tables``.

A page holds a region from ``<!-- generated: NAME -->`` to ``<!-- end -->``; what is between the two is written here.
The first half of this file reads facts (names, defaults, docstrings), the second half writes Markdown.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_kore.connection_fields import ConnectionField

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
REQUIRED: Final = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One row: a parameter, a field, a setting, a condition."""

    name: str
    default: str
    """As a cell shows it: ``required``, or code in backticks, followed by other possible values."""
    text: str
    templated: bool = False


# --- Reading ----------------------------------------------------------------------------------------------------------


def described(docstring: str) -> dict[str, str]:
    """Return the texts of a docstring's ``:param:`` entries by name, each on one line."""
    found: dict[str, str] = {}
    name = None
    for line in inspect.cleandoc(docstring).splitlines():
        if entry := re.match(r":param (\w+): (.*)", line):
            name = entry[1]
            found[name] = entry[2]
        elif name and line.startswith("    "):
            found[name] += f" {line.strip()}"
        else:
            name = None
    return found


def parameters(kind: Any, *, without: Iterable[str] = ()) -> list[Fact]:
    """Return the parameters that an operator or a sensor names itself."""
    own = inspect.signature(kind.__init__).parameters
    return [
        Fact(
            name=name,
            default=_OF_AIRFLOW.get(name) or (REQUIRED if each.default is each.empty else code(each.default)),
            text=f"{kind.declared[name].doc}.",
            templated=kind.declared[name].templated,
        )
        for name, each in own.items()
        if name not in {"self", "kwargs", *without}
    ]


_OF_AIRFLOW: Final = {"timeout": "`[sensors] default_timeout`"}
"""Parameters whose default is a setting of Airflow's."""


def snapshot_parameters() -> list[Fact]:
    """Return what all snapshot operators share, under the names that a DAG's author uses."""
    from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
    from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator

    own = parameters(ContactListToS3Operator)
    names = {fact.name for fact in own}
    return own + parameters(SnapshotToS3Operator, without=names)


def transfer_parameters(module: str, name: str) -> list[Fact]:
    """Return the parameters of one transfer operator that differ from those of the shared table."""
    shared = snapshot_parameters()
    own = parameters(getattr(_import(f"airflow_provider_kore.transfers.{module}"), name))
    return [fact for fact in own if fact not in shared]


def sensor_parameters(module: str, name: str) -> list[Fact]:
    """Return the parameters that one sensor declares."""
    return parameters(getattr(_import(f"airflow_provider_kore.sensors.{module}"), name))


def shared_sensor_parameters() -> list[Fact]:
    """Return the parameters that both sensors have."""
    from airflow_provider_kore.sensors.poll import PollSensor

    return parameters(PollSensor)


def changes_parameters() -> list[Fact]:
    """Return the parameters of the operator that compares snapshots."""
    from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator

    return parameters(ContactListChangesOperator)


def verification_parameters() -> list[Fact]:
    """Return the parameters of the operator that verifies snapshots."""
    from airflow_provider_kore.operators.snapshot_verification import SnapshotVerificationOperator

    return parameters(SnapshotVerificationOperator)


def erasure_parameters() -> list[Fact]:
    """Return the parameters of the operator that erases contacts."""
    from airflow_provider_kore.operators.contact_erasure import ContactErasureOperator

    return parameters(ContactErasureOperator)


def iceberg_parameters() -> list[Fact]:
    """Return the parameters of the operator that commits snapshots to an Iceberg table."""
    from airflow_provider_kore.transfers.snapshots_to_iceberg import SnapshotsToIcebergOperator

    return parameters(SnapshotsToIcebergOperator)


def connection_fields() -> list[Fact]:
    """Return the fields of a connection's extra, as they are declared."""
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.connection_fields import extra_fields

    return [
        Fact(name=name, default=_field_default(field), text=field.help)
        for name, field in extra_fields(ApiConfig).items()
    ]


def _field_default(field: ConnectionField) -> str:
    if field.is_required:
        return REQUIRED
    return code(field.shown_default, python=False) if field.shown_default else ""


def faults() -> list[Fact]:
    """Return the simulator's faults; what other tables call default are their parameters with defaults."""
    from airflow_provider_kore.simulator import FAULTS

    return [
        Fact(
            name=name,
            default=", ".join(f"`{each.name}={_python(each.default)}`" for each in fields(kind)),
            text=inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " "),
        )
        for name, kind in FAULTS.items()
    ]


def locked(name: str) -> dict[str, str]:
    """Return the versions that a lock file pins, by package; of several, that of the newest Python."""
    text = (DOCS.parent / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))


def _import(module: str) -> Any:
    import importlib

    return importlib.import_module(module)


# --- Writing ----------------------------------------------------------------------------------------------------------


def code(value: object, *, python: bool = True) -> str:
    """Return a value in backticks.

    :param python: as Python writes it; False: as JSON and command lines do.
    """
    if python:
        return f"`{_python(value)}`"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{_number(value)}`"


def _python(value: object) -> str:
    return repr(value).replace("'", '"') if isinstance(value, (str, tuple)) else _number(value)


def _number(value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        short = int(value) if float(value).is_integer() else value
        return f"{short:_}" if abs(short) >= 100_000 else str(short)  # noqa: PLR2004
    return str(value)


def markdown(text: str) -> str:
    """Return a docstring's text as a cell holds it."""
    text = re.sub(r":\w+:`[~.]?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return f"{text[:1].upper()}{text[1:]}".replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = [f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:]])


def parameter_table(facts: Iterable[Fact]) -> str:
    """Return a table of an operator's or a sensor's parameters, and which of them are templated."""
    found = list(facts)
    fixed = [f"`{fact.name}`" for fact in found if not fact.templated]
    rows = [(f"`{fact.name}`", fact.default, _sentence(fact.name, fact.text)) for fact in found]
    templated = f"All but {', '.join(fixed)} are templated." if fixed else "All are templated."
    return f"{table(('Parameter', 'Default', 'Meaning'), rows)}\n\n{templated}"


def reader_versions() -> str:
    """Return which versions of the engines the recipes are tried with."""
    readers, airflow = locked("readers"), locked("airflow-3.3")
    of_s3 = ", ".join(f"{name} {readers[name.lower()]}" for name in ("DuckDB", "pyarrow", "polars", "pandas"))
    in_a_folder = f"Spark {readers['pyspark']} and DuckDB {airflow['duckdb']}"
    return f"Tried on S3 with {of_s3}; on a copy in a folder with {in_a_folder}."


def _sentence(name: str, text: str) -> str:
    more = MORE.get(name)
    return markdown(text) + (f" [More]({more})" if more else "")


MORE: Final = {
    "snapshot_date": "operator.md#what-names-the-partition",
    "columns": "formats.md#fixing-columns-columns",
    "file_format": "formats.md",
    "on_schema_change": "formats.md#a-value-that-does-not-fit-on_schema_change",
    "replace": "operator.md#replace",
    "allow_backfill": "operator.md#what-names-the-partition",
    "incremental": "incremental.md",
    "max_shrink": "operator.md#an-empty-answer-is-not-yet-an-empty-list",
    "fields": "field-policies.md",
    "on_missing_field": "field-policies.md#fields-that-contacts-lack-on_missing_field",
    "replace_instance": "campaigns-to-s3.md#a-campaign-that-runs-again",
    "filters": "campaigns-to-s3.md#filters",
    "s3_settings": "s3.md#settings",
    "deferrable": "allowance.md#long-waits-without-a-worker",
    "kore_conn_id": "connection.md",
    "outlets": "airflow.md#assets",
    "id_key": "campaigns-to-s3.md#the-_id-of-call-results",
    "contact_list_url": "airflow.md#links",
    "allowance_ledger": "allowance.md#one-ledger-for-all-tasks",
}
"""Where the pages say more about a parameter or a field."""

TABLES: Final[dict[str, Callable[[], str]]] = {
    "snapshot parameters": lambda: parameter_table(snapshot_parameters()),
    "ContactListsToS3Operator": lambda: parameter_table(
        transfer_parameters("contact_lists_to_s3", "ContactListsToS3Operator")
    ),
    "ContactListCatalogToS3Operator": lambda: parameter_table(
        transfer_parameters("contact_list_catalog_to_s3", "ContactListCatalogToS3Operator")
    ),
    "CampaignContactsToS3Operator": lambda: parameter_table(
        transfer_parameters("campaign_contacts_to_s3", "CampaignContactsToS3Operator")
    ),
    "CampaignsToS3Operator": lambda: parameter_table(transfer_parameters("campaigns_to_s3", "CampaignsToS3Operator")),
    "ContactListChangesOperator": lambda: parameter_table(changes_parameters()),
    "SnapshotVerificationOperator": lambda: parameter_table(verification_parameters()),
    "ContactErasureOperator": lambda: parameter_table(erasure_parameters()),
    "SnapshotsToIcebergOperator": lambda: parameter_table(iceberg_parameters()),
    "CampaignStatusSensor": lambda: parameter_table(sensor_parameters("campaign", "CampaignStatusSensor")),
    "ContactListSensor": lambda: parameter_table(sensor_parameters("contact_list", "ContactListSensor")),
    "both sensors": lambda: parameter_table(shared_sensor_parameters()),
    "connection fields": lambda: table(
        ("Field", "Default", "Meaning"),
        [(f"`{fact.name}`", fact.default, _sentence(fact.name, fact.text)) for fact in connection_fields()],
    ),
    "reader versions": reader_versions,
    "simulator faults": lambda: table(
        ("Fault", "Parameters, and what the client sees"),
        [
            (f"`{fact.name}`", f"{fact.default + ': ' if fact.default else ''}{markdown(fact.text)}")
            for fact in faults()
        ],
    ),
}
"""What writes each region, by its name."""

_REGION: Final = re.compile(r"(<!-- generated: ([^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def regions(page: str) -> list[str]:
    """Return the names of a page's regions."""
    return [found[2] for found in _REGION.finditer(page)]


def filled(page: str) -> str:
    """Return a page with its regions written anew. Raises KeyError for a name that nothing writes."""
    return _REGION.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", page)


def main() -> int:
    """Rewrite the pages in place."""
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        if (new := filled(page)) != page:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{path.name}: {', '.join(regions(new))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
