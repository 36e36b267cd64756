"""Prints every row of a lake as JSON: [[tenant, span_id, shard, seq], ...]. Usage: CATALOG_DB WAREHOUSE"""

import json
import sys

from pyiceberg.catalog.sql import SqlCatalog

COLUMNS = ("ns", "span_id", "_shard", "_seq")
catalog = SqlCatalog("watershed", uri=f"sqlite:///{sys.argv[1]}", warehouse=sys.argv[2])
rows = catalog.load_table("watershed.events").scan(selected_fields=COLUMNS).to_arrow()
print(json.dumps(list(zip(*(rows[column].to_pylist() for column in COLUMNS)))))
