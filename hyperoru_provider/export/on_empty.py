"""When an export without rows is an error."""

from __future__ import annotations

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.export.manifest import ExportSpec

WHAT_TO_LOOK_AT = (
    "Check the account and the window, and any switches of the server whose default may hide everything, such as "
    "trading_mode or environment."
)


def check_empty(spec: ExportSpec, replaced: int, on_empty: str | None) -> None:
    """Raise if it is an error that there are no rows.

    :param spec: what has none.
    :param replaced: how many rows there were before.
    :param on_empty: see :func:`~hyperoru_provider.export.run.export_rows`.
    :raises HyperoruContractError: it is.
    """
    found = f"The server has {spec.describe(0)}"
    if on_empty == "fail":
        raise HyperoruContractError(f"{found}, which on_empty='fail' makes an error. Nothing was committed.")
    if replaced and on_empty != "succeed":
        raise HyperoruContractError(
            f"{found}, but the earlier export has {replaced}. Nothing was committed, and the earlier rows are "
            f"still there. {WHAT_TO_LOOK_AT} If the rows are really gone, export once with on_empty='succeed'."
        )
