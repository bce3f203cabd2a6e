// What a page can try against another host. Each attempt asks for a path that names it, `…?attempt=NAME`, and ends with
// what the page could see: "read …" if it learnt anything, else how it was kept from it.
"use strict";
// The token comes without its prefix: the gateway lets none through in an address.
const { victim, sign_in: signIn, api, as: secret, only } = Object.fromEntries(new URLSearchParams(location.search));
const token = `pgt_${secret}`;
const PATIENCE = 20000; // milliseconds until an attempt counts as unanswered
// A browser may tell nothing at all of what it keeps out of a frame: these have this long when all else was answered.
const FRAMED = ["frame", "frame-sandboxed", "frame-sign-in", "other-session-frame", "object", "embed"];
const SILENCE = 1000;

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const event = (target, ...names) =>
  new Promise((resolve) => names.forEach((name) => target.addEventListener(name, () => resolve(name))));
const make = (tag, fields) => document.body.appendChild(Object.assign(document.createElement(tag), fields));

// ---- requests whose answer a script would see

const ask = (url, options) => async () => {
  const answer = await fetch(url, { credentials: "include", ...options });
  return answer.type === "opaque" ? "opaque" : `read ${answer.status} ${(await answer.text()).slice(0, 80)}`;
};
const oldAsk = (url) => () =>
  new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.withCredentials = true;
    request.onload = () => resolve(`read ${request.responseText.slice(0, 80)}`);
    request.onerror = () => resolve("blocked");
    request.send();
  });
const socket = (url) => async () => {
  const opened = await event(new WebSocket(url.replace("https:", "wss:")), "open", "error");
  return opened === "open" ? "read: the socket is open" : "refused";
};
const stream = (url) => async () => {
  const opened = await event(new EventSource(url, { withCredentials: true }), "open", "error");
  return opened === "open" ? "read: the stream is open" : "refused";
};

// ---- things of the victim's inside this page

const embed = (tag, fields, stolen) => async () => {
  const element = make(tag, fields);
  const seen = await event(element, "load", "error");
  const found = stolen(element);
  return found ? `read ${found}` : `${seen}, nothing to be seen`;
};
const framed = (frame) => {
  try {
    return frame.contentDocument?.body?.innerText;
  } catch {
    return "";
  }
};

// ---- forms, into a frame or a window

const post = (url, type, top) => async () => {
  const name = `target-${Math.random()}`;
  const target = top ? window.open("about:blank", name) : make("iframe", { name });
  const form = make("form", { action: url, method: "post", enctype: type, target: name });
  form.appendChild(Object.assign(document.createElement("input"), { name: "field", value: "value" }));
  form.submit();
  return watch(top ? target : target.contentWindow);
};

// Look at another window until it has left about:blank, or for a while: what can be read of it?
const watch = async (other) => {
  const end = Date.now() + PATIENCE;
  let blank = true;
  while (blank && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    try {
      blank = other.location.href === "about:blank";
      if (!blank) return `read ${other.document.body.innerText.slice(0, 80)}`;
    } catch {
      blank = false;
    }
  }
  return blank ? "never left" : "cross-origin";
};
const open = (url) => async () => {
  const other = window.open(url);
  const seen = await watch(other);
  other.postMessage({ please: "your cookies" }, "*");
  const told = await Promise.race([
    new Promise((resolve) => addEventListener("message", (message) => resolve(`read ${message.data}`), { once: true })),
    new Promise((resolve) => setTimeout(resolve, 200, "")),
  ]);
  return told || seen;
};

// ---- cookies

const toss = (cookie) => async () => {
  const before = document.cookie;
  document.cookie = cookie;
  return document.cookie === before ? "not set" : `set ${document.cookie}`;
};
const parent = location.hostname.split(".").slice(1).join(".");

const own = location.origin;
const at = (base, path, name) => `${base}${path}${path.includes("?") ? "&" : "?"}attempt=${name}`;
const via = (target, code) => `${own}/redirect?code=${code}&to=${encodeURIComponent(target)}`;
const nothing = () => "";

const attempts = {
  "fetch": (name) => ask(at(victim, "/headers", name)),
  "fetch-no-cors": (name) => ask(at(victim, "/headers", name), { mode: "no-cors" }),
  "fetch-post-text": (name) => ask(at(victim, "/upload", name), { method: "POST", mode: "no-cors", body: "text" }),
  "fetch-preflighted": (name) =>
    ask(at(victim, "/upload", name), { method: "PUT", headers: { "Content-Type": "application/json" }, body: "{}" }),
  "fetch-bearer": (name) => ask(at(victim, "/headers", name), { headers: { Authorization: "Bearer pgt_guess" } }),
  "fetch-redirected": (name) => ask(via(at(victim, "/headers", name), 302)),
  "fetch-redirected-post": (name) =>
    ask(via(at(victim, "/upload", name), 307), { method: "POST", mode: "no-cors", body: "text" }),
  "fetch-sign-in": (name) => ask(at(signIn, "/sign-in", name)),
  "fetch-api": (name) => ask(at(api, "/v1/pods", name)),
  "fetch-api-post": (name) => ask(at(api, "/v1/tokens", name), { method: "POST", mode: "no-cors", body: '{"name":"x"}' }),
  "xhr": (name) => oldAsk(at(victim, "/headers", name)),
  "beacon": (name) => async () => `queued ${navigator.sendBeacon(at(victim, "/upload", name), "text")}`,
  "socket": (name) => socket(at(victim, "/ws", name)),
  "socket-api": (name) => socket(at(api, "/v1/pods", name)),
  "stream": (name) => stream(at(victim, "/events", name)),

  "image": (name) => embed("img", { src: at(victim, "/image", name) }, (image) => image.naturalWidth),
  "image-redirected": (name) => embed("img", { src: via(at(victim, "/image", name), 302) }, (image) => image.naturalWidth),
  "image-cors": (name) =>
    embed("img", { crossOrigin: "use-credentials", src: at(victim, "/image", name) }, (image) => image.naturalWidth),
  "script": (name) => embed("script", { src: at(victim, "/script", name) }, () => window.stolen),
  "style": (name) =>
    embed("link", { rel: "stylesheet", href: at(victim, "/style", name) }, () =>
      getComputedStyle(document.documentElement).getPropertyValue("--stolen")),
  "prefetch": (name) => embed("link", { rel: "prefetch", href: at(victim, "/script", name) }, nothing),
  "frame": (name) => embed("iframe", { src: at(victim, "/", name) }, framed),
  "frame-sandboxed": (name) =>
    embed("iframe", { sandbox: "allow-scripts allow-forms allow-top-navigation", src: at(victim, "/", name) }, framed),
  "frame-sign-in": (name) => embed("iframe", { src: at(signIn, "/sign-in", name) }, framed),
  "object": (name) => embed("object", { type: "text/html", data: at(victim, "/", name) }, framed),
  "embed": (name) => embed("embed", { type: "text/html", src: at(victim, "/", name) }, nothing),

  "form": (name) => post(at(victim, "/upload", name), "application/x-www-form-urlencoded", true),
  "form-multipart": (name) => post(at(victim, "/upload", name), "multipart/form-data", true),
  "form-text": (name) => post(at(victim, "/upload", name), "text/plain", true),
  "form-framed": (name) => post(at(victim, "/upload", name), "text/plain", false),
  "form-redirected": (name) => post(via(at(victim, "/upload", name), 307), "text/plain", true),
  "form-sign-in": (name) => post(at(signIn, "/sign-in", name), "application/x-www-form-urlencoded", true),
  "form-sign-out": (name) => post(at(signIn, "/sign-out", name), "application/x-www-form-urlencoded", true),
  "form-api": (name) => post(at(api, "/v1/tokens", name), "text/plain", true),

  "sign-out-image": (name) => embed("img", { src: at(victim, "/.podgate/sign-out", name) }, nothing),
  "sign-out-form": (name) => post(at(victim, "/.podgate/sign-out", name), "application/x-www-form-urlencoded", true),
  "other-session-image": (name) => embed("img", { src: at(victim, `/?token=${token}`, name) }, nothing),
  "other-session-frame": (name) => embed("iframe", { src: at(victim, `/?token=${token}`, name) }, framed),
  "other-session-fetch": (name) => ask(at(victim, `/?token=${token}`, name), { mode: "no-cors" }),

  "toss-host": () => toss("__Host-podgate=tossed; Secure; Path=/"),
  "toss-host-wide": () => toss(`__Host-podgate=tossed; Secure; Path=/; Domain=${parent}`),
  "toss-wide": () => toss(`podgate=tossed; Secure; Path=/; Domain=${parent}`),
  "toss-nameless": () => toss(`=__Host-podgate=tossed; Secure; Path=/; Domain=${parent}`),
  "toss-by-header": () => ask("/cookies"),
  "worker": () => async () => {
    const worker = await navigator.serviceWorker.register(`${victim}/script`, { scope: "/" });
    return `read: ${worker.scope}`;
  },

  // A top-level GET is how people follow links: it may reach the victim as them, and this page sees nothing of it.
  "popup": (name) => open(at(victim, "/headers", name)),
  "popup-redirected": (name) => open(via(at(victim, "/headers", name), 302)),
  "popup-other-session": (name) => open(at(victim, `/?token=${token}`, name)),
  "popup-sign-out": (name) => open(at(victim, "/.podgate/sign-out", name)),
  "popup-sign-in": (name) => open(at(signIn, "/sign-in", name)),
};

(async () => {
  const results = {};
  const chosen = Object.entries(attempts).filter(([name]) => !only || only === name); // to find out which one it was
  const begun = Object.fromEntries(
    chosen.map(([name, attempt]) => [name, attempt(name)().catch((error) => `blocked: ${error.message}`)]),
  );
  const end = async (names, limit) => {
    const over = limit.then(() => "no answer");
    await Promise.all(names.map(async (name) => (results[name] = await Promise.race([begun[name], over]))));
  };
  const [framed, others] = [true, false].map((is) => Object.keys(begun).filter((name) => FRAMED.includes(name) === is));
  await end(others, pause(PATIENCE));
  await end(framed, pause(SILENCE));
  document.getElementById("result").textContent = JSON.stringify(results, null, 1);
  document.title = "done";
})();
