"""The real OpenTelemetry SDK of Python sends traces, metrics and logs; prints what it sent as JSON.

Usage: send_otlp.py grpc|http ENDPOINT COUNT
"""

import json
import logging
import sys

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry._logs import LogRecord, SeverityNumber

PROTOCOL, ENDPOINT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])

if PROTOCOL == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    def exporter(kind, _path):
        return kind(endpoint=ENDPOINT, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def exporter(kind, path):
        return kind(endpoint=ENDPOINT + path, compression=Compression.Gzip)


resource = Resource.create({"service.name": "shop-" + PROTOCOL, "service.version": "1.2.3"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(exporter(OTLPSpanExporter, "/v1/traces")))
metrics = MeterProvider(
    resource=resource,
    metric_readers=[PeriodicExportingMetricReader(exporter(OTLPMetricExporter, "/v1/metrics"), 3_600_000)],
)
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(exporter(OTLPLogExporter, "/v1/logs")))

tracer, meter, logger = traces.get_tracer("shop.py", "0.1"), metrics.get_meter("shop.py"), logs.get_logger("shop.py")
orders, latency = meter.create_counter("orders", unit="1"), meter.create_histogram("latency", unit="ms")
sent = {"spans": [], "logs": [], "metrics": ["orders", "latency"], "orders": 0}
for n in range(COUNT):
    with tracer.start_as_current_span("checkout", attributes={"http.request.method": "POST", "n": n, "vip": n % 2 == 0}) as parent:
        with tracer.start_as_current_span("charge", attributes={"db.system": "postgresql"}) as child:
            child.add_event("retried", {"attempt": 1})
            body = f"order {n} placed"
            logger.emit(LogRecord(severity_number=SeverityNumber.INFO, severity_text="INFO", body=body, attributes={"n": n}))
        sent["logs"].append(body)
        for span in (parent, child):
            context = span.get_span_context()
            sent["spans"].append([format(context.trace_id, "032x"), format(context.span_id, "016x")])
    orders.add(1, {"region": "eu"})
    latency.record(float(n))
    sent["orders"] += 1

for provider in (traces, metrics, logs):
    provider.shutdown()
logging.shutdown()
print(json.dumps(sent))
