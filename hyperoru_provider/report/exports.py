"""Exports of trades, read back by their manifests: each file is the one that its manifest names, or it is an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.calls import validated
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.lists.rows import Key, key_of, key_part
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.directory import MANIFEST
from hyperoru_provider.export.formats import FORMATS, choose_encoder
from hyperoru_provider.export.formats.encoder import WrittenRow
from hyperoru_provider.export.manifest import FORMAT_VERSION
from hyperoru_provider.export.read_back import changed, verified_copy
from hyperoru_provider.params.window import Window

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

RESOURCE = "trades"
#: what a report reads of a trade
FIELDS = (
    "trade_id",
    "account_id",
    "account_name",
    "symbol",
    "side",
    "direction",
    "price",
    "quantity",
    "notional",
    "commission",
    "realized_pnl",
    "trade_time",
)


class File(msgspec.Struct, frozen=True):
    """A file of an export, as its manifest names it."""

    name: str
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a report needs of a manifest."""

    format_version: int
    resource: str
    filters: dict[str, str]
    window: dict[str, str] | None
    rows: int
    file_format: str
    compression: str
    files: list[File]
    query: dict[str, str] = {}


@dataclass(frozen=True)
class Export:
    """A committed export of trades.

    :param directory: where it is; any path of :mod:`upath`.
    :param manifest: what it says of itself.
    :param window: the time of its trades.
    """

    directory: UPath | ProxyUPath
    manifest: Manifest
    window: Window

    def trades(self, endpoint: WindowedEndpoint) -> Iterator[tuple[Key, Trade]]:
        """Yield the trades, each with its key, in the order of the files.

        :param endpoint: how the server names fields and times, which is how JSON lines have them.
        :raises HyperoruConcurrentWriteError: a file is another one than the manifest names.
        :raises HyperoruConfigError: what its compression or format needs is not installed.
        :raises HyperoruContractError: a row is not as the contract says; the text names it.
        """
        file_format, compression = self.manifest.file_format, self.manifest.compression
        encoder = choose_encoder(file_format, compression, ColumnSchema(Trade, endpoint))
        time_format = endpoint.time_format if file_format == "jsonl" else "iso"
        # what the path of a request named, its rows need not repeat; what limits an export is true of all its rows
        known = {name: value for name, value in self.manifest.filters.items() if name in Trade.model_fields}
        for file in self.manifest.files:
            rows = 0
            path = self.directory / file.name
            with verified_copy(path, file.sha256) as copy:
                for row in encoder.read(copy, [*FIELDS, *endpoint.key]):
                    fields = known | row.fields
                    trade = {name: fields[name] for name in FIELDS if name in fields}
                    yield _key(endpoint, fields, row), validated(Trade, trade, time_format)
                    rows += 1
            if rows != file.rows:
                raise changed(path)


def find_exports(place: UPath | ProxyUPath) -> list[Export]:
    """Return the exports of trades at a place, the earliest window first.

    :param place: a manifest, the directory of an export, of all exports of trades, or of all exports.
    :raises HyperoruConfigError: there is none, or a manifest is not that of an export of trades.
    """
    found = [_read(manifest) for manifest in _manifests(place)]
    if not found:
        raise HyperoruConfigError(
            f"There is no export of {RESOURCE} in {place}: name the destination of one, or a {MANIFEST}."
        )
    return found


def in_order(exports: Sequence[Export]) -> list[Export]:
    """Return exports once each, by window and place.

    :raises HyperoruConfigError: they are of different choices of rows, which must not be added up.
    """
    once = {str(export.directory): export for export in exports}
    ordered = sorted(once.values(), key=lambda export: (export.window.start, export.window.end, str(export.directory)))
    queries = {msgspec.json.encode(export.manifest.query, order="sorted"): export for export in ordered}
    if len(queries) > 1:
        (first, one), (second, other) = [*queries.items()][:2]
        raise HyperoruConfigError(
            f"{one.directory} was exported with the query {first.decode()}, but {other.directory} with "
            f"{second.decode()}: such trades must not be added up. Keep them in separate places."
        )
    return ordered


def _manifests(place: UPath | ProxyUPath) -> list[UPath | ProxyUPath]:
    if place.name == MANIFEST:
        return [place]
    if (place / MANIFEST).exists():
        return [place / MANIFEST]
    folder = place / RESOURCE if (place / RESOURCE).is_dir() else place
    try:
        children: list[Any] = sorted(folder.iterdir(), key=lambda path: path.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [child / MANIFEST for child in children if (child / MANIFEST).exists()]


def _read(path: UPath | ProxyUPath) -> Export:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError, RecursionError) as error:
        raise HyperoruConfigError(f"{path} is not the manifest of an export: {error}.") from None
    if manifest.format_version != FORMAT_VERSION or manifest.file_format not in FORMATS:
        raise HyperoruConfigError(f"{path} was written by another version of this package, which this one can't read.")
    if manifest.resource != RESOURCE or manifest.window is None:
        raise HyperoruConfigError(f"{path} is an export of {manifest.resource}, but a report needs one of {RESOURCE}.")
    if any("/" in file.name for file in manifest.files):
        raise HyperoruConfigError(f"{path} names a file that is not next to it.")
    return Export(path.parent, manifest, Window.parse(manifest.window.get("start"), manifest.window.get("end")))


def _key(endpoint: WindowedEndpoint, fields: dict[str, Any], row: WrittenRow) -> Key:
    """Return the key of a row, which is the same in each format."""
    missing = [name for name in endpoint.key if fields.get(name, "") == ""]
    if missing:
        raise HyperoruContractError(
            f"A row has no {' and no '.join(missing)}, which the contract's key names: {shorten(str(row.content))}. "
            "A report needs the contract under which the rows were exported."
        )
    return key_of(
        [key_part(value if isinstance(value, int) else str(value)) for value in map(fields.get, endpoint.key)]
    )
