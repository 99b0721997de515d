from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from chromium import find_chromium, save_image
from moto.server import ThreadedMotoServer
from playwright.sync_api import Browser, Locator, Page, Request, expect, sync_playwright
from ui import address, free_port, standalone

from hyperoru_provider.sandbox import Sandbox
from tests.places import EXAMPLES, ROOT

BUCKET = "trading-lake"
ADMIN, PASSWORD = "admin", "airflow-pass-H5n8r3"
MOST_BYTES = 150_000
HEIGHT = 720


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox on the port that the documentation names, if that is free."""
    with Sandbox(port=free_port(8099)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def lake() -> Iterator[dict[str, object]]:
    """Airflow's connection to an S3 with a bucket: what is there has links, and no path of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    extra = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
    boto3.client("s3", aws_access_key_id="key", aws_secret_access_key="secret", **extra).create_bucket(Bucket=BUCKET)
    yield {"conn_type": "aws", "login": "key", "password": "secret", "extra": json.dumps(extra)}
    server.stop()


@pytest.fixture(scope="module")
def airflow(lake: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Airflow as ``make ui`` runs it, with a login and without a connection to Hyperoru."""
    home = tmp_path_factory.mktemp("browser") / "home"
    home.mkdir()
    (home / "passwords.json").write_text(json.dumps({ADMIN: PASSWORD}))
    port = free_port(8080)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERORU_SINCE", f"{datetime.now(UTC) - timedelta(minutes=10):%Y-%m-%dT%H:%M:%SZ}")
        with standalone(
            home,
            f"s3://aws_default@{BUCKET}",
            home.parent / "airflow.log",
            port,
            {"aws_default": lake},
            core__simple_auth_manager_users=f"{ADMIN}:admin",
            core__simple_auth_manager_passwords_file=home / "passwords.json",
            core__dags_folder=EXAMPLES,
            dag_processor__min_file_process_interval=3600,
            dag_processor__refresh_interval=3600,
            hyperoru__trader_url="https://app.example.com/traders/{account_id}",
            scheduler__scheduler_idle_sleep_time=0.2,
            scheduler__use_job_schedule=False,  # runs are those that the test triggers
        ):
            yield address(port)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    with sync_playwright() as playwright:
        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(executable_path=path, args=[nowhere, "--no-proxy-server"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(airflow: str, browser: Browser) -> Iterator[Page]:
    """Airflow's UI after the login, which loads nothing from anywhere else."""
    expect.set_options(timeout=60_000)
    page = browser.new_page(
        base_url=airflow,
        viewport={"width": 1280, "height": HEIGHT},
        color_scheme="light",
        locale="en-US",
        timezone_id="UTC",
    )
    page.set_default_timeout(60_000)
    elsewhere: list[str] = []

    def note(request: Request) -> None:
        if urlsplit(request.url.removeprefix("blob:"))[:2] != urlsplit(airflow)[:2]:
            elsewhere.append(request.url)

    page.on("request", note)
    page.goto("/")
    page.get_by_label("Username").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    yield page
    page.close()
    assert elsewhere == []


class Pictures:
    """Images of a page for the documentation."""

    def __init__(self, directory: Path, page: Page, machine: list[str]) -> None:
        self._directory = directory
        self._page = page
        self._machine = machine

    def take(self, name: str, subject: Locator, height: int = HEIGHT) -> None:
        """Write an image of the page's top, in which its subject is seen, and nothing that tells of this machine."""
        self._page.set_viewport_size({"width": 1280, "height": height + 300})  # other fonts take more room
        expect(subject).to_be_in_viewport(ratio=1)
        self._page.set_viewport_size({"width": 1280, "height": height})
        shown = self._page.locator("body").inner_text()
        assert [word for word in self._machine if word in shown] == []
        path = self._directory / f"{name}.png"
        save_image(self._page.screenshot(animations="disabled"), path)
        self._page.set_viewport_size({"width": 1280, "height": HEIGHT})
        assert path.stat().st_size < MOST_BYTES


@pytest.fixture(scope="module")
def pictures(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Where images go: to a temporary directory, or to the one that HYPERORU_UI_IMAGES names."""
    temporary = tmp_path_factory.getbasetemp()
    directory = Path(os.environ.get("HYPERORU_UI_IMAGES") or tmp_path_factory.mktemp("images"))
    return Pictures(directory, page, [str(ROOT), str(temporary)])
