"""Spark, with Iceberg's reference implementation, sees the lake as our SQL does: count, sum of every number, and rows in
all columns. Run by hand, not by CI: its libraries are half a gigabyte.

    uv venv spark && uv pip install --python spark/bin/python 'pyspark==3.5.*' snowpark-connect-deps-iceberg pyarrow
    curl -s http://127.0.0.1:4318/v1/sql -d '{"sql": "SELECT * FROM events", "format": "arrow"}' > ours.arrow
    spark/bin/python tests/foreign/spark_agrees.py METADATA.json ours.arrow 1000 7

METADATA.json is the newest of the table (`metadata_location` in the SQLite catalog); all events must be in the lake by
then, so the node runs with short archive settings and is asked when nothing more comes in. Needs Java 17. The wheel
with Iceberg's jar lacks the copy of Jackson that the jar wants under a name of its own: it is made from Spark's.

Nothing here switches Iceberg's vectorised reader off: the table's property does (`read.parquet.vectorization.enabled`).
Seen on 2026-11-27 with Spark 3.5.9:
* 1 500 odd events agree in all 177 columns; with the property taken out of a copy of the metadata, Spark stops at
  BYTE_STREAM_SPLIT of duration_ms.
* A table that PyIceberg had made with the last four columns left out and no property, with 700 rows, agrees after a node
  has opened it and archived 800 more. Rows of files without `_shard` and `_seq` have no place to be compared by: they are
  in the count and in the sums alone.
"""

import json
import math
import random
import re
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyspark
import snowpark_connect_deps_iceberg
from pyspark.sql import SparkSession, functions as F

PLACE = ["_shard", "_seq"]
JACKSON = re.compile(rb"com([/.])fasterxml\1jackson")
UTF8, LONG, DOUBLE = 1, 5, 6
# Bytes of a constant behind its tag, by tag.
CONSTANTS = {3: 4, 4: 4, LONG: 8, DOUBLE: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}


def relocated(name):
    return JACKSON.sub(rb"org\1apache\1iceberg\1shaded\1com\1fasterxml\1jackson", name)


def relocated_class(data):
    """A class whose texts name the other package."""
    out, at, left = bytearray(data[:10]), 10, struct.unpack(">H", data[8:10])[0] - 1
    while left > 0:
        tag = data[at]
        if tag == UTF8:
            length = struct.unpack(">H", data[at + 1:at + 3])[0]
            text = relocated(data[at + 3:at + 3 + length])
            out += bytes([tag]) + struct.pack(">H", len(text)) + text
            at += 3 + length
        else:
            out += data[at:at + 1 + CONSTANTS[tag]]
            at += 1 + CONSTANTS[tag]
        left -= 2 if tag in (LONG, DOUBLE) else 1
    return bytes(out) + data[at:]


def jackson(folder):
    """Spark's Jackson under the name that Iceberg's jar looks for."""
    made = folder / "jackson.jar"
    with zipfile.ZipFile(made, "w") as out:
        for part in ("annotations", "core", "databind"):
            found, = (Path(pyspark.__file__).parent / "jars").glob(f"jackson-{part}-2*.jar")
            with zipfile.ZipFile(found) as jar:
                for name in (name for name in jar.namelist() if name.startswith("com/") and name.endswith(".class")):
                    out.writestr(relocated(name.encode()).decode(), relocated_class(jar.read(name)))
    return made


def spark(folder):
    iceberg, = Path(snowpark_connect_deps_iceberg.__file__).parent.glob("jars/iceberg-spark-runtime-3.5_2.12-*.jar")
    settings = {
        "spark.jars": f"{iceberg},{jackson(folder)}", "spark.ui.enabled": "false", "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1", "spark.sql.session.timeZone": "UTC", "spark.local.dir": str(folder),
        "spark.sql.ansi.enabled": "false", "spark.driver.memory": "2g",
    }
    builder = SparkSession.builder.master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def as_numbers(rows):
    """What is in the table, with times as whole microseconds, which no library of dates bends."""
    rows = rows.drop_columns([name for name in ["_tier"] if name in rows.column_names])
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns]
    return pa.table(dict(zip(rows.column_names, columns)))


def events(session, metadata):
    # The table says that it is not for Iceberg's reader of whole vectors, which stops at some of its encodings (1.10).
    frame = session.read.format("iceberg").load(metadata)
    times = [field.name for field in frame.schema if field.dataType.typeName() == "timestamp"]
    return frame.withColumns({name: F.expr(f"unix_micros(`{name}`)") for name in times})


def sums(rows):
    numbers = [field.name for field in rows.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    return {name: (pc.sum(rows[name]).as_py(), pc.count(rows[name]).as_py()) for name in numbers}


def spark_sums(frame, names):
    said = frame.agg(*(F.struct(F.sum(f"`{name}`"), F.count(f"`{name}`")).alias(name) for name in names)).first()
    return {name: tuple(said[name]) for name in names}


def alike(ours, theirs):
    (a, a_count), (b, b_count) = ours, theirs
    return a_count == b_count and (a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-9)))


def plain(value):
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return bytes(value) if isinstance(value, bytearray) else value


def differences(session, frame, ours, chosen):
    if sorted(frame.columns) != sorted(ours.column_names):
        return [f"columns: {sorted(set(frame.columns) ^ set(ours.column_names))}"]
    count = frame.count()
    if count != ours.num_rows:
        return [f"{count} rows instead of {ours.num_rows}"]
    our_sums = sums(ours)
    their_sums = spark_sums(frame, list(our_sums))
    found = [f"sum of {name}: {our_sums[name]}, {their_sums[name]}" for name in our_sums if not alike(our_sums[name], their_sums[name])]
    our_rows = ours.take(chosen).to_pylist()
    places = session.createDataFrame([tuple(row[name] for name in PLACE) for row in our_rows], "_shard int, _seq bigint")
    their_rows = frame.join(F.broadcast(places), PLACE).orderBy(*PLACE).collect()
    if len(their_rows) != len(our_rows):
        return [*found, f"{len(their_rows)} of {len(our_rows)} chosen rows"]
    for name in ours.column_names:
        pairs = [(plain(a[name]), plain(b[name])) for a, b in zip(our_rows, their_rows)]
        wrong = [pair for pair in pairs if pair[0] != pair[1]]
        if wrong:
            found.append(f"{name}: {len(wrong)} rows, as {wrong[0]!r}")
    return found


metadata, path, rows, seed = sys.argv[1:]
with pa.OSFile(path) as file:
    ours = as_numbers(pa.ipc.open_stream(file).read_all())
ours = ours.sort_by([(name, "ascending") for name in PLACE])
placed = pc.count(ours["_seq"]).as_py()
count = min(int(rows), placed)
chosen = sorted(random.Random(int(seed)).sample(range(placed), count))
with tempfile.TemporaryDirectory() as folder:
    session = spark(Path(folder))
    session.sparkContext.setLogLevel("ERROR")
    found = differences(session, events(session, metadata), ours, chosen)
    print(json.dumps({
        "spark": session.version, "rows": ours.num_rows, "compared": count,
        "types": sorted({str(field.type) for field in ours.schema}),
        "filled": sum(1 for name in ours.column_names if pc.count(ours[name]).as_py() > 0), "differences": found,
    }))
    session.stop()
sys.exit(bool(found))
