"""The certificates that a host is verified with, and the variables of a worker that speak for a connection."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from airflow_provider_kore.exceptions import ConfigError
from airflow_provider_kore.quoting import quoted


def check_bundle(verify: object, *, of_connection: bool) -> None:
    """Raise ConfigError if certificates cannot be verified with this bundle, which a connection or a variable names."""
    if not isinstance(verify, str) or Path(verify).is_dir():
        return
    try:
        with Path(verify).open("rb"):
            problem = "which holds no certificate in PEM form"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(verify)
    except FileNotFoundError:
        problem = "which does not exist here"
    except ssl.SSLError:
        pass
    except (OSError, ValueError):
        problem = "which cannot be read here"
    else:
        return
    if of_connection:
        advice = "use true, false, or the path of a bundle that every worker can read"
        raise ConfigError("verify", f"names the CA bundle '{quoted(verify)}', {problem}", advice)
    variable = variable_of("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    raise ConfigError(
        "verify",
        f"is not set, and the worker's variable {variable} names the CA bundle '{quoted(verify)}', {problem}",
        "correct the variable, or set this field to a bundle that every worker can read",
    )


def variable_of(*names: str) -> str:
    """Return the first of these variables that is set, in either case."""
    for name in names:
        for spelling in (name.lower(), name.upper()):
            if os.environ.get(spelling):
                return spelling
    return names[0].upper()
