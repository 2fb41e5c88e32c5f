"""Which of the ways to ask works, where the vendor's pages leave more than one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kore.api.calls import Way
from airflow_provider_kore.api.refusals import WebPageError
from airflow_provider_kore.exceptions import ContractError, CredentialsError, RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.endpoints import Endpoint


class Ways:
    """Remembers how each endpoint was asked when it answered."""

    def __init__(self, api_version: str) -> None:
        self._api_version = api_version
        self._worked: dict[str, Way] = {}
        """By the endpoint's name."""

    def best(self, endpoint: Endpoint) -> Way:
        """Return the way in which a server has answered, until then that of the vendor's page."""
        documented = endpoint.account_in_query[self._api_version]
        return self._worked.get(endpoint.name, Way(account=documented is not False))

    def ask(self, endpoint: Endpoint, attempt: Callable[[Way], Any], wordings: int = 1) -> Any:
        """Ask as documented; where the documents leave a choice and that is refused, in the other ways.

        The way that worked is kept as long as the client lives. A refusal that none of them avoids is the first one.
        """
        first = self.best(endpoint)
        ways = [first]
        if endpoint.name not in self._worked:
            # What each page's sample has is sent; only what it lacks may be missing, or be too much.
            certain = endpoint.account_in_query[self._api_version] is True
            accounts = (True,) if certain else (first.account, not first.account)
            ways = [Way(account=account, wording=wording) for account in accounts for wording in range(wordings)]
        refusal: RequestRefusedError | CredentialsError | None = None
        account_missed = False
        for way in ways:
            if account_missed and not way.account:
                continue
            try:
                payload = attempt(way)
            except WebPageError:  # it says nothing about the way
                raise
            except RequestRefusedError as err:
                refusal = refusal or err
            except CredentialsError as err:
                # A missing account may be told as a token that is not good; one that is there is no reason to ask on.
                refusal = refusal or err
                if way.account:
                    break
                account_missed = True
            else:
                self._worked[endpoint.name] = way
                return payload
        raise refusal or ContractError(f"There is no way to ask for {endpoint.name}.")
