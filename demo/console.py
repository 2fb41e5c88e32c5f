"""Where the links of the demo lead: a page on loopback that lists what the bucket holds, and one per contact list.

Stands in for the web consoles of S3 and of Kore.ai. It shows keys, sizes and manifests; no contacts.
"""

from __future__ import annotations

import html
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = '<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{body}'


class Console:
    """A web server in a thread of its own.

    :param s3: a boto3 client.
    :param contacts: returns how many contacts a list has. Raises KeyError if there is none.
    """

    def __init__(self, s3: Any, contacts: Callable[[str], int]) -> None:
        pages = {"s3": lambda path: _bucket_page(s3, path), "lists": lambda path: _list_page(contacts, path)}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, kind, path = f"{unquote(urlsplit(self.path).path)}/".split("/", 2)
                try:
                    page = pages[kind](path[:-1])
                except Exception:  # noqa: BLE001 - whatever it was, there is nothing to show
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _bucket_page(s3: Any, path: str) -> str:
    bucket, _, key = path.partition("/")
    if key.endswith("_manifest.json"):
        text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return _page(f"s3://{bucket}/{key}", f"<pre>{html.escape(text)}</pre>")
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    rows = [
        f'<li><a href="/s3/{quote(bucket)}/{quote(one["Key"])}">{html.escape(one["Key"])}</a>, {one["Size"]:,} bytes'
        for one in found
    ]
    return _page(f"s3://{bucket}/{key}", f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nothing is here.</p>")


def _list_page(contacts: Callable[[str], int], list_id: str) -> str:
    return _page(f"Contact list {list_id}", f"<p>{contacts(list_id):,} contacts, in the simulated Kore.ai.</p>")


def _page(title: str, body: str) -> str:
    return PAGE.format(title=html.escape(title), body=body)
