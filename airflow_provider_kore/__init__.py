"""Apache Airflow provider for the Kore.ai Campaign API.

Importing this package imports nothing else: Airflow does it in every one of its processes.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__", "get_provider_info"]


_S3 = "Amazon Simple Storage Service (S3)"
_TRANSFERS = (
    (
        "Kore.ai",
        _S3,
        "contact_list_to_s3",
        "contact_lists_to_s3",
        "contact_list_catalog_to_s3",
        "campaigns_to_s3",
        "campaign_contacts_to_s3",
    ),
    (_S3, "Apache Iceberg", "snapshots_to_iceberg"),
)
"""From where to where, and the modules."""


def get_provider_info() -> dict[str, object]:
    """Describe this provider to Airflow (entry point ``apache_airflow_provider``)."""
    from airflow_provider_kore.connection_form import conn_fields, ui_field_behaviour

    return {
        "package-name": "airflow-provider-kore",
        "name": "Kore.ai",
        "description": (
            "Contact lists and campaigns of the `Kore.ai <https://kore.ai/>`__ Campaign API, "
            "as verified snapshots in S3."
        ),
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Kore.ai",
                "external-doc-url": "https://docs.kore.ai/",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks.campaign"),
        "operators": _modules(
            "operators.connection",
            "operators.contact_erasure",
            "operators.contact_list_changes",
            "operators.snapshot_verification",
        ),
        "sensors": _modules("sensors.campaign", "sensors.contact_list"),
        "triggers": _modules("triggers.campaign", "triggers.contact_list", "triggers.wait"),
        "transfers": [
            {
                "source-integration-name": source,
                "target-integration-name": target,
                "python-module": f"{__name__}.transfers.{module}",
            }
            for source, target, *modules in _TRANSFERS
            for module in modules
        ],
        "extra-links": [
            "airflow_provider_kore.links.snapshot.ContactListLink",
            "airflow_provider_kore.links.snapshot.ManifestLink",
            "airflow_provider_kore.links.snapshot.SnapshotLink",
        ],
        "connection-types": [
            {
                "connection-type": "kore",
                "hook-class-name": "airflow_provider_kore.hooks.campaign.KoreCampaignHook",
                "hook-name": "Kore.ai",
                "conn-fields": conn_fields(),
                "ui-field-behaviour": ui_field_behaviour(),
            },
        ],
    }


def _modules(*names: str) -> list[dict[str, object]]:
    return [{"integration-name": "Kore.ai", "python-modules": [f"{__name__}.{name}" for name in names]}]
