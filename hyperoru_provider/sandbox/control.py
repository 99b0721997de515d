"""The addresses that steer a running sandbox: its counts, its faults, its trades."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import JSONResponse, Response

from hyperoru_provider.sandbox.envelopes import join_rows
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import FaultError
from hyperoru_provider.sandbox.incoming import Incoming, Routes
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.state import State

__all__ = ["CONTROL_PREFIX", "Control"]

CONTROL_PREFIX = "/__sandbox__/"


class Control:
    """The handlers of the control addresses.

    :param state: tokens, faults and counts
    :param live: makes trades
    :param reset: brings the sandbox back to its start
    """

    def __init__(self, state: State, live: Live, reset: Callable[[], None]) -> None:
        self._state = state
        self._live = live
        self._reset = reset

    @property
    def routes(self) -> Routes:
        """The handlers by path and method."""
        return {
            CONTROL_PREFIX + "stats": {"GET": self._stats},
            CONTROL_PREFIX + "faults": {"GET": self._faults, "PUT": self._set_faults},
            CONTROL_PREFIX + "revoke": {"POST": self._revoke},
            CONTROL_PREFIX + "reset": {"POST": self._start_again},
            CONTROL_PREFIX + "trade": {"POST": self._trade},
        }

    def _stats(self, incoming: Incoming) -> Response:
        with self._state.lock:
            return JSONResponse(self._state.stats.as_dict())

    def _faults(self, incoming: Incoming) -> Response:
        return JSONResponse(self._state.faults.as_dict())

    def _set_faults(self, incoming: Incoming) -> Response:
        try:
            self._state.set_faults(incoming.json())
        except FaultError as error:
            raise Refusal(400, "INVALID_FAULT", str(error)) from None
        return JSONResponse(self._state.faults.as_dict())

    def _revoke(self, incoming: Incoming) -> Response:
        self._state.revoke_tokens()
        return Response(status_code=204)

    def _trade(self, incoming: Incoming) -> Response:
        try:
            rows = self._live.trade(**incoming.json())
        except (TypeError, ValueError) as error:
            raise Refusal(400, "INVALID_TRADE", str(error)) from None
        return Response(join_rows([row.body for row in rows]), media_type="application/json")

    def _start_again(self, incoming: Incoming) -> Response:
        self._reset()
        return Response(status_code=204)
