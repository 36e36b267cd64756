# A worker and the tail worker behind it. ENDPOINT in the environment says where items go.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "shop", worker = .shop),
    (name = "tail", worker = .tail),
    # The node listens on 127.0.0.1, which is not allowed unless it is said.
    (name = "internet", network = (allow = ["private", "local"])),
  ],
  # Cloudflare's edge tells what it knows of the sender; here the sender tells it in a header.
  sockets = [(name = "http", address = "127.0.0.1:0", http = (cfBlobHeader = "CF-Blob"), service = "shop")],
);

const shop :Workerd.Worker = (
  modules = [(name = "shop.js", esModule = embed "shop.js")],
  compatibilityDate = "2026-11-01",
  # Calls of scheduled() and queue() through a binding; wants --experimental.
  compatibilityFlags = ["service_binding_extra_handlers"],
  bindings = [
    (name = "SELF", service = "shop"),
    (name = "PRICES", service = (name = "shop", entrypoint = "Prices")),
    (name = "STOCK", durableObjectNamespace = "Stock"),
  ],
  durableObjectNamespaces = [(className = "Stock", uniqueKey = "stock")],
  durableObjectStorage = (inMemory = void),
  tails = ["tail"],
);

const tail :Workerd.Worker = (
  modules = [(name = "tail.js", esModule = embed "tail.js")],
  compatibilityDate = "2026-11-01",
  bindings = [(name = "ENDPOINT", fromEnvironment = "ENDPOINT")],
);
