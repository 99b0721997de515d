"""Write a report of exported trades for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.params import arguments

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


class HyperoruReportOperator(BaseOperator):
    """Write a report of exported trades as one page of HTML: net PnL, drawdown, fees, volume, win rate, gaps.

    It reads what exports of trades have written, in any format, and asks the service for nothing. A file that is not
    the one that its manifest names is an error, a trade that several exports have is counted once, and each sum is
    exact. The page needs no network and no script; it is there whole or not at all, and the same exports give the same
    page. Needs the extra ``report``.
    Returns a summary: ``path``, ``rows``, ``window``, ``exports`` (how many there were) and ``gaps`` (how many).

    .. seealso:: ``docs/report.md``

    :param source: the exports: their destination, one export's directory or manifest, or what a task that exports has
        returned, such as ``export.output``, also of a mapped one. (templated)
    :param destination: object-storage URL or local path of the page, such as ``/data/reports/week.html``. (templated)
    :param account_id: only this trader's trades. Default: all of the exports. (templated)
    :param title: the page's title. Default: whose trades they are. (templated)
    :param storage_conn_id: the connection of the storage, of exports and page. Default: the storage's own, or what
        their URLs name. (templated)
    :param hyperoru_conn_id: the connection under which the trades were exported; its ``contract`` says how JSON lines
        are to be read. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or there is no export.
    :raises HyperoruConcurrentWriteError: a file is not the one that its manifest names.
    :raises HyperoruContractError: a trade is not as the contract says, or two exports show it differently.
    """

    template_fields: Sequence[str] = (
        "source",
        "destination",
        "account_id",
        "title",
        "storage_conn_id",
        "hyperoru_conn_id",
    )
    ui_color = "#dfe9f5"

    @failing_at_once()
    def __init__(
        self,
        *,
        source: str | Mapping[str, Any] | Iterable[Mapping[str, Any]] | XComArg,
        destination: str,
        account_id: int | str | None = None,
        title: str | None = None,
        storage_conn_id: str | None = None,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        from hyperoru_provider.hooks.storage import check_place

        if arguments.is_literal(destination):
            check_place(arguments.required("destination", destination))
        if isinstance(source, str) and arguments.is_literal(source):
            check_place(arguments.required("source", source), "source")
        arguments.early(arguments.optional, "account_id", account_id)
        self.source: Any = source  # rendered by Airflow
        self.destination = destination
        self.account_id = account_id
        self.title = title
        self.storage_conn_id = storage_conn_id
        self.hyperoru_conn_id = hyperoru_conn_id

    @failing_at_once()
    def execute(self, context: Context) -> dict[str, Any]:
        """Write the report."""
        from hyperoru_provider.hooks.storage import storage_path
        from hyperoru_provider.report.run import write_report

        destination = arguments.required("destination", self.destination)
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            endpoint = client.contract.trades
        return write_report(
            [storage_path(place, self.storage_conn_id, "source") for place in self._places()],
            storage_path(destination, self.storage_conn_id),
            endpoint,
            account_id=arguments.optional("account_id", self.account_id),
            title=arguments.optional("title", self.title),
        )

    def _places(self) -> list[str]:
        """Return where the exports are.

        :raises HyperoruConfigError: there are none, or something else was returned.
        """
        from hyperoru_provider.client.errors import HyperoruConfigError

        if isinstance(self.source, str):
            return [arguments.required("source", self.source)]
        given = [self.source] if isinstance(self.source, Mapping) else self.source
        summaries = [summary for summary in given if summary is not None]  # an export that was skipped
        if not summaries or not all(isinstance(summary, Mapping) and "manifest" in summary for summary in summaries):
            raise HyperoruConfigError(
                f"source is {self.source!r:.200}: the location of exports is expected, or the summaries returned by "
                "tasks that export to files."
            )
        return [str(summary["manifest"]) for summary in summaries]
