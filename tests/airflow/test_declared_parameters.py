"""An operator's parameter is declared once, and stands once more in the signature; everything else follows."""

from __future__ import annotations

import inspect
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.operators.contact_list_changes import ContactListChangesOperator
from airflow_provider_kore.parameters import REQUIRED, Parameter, check_number, parameter, parameters_of
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.task.run import LandingOperator, parameters_table
from airflow_provider_kore.transfers.campaign_contacts_to_s3 import CampaignContactsToS3Operator
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.transfers.contact_lists_to_s3 import ContactListsToS3Operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench import Bench

OPERATORS: tuple[type[LandingOperator], ...] = (
    CampaignContactsToS3Operator,
    CampaignsToS3Operator,
    ContactListChangesOperator,
    ContactListToS3Operator,
    ContactListsToS3Operator,
)


def signature(kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments that an operator's own classes name, the nearest class first."""
    found: dict[str, inspect.Parameter] = {}
    for each in kind.__mro__:
        if each.__module__.startswith("airflow_provider_kore") and "__init__" in vars(each):
            found = dict(inspect.signature(vars(each)["__init__"]).parameters) | found
    return {name: one for name, one in found.items() if name not in {"self", "kwargs"}}


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_signature_and_declaration_agree_in_names_and_defaults(kind: type[LandingOperator]) -> None:
    named = signature(kind)
    assert set(named) == set(kind.declared)
    for name, one in kind.declared.items():
        told = named[name].default
        if name != "s3_prefix":  # each operator has a table of its own
            assert (REQUIRED if told is inspect.Parameter.empty else told) == one.default, name


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_what_is_declared_as_templated_is_a_template_field_and_said_to_be(kind: type[LandingOperator]) -> None:
    assert set(kind.template_fields) == {name for name, one in kind.declared.items() if one.templated}
    for name, one in kind.declared.items():
        (line,) = [each for each in (kind.__doc__ or "").splitlines() if each.startswith(f":param {name}: {one.doc}")]
        assert line.endswith("(templated)") is one.templated
        assert f"\n| `{name}` | " in parameters_table(kind)


@pytest.mark.parametrize("kind", OPERATORS, ids=lambda kind: kind.__name__)
def test_every_default_passes_its_own_check(kind: type[LandingOperator]) -> None:
    for name, one in kind.declared.items():
        if one.default is not REQUIRED:
            one.check(name, one.default)


@pytest.mark.parametrize("kind", [each for each in OPERATORS if each is not ContactListChangesOperator])
def test_every_parameter_of_a_snapshot_is_one_of_its_operators(kind: type[LandingOperator]) -> None:
    bounds = {"min_rows", "max_rows"}
    assert set(parameters_of(SnapshotSpec)) - bounds <= set(kind.declared)
    assert len([name for name in kind.declared if name.startswith(("min_", "max_"))]) == 4  # walks, shrink, and bounds


# --- One that is added ------------------------------------------------------------------------------------------------


class Painted(ContactListToS3Operator):
    """An operator with one more parameter."""

    declared: ClassVar[Mapping[str, Parameter]] = {
        "coats": Parameter(default=2, check=partial(check_number, least=1), templated=True, doc="of paint")
    }

    def __init__(self, *, coats: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _land(self, context: Any, stop: Any) -> Any:
        self._checked("coats")
        return super()._land(context, stop)


def test_a_parameter_that_is_added_is_found_everywhere(bench: Bench) -> None:
    def painted(**given: Any) -> Painted:
        return Painted(task_id="snapshot", contact_list_id="cl-1", s3_bucket=bench.bucket, **given)

    assert (vars(painted())["coats"], vars(painted(coats=3))["coats"]) == (2, 3)
    assert "coats" in Painted.template_fields
    assert "coats" not in ContactListToS3Operator.template_fields
    assert ":param coats: of paint. (templated)" in (Painted.__doc__ or "")
    assert "\n| `coats` | `2` | yes | of paint |" in parameters_table(Painted)
    assert "\n| `contact_list_id` | required | yes |" in parameters_table(Painted)
    assert painted().execute(bench.context())["contacts"] == 120  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="Parameter 'coats': is 0; pass a number, 1 or more"):
        painted(coats=0).execute(bench.context())  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="Parameter 'coats': still holds a template"):
        painted(coats="{{ coats }}").execute(bench.context())  # type: ignore[arg-type]


def test_a_parameter_that_is_added_to_the_snapshot_is_read_and_checked() -> None:
    from dataclasses import dataclass

    from airflow_provider_kore.api.sources.contacts import ContactListSource

    @dataclass(frozen=True, slots=True, kw_only=True)
    class PaintedSpec(SnapshotSpec):
        coats: float = parameter(partial(check_number, least=1), 2, doc="of paint")

    def parse(**given: Any) -> PaintedSpec:
        run = RunKey(dag_id="d", run_id="r", task_id="t")
        source = ContactListSource(contact_list_id="cl-1")
        return PaintedSpec.parse(source=source, run=run, snapshot_date=date(2025, 3, 9), **given)

    assert (parse().coats, parse(coats="3").coats) == (2, 3)
    assert "coats" in parameters_of(PaintedSpec)
    with pytest.raises(ParameterError, match="'coats'"):
        parse(coats=0)
    with pytest.raises(TypeError, match="coat"):
        parse(coat=3)
