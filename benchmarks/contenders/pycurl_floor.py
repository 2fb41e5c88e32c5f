"""The floor: libcurl downloads the same pages over one kept connection, and lands nothing.

It parses nothing: that a page is the last one it sees in the bytes.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from io import BytesIO
from urllib.parse import urlencode

import pycurl
from contender import Job, compete

PAUSE_SECONDS = 60.0
END = b'"hasMore": false'


def land(job: Job) -> None:
    """Download until a page says that it is the last one."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in job.headers.items()])
    skip = 0
    while True:
        body = BytesIO()
        query = urlencode({"accountId": job.account_id, "skip": skip, "limit": job.page})
        curl.setopt(pycurl.URL, f"{job.url}{job.path}?{query}")
        curl.setopt(pycurl.WRITEDATA, body)
        curl.perform()
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            time.sleep(PAUSE_SECONDS)
            continue
        if status != HTTPStatus.OK:
            raise RuntimeError(f"HTTP {status}")
        if END in body.getvalue():
            break
        skip += job.page
    curl.close()


if __name__ == "__main__":
    compete(land)
