"""What operators and sensors make of the parameters that they declare."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow_provider_kore.parameters import Parameter, check_text, operator_parameter, refuse_templates

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

KORE_CONN_ID: Final[Any] = operator_parameter(
    partial(check_text, example="kore_default"), templated=True, doc="connection to Kore.ai"
)


class Declared:
    """An operator or a sensor whose parameters are attributes, declared with ``operator_parameter``.

    The signature of its ``__init__`` repeats them, for Airflow and editors read it, and hands them to :meth:`_keep`.
    Template fields, checks and the documentation's tables come from the declarations, and so do the ``:param:`` lines
    of its docstring, which ``make tables`` writes.
    """

    declared: ClassVar[Mapping[str, Parameter]] = {}
    """By name: those of this class, then those of its base."""
    template_fields: Collection[str] = ()
    template_fields_renderers: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take the declarations off the class, whose instances have values there."""
        super().__init_subclass__(**kwargs)
        own = {name: one for name, one in vars(cls).items() if isinstance(one, Parameter)}
        for name in own:
            delattr(cls, name)
        cls.declared = own | {name: one for name, one in cls.declared.items() if name not in own}
        cls.template_fields = tuple(name for name, one in cls.declared.items() if one.templated)
        cls.template_fields_renderers = {name: "json" for name, one in cls.declared.items() if one.is_json}

    def _keep(self, given: Mapping[str, Any]) -> None:
        """Keep parameters as attributes, as Airflow wants them: as they were given.

        :param given: ``locals()`` of an ``__init__``.
        """
        for name in self.declared:
            if name in given:
                setattr(self, name, given[name])

    def _given(self, *names: str) -> dict[str, Any]:
        """Return parameters as they were given, or rendered; without names, all."""
        return {name: getattr(self, name) for name in names or self.declared}

    def _checked(self, name: str) -> Any:
        """Return what is meant by a parameter. Raises ParameterError."""
        return self.declared[name].check(name, getattr(self, name))

    def _refuse_templates(self) -> None:
        """Raise ParameterError if a template was left in a parameter: it would pass for a name."""
        refuse_templates(self._given(*self.template_fields))
