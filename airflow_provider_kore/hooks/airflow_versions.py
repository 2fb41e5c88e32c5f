"""Where each supported Airflow keeps what we need of it: one file to look at when a version is added or dropped."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowFailException
else:
    try:
        from airflow.sdk import BaseHook  # 3.1 and later
    except ImportError:
        from airflow.hooks.base import BaseHook  # 3.0
    try:
        from airflow.sdk.exceptions import AirflowFailException  # 3.2 and later
    except ImportError:
        from airflow.exceptions import AirflowFailException  # 3.0, 3.1

__all__ = ["AirflowFailException", "BaseHook", "mask_secret"]


def mask_secret(secret: str) -> None:
    """Have Airflow replace this value by ``***`` in logs and rendered templates."""
    for module in ("airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker"):  # 3.1 and later; 3.0
        with contextlib.suppress(ImportError, AttributeError):
            importlib.import_module(module).mask_secret(secret)
            return
    raise ImportError("This Airflow has no secrets masker where it is looked for.")
