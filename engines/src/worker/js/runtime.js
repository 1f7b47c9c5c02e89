// What stands between workerd and the code of an author, in the same isolate: it gives every request an `env.ORAMA` of its own,
// says to the engine what is logged and thrown, and knows both ways to write a worker.
//
// The engine reads lines on standard output: U+0001, the token of the call, a word, a JSON text. The token comes in `request.cf`,
// which no client can write; it ends with the call.
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

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return places(value.stack ?? String(value));
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value, (_key, inner) => (typeof inner === "bigint" ? String(inner) : inner)) ?? String(value);
  } catch {
    return String(value);
  }
}

for (const [method, level] of [["debug", "debug"], ["trace", "debug"], ["log", "info"], ["info", "info"], ["warn", "warn"], ["error", "error"]]) {
  console[method] = (...values) => {
    const call = calls.getStore();
    if (call) tell(call, level, values.map(shown).join(" "));
  };
}

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

class Call {
  #context;
  #waiting = 0;

  constructor(token, context) {
    this.token = token;
    this.#context = context;
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
  const { ORAMA, ...variables } = env;
  Object.assign(globalThis, variables);
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

export function serve(author) {
  const handler = handlerOf(author);

  async function answer(request, env, call) {
    try {
      const reply = await handler(request, { ...env.variables, ORAMA: call.orama }, contextOf(call), call);
      if (!(reply instanceof Response)) throw new TypeError("the handler returned no Response");
      return reply;
    } catch (error) {
      tell(call, "threw", shown(error));
      throw error;
    }
  }

  return {
    fetch(request, env, context) {
      const told = request.cf ?? {};
      if (told.probe) return Response.json({ handler: handler !== undefined });
      // How our own connection cuts a body is nothing that the client said.
      if (request.headers.has("transfer-encoding")) {
        request = new Request(request);
        request.headers.delete("transfer-encoding");
      }
      Object.defineProperty(request, "cf", { value: undefined });
      const call = new Call(told.token, context);
      call.orama = orama(env.host, { ...told, log: (level, text) => tell(call, level, shown(text)) });
      return calls.run(call, () => answer(request, env, call));
    },
  };
}
