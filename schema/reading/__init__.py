"""The one reader of files that others may have written: TOML, JSON and CSV within stated bounds, and one error.

Arrays are read by `assay.runner.workloads.array_files`. Every byte is read as hostile: what a file says of its
own size, depth or counts is checked before memory is given to it, and a pipe or a device is never waited for.
"""

from assay.schema.reading.bounds import MEASURED, WRITTEN, Limits, bounded, reading
from assay.schema.reading.files import as_text, plain_file, read_bytes, read_lines, read_text
from assay.schema.reading.formats import csv_rows, json_document, toml

__all__ = [
    "MEASURED",
    "WRITTEN",
    "Limits",
    "as_text",
    "bounded",
    "csv_rows",
    "json_document",
    "plain_file",
    "read_bytes",
    "read_lines",
    "read_text",
    "reading",
    "toml",
]
