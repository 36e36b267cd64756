"""PyIceberg and pyarrow, which nobody here wrote, read the lake; prints what they see as JSON.

Usage: read_lake.py CATALOG_DB WAREHOUSE
"""

import json
import sys

import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog

catalog = SqlCatalog("watershed", uri=f"sqlite:///{sys.argv[1]}", warehouse=sys.argv[2])
table = catalog.load_table("watershed.events")
rows = table.scan(selected_fields=("id", "event_type", "event_name", "duration_ms", "trace_id", "_shard", "_seq")).to_arrow()
print(
    json.dumps(
        {
            "rows": rows.num_rows,
            "distinct": pc.count_distinct(rows["id"]).as_py(),
            "places": len(set(zip(rows["_shard"].to_pylist(), rows["_seq"].to_pylist()))),
            "duration_us": round((pc.sum(rows["duration_ms"]).as_py() or 0) * 1000),
            "names": sorted(pc.unique(rows["event_name"]).to_pylist()),
            "watermark": table.properties.get("watershed.watermark"),
        }
    )
)
