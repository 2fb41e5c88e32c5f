"""What OpenLineage is told of a snapshot: the list it was read from, the table it went to. Silent without the provider.

The table is named as the asset is (``s3://{bucket}`` and the key of its location), so that both mean the same dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_kore.walk.source import Source


def snapshot_lineage(snapshots: Sequence[Mapping[str, Any]]) -> OperatorLineage | None:
    """Describe snapshots that have landed; None where the OpenLineage provider is not installed.

    :param snapshots: of each its ``manifest`` (its content), its ``source`` (what it is of), the ``base_url`` of the
        Kore.ai environment that it was read from, and the ``uri`` of the table that it went to: ``s3://{bucket}/…``.
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

    def read(one: Mapping[str, Any]) -> Dataset:
        return Dataset(
            namespace=f"kore://{urlsplit(one['base_url']).netloc}", name=_path(one["manifest"], one["source"])
        )

    def written(one: Mapping[str, Any]) -> OutputDataset:
        files, place = one["manifest"]["files"], urlsplit(one["uri"])
        columns = [
            SchemaDatasetFacetFields(name=column["name"], type=column.get("type"))
            for column in (files[0].get("columns", ()) if files else ())
        ]
        statistics = OutputStatisticsOutputDatasetFacet(
            rowCount=sum(file["rows"] for file in files), size=sum(file.get("bytes", 0) for file in files)
        )
        return OutputDataset(
            namespace=f"s3://{place.netloc}",
            name=place.path.lstrip("/"),
            facets={"schema": SchemaDatasetFacet(fields=columns)},
            outputFacets={"outputStatistics": statistics},
        )

    return OperatorLineage(inputs=list(map(read, snapshots)), outputs=list(map(written, snapshots)))


def _path(manifest: Mapping[str, Any], source: Source) -> str:
    """Return a name for what was read: ``{account_id}/{stream_id}/contacts/contact_list_id=…``."""
    parts = [f"{key}={value}" for key, value in source.dataset.partition]
    return "/".join([str(manifest.get("account_id")), str(manifest.get("stream_id")), source.dataset.file_name, *parts])
