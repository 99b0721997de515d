"""What a list of the service is, and how it becomes a method of both clients."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, overload

from hyperoru_provider.client.api.endpoints import ROWS, ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models import Model

M = TypeVar("M", bound=Model)
#: where a list is known from: two generations of documentation, servers of the same family, or nowhere
Source: TypeAlias = Literal["NEW", "OLD", "family", "assumed"]


class _Client(Protocol):
    def list_rows(self, resource: str, *window: Any, **filters: Any) -> list[Model]: ...
    def read_object(self, resource: str, **filters: Any) -> Model | None: ...


class _AsyncClient(Protocol):
    def list_rows(self, resource: str, *window: Any, **filters: Any) -> Coroutine[Any, Any, list[Model]]: ...
    def read_object(self, resource: str, **filters: Any) -> Coroutine[Any, Any, Model | None]: ...


@dataclass(frozen=True)
class Resource(Generic[M]):
    """A list of the service. As an attribute of a client's class, it is a method that returns the list's rows.

    The method takes ``start`` and ``end`` if the list is read by time, and then its filters.

    :param name: as operators, files and the contract name it.
    :param model: what its rows are.
    :param endpoint: how it is asked for by default; a :class:`WindowedEndpoint` is read by time range.
    :param source: where that is known from.
    :param filters: our names of what limits its rows, beside their time.
    :param filled: those of them that are put into each row which lacks them although the path does not name them, and
        so have to be given.
    :param spacing: the filter that says how far apart the rows are; such a list is read in stretches.
    :param holds_secrets: whether rows may hold keys and passwords, which an export masks.
    """

    name: str
    model: type[M]
    endpoint: ListEndpoint
    source: Source
    filters: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    spacing: str | None = None
    holds_secrets: bool = False
    _method_name: str = field(default="", init=False, compare=False, repr=False)

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute, which is that of the method."""
        object.__setattr__(self, "_method_name", name)

    @property
    def windowed(self) -> bool:
        """Whether the list is read by time range."""
        return isinstance(self.endpoint, WindowedEndpoint)

    @property
    def is_snapshot(self) -> bool:
        """Whether the rows, without a key, are nothing but what there is now."""
        return not self.endpoint.key

    def needed(self, endpoint: ListEndpoint) -> list[str]:
        """Return the filters that have to be given: those that the path names, and those that are put into rows."""
        return list(dict.fromkeys([*endpoint.path_names, *self.filled]))

    @property
    def signature(self) -> Signature:
        """How the method is called: what is needed comes first, and only the rest can be left out."""
        needed = [*(("start", "end") if self.windowed else ()), *self.needed(self.endpoint)]
        return Signature(
            [
                *(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in needed),
                *(
                    Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None)
                    for name in self.filters
                    if name not in needed
                ),
            ]
        )

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: _Client, owner: type) -> Callable[..., list[M]]: ...
    @overload
    def __get__(self, client: _AsyncClient, owner: type) -> Callable[..., Coroutine[Any, Any, list[M]]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        """Return the method of a client, or the list itself where a class is asked for it."""
        return self if client is None else self._method(client.list_rows)

    def _method(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            return read(self.name, **signature.bind(*args, **kwargs).arguments)

        signature = self.signature
        method.__signature__ = signature  # type: ignore[attr-defined]
        method.__name__, method.__doc__ = self._method_name, self.model.__doc__
        return method


class ObjectResource(Resource[M]):
    """An object that is the only row of its list: the method returns it, or ``None`` if the server has none."""

    @overload  # type: ignore[override]
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: _Client, owner: type) -> Callable[..., M | None]: ...
    @overload
    def __get__(self, client: _AsyncClient, owner: type) -> Callable[..., Coroutine[Any, Any, M | None]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        """Return the method of a client, or the list itself where a class is asked for it."""
        return self if client is None else self._method(client.read_object)


def rows_of(*names: str) -> tuple[str, ...]:
    """Return the keys under which a list may stand that has names of its own."""
    return (*names, *(key for key in ROWS if key not in names))
