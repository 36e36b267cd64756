// A real browser follows a stream twice, by WebSocket and by EventSource, over connections that are cut again and again.
// Prints what each saw as JSON when COUNT events came to both.
// Usage: stream.mjs ENDPOINT COUNT CUTS (run in the folder that holds node_modules)
import { cutter } from "../cutter.mjs";
import { errorsOf, serve, withBrowser } from "./shared.mjs";

const [endpoint, count, cuts] = process.argv.slice(2);
const drawn = () => 20_000 + Math.floor(Math.random() * 60_000);
const ways = { socket: await cutter(endpoint, Number(cuts), drawn), events: await cutter(endpoint, Number(cuts), drawn) };
const site = await serve({ "*": ["text/html", "<!doctype html><title>Follows</title>"] });

/** Runs in the page; EventSource comes back by itself, with the id of the last event. */
function follow(ports) {
  window.seen = { socket: [], events: [], gaps: 0 };
  let token;
  const take = (how, message) => {
    if (message.type === "gap") seen.gaps++;
    if (message.type === "events") seen[how].push(...message.events.map((event) => event.id));
    return message;
  };
  const connect = () => {
    const socket = new WebSocket(`ws://127.0.0.1:${ports.socket}/v1/stream`);
    socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", topics: ["trace.*"], from: token ?? "earliest" }));
    socket.onmessage = ({ data }) => (token = take("socket", JSON.parse(data)).token ?? token);
    socket.onclose = () => setTimeout(connect, 50);
  };
  connect();
  const source = new EventSource(`http://127.0.0.1:${ports.events}/v1/stream?topic=trace.*&from=earliest`);
  for (const kind of ["events", "gap"]) source.addEventListener(kind, ({ data }) => take("events", JSON.parse(data)));
}

const told = await withBrowser(async (context) => {
  const page = await context.newPage();
  // The browser says of each connection that it was cut.
  errorsOf(page);
  await page.goto(site.url + "/");
  await page.evaluate(follow, { socket: ways.socket.port, events: ways.events.port });
  process.stderr.write("following\n");
  const all = (count) => seen.socket.length >= count && seen.events.length >= count;
  await page.waitForFunction(all, Number(count), { timeout: 120_000 });
  return page.evaluate(() => seen);
});
// Connections that nobody closed would keep the process.
process.stdout.write(JSON.stringify({ ...told, cuts: [ways.socket.cut(), ways.events.cut()] }), () => process.exit(0));
