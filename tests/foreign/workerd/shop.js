// A worker that is called in every way that Cloudflare's runtime can call one here. It knows nothing of Watershed.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

export class Stock extends DurableObject {
  async reserve(amount) {
    await this.ctx.storage.setAlarm(Date.now());
    return amount;
  }
  alarm() {
    console.log("restocked");
  }
}

export class Prices extends WorkerEntrypoint {
  of(thing) {
    console.log("price of", { thing }, 0);
    return 9;
  }
}

/** Itself by its other handlers; there is no timer and no queue here. */
async function everything(env) {
  await env.SELF.scheduled({ scheduledTime: new Date(1_790_000_000_000), cron: "*/5 * * * *" });
  const message = (id, body) => ({ id, body, timestamp: new Date(1_790_000_000_000), attempts: 1 });
  await env.SELF.queue("orders", [message("1", { wool: 0 }), message("2", "pins")]);
  await env.PRICES.of("wool");
  await env.STOCK.getByName("main").reserve(2);
  const inner = await env.SELF.fetch("https://inner.example/cart?wool=2", { headers: { cookie: "session=hunter2" } });
  // An answer that nobody reads has no status in the tail.
  await inner.text();
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    console.log("asked for", pathname);
    if (pathname === "/everything") await everything(env);
    if (pathname === "/fail") throw new TypeError("no wool");
    return new Response("sold", { status: 201 });
  },
  scheduled(event) {
    console.log("cron", event.cron);
  },
  queue(batch) {
    console.log("messages", batch.messages.length);
  },
};
