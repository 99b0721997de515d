"""Airflow's UI as people see it: the connection's form, its test, runs of the example DAGs, and what tasks show.

What is looked at is also the images of the documentation; ``make ui-images`` writes them to ``docs/images/``.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from hyperoru_provider.get_provider_info import CONNECTION_BEHAVIOUR, CONNECTION_FIELDS
from hyperoru_provider.sandbox import Sandbox
from tests.browser.conftest import BUCKET, Pictures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAILY = "hyperoru_daily_trades"
LIVE = "hyperoru_live_trades"
PARAMETERS: dict[str, dict[str, str]] = {
    DAILY: {"start": "2026-01-15", "end": "2026-01-16"},
    LIVE: {},
    "hyperoru_market_snapshot": {},
    "hyperoru_weekly_report": {},
}
WINDOW = "20260115T000000Z_20260116T000000Z,account_id-1"


@pytest.fixture(scope="module")
def connected(page: Page, sandbox: Sandbox, pictures: Pictures) -> str:
    """The id of a connection that was filled into the form."""
    form = open_form(page, "hyperoru_default")
    fill(form, sandbox)
    pictures.take("ui-connection", form.get_by_role("button", name="Save"), 940)
    save(form)
    return "hyperoru_default"


@pytest.fixture(scope="module")
def runs(page: Page, connected: str) -> dict[str, str]:
    """The address of a run of each DAG, which have all ended."""
    # all before the first run: on SQLite, Airflow's server may lock itself out when it does so while tasks report to it
    for dag in PARAMETERS:
        while not page.request.get(f"/api/v2/dags/{dag}").ok:  # it is not parsed yet
            page.wait_for_timeout(500)
        page.goto(f"/dags/{dag}")
        with page.expect_response(lambda response: response.request.method == "PATCH") as switched:
            page.get_by_test_id("toggle-pause").click()
        assert switched.value.ok
    runs = {dag: trigger(page, dag, parameters) for dag, parameters in PARAMETERS.items()}
    page.goto("/dag_runs")
    for dag in runs:
        row = page.get_by_role("row").filter(has_text=dag)
        expect(row, f"run of {dag}").to_contain_text(re.compile("Success|Failed"), timeout=240_000)
    return runs


@pytest.fixture
def export(runs: dict[str, str]) -> str:
    """The address of a task that exported the trades of one trader."""
    return f"{runs[DAILY]}/tasks/export/mapped/0"


def open_form(page: Page, name: str) -> Locator:
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Connection ID").fill(name)
    form.get_by_label("Connection Type").fill("Hyperoru")
    page.get_by_role("option", name="Hyperoru", exact=True).click()
    return form


def fill(form: Locator, sandbox: Sandbox, **others: str) -> None:
    url = urlsplit(sandbox.url)
    values = {
        "Base URL": f"http://{url.hostname}",
        "Email or user name": sandbox.email,
        "Password": sandbox.password,
        "Port": str(url.port),
        **others,
    }
    for label, value in values.items():
        form.get_by_label(label, exact=True).fill(value)


def save(form: Locator) -> None:
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()


def press_test(page: Page, name: str) -> Locator:
    """Press the button of a connection, and return what appears."""
    page.goto("/connections")
    page.get_by_role("row").filter(has_text=name).get_by_role("button", name="Test Connection").click()
    shown = page.get_by_role("status").filter(has_text="Test Connection")
    expect(shown).to_be_visible()
    return shown


def trigger(page: Page, dag: str, parameters: dict[str, str]) -> str:
    page.goto(f"/dags/{dag}")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    for name, value in parameters.items():
        label = page.get_by_text(name, exact=True)
        form.get_by_role("group").filter(has=label).get_by_role("textbox").fill(value)
    form.get_by_role("button", name="Trigger", exact=True).click()
    expect(page).to_have_url(re.compile(f"/dags/{dag}/runs/manual__"))
    return urlsplit(page.url).path.rstrip("/")


def test_the_form_shows_each_field_and_what_it_is_for(page: Page, pictures: Pictures) -> None:
    form = open_form(page, "hyperoru_default")
    for field, label in CONNECTION_BEHAVIOUR["relabeling"].items():
        shown = form.get_by_label(label, exact=True)
        expect(shown).to_have_attribute("placeholder", CONNECTION_BEHAVIOUR["placeholders"][field])
    expect(form.get_by_label("Schema")).to_have_count(0)
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for field in CONNECTION_FIELDS.values():
        group = form.get_by_role("group").filter(has=page.get_by_text(field["label"], exact=True))
        expect(group.get_by_text(field["description"], exact=True)).to_be_visible()
    pictures.take("ui-connection-extra", form.get_by_role("button", name="Save"), 1720)


def test_the_right_password_and_host_are_healthy(page: Page, connected: str, pictures: Pictures) -> None:
    shown = press_test(page, connected)
    expect(shown).to_contain_text("The service is healthy; logged in as demo.")
    pictures.take("ui-test-right", shown, 440)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("mistyped_password", {"Password": "another-password"}, "The login was refused. The server answered 401"),
        ("closed_port", {"Port": "1"}, "No complete answer from http://127.0.0.1:1: ConnectError"),
        ("unknown_host", {"Base URL": "http://nowhere.invalid"}, "No complete answer from http://nowhere.invalid:"),
        ("other_scheme", {"Base URL": "ftp://127.0.0.1"}, "The base URL must be like https://host[:port][/prefix]"),
    ],
)
def test_what_is_wrong_is_said(
    page: Page, sandbox: Sandbox, pictures: Pictures, name: str, wrong: dict[str, str], message: str
) -> None:
    form = open_form(page, name)
    fill(form, sandbox, **wrong)
    save(form)
    shown = press_test(page, name)
    expect(shown).to_contain_text("Test Connection Failed")
    expect(shown).to_contain_text(message)
    expect(shown).not_to_contain_text(sandbox.password)
    if "Password" in wrong:
        pictures.take("ui-test-wrong", shown, 600)


def test_a_saved_connection_can_be_edited(page: Page, connected: str, sandbox: Sandbox) -> None:
    page.goto("/connections")
    page.get_by_role("row").filter(has_text=connected).get_by_role("button", name="Edit Connection").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_label("Email or user name")).to_have_value(sandbox.email)
    expect(form.get_by_label("Password", exact=True)).to_have_value("***")
    form.get_by_label("Description").fill("Trades of all traders")
    save(form)
    expect(press_test(page, connected)).to_contain_text("The service is healthy; logged in as demo.")


@pytest.mark.parametrize("dag", PARAMETERS)
def test_an_example_dag_succeeds(page: Page, runs: dict[str, str], dag: str) -> None:
    page.goto("/dag_runs")
    expect(page.get_by_role("row").filter(has_text=dag)).to_contain_text("Success")


def test_a_run_shows_its_tasks(page: Page, runs: dict[str, str], pictures: Pictures) -> None:
    page.goto(runs[DAILY])
    page.get_by_role("button", name="Show Graph").click()
    mapped = page.get_by_text("export [5]")
    expect(mapped).to_be_visible()
    pictures.take("ui-run", mapped)
    page.get_by_role("button", name="Show Grid").click()  # the UI remembers it
    expect(mapped).to_be_hidden()


def test_the_log_says_what_was_exported(page: Page, export: str, pictures: Pictures) -> None:
    page.goto(export)
    exported = page.get_by_text("Exported 54 trades of account 1, 2026-01-15 to 2026-01-16, in 1 file of 1.9 kB to")
    expect(exported).to_be_visible()
    page.keyboard.press("w")  # wraps the lines
    pictures.take("ui-log", exported, 500)


def test_the_rendered_templates_are_those_of_the_run(page: Page, export: str, pictures: Pictures) -> None:
    page.goto(f"{export}/rendered_templates")
    for name, value in {
        "start": "2026-01-15",
        "end": "2026-01-16",
        "account_id": "1",
        "destination": f"s3://aws_default@{BUCKET}/daily_trades",
        "hyperoru_conn_id": "hyperoru_default",
    }.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
        expect(row.get_by_role("code")).to_have_text(f"1{value}")
    pictures.take("ui-rendered", row.get_by_role("code"), 880)


def test_the_xcom_is_the_summary(page: Page, export: str, pictures: Pictures) -> None:
    page.goto(f"{export}/xcom")
    page.get_by_role("button", name="Expand all extra JSON").click()
    value = page.get_by_role("row").filter(has_text="return_value")
    expect(value).to_contain_text('"rows": 54')
    expect(value).to_contain_text('"start": "2026-01-15T00:00:00Z"')
    pictures.take("ui-xcom", value.get_by_text('"manifest"'), 980)


def test_the_links_lead_to_data_manifest_and_trader(page: Page, export: str, pictures: Pictures) -> None:
    page.goto(f"{export}/details")
    console = "https://s3.console.aws.amazon.com/s3"
    prefix = f"{BUCKET}?prefix=daily_trades/trades/{WINDOW}"
    for name, target in {
        "Exported data": f"{console}/buckets/{prefix}/",
        "Manifest": f"{console}/object/{prefix}/_manifest.json",
        "Trader in Hyperoru": "https://app.example.com/traders/1",
    }.items():
        link = page.get_by_role("link", name=name, exact=True)
        expect(link).to_have_attribute("href", target)
    pictures.take("ui-links", link, 480)


def test_an_export_of_all_traders_has_no_link_to_one(page: Page, runs: dict[str, str]) -> None:
    page.goto(f"{runs['hyperoru_weekly_report']}/tasks/export/details")
    expect(page.get_by_role("link", name="Manifest", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Trader in Hyperoru")).to_have_count(0)


def test_the_asset_s_event_names_the_manifests(page: Page, runs: dict[str, str], pictures: Pictures) -> None:
    page.goto("/assets")
    page.get_by_role("link", name="hyperoru_exports").click()
    expect(page.get_by_role("link", name=LIVE).first).to_be_visible()
    for unfolded in ('"manifests"', f"s3://aws_default@{BUCKET}/live_trades/trades/"):
        page.locator(".codicon-folding-collapsed").click()
        wrapped = re.compile(r"\s*".join(map(re.escape, unfolded)))
        extra = page.get_by_role("code")
        expect(extra).to_contain_text(wrapped)
    pictures.take("ui-asset", extra)
