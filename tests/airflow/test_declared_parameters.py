"""A parameter is declared once, and stands once more in the signature; everything else follows."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.parameters import (
    REQUIRED,
    check_number,
    operator_parameter,
    parameter,
    parameters_of,
)
from airflow_provider_kore.sensors.campaign import CampaignStatusSensor
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.transfers.campaigns_to_s3 import CampaignsToS3Operator
from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator
from airflow_provider_kore.transfers.snapshot_to_s3 import SnapshotToS3Operator
from airflow_provider_kore.triggers.campaign import CampaignStatusTrigger

try:
    from airflow.sdk.exceptions import TaskDeferred  # 3.2 and later
except ImportError:
    from airflow.exceptions import TaskDeferred

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import doc_tables
import docstrings

if TYPE_CHECKING:
    from bench import Bench

    from airflow_provider_kore.task.declared import Declared

DECLARED = list(docstrings.documented())
"""All operators and sensors of the package, and what they have in common."""

EACH = pytest.mark.parametrize("kind", DECLARED, ids=lambda kind: kind.__name__)


def test_all_that_airflow_is_told_of_is_declared() -> None:
    from airflow_provider_kore import get_provider_info

    info: dict[str, Any] = get_provider_info()
    told = [module for room in ("operators", "sensors") for each in info[room] for module in each["python-modules"]]
    told += [each["python-module"] for each in info["transfers"]]
    assert set(told) <= {kind.__module__ for kind in DECLARED}
    assert len(told) == 12


@EACH
def test_signature_and_declaration_agree_in_names_defaults_and_types(kind: type[Declared]) -> None:
    named = docstrings.signature(kind)
    assert set(named) == set(kind.declared)
    kept = {name: str(said) for each in reversed(kind.__mro__) for name, said in inspect.get_annotations(each).items()}
    for name, one in kind.declared.items():
        if one.default is not REQUIRED and name != "s3_prefix":  # each operator has a table of its own
            assert named[name].default == one.default, name
        # an attribute holds one of the types that may be given
        assert set(kept[name].split(" | ")) <= set(str(named[name].annotation).split(" | ")), name


@EACH
def test_what_is_declared_as_templated_is_a_template_field(kind: type[Declared]) -> None:
    assert set(kind.template_fields) == {name for name, one in kind.declared.items() if one.templated}


@EACH
def test_the_docstring_in_the_source_says_of_each_parameter_what_it_is_and_its_type(kind: type[Declared]) -> None:
    source = Path(inspect.getfile(kind)).read_text(encoding="utf-8")
    assert docstrings.filled(source, kind) == source, "run: make tables"
    said = " ".join((kind.__doc__ or "").split())
    for name, one in docstrings.signature(kind).items():
        assert f":param {name}: {kind.declared[name].doc}. ({one.annotation}, " in said
    for name in {name for name, one in kind.declared.items() if "float" in str(docstrings.signature(kind)[name])}:
        assert {"seconds", "share"} & set(kind.declared[name].doc.replace(",", " ").replace(";", " ").split()), name


def test_a_hook_says_of_each_parameter_what_it_is_and_its_type() -> None:
    public = {name: one for name, one in vars(KoreCampaignHook).items() if inspect.isfunction(one) and name[0] != "_"}
    for name, method in {"__init__": KoreCampaignHook.__init__, **public}.items():
        text = inspect.getdoc(KoreCampaignHook if name == "__init__" else method) or ""
        for each, one in inspect.signature(method).parameters.items():
            if each not in {"self", "kwargs"}:
                assert f":param {each}:" in text, name
                assert one.annotation is not inspect.Parameter.empty


def test_an_editor_knows_the_types_of_the_attributes() -> None:
    """Checked by mypy, which reads the tests as an editor reads a DAG."""
    snapshot = ContactListToS3Operator(task_id="a", contact_list_id="cl-1", s3_bucket="b")
    assert_type(snapshot.contact_list_id, str)
    assert_type(snapshot.min_contacts, int)
    assert_type(snapshot.fields, Sequence[str] | Mapping[str, Sequence[str]] | None)
    assert_type(snapshot.deadline, float)
    campaigns = CampaignsToS3Operator(task_id="b", s3_bucket="b")
    assert_type(campaigns.filters, Mapping[str, Any] | None)
    sensor = CampaignStatusSensor(task_id="c", campaign_id="cd-1")
    assert_type(sensor.status, str | Sequence[str])
    assert_type(sensor.deferrable, bool)
    assert_type(sensor.timeout, float)


@EACH
def test_every_default_passes_its_own_check(kind: type[Declared]) -> None:
    for name, one in docstrings.signature(kind).items():
        if one.default is not one.empty and name not in {"timeout", "deferrable"}:  # which are Airflow's settings
            kind.declared[name].check(name, one.default)


@pytest.mark.parametrize("kind", SnapshotToS3Operator.__subclasses__())
def test_every_parameter_of_a_snapshot_is_one_of_its_operators(kind: type[Declared]) -> None:
    bounds = {"min_rows", "max_rows"}
    of_lists_that_grow = {"incremental", "full_walk_every", "probes"}
    assert of_lists_that_grow & set(kind.declared) in (set(), of_lists_that_grow)
    assert set(parameters_of(SnapshotSpec)) - bounds - of_lists_that_grow <= set(kind.declared)
    numbers = {name for name in kind.declared if name.startswith(("min_", "max_"))}
    lists = {"min_contact_lists"} if "contact_list_ids" in kind.declared else set()
    assert len(numbers - lists) == 4  # walks, shrink, and bounds


# --- One that is added ------------------------------------------------------------------------------------------------


class Painted(ContactListToS3Operator):
    """An operator with one more parameter."""

    coats: int = operator_parameter(partial(check_number, least=1), templated=True, doc="of paint")

    def __init__(self, *, coats: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _land(self, context: Any, stop: Any, **noted: Any) -> Any:
        self._checked("coats")
        return super()._land(context, stop, **noted)


PAINTED = inspect.getsource(Painted)


def test_a_parameter_that_is_added_is_found_everywhere(bench: Bench) -> None:
    def painted(**given: Any) -> Painted:
        return Painted(task_id="snapshot", contact_list_id="cl-1", s3_bucket=bench.bucket, **given)

    assert (vars(painted())["coats"], vars(painted(coats=3))["coats"]) == (2, 3)
    assert "coats" in Painted.template_fields
    assert "coats" not in ContactListToS3Operator.template_fields
    assert ":param coats: of paint. (int, default 2, templated)" in docstrings.lines(Painted)
    assert "\n    :param coats: of paint. (int, default 2, templated)\n" in docstrings.filled(PAINTED, Painted)
    assert doc_tables.parameters(Painted) == [
        doc_tables.Fact(name="coats", default="`2`", text="of paint.", templated=True)
    ]
    assert painted().execute(bench.context())["contacts"] == 120  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="Parameter 'coats': is 0; pass a number, 1 or more"):
        painted(coats=0).execute(bench.context())  # type: ignore[arg-type]
    with pytest.raises(AirflowFailException, match="Parameter 'coats': still holds a template"):
        painted(coats="{{ coats }}").execute(bench.context())  # type: ignore[arg-type]


def test_a_parameter_that_is_added_to_the_snapshot_is_read_and_checked() -> None:
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


@dataclass(kw_only=True, eq=False, repr=False)
class PaintedTrigger(CampaignStatusTrigger):
    """A trigger with one more argument."""

    coats: float


class PaintedSensor(CampaignStatusSensor):
    """A sensor with one more parameter."""

    coats: float = operator_parameter(partial(check_number, least=1), templated=True, doc="of paint")

    def __init__(self, *, coats: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _trigger(self) -> type[PaintedTrigger]:
        return PaintedTrigger


def test_a_parameter_that_is_added_to_a_sensor_reaches_its_trigger_and_what_the_database_keeps(bench: Bench) -> None:
    def wait(**given: Any) -> None:
        PaintedSensor(task_id="wait", campaign_id="cd-1", deferrable=True, **given).execute(bench.context())  # type: ignore[arg-type]

    bench.kore.add_campaign("cd-1", status="Active")
    with pytest.raises(TaskDeferred) as deferred:
        wait(coats="3")
    path, kept = deferred.value.trigger.serialize()
    assert path.endswith(".PaintedTrigger")
    assert (kept["coats"], kept["statuses"]) == (3.0, ["Completed"])
    assert PaintedTrigger(**kept).serialize() == (path, kept)
    with pytest.raises(AirflowFailException, match="Parameter 'coats': is 0; pass a number, 1 or more"):
        wait(coats=0)
