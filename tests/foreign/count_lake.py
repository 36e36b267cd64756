"""PyIceberg, which nobody here wrote, reads a lake whatever its catalog and storage are; prints what it sees as JSON.

Usage: count_lake.py PROPERTIES   (properties of the catalog, as JSON)
"""

import json
import sys

import pyarrow.compute as pc
from pyiceberg.catalog import load_catalog

catalog = load_catalog("watershed", **json.loads(sys.argv[1]))
table = catalog.load_table("watershed.events")
rows = table.scan(selected_fields=("id", "ns", "span_id", "_shard", "_seq", "batch_id", "schema_version")).to_arrow()


def spans(name):
    of_table = catalog.load_table(name).scan(selected_fields=("ns", "span_id", "_shard", "_seq")).to_arrow()
    return list(zip(*(of_table[column].to_pylist() for column in ("ns", "span_id", "_shard", "_seq"))))


places = list(zip(rows["_shard"].to_pylist(), rows["_seq"].to_pylist()))
print(json.dumps({
    "rows": rows.num_rows,
    "ids": pc.count_distinct(rows["id"]).as_py(),
    "places": len(set(places)),
    # Who wants to know each row, of tenants' own tables, too: by table whose, which, where.
    "spans": {name[-1]: spans(name) for name in catalog.list_tables("watershed")},
    "placed": sum(1 for shard, seq in places if shard is not None and seq is not None),
    "fields": {field.name: field.field_id for field in table.schema().fields},
    "partitions": [f"{field.transform}({table.schema().find_column_name(field.source_id)})" for field in table.spec().fields],
    "sorted": [table.schema().find_column_name(field.source_id) for field in table.sort_order().fields],
    "properties": table.properties,
}))
