// Segment's library for Node sends one of each call; prints the message ids it sent as JSON.
// Usage: send_segment.mjs ENDPOINT (run in the folder that holds node_modules)
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const { Analytics } = require("@segment/analytics-node");
const analytics = new Analytics({ writeKey: "test-key", host: process.argv[2], path: "/v1/batch", flushAt: 3 });
const sent = [];
const failed = [];
analytics.on("http_request", ({ body }) => {
  const { batch } = typeof body === "string" ? JSON.parse(body) : body;
  sent.push(...batch.map(({ type, messageId }) => [type, messageId]));
});
analytics.on("error", (error) => failed.push(String(error.reason ?? error.code)));
const userId = "user-7";
const context = { sessionId: "session-7", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
analytics.identify({ userId, traits: { name: "Ann", plan: "free" }, context });
analytics.track({ userId, event: "Order Completed", properties: { total: 0, currency: "EUR" }, context });
analytics.page({ userId, category: "Shop", name: "Cart", properties: { url: "https://shop.example/cart", search: "?q=1" }, context });
analytics.screen({ userId, name: "Home", context });
analytics.group({ userId, groupId: "group-1", traits: { seats: 5 }, context });
analytics.alias({ userId, previousId: "visitor-7", context });
await analytics.closeAndFlush();
console.log(JSON.stringify({ sent, failed }));
