// What the browser scripts share: a browser, a server of fixed answers, and the errors of a page.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(process.cwd() + "/");
const { chromium } = require("playwright-core");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** A file of an installed package. */
export const packaged = (path) => readFileSync(join(process.cwd(), "node_modules", path));

/** Runs `work` with a browser of an empty profile; a desktop in the way of nobody. */
export async function withBrowser(work) {
  const profile = mkdtempSync(join(tmpdir(), "watershed-browser-"));
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
  try {
    return await work(context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Serves `answers` (path → [type, body, headers]) on a free port of 127.0.0.1. */
export async function serve(answers) {
  const server = createServer((request, response) => {
    const [type, body, headers = {}] = answers[request.url.split("?")[0]] ?? answers["*"] ?? [];
    if (type === undefined) return response.writeHead(404).end();
    if (headers.etag && request.headers["if-none-match"] === headers.etag) return response.writeHead(304, headers).end();
    response.writeHead(200, { "content-type": type, ...headers }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close(() => {}) || server.closeAllConnections() };
}

/** Collects what goes wrong on a page. */
export function errorsOf(page) {
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  return errors;
}
