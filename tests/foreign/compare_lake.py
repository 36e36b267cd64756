"""Readers that nobody here wrote see the lake as our SQL does: counts, sums of every number, and rows in all columns.

PyIceberg, polars (`scan_iceberg`) and DuckDB (its iceberg extension, and its own Parquet reader over the files that
PyIceberg's plan names) read the table; what our SQL said comes as an Arrow file. Prints for each reader what differs.

Usage: compare_lake.py CATALOG_DB WAREHOUSE OURS.arrow ROWS SEED
"""

import json
import math
import random
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from duckdb_extensions import import_extension
from pyiceberg.catalog.sql import SqlCatalog

PLACE = ["_shard", "_seq"]


def pyiceberg(table):
    return table.scan().to_arrow()


def polars(table):
    return pl.scan_iceberg(table).collect().to_arrow()


def duck():
    connection = duckdb.connect()
    for name in ("avro", "iceberg"):
        import_extension(name)
        connection.execute(f"LOAD {name}")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def duckdb_iceberg(table):
    return duck().execute("SELECT * FROM iceberg_scan(?)", [table.metadata_location]).to_arrow_table()


def duckdb_parquet(table):
    paths = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
    sql = "SELECT * FROM read_parquet(?, hive_partitioning = false, union_by_name = true)"
    return duck().execute(sql, [paths]).to_arrow_table()


def plain(value):
    """A value as every library has it."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value


def in_order(rows):
    return rows.sort_by([(name, "ascending") for name in PLACE])


def sums(rows):
    numbers = [f.name for f in rows.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    return {name: (pc.sum(rows[name]).as_py(), pc.count(rows[name]).as_py()) for name in numbers}


def alike(ours, theirs):
    (a, a_count), (b, b_count) = ours, theirs
    return a_count == b_count and (a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9)))


def differences(ours, theirs, chosen):
    if theirs.num_rows != ours.num_rows:
        return [f"{theirs.num_rows} rows instead of {ours.num_rows}"]
    if sorted(theirs.column_names) != sorted(ours.column_names):
        return [f"columns: {sorted(set(theirs.column_names) ^ set(ours.column_names))}"]
    theirs = in_order(theirs.select(ours.column_names))
    our_sums, their_sums = sums(ours), sums(theirs)
    found = [f"sum of {name}" for name in our_sums if not alike(our_sums[name], their_sums.get(name, (None, -1)))]
    our_rows, their_rows = ours.take(chosen), theirs.take(chosen)
    for name in ours.column_names:
        pairs = zip(our_rows[name].to_pylist(), their_rows[name].to_pylist())
        wrong = [(plain(a), plain(b)) for a, b in pairs if plain(a) != plain(b)]
        if wrong:
            found.append(f"{name}: {len(wrong)} rows, as {wrong[0]!r}")
    return found


database, warehouse, path, rows, seed = sys.argv[1:]
table = SqlCatalog("watershed", uri=f"sqlite:///{database}", warehouse=warehouse).load_table("watershed.events")
with pa.OSFile(path) as file:
    ours = in_order(pa.ipc.open_file(file).read_all())
count = min(int(rows), ours.num_rows)
chosen = sorted(random.Random(int(seed)).sample(range(ours.num_rows), count))
readers = [pyiceberg, polars, duckdb_iceberg, duckdb_parquet]
print(json.dumps({
    "rows": ours.num_rows, "compared": count, "types": sorted({str(field.type) for field in ours.schema}),
    "filled": sum(1 for name in ours.column_names if pc.count(ours[name]).as_py() > 0),
    "differences": {reader.__name__: differences(ours, reader(table), chosen) for reader in readers},
}))
