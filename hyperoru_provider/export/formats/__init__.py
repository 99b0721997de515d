"""Rows as files. A further format is a file here, and its class in :data:`FORMATS`."""

from __future__ import annotations

from importlib.util import find_spec

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.formats.csv import CsvEncoder
from hyperoru_provider.export.formats.encoder import Encoder
from hyperoru_provider.export.formats.jsonl import JsonLinesEncoder
from hyperoru_provider.export.formats.parquet import ParquetEncoder
from hyperoru_provider.params import arguments

FORMATS: dict[str, type[Encoder]] = {each.file_format: each for each in (JsonLinesEncoder, CsvEncoder, ParquetEncoder)}


def choose_encoder(file_format: str, compression: str | None, schema: ColumnSchema) -> Encoder:
    """Return what writes files of a format.

    :param file_format: one of :data:`FORMATS`.
    :param compression: one of the format's; ``None`` for its default.
    :param schema: the rows' columns.
    :raises HyperoruConfigError: the format or compression is not known, or what it needs is not installed.
    """
    arguments.file_format(file_format, compression)
    cls = FORMATS[file_format]
    compression = cls.compressions[0] if compression is None else compression
    encoder = cls(schema, compression)
    if encoder.requires is not None and find_spec(encoder.requires) is None:
        raise HyperoruConfigError(
            f"{file_format} with {compression} needs {encoder.requires}: "
            f"pip install 'airflow-provider-hyperoru[{encoder.extra}]'."
        )
    return encoder
