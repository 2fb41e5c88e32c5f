"""What OpenLineage is told of a snapshot: the list it was read from, the table it went to. Silent without the provider.

The table is named as the asset is (``s3://{bucket}`` and the key of its location), so that both mean the same dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_kore.walk.source import Source


def snapshot_lineage(manifest: Mapping[str, Any], *, source: Source, base_url: str, uri: str) -> OperatorLineage | None:
    """Describe a snapshot that has landed; None where the OpenLineage provider is not installed.

    :param manifest: its content.
    :param source: what it is of.
    :param base_url: of the Kore.ai environment that it was read from.
    :param uri: location of the table that it went to: ``s3://{bucket}/…``.
    """
    try:
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
            SchemaDatasetFacet,
            SchemaDatasetFacetFields,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage
    except ImportError:
        return None
    files = manifest["files"]
    columns = [
        SchemaDatasetFacetFields(name=column["name"], type=column.get("type"))
        for column in (files[0].get("columns", ()) if files else ())
    ]
    statistics = OutputStatisticsOutputDatasetFacet(
        rowCount=sum(file["rows"] for file in files), size=sum(file.get("bytes", 0) for file in files)
    )
    return OperatorLineage(
        inputs=[Dataset(namespace=f"kore://{urlsplit(base_url).netloc}", name=_path(manifest, source))],
        outputs=[
            OutputDataset(
                namespace=f"s3://{urlsplit(uri).netloc}",
                name=urlsplit(uri).path.lstrip("/"),
                facets={"schema": SchemaDatasetFacet(fields=columns)},
                outputFacets={"outputStatistics": statistics},
            )
        ],
    )


def _path(manifest: Mapping[str, Any], source: Source) -> str:
    """Return a name for what was read: ``{account_id}/{stream_id}/contacts/contact_list_id=…``."""
    parts = [f"{key}={value}" for key, value in source.dataset.partition]
    return "/".join([str(manifest.get("account_id")), str(manifest.get("stream_id")), source.dataset.file_name, *parts])
