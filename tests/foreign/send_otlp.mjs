// The real OpenTelemetry SDK of Node sends traces; prints the ids it sent as JSON.
// Usage: send_otlp.mjs grpc|http|proto ENDPOINT COUNT (run in the folder that holds node_modules)
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const [protocol, endpoint, count] = process.argv.slice(2);
const { NodeSDK, tracing, resources } = require("@opentelemetry/sdk-node");
const api = require("@opentelemetry/api");
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${protocol}`);
const url = protocol === "grpc" ? endpoint : endpoint + "/v1/traces";
const sdk = new NodeSDK({
  resource: resources.resourceFromAttributes({ "service.name": "node-" + protocol }),
  spanProcessors: [new tracing.BatchSpanProcessor(new OTLPTraceExporter({ url }))],
  metricReaders: [],
  logRecordProcessors: [],
  instrumentations: [],
});
sdk.start();
const tracer = api.trace.getTracer("shop.mjs", "0.1");
const spans = [];
for (let n = 0; n < Number(count); n++) {
  const span = tracer.startSpan("render", { kind: api.SpanKind.CLIENT, attributes: { "url.full": `http://shop/${n}`, n } });
  span.addEvent("painted");
  if (n % 3 === 0) span.setStatus({ code: api.SpanStatusCode.ERROR, message: "no stock" });
  span.end();
  spans.push([span.spanContext().traceId, span.spanContext().spanId]);
}
await sdk.shutdown();
console.log(JSON.stringify({ spans }));
