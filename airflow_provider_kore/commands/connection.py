"""The Kore.ai connection that a command is about, looked up as Airflow does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook


def options() -> argparse.ArgumentParser:
    """Return the options that name it, as a parent of a command's parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--conn-id", default="kore_default", help="Airflow connection (default: %(default)s)")
    return parser


def find_hook(options: argparse.Namespace) -> KoreCampaignHook:
    """Return the hook of that connection; it is looked up when it is first used."""
    from airflow_provider_kore.hooks.airflow_versions import search_metadata_database
    from airflow_provider_kore.hooks.campaign import KoreCampaignHook

    search_metadata_database()
    return KoreCampaignHook(options.conn_id)
