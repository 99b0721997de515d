"""The only entry: exports of trades become a page."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.local_files import write_file
from hyperoru_provider.export.manifest import counted
from hyperoru_provider.report.charts import draw_charts
from hyperoru_provider.report.coverage import Coverage
from hyperoru_provider.report.exports import Export, find_exports, in_order
from hyperoru_provider.report.figures import Figures
from hyperoru_provider.report.fills import FillStore
from hyperoru_provider.report.page import write_page

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

log = logging.getLogger(__name__)


def write_report(
    sources: Sequence[UPath | ProxyUPath],
    destination: UPath | ProxyUPath,
    endpoint: WindowedEndpoint,
    *,
    account_id: str | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Write a report of exported trades as one page of HTML, which is there whole or not at all.

    The same exports give the same page.

    :param sources: where the exports are: directories of some, or manifests.
    :param destination: the page's file; any path of :mod:`upath`, such as Airflow's ``ObjectStoragePath``.
    :param endpoint: where the trades came from, and how the server names their fields.
    :param account_id: the trader whose trades the report is of; ``None``: all.
    :param title: the page's title; ``None`` for whose trades they are.
    :return: a summary: ``path``, ``rows``, ``window``, ``exports`` and ``gaps`` (how many there were).
    :raises HyperoruConfigError: there is no such export, a manifest is not one, or a package is not installed.
    :raises HyperoruConcurrentWriteError: a file is not the one that its manifest names.
    :raises HyperoruContractError: a trade is not as the contract says, or two exports show it differently.
    """
    if find_spec("matplotlib") is None:
        raise HyperoruConfigError("The report needs matplotlib: pip install 'airflow-provider-hyperoru[report]'.")
    exports = _of_trader(in_order([export for source in sources for export in find_exports(source)]), account_id)
    coverage = Coverage.of((export.manifest.filters, export.window) for export in exports)
    with closing(FillStore(endpoint, account_id)) as fills:
        for export in exports:
            fills.add(export)
        figures = Figures(coverage, fills)
    page = write_page(figures, draw_charts(figures), title, len(exports)).encode()
    _write(page, destination)
    log.info(
        "Wrote a report of %s from %s to %s%s",
        counted(figures.totals.trades, "trades"),
        counted(len(exports), "exports"),
        destination,
        f"; {counted(len(coverage.gaps), 'gaps')} in what was exported" if coverage.gaps else "",
    )
    return {
        "path": str(destination),
        "rows": figures.totals.trades,
        "window": coverage.span.as_dict(),
        "exports": len(exports),
        "gaps": len(coverage.gaps),
    }


def _of_trader(exports: list[Export], account_id: str | None) -> list[Export]:
    """Return the exports that may have trades of this trader."""
    traders = [export.manifest.filters.get("account_id", account_id) for export in exports]
    found = [export for export, trader in zip(exports, traders, strict=True) if account_id in (None, trader)]
    if not found:
        raise HyperoruConfigError(
            f"There is no export of trader {account_id} there, only of {', '.join(sorted(filter(None, {*traders})))}."
        )
    return found


def _write(page: bytes, destination: UPath | ProxyUPath) -> None:
    """Write the page so that others see all of it, or what was there before."""
    if destination.protocol in ("", "file", "local"):
        path = Path(destination.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, io.BytesIO(page))
    else:
        destination.fs.pipe_file(destination.path, page)
