"""Sends native events with odd values in all columns that a sender may fill; every fifth is absent.

Usage: odd_events.py http://127.0.0.1:4318 ROWS
"""

import json
import random
import sys
import urllib.request

import pyarrow as pa

url, rows = sys.argv[1:]
KINDS = ["trace", "metric", "log", "cdc", "track", "page", "vital", "replay", "tail", "snippet"]
OBJECTS = {"data", "labels", "context", "properties", "traits", "db_before", "db_after", "metric_buckets", "metric_quantiles"}
TEXTS = ["", "ä\U0001F30A", 'a,b\n"c"', "plain", "\t\\"]
random = random.Random(7)


def post(path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    return urllib.request.urlopen(request).read()


def odd(field):
    if field.name in OBJECTS:
        return {"n": random.randrange(-10**6, 10**6), "t": "ü", "x": [None, 0.5, {"k": ""}]}
    if pa.types.is_integer(field.type):
        return random.choice([0, -1, random.randrange(-2**62, 2**62)])
    if pa.types.is_floating(field.type):
        return random.choice([0.0, -1e-300, random.uniform(-1e9, 1e9)])
    if pa.types.is_boolean(field.type):
        return random.random() < 0.5
    if pa.types.is_timestamp(field.type):
        return f"20{random.randrange(10, 26)}-03-04T05:06:07.{random.randrange(10**6):06}Z"
    if pa.types.is_binary(field.type):
        return random.choice(["", "AQID", "/+8="])
    return random.choice(TEXTS) + str(random.randrange(100))


def event(schema, number):
    own = {"id", "event_type", "event_name", "timestamp", "attributes"}
    values = {field.name: odd(field) for field in schema if field.name not in own and random.random() < 0.8}
    return {**values, "id": f"odd-{number}", "event_type": random.choice(KINDS), "event_name": "odd", "attributes": {"n": number}}


schema = pa.ipc.open_stream(post("/v1/sql", {"sql": "SELECT * FROM events LIMIT 0", "format": "arrow"})).schema
for begin in range(0, int(rows), 500):
    said = json.loads(post("/v1/native", [event(schema, number) for number in range(begin, min(begin + 500, int(rows)))]) or "{}")
    print(said)
