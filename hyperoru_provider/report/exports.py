"""Exports of trades, read back by their manifests: each file is the one that its manifest names, or it is an error."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.calls import validated
from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Key, key_of, key_part
from hyperoru_provider.export.directory import MANIFEST
from hyperoru_provider.export.manifest import FORMAT_VERSION
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
_CHUNK = 1 << 20
_BATCH_ROWS = 5_000


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
        read, time_format = _READERS[self.manifest.file_format], endpoint.time_format
        if self.manifest.file_format != "jsonl":
            time_format = "iso"
        # what the path of a request named, its rows need not repeat; what limits an export is true of all its rows
        known = {name: value for name, value in self.manifest.filters.items() if name in Trade.model_fields}
        for file in self.manifest.files:
            rows = 0
            with self._verified(file) as content:
                for fields in read(content, self.manifest.compression, endpoint):
                    given = known | {name: value for name, value in fields.items() if value is not None}
                    wanted = {name: given[name] for name in FIELDS if name in given}
                    yield _key(endpoint, given), validated(Trade, wanted, time_format)
                    rows += 1
            if rows != file.rows:
                raise self._changed(file)

    @contextmanager
    def _verified(self, file: File) -> Iterator[IO[bytes]]:
        """Copy a file to where it can't change any more, and return it if it is the one that the manifest names."""
        digest = hashlib.sha256()
        with tempfile.TemporaryFile(prefix="hyperoru-") as copy:
            try:
                with (self.directory / file.name).open("rb") as source:
                    while chunk := source.read(_CHUNK):
                        digest.update(chunk)
                        copy.write(chunk)
            except FileNotFoundError:
                raise self._changed(file) from None
            if digest.hexdigest() != file.sha256:
                raise self._changed(file)
            copy.seek(0)
            yield copy

    def _changed(self, file: File) -> HyperoruConcurrentWriteError:
        return HyperoruConcurrentWriteError(
            f"{self.directory / file.name} is not the file that {MANIFEST} names beside it: it was changed, or an "
            "export has replaced it meanwhile. No report was written: run this one again, and if it says so again, "
            "export the window anew."
        )


def find_exports(place: UPath | ProxyUPath) -> list[Export]:
    """Return the exports of trades at a place, the earliest window first.

    :param place: a manifest, the directory of an export, of all exports of trades, or of all exports.
    :raises HyperoruConfigError: there is none, or a manifest is none of an export of trades.
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
            f"{one.directory} has what the server lists for {first.decode()}, and {other.directory} what it lists for "
            f"{second.decode()}: such trades are not to be added up. Keep them at places of their own."
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
        raise HyperoruConfigError(f"{path} is no manifest of an export: {error}.") from None
    if manifest.format_version != FORMAT_VERSION or manifest.file_format not in _READERS:
        raise HyperoruConfigError(f"{path} was written by another version of this package, which this one can't read.")
    if manifest.resource != RESOURCE or manifest.window is None:
        raise HyperoruConfigError(
            f"{path} is of {manifest.resource}, and a report is made of {RESOURCE}: name an export of these."
        )
    if any("/" in file.name for file in manifest.files):
        raise HyperoruConfigError(f"{path} names a file that is not beside it.")
    return Export(path.parent, manifest, Window.parse(manifest.window.get("start"), manifest.window.get("end")))


def _key(endpoint: WindowedEndpoint, fields: Mapping[str, Any]) -> Key:
    """Return the key of a row, which is the same in each format."""
    missing = [name for name in endpoint.key if fields.get(name) in (None, "")]
    if missing:
        raise HyperoruContractError(
            f"A row has no {' and no '.join(missing)}, which the contract's key names. Its fields are "
            f"{', '.join(fields)}. A report needs the contract under which the rows were exported."
        )
    return key_of(
        [key_part(value if isinstance(value, int) else str(value)) for value in map(fields.get, endpoint.key)]
    )


def _lines(content: IO[bytes], compression: str) -> IO[bytes]:
    if compression == "gzip":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=content))
    if compression == "zstd":
        need("zstandard", "zstd")
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
        return io.BufferedReader(cast("Any", reader), _CHUNK)
    return content


def _jsonl(content: IO[bytes], compression: str, endpoint: WindowedEndpoint) -> Iterator[dict[str, Any]]:
    for line in _lines(content, compression):
        yield canonical(line, endpoint)


def _csv(content: IO[bytes], compression: str, _: WindowedEndpoint) -> Iterator[dict[str, Any]]:
    before = csv.field_size_limit(sys.maxsize)  # what the server sent beside the columns is one field
    try:
        text = io.TextIOWrapper(_lines(content, compression), encoding="utf-8", newline="")
        for row in csv.DictReader(text):
            yield _with_extra({name: value for name, value in row.items() if value != ""})
    finally:
        csv.field_size_limit(before)


def _parquet(content: IO[bytes], _: str, __: WindowedEndpoint) -> Iterator[dict[str, Any]]:
    need("pyarrow", "parquet")
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(content).iter_batches(_BATCH_ROWS, columns=[*FIELDS, "extra"]):
        yield from map(_with_extra, batch.to_pylist())


def _with_extra(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of columns with what the server sent beside them, which may be a part of its key."""
    extra = row.pop("extra", None)
    return {**msgspec.json.decode(extra), **row} if extra else row


def need(package: str, extra: str) -> None:
    """Check that a package is installed.

    :param extra: the extra that installs it.
    :raises HyperoruConfigError: it is not.
    """
    if find_spec(package) is None:
        raise HyperoruConfigError(f"The report needs {package}: pip install 'airflow-provider-hyperoru[{extra}]'.")


_READERS: dict[str, Callable[[IO[bytes], str, WindowedEndpoint], Iterator[dict[str, Any]]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
}
