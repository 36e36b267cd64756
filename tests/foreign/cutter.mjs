// A way to a server that breaks: TCP through, and every connection is cut after a drawn number of bytes came back.
import { createServer, connect } from "node:net";

/** Listens on a free port; `cuts` is how often it cuts. Resolves to { port, cut(): number, close() }. */
export async function cutter(endpoint, cuts, bytes) {
  const { hostname, port } = new URL(endpoint);
  let left = cuts;
  const open = new Set();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let passed = 0;
    const limit = left > 0 ? bytes() : Infinity;
    const end = () => (client.destroy(), upstream.destroy(), open.delete(client));
    open.add(client);
    upstream.on("data", (data) => {
      passed += data.length;
      if (passed <= limit) return void client.write(data);
      // In the middle of what is said.
      client.write(data.subarray(0, Math.floor(data.length / 2)), () => client.resetAndDestroy());
      upstream.destroy();
      left--;
    });
    client.on("data", (data) => upstream.write(data));
    for (const side of [client, upstream]) side.on("error", end).on("close", end);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: server.address().port,
    cut: () => cuts - left,
    close: () => (server.close(), open.forEach((socket) => socket.destroy())),
  };
}
