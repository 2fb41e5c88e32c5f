"""The connection form in Airflow's UI, as the connection's fields declare it, for all supported versions.

Airflow 3.2 and later read it from the provider info; 3.0 and 3.1 ask the hook, which builds its widgets from the same
declarations.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_kore.api import config
from airflow_provider_kore.connection_fields import extra_fields, standard_fields


def conn_fields() -> dict[str, dict[str, Any]]:
    """Return the fields of extra as the provider info declares them."""
    return {name: field.in_form() for name, field in extra_fields(config.ApiConfig).items()}


def ui_field_behaviour() -> dict[str, Any]:
    """Return what the fields that every connection has are called, as the provider info declares it."""
    standard = standard_fields(config.ApiConfig)
    return {
        "hidden-fields": ["schema"],
        "relabeling": {name: field.label for name, field in standard.items()},
        "placeholders": {name: field.placeholder for name, field in standard.items() if field.placeholder},
    }


def behaviour() -> dict[str, Any]:
    """Return the same as Airflow 3.0 and 3.1 spell the keys."""
    return {key.replace("-", "_"): value for key, value in ui_field_behaviour().items()}


def widgets() -> dict[str, Any]:
    """Build the form's fields for Airflow 3.0 and 3.1, which replace these modules by stand-ins while they ask."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import Optional as OptionalValue
    from wtforms.validators import any_of

    built: dict[str, Any] = {}
    for name, field in conn_fields().items():
        schema = field["schema"]
        kind = schema["type"][0]
        label, description = lazy_gettext(field["label"]), field["description"]
        if kind == "boolean":
            built[name] = BooleanField(label=label, description=description, default=schema.get("default"))
        elif kind == "integer":
            built[name] = IntegerField(label=label, description=description, validators=[OptionalValue()])
        elif schema.get("format") == "password":
            built[name] = PasswordField(label=label, description=description, widget=BS3PasswordFieldWidget())
        else:
            built[name] = StringField(
                label=label,
                description=description,
                widget=BS3TextFieldWidget(),
                default=schema.get("default"),
                validators=[any_of(schema["enum"])] if "enum" in schema else [],
            )
    return built
