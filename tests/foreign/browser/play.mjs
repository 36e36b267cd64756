// Plays recorded events in rrweb's own player: prints what the replayed page shows at its end as JSON; fails on any error
// and on any warning of the player. Images of the recorded page are answered with an empty one: its site may be gone.
// Usage: play.mjs EVENTS.json (an array of events; run in the folder that holds node_modules)
import { readFileSync } from "node:fs";
import { errorsOf, packaged, serve, withBrowser } from "./shared.mjs";

const EMPTY = "<svg xmlns='http://www.w3.org/2000/svg'/>";
const PATIENCE_MS = 30_000;
const events = JSON.parse(readFileSync(process.argv[2], "utf8"));
const site = await serve({
  "/": ["text/html", `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/player.css"><body><script src="/player.js"></script>`],
  "/player.css": ["text/css", packaged("rrweb-player/dist/style.css")],
  "/player.js": ["text/javascript", packaged("rrweb-player/dist/rrweb-player.umd.min.cjs")],
  "/favicon.ico": ["image/svg+xml", EMPTY],
});

const shown = await withBrowser(async (context) => {
  const page = await context.newPage();
  const errors = errorsOf(page);
  page.on("console", (message) => message.type() === "warning" && errors.push(message.text()));
  await page.route((url) => url.origin !== site.url, (route) => route.fulfill({ contentType: "image/svg+xml", body: EMPTY }));
  await page.goto(site.url + "/");
  const playing = page.evaluate((events) => new Promise((resolve) => {
    const Player = rrwebPlayer.Player ?? rrwebPlayer.default ?? rrwebPlayer;
    const player = new Player({ target: document.body, props: { events, autoPlay: false, skipInactive: true, speed: 8 } });
    const { totalTime } = player.getMetaData();
    player.addEventListener("finish", () => resolve({ totalMs: totalTime }));
    player.play();
  }), events).catch((error) => void errors.push(String(error)));
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, "late").unref());
  const played = await Promise.race([playing, late]);
  if (played === "late") errors.push(`not played to its end within ${PATIENCE_MS} ms`);
  const frame = page.frames().find((frame) => frame !== page.mainFrame());
  const text = await frame?.evaluate(() => document.body?.innerText);
  const typed = await frame?.evaluate(() => document.querySelector("input")?.value);
  return { events: events.length, totalMs: played?.totalMs, text, typed, errors };
});
site.close();
console.log(JSON.stringify(shown));
process.exit(shown.errors.length === 0 ? 0 : 1);
