// The WebSocket library `ws` follows a stream whose connection is cut again and again, and resumes with its token.
// Prints what it saw as JSON when COUNT events came.
// Usage: follow.mjs ENDPOINT COUNT CUTS (run in the folder that holds node_modules)
import { createRequire } from "node:module";
import { cutter } from "./cutter.mjs";
const require = createRequire(process.cwd() + "/");
const WebSocket = require("ws");
const [endpoint, count, cuts] = process.argv.slice(2);

const way = await cutter(endpoint, Number(cuts), () => 20_000 + Math.floor(Math.random() * 60_000));
const seen = [];
let token, connections = 0;

function follow() {
  return new Promise((over) => {
    const socket = new WebSocket(`ws://127.0.0.1:${way.port}/v1/stream`);
    connections++;
    const say = (message) => socket.send(JSON.stringify(message));
    socket.on("open", () => say({ type: "subscribe", id: "all", topics: ["trace.*"], from: token ?? "earliest", acks: true }));
    socket.on("message", (text) => {
      const message = JSON.parse(text);
      if (message.type === "error") throw new Error(text);
      if (message.type === "gap") throw new Error("a gap: " + text);
      if (message.token) token = message.token;
      if (message.type !== "events") return;
      seen.push(...message.events.map((event) => event.id));
      say({ type: "ack", token });
      if (seen.length >= Number(count)) socket.close();
    });
    socket.on("error", () => {});
    socket.on("close", over);
  });
}

process.stderr.write("following\n");
while (seen.length < Number(count)) await follow();
way.close();
console.log(JSON.stringify({ seen, connections, cuts: way.cut() }));
