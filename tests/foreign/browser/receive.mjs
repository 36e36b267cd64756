// Stands in for a node while the browser side is developed: answers as its HTTP face does and keeps each request as a file.
// Usage: receive.mjs FOLDER SCRIPT [REFUSALS] prints its URL; FOLDER/N.path.json; the first REFUSALS requests get a 503.
import { createServer } from "node:http";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder, script, refusals = "0"] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const OPEN = { "access-control-allow-origin": "*", "access-control-allow-headers": "*" };
let count = 0;
const server = createServer((request, response) => {
  if (request.method === "GET" && request.url === "/snippet.js") {
    return response.writeHead(200, { "content-type": "text/javascript" }).end(readFileSync(script));
  }
  if (request.method !== "POST") return response.writeHead(204, OPEN).end();
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const number = count++;
    const refused = number < Number(refusals);
    const name = `${String(number).padStart(3, "0")}.${request.url.split("/").pop()}${refused ? ".refused" : ""}`;
    writeFileSync(join(folder, name + ".json"), Buffer.concat(parts));
    writeFileSync(join(folder, name + ".type"), String(request.headers["content-type"]));
    response.writeHead(refused ? 503 : 200, { ...OPEN, "content-type": "application/json" }).end("{}");
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
