"""What is exported, what determines the bytes of an export, and what its manifest says."""

from __future__ import annotations

import hashlib
import platform
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from hyperoru_provider.client.api.endpoints import Endpoint, ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models import Model
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.columns import Column, ColumnSchema
from hyperoru_provider.export.formats.encoder import Encoder
from hyperoru_provider.params.window import Window
from hyperoru_provider.version import __version__

FORMAT_VERSION = 1
_LONGEST_NAME = 100


@dataclass(frozen=True)
class ExportSpec:
    """What is exported.

    :param resource: for example ``trades``.
    :param window: the rows' time; ``None`` for a list without a window, which is exported as it is now.
    :param filters: what else limits the rows; ``None`` values don't.
    :param model: what the rows are.
    :param endpoint: where they come from, and how the server names their fields.
    :param user: who asks, as others may be shown other rows.
    :param as_of: when reading began, of rows that are nothing but what there is now.
    """

    resource: str
    window: Window | None
    filters: Mapping[str, Any]
    model: type[Model]
    endpoint: Endpoint
    user: str = ""
    as_of: datetime | None = None

    @cached_property
    def limits(self) -> dict[str, str]:
        """The filters that limit the rows, as text, by name."""
        return {name: str(value) for name, value in sorted(self.filters.items()) if value is not None}

    @cached_property
    def schema(self) -> ColumnSchema:
        """The rows' columns. What the path of the request named is known of every row; what its query did is not."""
        names = set(self.endpoint.path_names) & set(self.model.model_fields)
        return ColumnSchema(
            self.model, self.endpoint, {name: value for name, value in self.limits.items() if name in names}
        )

    @property
    def directory(self) -> str:
        """Where the export is, below the destination. Exports of other rows never share a directory."""
        window = self.window.name if self.window else "latest"
        limits = (f",{name}-{_file_name(text)}" for name, text in self.limits.items())
        return "".join([f"{self.resource}/{window}", *limits])

    @property
    def resumable(self) -> bool:
        """Whether the rows after a certain one can be asked for."""
        return self.window is not None and isinstance(self.endpoint, WindowedEndpoint)

    @property
    def time_column(self) -> str | None:
        """The column that assigns a row to the window; ``None`` without a window.

        :raises HyperoruConfigError: there is no such column.
        """
        if self.window is None:
            return None
        time = self.endpoint.time if isinstance(self.endpoint, ListEndpoint) else None
        if time is None or Column(time, "timestamp") not in self.schema.columns:
            raise HyperoruConfigError(
                f"The contract's time {time} is not a column, so rows can't be assigned to a window."
            )
        return time

    def as_dict(self) -> dict[str, Any]:
        """Return what is exported, as JSON."""
        return {"resource": self.resource, "filters": self.limits, "window": self.window and self.window.as_dict()}

    def moment(self) -> dict[str, str]:
        """Return when reading began, as JSON, of rows that are nothing but what there is now; else nothing."""
        return {"as_of": format_time(self.as_of)} if self.as_of else {}

    def describe(self, rows: int) -> str:
        """Return what is exported, for the log: ``100 trades of account 2, 2026-11-26 to 2026-11-27``."""
        limits = [f"{name.removesuffix('_id')} {ascii(text)[1:-1]}" for name, text in self.limits.items()]
        return (
            counted(rows, self.resource)
            + (f" of {' and '.join(limits)}" if limits else "")
            + (f", {_day(self.window.start)} to {_day(self.window.end)}" if self.window else "")
        )


def fingerprint(spec: ExportSpec, encoder: Encoder, **more: Any) -> dict[str, Any]:
    """Return all that determines the rows and bytes of an export, as JSON.

    :param more: what else does.
    """
    libraries = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    if encoder.requires is not None:
        libraries[encoder.requires] = version(encoder.requires)
    return {
        **spec.as_dict(),
        "user": spec.user,
        "format": [FORMAT_VERSION, encoder.file_format, encoder.compression],
        "contract": spec.endpoint.model_dump(mode="json"),
        "versions": {"provider": __version__, **libraries},
        **more,
    }


def manifest_of(spec: ExportSpec, encoder: Encoder, rows: int) -> dict[str, Any]:
    """Return what the manifest of an export says, but for its files."""
    return {
        "format_version": FORMAT_VERSION,
        **spec.as_dict(),
        **({"query": spec.endpoint.constants} if spec.endpoint.query else {}),
        **spec.moment(),
        "rows": rows,
        "file_format": encoder.file_format,
        "compression": encoder.compression,
        "columns": [column._asdict() for column in spec.schema.columns],
    }


def counted(number: int, things: str) -> str:
    """Return a number of things in words: ``1 file``, ``2 files``."""
    return f"{number} {things.removesuffix('s') if number == 1 else things}"


def _file_name(value: str) -> str:
    """Return a value in a form that fits in a file name and differs from any other."""
    name = quote(value, safe="@+")
    return name if len(name) <= _LONGEST_NAME else f"sha256-{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def _day(moment: datetime) -> str:
    return format_time(moment).removesuffix("T00:00:00Z")
