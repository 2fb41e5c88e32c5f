"""Airflow 3.3's UI as a person finds it: by what is written on it. What a newer one names anew changes here."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page, Route

PATIENCE = 60_000.0
"""Milliseconds that anything on a page may take to show: machines are slow while they run other tests."""
RUN = 240_000.0
"""Milliseconds for a DAG run."""

# The editor shows JSON at once, and paints names, strings and numbers a moment later.
_COLOURED = """
() => new Set([...document.querySelectorAll(".view-line span > span")].map(word => word.className)).size > 3
"""


class AirflowUi:
    """A browser window.

    :param url: where Airflow is served.
    :param pictures: folder for the screenshots.
    """

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self.answers: list[str] = []
        """What the server has answered about connections, as text."""
        self._url = url
        self._pictures = pictures
        page.route(re.compile("/connections"), self._note)

    @classmethod
    @contextmanager
    def open(cls, url: str, program: str, pictures: Path) -> Iterator[Self]:
        """Open a window in a browser of its own."""
        expect.set_options(timeout=PATIENCE)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-proxy-server"])
            try:
                page = browser.new_page(
                    viewport={"width": 1280, "height": 800}, color_scheme="light", locale="en-GB", timezone_id="UTC"
                )
                page.context.grant_permissions(["clipboard-read", "clipboard-write"])
                page.set_default_timeout(PATIENCE)
                page.set_default_navigation_timeout(PATIENCE)
                yield cls(page, url, pictures)
            finally:
                browser.close()

    def _note(self, route: Route) -> None:
        answer = route.fetch()
        self.answers.append(answer.text())
        route.fulfill(response=answer)

    def picture(self, name: str) -> None:
        """Take a screenshot, once nothing moves and nothing loads."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        busy = self.page.locator(".chakra-spinner, .chakra-skeleton, [role=progressbar]").filter(visible=True)
        expect(busy).to_have_count(0)
        self.page.screenshot(path=self._pictures / f"{name}.png", animations="disabled", caret="hide")

    # -- connections ---------------------------------------------------------------------------------------------------

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    def field(self, label: str) -> Locator:
        """A field in the dialog: label, input, description."""
        exactly = re.compile(rf"^\s*{re.escape(label)}\s*\*?\s*$")
        return self.dialog.locator(".chakra-field__root").filter(has=self.page.locator("label", has_text=exactly))

    def add_connection(self, connection_id: str, kind: str) -> None:
        """Open the form for a new connection of this type."""
        self.page.goto(f"{self._url}/connections")
        self.page.get_by_role("button", name="Add Connection").click()
        self.field("Connection ID").get_by_role("textbox").fill(connection_id)
        self.field("Connection Type").get_by_role("combobox").fill(kind)
        self.page.get_by_role("option", name=kind, exact=True).click()

    def edit_connection(self, connection_id: str) -> None:
        """Open the form of a connection."""
        self._row(connection_id).get_by_role("button", name="Edit Connection").click()
        expect(self.field("Connection ID").get_by_role("textbox")).to_have_value(connection_id)

    def show_extra_fields(self) -> None:
        """Unfold what the connection type adds to the standard fields."""
        self.dialog.get_by_role("button", name="Extra Fields", exact=True).click()

    def save(self) -> None:
        """Save the form, and let its message go."""
        self.dialog.get_by_role("button", name="Save").click()
        expect(self.dialog).to_have_count(0)  # it stays where the server refuses
        self.dismiss_message("successfully")

    def test_connection(self, connection_id: str) -> None:
        """Press the Test button."""
        self._row(connection_id).get_by_role("button", name="Test Connection").click()

    def await_message(self, title: str, text: str) -> None:
        """Wait for a message in the corner, and keep it there: it stays while the pointer is on it."""
        message = self._message(title)
        message.hover()
        expect(message).to_contain_text(text)

    def dismiss_message(self, title: str) -> None:
        """Let a message go, by not pointing at it."""
        self.page.mouse.move(0, 0)
        expect(self._message(title)).to_have_count(0)

    def _message(self, text: str) -> Locator:
        return self.page.get_by_role("status").filter(has_text=text)

    def _row(self, connection_id: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=connection_id, exact=True))

    # -- runs ----------------------------------------------------------------------------------------------------------

    def trigger(self, dag_id: str) -> None:
        """Look a DAG up, trigger it with its own parameters, and come to see its run."""
        self.page.goto(f"{self._url}/dags")
        self.page.get_by_role("link", name=dag_id, exact=True).click()
        expect(self.page.get_by_role("navigation", name="breadcrumb")).to_contain_text(dag_id)
        self.page.get_by_role("button", name="Trigger Dag").click()
        self.dialog.get_by_role("button", name="Trigger", exact=True).click()
        expect(self.dialog).to_have_count(0)
        expect(self.page).to_have_url(re.compile(f"/dags/{dag_id}/runs/"))

    def await_end(self) -> str:
        """Wait until the run on the page has ended, and return the state that it shows first."""
        badges = self.page.get_by_test_id("state-badge")
        expect(badges.first).to_have_text(re.compile("Success|Failed"), timeout=RUN)
        self.page.reload()  # each part of the page asks for itself, and some of them late
        expect(badges.first).to_have_text(re.compile("Success|Failed"))
        return badges.first.inner_text().strip()

    def open_task(self, task_id: str) -> None:
        """Open a task of the run on the page: its log."""
        self.page.get_by_role("row").get_by_role("link", name=task_id, exact=True).click()
        expect(self.page).to_have_url(re.compile(f"/tasks/{task_id}"))

    def log(self, until: str) -> str:
        """Return the log of the task on the page, once it says this, with its long lines wrapped."""
        lines = self.page.get_by_test_id("virtualized-list")
        expect(lines).to_contain_text(until)
        self.page.get_by_role("button", name="Log Settings").click()
        self.page.get_by_role("menuitem", name="Wrap", exact=False).click()
        expect(self.page.get_by_role("menuitem")).to_have_count(0)
        return lines.inner_text()

    def show_xcom(self, key: str, text: str) -> None:
        """Show what the task on the page has pushed, unfolded, and wait until this text is there under this key."""
        self.page.get_by_role("link", name="Storage", exact=True).click()
        self.page.get_by_role("link", name="XCom", exact=True).click()
        self.page.get_by_role("button", name="Expand all").click()
        expect(self._xcom(key)).to_contain_text(text)
        self.page.wait_for_function(_COLOURED)
        self._xcom(key).evaluate("row => row.scrollIntoView({block: 'end'})")

    def copy_xcom(self, key: str) -> Any:
        """Copy a value that is shown, and return its JSON parsed."""
        self._xcom(key).get_by_role("button", name="Copy to clipboard").click()
        self.page.wait_for_function("async () => (await navigator.clipboard.readText()) !== ''")
        return json.loads(self.page.evaluate("navigator.clipboard.readText()"))

    def _xcom(self, key: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=key, exact=True))

    def show_details(self) -> None:
        """Show the details of the task on the page; the operator's links are on top of them."""
        self.page.get_by_role("link", name="Details", exact=True).click()
        expect(self.page.get_by_text("Try Number").first).to_be_visible()

    def extra_link(self, name: str) -> Locator:
        """One of the links that an operator adds to its tasks."""
        return self.page.get_by_role("link", name=name, exact=True)
