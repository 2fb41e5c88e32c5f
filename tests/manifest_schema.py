"""The JSON Schema of the manifest, held against every manifest that this package writes in a test."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

import airflow_provider_kore
from airflow_provider_kore.snapshot.manifest import Manifest

if TYPE_CHECKING:
    import pytest

SCHEMA = Path(airflow_provider_kore.__file__).with_name("snapshot") / "manifest.schema.json"


@cache
def validator() -> Any:
    schema = json.loads(SCHEMA.read_bytes())
    kind = jsonschema.Draft202012Validator
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def wrong(content: object) -> str | None:
    """Say what the schema refuses; None: nothing."""
    found = next(validator().iter_errors(content), None)
    return None if found is None else f"{found.json_path}: {found.message}"


def _shape(value: object) -> object:
    """Return which members a JSON value has, and of which types."""
    if isinstance(value, dict):
        return tuple((name, _shape(inner)) for name, inner in value.items())
    return frozenset(map(_shape, value)) if isinstance(value, list) else type(value)


def hold_against_schema(patched: pytest.MonkeyPatch) -> None:
    """Let manifests be validated when they are written, the first of each shape and every fiftieth.

    Those that tests make up say no ``provider_version``.
    """
    to_bytes = Manifest.to_bytes
    seen: Counter[object] = Counter()

    def validated(self: Manifest) -> bytes:
        body = to_bytes(self)
        if "provider_version" in self.content and len(body) < 100_000:
            shape = _shape(self.content)
            problem = wrong(json.loads(body)) if seen[shape] % 50 == 0 else None
            seen[shape] += 1
            assert problem is None, f"a manifest was written that its schema refuses: {problem}"
        return body

    patched.setattr(Manifest, "to_bytes", validated)
