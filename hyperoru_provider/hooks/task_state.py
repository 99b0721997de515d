"""What a task remembers from try to try. The one module that knows the stores of tasks' and assets' state."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from hyperoru_provider.hooks.variable_store import VariableStore

if TYPE_CHECKING:
    from airflow.sdk import Asset, Context

log = logging.getLogger(__name__)

_AS_TEXT = "json"  # holds a value with a character that a store refuses


class TaskState:
    """The state of a task instance: JSON values by name, which outlive its tries, its deferrals and its worker.

    They are kept in Airflow's task state store; before Airflow 3.3, which brought it, in a Variable of the task
    instance, until its :meth:`end`. Outside of a task nothing is kept: :meth:`read` returns ``None``, and :meth:`write`
    and :meth:`clear` do nothing.

    A store that fails costs a warning, not the task: a value that can't be read counts as absent, so a sensor counts
    anew and an export starts over. Where forgetting does harm, as with a job that would be started twice, the state is
    *required*: then :meth:`read` and :meth:`write` raise what the store raised, and the caller goes no further.
    :meth:`clear` only ever warns, as it is called when a task ends, and must not hide how.

    :param context: of the task.
    :param required: whether a failure to read or write is raised. Default: no.
    """

    def __init__(self, context: Context, *, required: bool = False) -> None:
        self._task_instance: Any = context.get("ti")
        self._store: Any = context.get("task_state_store") or _variable_of(self._task_instance)
        self._required = required

    @property
    def native(self) -> bool:
        """Whether Airflow's own store keeps the values, which takes large ones, and removes them in the end."""
        return self._store is not None and not isinstance(self._store, VariableStore)

    @property
    def max_tries(self) -> int | None:
        """The task instance's ``max_tries``, or ``None`` outside of a task.

        It stays when the task is tried again, and grows when it is cleared, which does not clear the store: so a value
        noted beside it can be told from one of an earlier run.
        """
        return getattr(self._task_instance, "max_tries", None)

    def read(self, name: str) -> Any:
        """Return the value of a name, or ``None`` if there is none."""
        found = self._attempt("read", name, lambda: self._store.get(name), required=self._required)
        return json.loads(found[_AS_TEXT]) if isinstance(found, dict) and _AS_TEXT in found else found

    def write(self, name: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Keep a value in place of the earlier one.

        :param value: JSON; not ``None``.
        :param retention: how long to keep it. Default: Airflow's ``[state_store] default_retention_days``.
        """
        from hyperoru_provider.client.escaping import storable

        if storable(value) != value:  # a key that a server made, say, which must come back as it is
            value = {_AS_TEXT: json.dumps(value)}
        self._attempt(
            "written", name, lambda: self._store.set(name, value, retention=retention), required=self._required
        )

    def clear(self, name: str) -> None:
        """Forget the value of a name, if there is one."""
        self._attempt("cleared", name, lambda: self._store.delete(name), required=False)

    def end(self, error: BaseException | None = None) -> None:
        """Remove the Variable that Airflow will not remove, if the task instance is at its end.

        :param error: what the try ends with; the task instance then is at its end if no other try follows.
        """
        store, ti = self._store, self._task_instance
        if isinstance(store, VariableStore) and (error is None or _is_final(error, ti)):
            self._attempt("removed", store.key, store.remove, required=False)

    def _attempt(self, what: str, name: str, action: Callable[[], Any], *, required: bool) -> Any:
        if self._store is None:
            return None
        try:
            return action()
        except Exception as error:
            if required:
                raise
            log.warning("The task's state %s could not be %s: %s: %s", name, what, type(error).__name__, error)
            return None


def asset_state(context: Context, asset: Asset) -> Any:
    """Return the store of an asset's state, with the methods ``get(name, default)``, ``set(name, value)`` and
    ``delete(name)``.

    It is Airflow's own, which is for inlets and outlets of the task; before Airflow 3.3, which brought it, a Variable.

    :param context: of the task.
    :param asset: the asset.
    """
    if "asset_state_store" in context:
        return context["asset_state_store"][asset]
    return VariableStore(["asset", asset.name, asset.uri], f"State of the asset {asset.name}")


def _variable_of(ti: Any) -> VariableStore | None:
    """Return the store of a task instance in a Variable, or ``None`` outside of a task."""
    if getattr(ti, "dag_id", None) is None:
        return None
    index = "" if ti.map_index == -1 else f", map index {ti.map_index}"
    description = f"State of the task {ti.dag_id}.{ti.task_id} in the run {ti.run_id}{index}; removed when it ends"
    return VariableStore(["task", ti.dag_id, ti.run_id, ti.task_id, ti.map_index], description)


def _is_final(error: BaseException, ti: Any) -> bool:
    """Whether no try follows one that ends with an error."""
    at_once = isinstance(error, AirflowFailException | AirflowSensorTimeout | AirflowSkipException)
    return at_once or ti.try_number > ti.max_tries
