"""Keeps a trigger's failure from ending its triggerer, which serves everybody's DAGs.

Airflow stores the traceback of a trigger that fails as JSON, with all errors that led to it; a character in it that the
database refuses ends the triggerer, and each one that is started in its place.
"""

from __future__ import annotations

import logging
from traceback import format_exception

from hyperoru_provider.client.errors import HyperoruError
from hyperoru_provider.client.escaping import storable

log = logging.getLogger(__name__)


def contained(error: Exception) -> HyperoruError:
    """Return an error to raise, or to report, in place of any other: nothing in its traceback is as a server wrote it.

    An error that is not of this package, such as a connection that is not found, is logged whole.
    """
    if not isinstance(error, HyperoruError):
        log.error("%s", storable("".join(format_exception(error))))
        error = HyperoruError(f"The trigger failed: {type(error).__name__}: {error}")
    error.__cause__, error.__suppress_context__ = None, True
    return error
