"""A row type, its table and its Parquet file say the same."""

from __future__ import annotations

from dataclasses import fields

import duckdb

from assay.schema import rows
from assay.schema.store import migrate, spool


def test_each_row_type_matches_its_table_and_its_parquet_file():
    connection = duckdb.connect()
    migrate.migrate(connection)
    kinds = {
        "string": "VARCHAR",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "timestamp[us]": "TIMESTAMP",
    }
    for row_type in rows.ALL:
        columns = dict(
            connection.execute(
                f"select column_name, data_type from duckdb_columns() where table_name = '{row_type.table}' order by"
                " column_index"
            ).fetchall()
        )
        assert [f.name for f in fields(row_type)] == [*columns]
        for field in spool.arrow_schema(row_type):
            listed = hasattr(field.type, "value_type")
            wanted = kinds[str(field.type.value_type if listed else field.type)] + ("[]" if listed else "")
            assert columns[field.name] == wanted
