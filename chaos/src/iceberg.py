"""Prints every row of all tables of a lake as JSON: [[tenant, span_id, shard, seq], ...]. Usage: CATALOG_DB WAREHOUSE

Nothing but the catalog's list says which tables there are, so a row in two of them is there twice.
"""

import json
import sys

from pyiceberg.catalog.sql import SqlCatalog

COLUMNS = ("ns", "span_id", "_shard", "_seq")
catalog = SqlCatalog("watershed", uri=f"sqlite:///{sys.argv[1]}", warehouse=sys.argv[2])
found = []
for table in catalog.list_tables("watershed"):
    rows = catalog.load_table(table).scan(selected_fields=COLUMNS).to_arrow()
    found.extend(zip(*(rows[column].to_pylist() for column in COLUMNS)))
print(json.dumps(found))
