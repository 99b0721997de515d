"""Links from a task to what it exported."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hyperoru_provider.operators.links import HyperoruDataLink, HyperoruManifestLink, HyperoruTraderLink

NAME = "20260115T000000Z_20260116T000000Z,account_id-1"
S3 = "https://s3.console.aws.amazon.com/s3"
GCS = "https://console.cloud.google.com/storage/browser"


@pytest.mark.parametrize(
    ("manifest", "pages"),
    [
        (
            f"s3://bucket/exports/trades/{NAME}/_manifest.json",
            (
                f"{S3}/buckets/bucket?prefix=exports/trades/{NAME}/",
                f"{S3}/object/bucket?prefix=exports/trades/{NAME}/_manifest.json",
            ),
        ),
        (
            "s3a://a_connection@bucket/a b/_manifest.json",
            (f"{S3}/buckets/bucket?prefix=a%20b/", f"{S3}/object/bucket?prefix=a%20b/_manifest.json"),
        ),
        (
            f"gs://bucket/trades/{NAME}/_manifest.json",
            (f"{GCS}/bucket/trades/{NAME}", f"{GCS}/_details/bucket/trades/{NAME}/_manifest.json"),
        ),
        ("file:///data/trades/_manifest.json", ("", "")),
        ("/data/trades/_manifest.json", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_directory_and_a_manifest_have_pages_in_the_console_of_their_storage(
    manifest: str, pages: tuple[str, str]
) -> None:
    operator = SimpleNamespace(manifest=manifest)
    links = (HyperoruDataLink(), HyperoruManifestLink())
    assert tuple(link.get_link(operator, ti_key=None) for link in links) == pages


@pytest.mark.parametrize(
    ("address", "filters", "link"),
    [
        (
            "https://app.example.com/?trader={account_id}",
            {"account_id": "a/b"},
            "https://app.example.com/?trader=a%2Fb",
        ),
        ("https://app.example.com/{account_id}", {"symbol": "BTC"}, ""),
        ("https://app.example.com/{account_id}", None, ""),
        ("", {"account_id": 1}, ""),
    ],
)
def test_a_trader_has_a_page_where_its_address_is_configured(
    address: str, filters: dict[str, object] | None, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__HYPERORU__TRADER_URL", address)
    operator = SimpleNamespace(given_filters=lambda: filters)
    assert HyperoruTraderLink().get_link(operator, ti_key=None) == link
