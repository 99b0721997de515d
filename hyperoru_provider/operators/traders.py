"""List the user's traders."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.base import for_xcom
from hyperoru_provider.params import arguments

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


class HyperoruListTradersOperator(BaseOperator):
    """List the traders (the API's accounts), for example to map an export over them.

    Returns a list of dicts, one for each trader, with at least ``id``, which the other operators take as
    ``account_id``; amounts are text, and fields that the server sends beyond the known ones are kept, except the
    values of fields whose names suggest a key, password or token; the contract's ``traders.secret_fields`` overrides
    this for a field. Without traders the list is empty.

    :param include_hidden: whether to list those that the dashboard hides, too, as they have trades. Default: ``True``.
        (templated)
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruApiError: the server refused a request or could not be reached, or its answer can't be trusted.
    """

    template_fields: Sequence[str] = ("include_hidden", "hyperoru_conn_id")
    ui_color = "#dfe9f5"

    @failing_at_once()
    def __init__(
        self,
        *,
        include_hidden: bool = True,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.flag, "include_hidden", include_hidden)
        self.include_hidden = include_hidden
        self.hyperoru_conn_id = hyperoru_conn_id

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """List the traders."""
        from hyperoru_provider.client.calls import dumped
        from hyperoru_provider.client.redaction import mask_secret_fields

        include_hidden = arguments.flag("include_hidden", self.include_hidden)
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            traders = client.list_traders(include_hidden)
            secret_fields = client.contract.traders.secret_fields
        which = "hidden ones included" if include_hidden else "without those that the dashboard hides"
        log.info("Listed %d trader%s, %s", len(traders), "" if len(traders) == 1 else "s", which)
        return for_xcom([mask_secret_fields(dumped(trader), secret_fields) for trader in traders])
