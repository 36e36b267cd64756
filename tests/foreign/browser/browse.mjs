// A real browser visits a page that has /snippet.js, web-vitals and rrweb on it: it types, clicks, and leaves.
// Prints what it did as JSON; fails on any error of the page.
// Usage: browse.mjs ENDPOINT [--alone] [--trouble] (run in the folder that holds node_modules); --alone: without the two
// libraries; --trouble: the server is too busy once, and cannot be reached once
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { errorsOf, packaged, serve, withBrowser } from "./shared.mjs";

const [endpoint, ...options] = process.argv.slice(2);
const alone = options.includes("--alone");
const traceId = randomBytes(16).toString("hex");
const svg = (colour) => `<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><rect width="300" height="200" fill="${colour}"/></svg>`;
const libraries = alone ? "" : '<script src="/web-vitals.js"></script>\n<script src="/rrweb.js"></script>';

const elsewhere = await serve({ "/hidden.svg": ["image/svg+xml", svg("teal")] });
const template = readFileSync(new URL("page.html", import.meta.url), "utf8");
const filled = template.replaceAll("%ENDPOINT%", endpoint).replace("%ELSEWHERE%", elsewhere.url)
  .replace("%TRACEPARENT%", `00-${traceId}-${randomBytes(8).toString("hex")}-01`).replace("%LIBRARIES%", libraries);
const site = await serve({
  "*": ["text/html", filled],
  "/blank": ["text/html", "<!doctype html><title>Gone</title>"],
  "/style.css": ["text/css", "body { font: 16px sans-serif } #late { background: gold }", { "cache-control": "max-age=600" }],
  "/fresh.svg": ["image/svg+xml", svg("crimson"), { etag: '"1"', "cache-control": "no-cache" }],
  "/stock.json": ["application/json", '{"wool":0}'],
  "/favicon.ico": ["image/svg+xml", svg("teal")],
  "/web-vitals.js": ["text/javascript", packaged("web-vitals/dist/web-vitals.attribution.iife.js"), { "cache-control": "max-age=600" }],
  "/rrweb.js": ["text/javascript", packaged("rrweb/dist/rrweb.umd.min.cjs"), { "cache-control": "max-age=600" }],
});

/** Runs in the page: notes what is sent, where it outlives the page. No tool outside sees the beacons of a page that goes. */
function noteSent(endpoint) {
  const note = (url, body) => String(url).startsWith(endpoint + "/v1/") && (sessionStorage["sent " + new URL(url).pathname + " " + body] = "");
  const { fetch } = window, { sendBeacon } = navigator;
  window.fetch = (url, options) => (note(url, options?.body), fetch(url, options));
  navigator.sendBeacon = (url, body) => (note(url, body), sendBeacon.call(navigator, url, body));
}

/** How many records went to each path; what was sent again is one entry of the notes. */
function counted(notes) {
  const counts = {};
  for (const [, path, body] of notes.map((note) => /^sent (\S+) (.*)$/s.exec(note)).filter(Boolean)) {
    const records = Object.values(JSON.parse(body)).find(Array.isArray);
    counts[path] = (counts[path] ?? 0) + records.length;
  }
  return counts;
}

/** A browser that closes takes beacons with it that are still on their way: it stays until the server has all, or a while. */
async function taken(records) {
  const metric = /^watershed_events_accepted_total\{[^}]*\} (\d+)/gm;
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((done) => setTimeout(done, 100))) {
    const metrics = await (await fetch(endpoint + "/metrics")).text();
    if ([...metrics.matchAll(metric)].reduce((sum, [, count]) => sum + Number(count), 0) >= records) return;
  }
}

const busy = (route) => route.fulfill({ status: 503, headers: { "access-control-allow-origin": "*" } });
const troubles = options.includes("--trouble") ? [busy, (route) => route.abort()] : [];
/** The browser says of a request that it failed. */
const isForeseen = (error) => options.includes("--trouble") && error.startsWith("Failed to load resource");

const done = await withBrowser(async (context) => {
  const page = await context.newPage();
  const errors = errorsOf(page);
  await page.addInitScript(noteSent, endpoint);
  await page.route(endpoint + "/v1/**", (route) => (troubles.shift() ?? ((other) => other.continue()))(route));
  const pages = [];
  const visit = async (path) => {
    await page.goto(site.url + path, { waitUntil: "load" });
    pages.push(page.url());
    await page.waitForSelector("#late");
    await page.click("#name");
    await page.keyboard.type("Ann");
    await page.mouse.wheel(0, 50);
    await page.click("#buy");
    await page.waitForFunction(() => location.pathname === "/thanks" && document.title === "Thanks");
    await page.waitForTimeout(300);
    pages.push(page.url());
  };
  // As a page that stays: requests that are answered.
  const stay = async () => {
    await visit("/cart?wool=1");
    await page.evaluate(() => watershed.flush());
    await page.waitForTimeout(500);
  };
  for (let left = troubles.length; left >= 0; left--) {
    await stay();
    if (troubles.length >= left && left > 0) throw new Error(`trouble ${left} did not happen`);
  }
  const { sessionId, traceparent } = await page.evaluate(() => watershed);
  // And as one that goes: beacons. The next page is of the same session and finds things in the cache.
  await visit("/cart?wool=2");
  const same = (await page.evaluate(() => watershed.sessionId)) === sessionId;
  await page.goto(site.url + "/blank");
  const sent = counted(await page.evaluate(() => Object.keys(sessionStorage)));
  await taken(Object.values(sent).reduce((sum, count) => sum + count, 0));
  return { sessionId, traceId, traced: traceparent.includes(traceId), same, site: site.url, elsewhere: elsewhere.url, pages, sent, errors: errors.filter((error) => !isForeseen(error)) };
});
site.close();
elsewhere.close();
console.log(JSON.stringify(done));
process.exit(done.errors.length === 0 && done.same && done.traced ? 0 : 1);
