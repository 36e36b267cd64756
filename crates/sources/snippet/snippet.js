// Watershed's browser snippet: page views, requests, web vitals and, if wanted, a recording of the page.
//
//   <script src="https://collect.example/snippet.js" data-endpoint="https://collect.example" data-replay></script>
//
// data-endpoint  where to send; without it, where the script came from
// data-key       write key, sent in the body: a beacon has no headers
// data-replay    record with window.rrweb, if the page has it; what is typed is masked unless the value is "unmasked"
// data-off       what not to send, of: pages resources vitals
// <meta name="traceparent">  the trace that the page belongs to
//
// Page views are Segment page calls to /v1/batch, the others go to /v1/snippet, /v1/vitals and /v1/replay. A session is a
// tab (sessionStorage); nothing outlives it but requests that could not be sent, which the next page tries again
// (localStorage). Requests are sent again byte for byte, so that their events keep their ids. Comment lines and
// indentation are not served.
((w, d) => {
  const tag = d.currentScript || d.querySelector('script[src*="snippet.js"]')
  if (!tag || w.watershed) return
  const KEY = "watershed."
  const TICK_MS = 5e3
  const { endpoint, key: writeKey, replay, off = "" } = tag.dataset
  const base = new URL(endpoint || new URL("/", tag.src), d.baseURI).href.replace(/\/$/, "")
  const traceparent = d.querySelector("meta[name=traceparent]")?.content
  const hex = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => (b + 256).toString(16).slice(1)).join("")
  const json = JSON.stringify, { keys } = Object
  const { userAgent, language } = navigator
  const isHidden = () => d.visibilityState === "hidden"
  const beganHidden = isHidden()
  const on = (name, then, options) => w.addEventListener(name, then, options)

  // Storage may be blocked: then a session is a page.
  const attempt = (what) => { try { return what() } catch (e) {} }
  const session = attempt(() => JSON.parse(sessionStorage[KEY])) || { id: hex(16), sequence: 0 }
  const remember = () => attempt(() => { sessionStorage[KEY] = json(session) })
  remember()

  // What waits for its request, by path: JSON texts of records; and what the request calls them.
  const lists = { batch: "batch", snippet: "entries", vitals: "metrics", replay: "events" }
  const open = {}
  // Elements are not JSON, and libraries hang whole applications on them.
  const plain = (_, value) => (value instanceof Node ? { tagName: value.tagName } : value)
  // A beacon takes 64 KiB, so requests are closed at 50 000 characters.
  const push = (path, record) => {
    const text = json(record, plain)
    if (open[path] && open[path].bytes + text.length > 5e4) flush(path)
    const one = (open[path] ||= { texts: [], bytes: 0, pageUrl: location.href, sequence: session.sequence })
    one.texts.push(text)
    one.bytes += text.length
    if (path === "replay") session.sequence++
    if (isHidden()) queueMicrotask(leave)
  }

  // Requests that were not answered yet: [url, body], 60 at most. The first stay: a recording needs its start.
  let waiting = []
  const flush = (path) => {
    const { texts, pageUrl, sequence } = open[path]
    delete open[path]
    const shared = { writeKey, sessionId: session.id, pageUrl, traceparent, userAgent, timeOrigin: performance.timeOrigin }
    if (path === "replay") Object.assign(shared, { sequence, sessionStart: session.start })
    const body = json(shared).slice(0, -1) + `,"${lists[path]}":[${texts}]}`
    if (waiting.length < 60) waiting.push([base + "/v1/" + path, body])
    remember()
  }
  const flushAll = () => keys(open).forEach(flush)

  // While the page is seen, requests are answered: what fails waits longer and longer.
  let busy, failures = 0, pause = 0
  const post = (url, body) => fetch(url, { method: "POST", body, keepalive: body.length < 6e4, credentials: "omit" })
    .then((answer) => answer.status, () => 599)
  const drain = async () => {
    if (busy || Date.now() < pause) return
    busy = true
    while (waiting[0]) {
      const [first] = waiting
      const status = await post(...first)
      if (status > 499 || status === 429 || status === 408) {
        pause = Date.now() + Math.min(TICK_MS * 2 ** failures++, 3e5)
        break
      }
      failures = 0
      waiting = waiting.filter((one) => one !== first)
    }
    busy = false
    keep()
  }
  const tick = () => { flushAll(); drain() }

  // A page that is hidden may never be seen again: a beacon outlives it, and what no beacon takes, or a
  // server in trouble would refuse, is kept for the next, up to 200 000 characters.
  let tell = () => {}
  const leave = () => {
    tell()
    flushAll()
    waiting = waiting.filter(([url, body]) => {
      if (failures) return true
      if (attempt(() => navigator.sendBeacon(url, body))) return
      post(url, body)
      return true
    })
    keep()
  }
  const mine = KEY + session.id
  const keep = () => attempt(() => {
    let bytes = 0
    const kept = waiting.filter(([, body]) => (bytes += body.length) < 2e5)
    if (kept[0]) localStorage[mine] = json(kept)
    else delete localStorage[mine]
  })
  attempt(() => keys(localStorage).forEach((key) => {
    if (!key.startsWith(KEY)) return
    waiting.push(...JSON.parse(localStorage[key]))
    delete localStorage[key]
  }))

  // Views of pages, also of those that an application draws itself.
  let seen
  const view = () => {
    const { href: url, pathname: path, search } = location
    if (url === seen) return
    const referrer = seen || d.referrer
    seen = url
    flushAll()
    if (off.includes("pages")) return
    push("batch", {
      type: "page", messageId: hex(16), anonymousId: session.id, timestamp: new Date().toISOString(),
      properties: { url, path, search, referrer, title: d.title },
      context: {
        sessionId: session.id, traceparent, userAgent, locale: language,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
        screen: { width: screen.width, height: screen.height }, library: { name: "watershed.js", version: "1" }
      }
    })
  }
  const watchViews = () => {
    view()
    for (const name of ["pushState", "replaceState"]) {
      const original = history[name]
      history[name] = (...given) => {
        original.apply(history, given)
        setTimeout(view)
      }
    }
    on("popstate", () => setTimeout(view))
  }

  const observe = (type, each, more) =>
    new PerformanceObserver((list) => list.getEntries().forEach(each)).observe({ type, buffered: true, ...more })

  // By the web-vitals library, if the page has it. Else our own, which are near: INP is the slowest interaction (not the
  // 98th percentile), a page that comes back from the cache is not measured again.
  const watchVitals = () => {
    const report = (metric) => push("vitals", { ...metric, timestamp: Date.now() })
    const library = w.webVitals
    if (library) return keys(library).forEach((name) => /^on[A-Z]+$/.test(name) && library[name](report))
    const limits = { CLS: [0.1, 0.25], FCP: [1800, 3000], INP: [200, 500], LCP: [2500, 4000], TTFB: [800, 1800] }
    const [navigation = {}] = performance.getEntriesByType("navigation")
    const known = {}, told = {}, id = hex(8)
    tell = () => keys(known).forEach((name) => {
      const [value, element] = known[name], [fair, poor] = limits[name]
      if (told[name] === value) return
      report({
        name, value, delta: value - (told[name] || 0), id: id + name, navigationType: navigation.type,
        rating: value > poor ? "poor" : value > fair ? "needs-improvement" : "good",
        attribution: element && { target: element.tagName.toLowerCase() + (element.id && "#" + element.id) }
      })
      told[name] = value
    })
    if (navigation.responseStart) known.TTFB = [navigation.responseStart]
    let input, cls = 0, first = 0, last = 0
    for (const name of ["keydown", "click"]) on(name, () => { input = true }, true)
    if (!beganHidden) {
      observe("paint", (e) => { if (e.name === "first-contentful-paint") known.FCP = [e.startTime] })
      observe("largest-contentful-paint", (e) => { if (!input) known.LCP = [e.startTime, e.element] })
    }
    if (PerformanceObserver.supportedEntryTypes.includes("layout-shift")) known.CLS = [0]
    observe("layout-shift", (e) => {
      if (e.hadRecentInput) return
      if (e.startTime - last > 1e3 || e.startTime - first > 5e3) [cls, first] = [0, e.startTime]
      ;[cls, last] = [cls + e.value, e.startTime]
      if (cls > known.CLS[0]) known.CLS = [cls]
    })
    observe("event", (e) => {
      if (e.interactionId && e.duration > (known.INP || [0])[0]) known.INP = [e.duration, e.target]
    }, { durationThreshold: 40 })
  }

  const start = () => {
    if (!off.includes("resources")) observe("resource", (e) => e.name.startsWith(base + "/v1/") || push("snippet", e))
    if (!off.includes("vitals")) watchVitals()
    if (replay != null && w.rrweb) w.rrweb.record({
      maskAllInputs: replay !== "unmasked",
      emit(event) {
        session.start ||= event.timestamp
        push("replay", event)
      }
    })
    on("visibilitychange", () => isHidden() && leave())
    on("pagehide", leave)
    setInterval(tick, TICK_MS)
    tick()
  }
  w.watershed = { sessionId: session.id, traceparent, flush: tick }
  const when = (ready, target, name, then) => (ready ? then() : target.addEventListener(name, then))
  when(d.readyState !== "loading", d, "DOMContentLoaded", watchViews)
  when(d.readyState === "complete", w, "load", () => setTimeout(start))
})(window, document)
