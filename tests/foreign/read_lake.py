"""PyIceberg and pyarrow, which nobody here wrote, read the lake; prints what each sees as JSON.

PyIceberg reads a table: it maps columns by field id and supplies what a file does not say. pyarrow is given the paths
alone, so what it sees is in the Parquet files themselves.

Usage: read_lake.py CATALOG_DB WAREHOUSE [TABLE]
"""

import json
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog

COLUMNS = ["id", "event_type", "event_name", "duration_ms", "trace_id", "_shard", "_seq", "ns"]


def seen(rows):
    return {
        "rows": rows.num_rows,
        "distinct": pc.count_distinct(rows["id"]).as_py(),
        "places": len(set(zip(rows["_shard"].to_pylist(), rows["_seq"].to_pylist()))),
        "duration_us": round((pc.sum(rows["duration_ms"]).as_py() or 0) * 1000),
        "tenants": sorted(pc.unique(rows["ns"]).to_pylist()),
        "names": sorted(pc.unique(rows["event_name"]).to_pylist()),
    }


catalog = SqlCatalog("watershed", uri=f"sqlite:///{sys.argv[1]}", warehouse=sys.argv[2])
table = catalog.load_table("watershed." + (sys.argv[3] if len(sys.argv) > 3 else "events"))
paths = [path.removeprefix("file://") for path in table.inspect.files()["file_path"].to_pylist()]
# Not read_table(path): it would take hour=… and event_type=… of the path for columns.
iceberg = table.scan(selected_fields=tuple(COLUMNS)).to_arrow()
files = pa.concat_tables(pq.ParquetFile(path).read(columns=COLUMNS) for path in paths) if paths else iceberg.slice(0, 0)
print(json.dumps({"iceberg": seen(iceberg), "parquet": seen(files), "files": len(paths), "watermark": table.properties.get("watershed.watermark")}))
