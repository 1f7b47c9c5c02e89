// What stands between workerd and the code of an author, in the same isolate: it gives every request an `env.ORAMA` of its own,
// says to the engine what is logged and thrown, and knows both ways to write a worker.
//
// The engine reads lines on standard output: U+0001, the token of the call, a word, a JSON text. The token comes in `request.cf`,
// which no client can write; it ends with the call. Reading `cf` takes longer than all else here together, so that it is read
// only for who asks something of the engine.
import { AsyncLocalStorage } from "node:async_hooks";
import { orama } from "./orama.js";

const calls = new AsyncLocalStorage();
const print = console.log.bind(console);
const outside = globalThis.fetch;
const listeners = [];

// More than a line of the log keeps.
const MESSAGE_CHARACTERS_MAX = 131072;

const tell = (call, word, text) =>
  print(`\u0001${call.token} ${word} ${JSON.stringify(text.slice(0, MESSAGE_CHARACTERS_MAX).toWellFormed())}`);

// The places of an author's own code; those of ours say nothing to anybody.
const places = (stack) => stack.replace(/\n[^\n]*\b__orama\/[^\n]*/g, "").replaceAll("file:///bundle/", "");

function described(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return places(value.stack ?? String(value));
  if (typeof value !== "object" || value === null) return String(value);
  return JSON.stringify(value, (_key, inner) => (typeof inner === "bigint" ? String(inner) : inner)) ?? String(value);
}

// What cannot even be asked what it is has no line of its own, and loses none.
function shown(value) {
  try {
    return described(value);
  } catch {
    try {
      return String(value);
    } catch {
      return "(something that cannot be shown)";
    }
  }
}

function logged(level, values) {
  const call = calls.getStore();
  if (call) tell(call, level, values.map(shown).join(" "));
}

const LEVELS = {
  debug: ["debug", "trace"],
  info: ["log", "info", "dir", "table", "group", "groupCollapsed"],
  warn: ["warn"],
  error: ["error"],
};
for (const [level, methods] of Object.entries(LEVELS)) {
  for (const method of methods) console[method] = (...values) => logged(level, values);
}
console.assert = (holds, ...values) => {
  if (!holds) logged("error", ["assertion failed", ...values]);
};

globalThis.addEventListener("unhandledrejection", ({ reason }) => logged("error", ["unhandled rejection:", reason]));

// Requests leave through the engine, which wants to know for which call.
globalThis.fetch = function fetch(resource, init) {
  const call = calls.getStore();
  if (!call) return Promise.reject(new TypeError("fetch works only while a request is answered"));
  return outside(new Request(resource, init), { cf: { call: call.token } });
};

globalThis.addEventListener = (type, listener) => {
  if (type === "fetch") listeners.push(listener);
};

// Code with listeners gets no `env`: it finds everything as globals.
Object.defineProperty(globalThis, "ORAMA", { get: () => calls.getStore()?.orama });

// A listener that is called from outside of the request would not know its call.
const listen = WebSocket.prototype.addEventListener;
WebSocket.prototype.addEventListener = function addEventListener(type, listener, options) {
  const bound = typeof listener === "function" ? AsyncLocalStorage.bind(listener) : listener;
  return listen.call(this, type, bound, options);
};

// What authors do not find in a request: the facts, and how our own connection cuts the body, which is nothing that the client said.
const cf = Object.getOwnPropertyDescriptor(Request.prototype, "cf");
const headers = Object.getOwnPropertyDescriptor(Request.prototype, "headers");
const withoutOurs = new WeakMap();

function headersOf(request) {
  const all = headers.get.call(request);
  if (!all.has("transfer-encoding")) return all;
  let sent = withoutOurs.get(request);
  if (!sent) {
    withoutOurs.set(request, (sent = new Headers(all)));
    sent.delete("transfer-encoding");
  }
  return sent;
}

Object.defineProperty(Request.prototype, "cf", { ...cf, get: () => undefined });
Object.defineProperty(Request.prototype, "headers", {
  ...headers,
  get() {
    return headersOf(this);
  },
});

class Call {
  #request;
  #facts;
  #host;
  #orama;
  #context;
  #waiting = 0;

  constructor(request, host, context) {
    this.#request = request;
    this.#host = host;
    this.#context = context;
  }

  get request() {
    return this.#request;
  }

  get #told() {
    return (this.#facts ??= cf.get.call(this.#request) ?? {});
  }

  get token() {
    return this.#told.token;
  }

  get orama() {
    const log = (level, text) => tell(this, level, shown(text));
    return (this.#orama ??= orama(this.#host, { ...this.#told, log }));
  }

  // What goes on behind the reply: the engine keeps the call until all of it is done.
  waitUntil(promise) {
    if (this.#waiting++ === 0) tell(this, "waiting", "");
    const settled = () => {
      if (--this.#waiting === 0) tell(this, "done", "");
    };
    const failed = (error) => {
      tell(this, "error", `waitUntil: ${shown(error)}`);
      settled();
    };
    this.#context.waitUntil(Promise.resolve(promise).then(settled, failed));
  }
}

// The `ctx` of a module, or the better part of an event.
function contextOf(call) {
  return {
    props: {},
    waitUntil: (promise) => call.waitUntil(promise),
    passThroughOnException() {},
  };
}

class FetchEvent {
  #reply;
  type = "fetch";

  constructor(request, env, call) {
    this.request = request;
    this.env = env;
    this.waitUntil = (promise) => call.waitUntil(promise);
  }

  respondWith(reply) {
    this.#reply ??= Promise.resolve(reply);
  }

  passThroughOnException() {}

  static reply(event) {
    return event.#reply;
  }
}

function byListeners(request, env, call) {
  for (const name of Object.keys(env)) if (name !== "ORAMA") globalThis[name] = env[name];
  const event = new FetchEvent(request, env, call);
  for (const listener of listeners) {
    listener(event);
    const reply = FetchEvent.reply(event);
    if (reply) return reply;
  }
  throw new TypeError("no listener called event.respondWith()");
}

// The one way to answer that this code has, if it has one.
function handlerOf(author) {
  const exported = author.default;
  if (typeof exported?.fetch === "function") return (request, env, context) => exported.fetch(request, env, context);
  if (typeof exported === "function" && typeof exported.prototype?.fetch === "function") {
    return (request, env, context) => new exported(context, env).fetch(request);
  }
  if (listeners.length > 0) return (request, env, _context, call) => byListeners(request, env, call);
  return undefined;
}

async function answer(handler, variables, context, call) {
  try {
    const env = {
      ...variables,
      get ORAMA() {
        return call.orama;
      },
    };
    const reply = await handler(call.request, env, context, call);
    if (!(reply instanceof Response)) throw new TypeError("the handler returned no Response");
    return reply;
  } catch (error) {
    tell(call, "threw", shown(error));
    throw error;
  }
}

export function serve(author) {
  const handler = handlerOf(author);
  return {
    fetch(request, { host, variables }, context) {
      const call = new Call(request, host, context);
      return calls.run(call, answer, handler, variables, contextOf(call), call);
    },
  };
}

// Says whether requests would be answered.
export const look = (author) => ({ fetch: () => Response.json({ handler: handlerOf(author) !== undefined }) });
