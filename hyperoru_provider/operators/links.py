"""Links from a task in Airflow's UI to what it exported."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

from hyperoru_provider.hooks.compat import conf

#: of a directory and of an object, by the scheme of a storage. Azure's need the id of a subscription, which no URL has
_PAGES = {
    "s3": (
        "https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={path}/",
        "https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={path}",
    ),
    "gs": (
        "https://console.cloud.google.com/storage/browser/{bucket}/{path}",
        "https://console.cloud.google.com/storage/browser/_details/{bucket}/{path}",
    ),
}


def console_pages(manifest: str) -> tuple[str, str]:
    """Return the web pages of an export's directory and of its manifest; empty if its storage has none.

    :param manifest: the URL of the manifest, with or without a connection.
    """
    url = urlsplit(manifest)
    bucket, path = quote(url.netloc.rpartition("@")[2]), quote(url.path.strip("/"), safe="/=,")
    pages = _PAGES.get({"s3a": "s3", "gcs": "gs"}.get(url.scheme, url.scheme), ("", ""))
    return pages[0].format(bucket=bucket, path=path.rpartition("/")[0]), pages[1].format(bucket=bucket, path=path)


def _manifest(operator: Any) -> str:
    return operator.summary.get("manifest", "") if isinstance(operator.summary, dict) else ""


class HyperoruDataLink(BaseOperatorLink):
    """Links to the directory of an export, in the console of its storage."""

    name = "Exported data"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if there is none."""
        return console_pages(_manifest(operator))[0]


class HyperoruManifestLink(BaseOperatorLink):
    """Links to the manifest of an export, in the console of its storage."""

    name = "Manifest"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if there is none."""
        return console_pages(_manifest(operator))[1]


class HyperoruTraderLink(BaseOperatorLink):
    """Links to the trader of an export, in the app whose address is in Airflow's configuration."""

    name = "Trader in Hyperoru"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if none is configured, or the export is not of one trader."""
        address = conf.get("hyperoru", "trader_url", fallback="")
        account_id = (operator.given_filters() or {}).get("account_id")
        return address.replace("{account_id}", quote(str(account_id), safe="")) if address and account_id else ""
