"""Links on the task that takes a snapshot.

The UI reads a link from an XCom. Airflow writes that when a task instance ends, so a running task would have none, and
neither would one that was killed: the operator pushes its links itself, as soon as they are known (Airflow 3.0 to 3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class _PushedLink(BaseOperatorLink):
    """A link whose address :func:`push_links` has put into the operator's ``link_urls``."""

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the address, as Airflow wants to store it when the task instance ends; empty: there is none."""
        urls: dict[str, str] = getattr(operator, "link_urls", {})
        return urls.get(self.xcom_key, "")


class SnapshotLink(_PushedLink):
    """The snapshot's partition in the S3 console."""

    name = "Snapshot in S3"


class ManifestLink(_PushedLink):
    """The snapshot's manifest in the S3 console."""

    name = "Manifest"


class ContactListLink(_PushedLink):
    """The contact list in Kore.ai's web console, where the connection says how its address looks."""

    name = "Contact list in Kore.ai"


def push_links(operator: BaseOperator, ti: Any, urls: dict[type[BaseOperatorLink], str]) -> None:
    """Show these links from now on, and no others.

    At its end Airflow stores what each of the operator's links says, even where that is nothing, as an XCom that shows
    an empty row (3.0 to 3.3). So the operator of this task instance is left with those links that have an address.

    :param urls: by link; empty: there is no such address, and the button stays dead.
    """
    links = {kind().xcom_key: url for kind, url in urls.items() if url}
    operator.link_urls = links
    operator.operator_extra_links = tuple(kind() for kind, url in urls.items() if url)
    for key, url in links.items():
        ti.xcom_push(key, url)
