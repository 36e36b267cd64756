// Segment's own library for browsers, as its package ships it, on a page of another origin: one of each call.
// Prints what it sent as JSON; fails on any error of the page and on any request to somebody else (a CDN, Segment).
// Usage: segment.mjs ENDPOINT [--batching] (run in the folder that holds node_modules)
import { readdirSync } from "node:fs";
import { errorsOf, packaged, serve, withBrowser } from "./shared.mjs";

const [endpoint, ...options] = process.argv.slice(2);
const batching = options.includes("--batching");
const UMD = "@segment/analytics-next/dist/umd/";
const scripts = readdirSync(`node_modules/${UMD}`).filter((name) => name.endsWith(".js"));
const site = await serve({
  "/cart": ["text/html", '<!doctype html><meta charset="utf-8"><title>Cart of wool</title><script src="/umd/index.js"></script>'],
  "/favicon.ico": ["image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"],
  ...Object.fromEntries(scripts.map((name) => [`/umd/${name}`, ["text/javascript", packaged(UMD + name)]])),
});

/** Runs in the page. What Segment's CDN would answer is given, so that nobody asks it. */
async function call({ apiHost, batching }) {
  const deliveryStrategy = batching ? { strategy: "batching", config: { size: 6, timeout: 60_000 } } : {};
  const analytics = AnalyticsNext.AnalyticsBrowser.load(
    { writeKey: "k-1", cdnSettings: { integrations: { "Segment.io": { apiKey: "k-1" } } } },
    { integrations: { "Segment.io": { apiHost, protocol: "http", deliveryStrategy } } },
  );
  const failed = [];
  analytics.on("error", (error) => failed.push(String(error.reason ?? error.code)));
  const tied = { context: { sessionId: "session-8", traceparent: "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" } };
  const calls = [
    await analytics.page("Shop", "Cart", { wool: 0 }, tied),
    await analytics.track("Order Completed", { total: 0, currency: "EUR", vip: false, note: "" }, tied),
    await analytics.identify("user-8", { name: "Ann", plan: "free" }, tied),
    await analytics.group("group-1", { seats: 5 }, tied),
    await analytics.screen("Home", "Start", {}, tied),
    await analytics.alias("user-8", "visitor-8", tied),
  ];
  const sent = calls.map(({ event }) => [event.type, event.messageId]);
  return { sent, failed, anonymousId: analytics.instance.user().anonymousId(), userAgent: navigator.userAgent };
}

const done = await withBrowser(async (context) => {
  const page = await context.newPage();
  const [errors, requests] = [errorsOf(page), []];
  page.on("request", (request) => requests.push(request));
  await page.goto(site.url + "/cart?q=1&utm_campaign=spring&utm_source=news&utm_medium=mail&utm_term=wool&utm_content=top", { waitUntil: "load" });
  const last = new URL(batching ? "/v1/b" : "/v1/a", endpoint).href;
  const answered = page.waitForResponse((response) => response.url() === last && response.request().method() === "POST");
  const [said] = await Promise.all([page.evaluate(call, { apiHost: new URL(endpoint).host + "/v1", batching }), answered])
    .catch((error) => [{ failed: [String(error)] }]);
  const posts = requests.filter((request) => request.method() === "POST");
  const paths = await Promise.all(posts.map(async (request) =>
    [new URL(request.url()).pathname, (await request.allHeaders())["content-type"], (await request.response())?.status()]));
  const elsewhere = requests.map((request) => request.url()).filter((url) => !url.startsWith(endpoint) && !url.startsWith(site.url));
  return { ...said, url: page.url(), paths, elsewhere, errors };
});
site.close();
console.log(JSON.stringify(done));
process.exit(done.errors.length + done.failed.length + done.elsewhere.length === 0 ? 0 : 1);
