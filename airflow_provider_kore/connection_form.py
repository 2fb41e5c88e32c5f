"""The connection form in Airflow's UI, declared once for all supported versions.

Airflow 3.2 and later read it from the provider info; 3.0 and 3.1 ask the hook, which builds its widgets from the same
declaration. Imports nothing: Airflow reads this in every one of its processes.
"""

from __future__ import annotations

from typing import Any, Final

CONN_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "stream_id": {
        "label": "Stream id",
        "description": "Id of the application that owns the contact lists (st-…). Required.",
        "schema": {"type": ["string", "null"]},
    },
    "account_id": {
        "label": "Account id",
        "description": "Id of the Kore.ai account. Required.",
        "schema": {"type": ["string", "null"]},
    },
    "api_version": {
        "label": "API version",
        "description": "Version of the environment's API: v2, or v1 for the older service. Default: v2.",
        # No default to be stored: Airflow 3.3 warns in every task's log of a value in extra that is shorter than five.
        "schema": {"type": ["string", "null"], "enum": ["v2", "v1"]},
    },
    "jwt_algorithm": {
        "label": "JWT algorithm",
        "description": "What the JWT app was created for: HS256, HS512, RS256 or RS512. Default: HS256.",
        "schema": {
            "type": ["string", "null"],
            "enum": ["HS256", "HS512", "RS256", "RS512"],
            "default": "HS256",
        },
    },
    "jwt_subject": {
        "label": "JWT subject",
        "description": "The token's sub claim: any name, shown in Kore.ai's audit log. Default: airflow.",
        "schema": {"type": ["string", "null"]},
    },
    "token_lifetime": {
        "label": "Token lifetime (seconds)",
        "description": "How long a token is valid, 5 to 86,400; it is renewed in time. Default: 300.",
        "schema": {"type": ["number", "null"], "minimum": 5},
    },
    "send_jti": {
        "label": "Send JTI",
        "description": "Give every token a single-use id. Needed where the app enforces JTI.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "requests_per_minute": {
        "label": "Requests per minute",
        "description": "The account's allowance in a rolling minute. 0: unlimited. Default: 60.",
        "schema": {"type": ["integer", "null"], "minimum": 0},
    },
    "requests_per_hour": {
        "label": "Requests per hour",
        "description": "The account's allowance in a rolling hour. 0: unlimited. Default: 0.",
        "schema": {"type": ["integer", "null"], "minimum": 0},
    },
    "reserve": {
        "label": "Reserve",
        "description": "Share of both allowances that is left to other applications, 0 to 0.95. Default: 0.",
        "schema": {"type": ["number", "null"], "minimum": 0, "maximum": 0.95},
    },
    "even_pacing": {
        "label": "Even pacing",
        "description": "Spread requests evenly over the minute instead of sending them as soon as they are allowed.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
    "page_size": {
        "label": "Page size",
        "description": "Contacts to ask for in one request. Empty: as many as the server gives.",
        "schema": {"type": ["integer", "null"], "minimum": 1},
    },
    "timeout": {
        "label": "Timeout (seconds)",
        "description": "How long one answer may take, from connecting to its last byte; 3,600 at most. Default: 30.",
        "schema": {"type": ["number", "null"]},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "Verify the certificate: true, false, or the path of a CA bundle on the workers. Default: true.",
        "schema": {"type": ["string", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of a proxy, http://host:port. Empty: as HTTPS_PROXY says, and none for loopback.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "id_key": {
        "label": "Id key",
        "description": "Key of the ids made for call results, 16 random bytes or more. Another key gives other ids.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "contact_list_url": {
        "label": "Contact list URL",
        "description": "Address of a list in Kore.ai's web console, with {contact_list_id} in it, for a link on tasks.",
        "schema": {"type": ["string", "null"]},
    },
    "allow_http": {
        "label": "Allow plain HTTP",
        "description": "Send tokens and contacts unencrypted to a host that is not this machine. Leave it off.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

UI_FIELD_BEHAVIOUR: Final[dict[str, Any]] = {
    "hidden-fields": ["schema"],
    "relabeling": {
        "host": "Environment URL",
        "login": "Client id",
        "password": "Client secret, or PEM private key",
    },
    "placeholders": {
        "host": "https://platform.kore.ai",
        "login": "cs-…",
    },
}


def widgets() -> dict[str, Any]:
    """Build the form's fields for Airflow 3.0 and 3.1, which replace these modules by stand-ins while they ask."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import Optional as OptionalValue
    from wtforms.validators import any_of

    built: dict[str, Any] = {}
    for name, field in CONN_FIELDS.items():
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


def behaviour() -> dict[str, Any]:
    """Return the standard fields' labels as Airflow 3.0 and 3.1 spell the keys."""
    return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}
