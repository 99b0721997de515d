"""Links from a task in Airflow's UI to what it exported."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

from hyperoru_provider.hooks.compat import conf


class _ConsoleLink(BaseOperatorLink):
    """Links to what an export wrote, in the console of its storage.

    Azure's pages need the id of a subscription, which no address of a file has.
    """

    #: protocol of a storage -> its page
    pages: ClassVar[dict[str, str]]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if there is none."""
        url = urlsplit(operator.manifest)
        page = self.pages.get({"s3a": "s3", "gcs": "gs"}.get(url.scheme, url.scheme), "")
        bucket, path = quote(url.netloc.rpartition("@")[2]), quote(url.path.strip("/"), safe="/=,")
        return page.format(bucket=bucket, manifest=path, directory=path.rpartition("/")[0])


class HyperoruDataLink(_ConsoleLink):
    """Links to the directory of an export, in the console of its storage."""

    name = "Exported data"
    pages: ClassVar[dict[str, str]] = {
        "s3": "https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={directory}/",
        "gs": "https://console.cloud.google.com/storage/browser/{bucket}/{directory}",
    }


class HyperoruManifestLink(_ConsoleLink):
    """Links to the manifest of an export, in the console of its storage."""

    name = "Manifest"
    pages: ClassVar[dict[str, str]] = {
        "s3": "https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={manifest}",
        "gs": "https://console.cloud.google.com/storage/browser/_details/{bucket}/{manifest}",
    }


class HyperoruTraderLink(BaseOperatorLink):
    """Links to the trader of an export, in the app whose address is in Airflow's configuration."""

    name = "Trader in Hyperoru"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if none is configured, or the export is not of one trader."""
        address = conf.get("hyperoru", "trader_url", fallback="")
        account_id = (operator.given_filters() or {}).get("account_id")
        return address.replace("{account_id}", quote(str(account_id), safe="")) if address and account_id else ""
