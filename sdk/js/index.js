// The client of an Orama server: sign in, call functions, use the database, the cache, the storage and the topics of a namespace.
// Needs `fetch`, for topics also `WebSocket`, and nothing else.

/** A refusal of the server. */
export class OramaError extends Error {
  constructor(status, body) {
    const detail = body && typeof body.error === "object" ? body.error : (body ?? {});
    super(detail.message ?? body?.message ?? (typeof body?.error === "string" ? body.error : `the server answered ${status}`));
    this.name = "OramaError";
    this.status = status;
    this.code = body?.code ?? detail.code ?? `HTTP_${status}`;
    this.retryable = detail.retryable ?? body?.retryable ?? false;
    this.requestId = detail.request_id ?? body?.request_id;
    this.hint = detail.hint ?? body?.hint;
  }
}

/** A connection to one server, as one caller. */
export class Orama {
  #url;
  #apiKey;
  #tokens;
  #fetch;

  constructor({ url, apiKey, tokens, fetch: fetchFunction, WebSocket: webSocket } = {}) {
    if (!url) throw new TypeError("`url` is missing: new Orama({ url: \"http://127.0.0.1:6001\" })");
    this.#url = url.replace(/\/+$/, "");
    this.#apiKey = apiKey;
    this.#tokens = tokens;
    this.#fetch = fetchFunction ?? ((...request) => globalThis.fetch(...request));
    this.auth = new Auth(this);
    this.functions = new Functions(this);
    this.db = new Db(this);
    this.cache = new Cache(this);
    this.storage = new Storage(this);
    this.pubsub = new PubSub(this, webSocket);
  }

  /** The tokens of the sign-in, to be kept and given to the constructor again; undefined with an API key. */
  get tokens() {
    return this.#tokens;
  }

  setTokens(tokens) {
    this.#tokens = tokens;
  }

  /** The address of a WebSocket, with the credential: browsers cannot send headers with it. */
  socketUrl(path, query) {
    const url = new URL(this.#url.replace(/^http/, "ws") + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    if (this.#tokens) url.searchParams.set("token", this.#tokens.accessToken);
    else if (this.#apiKey) url.searchParams.set("api_key", this.#apiKey);
    return url.href;
  }

  /** Sends one request and reads the answer: JSON as a value, anything else as a Response. */
  async request(method, path, { json, body, headers, raw, credential = true } = {}) {
    let response = await this.#send(method, path, { json, body, headers, credential });
    if (response.status === 401 && credential && this.#tokens?.refreshToken) {
      await response.body?.cancel();
      await this.auth.refresh();
      response = await this.#send(method, path, { json, body, headers, credential });
    }
    if (!response.ok) throw new OramaError(response.status, await parsed(response));
    return raw ? response : parsed(response);
  }

  #send(method, path, { json, body, headers, credential }) {
    const all = new Headers(headers);
    if (json !== undefined) all.set("Content-Type", "application/json");
    if (credential && this.#tokens) all.set("Authorization", `Bearer ${this.#tokens.accessToken}`);
    else if (credential && this.#apiKey) all.set("X-API-Key", this.#apiKey);
    return this.#fetch(this.#url + path, { method, headers: all, body: json === undefined ? body : JSON.stringify(json) });
  }
}

async function parsed(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.includes("application/json")) return response.json();
  const text = await response.text();
  return response.ok ? text : { message: text };
}

class Service {
  constructor(client) {
    this.client = client;
  }

  post(path, json, options) {
    return this.client.request("POST", path, { json, ...options });
  }
}

class Auth extends Service {
  /**
   * Signs in with a wallet. `signMessage` gets the message of the challenge (EIP-4361), which says to people what they sign; `sign`
   * gets its nonce alone. Either returns the signature.
   */
  async signIn({ wallet, namespace = "default", chain, sign, signMessage }) {
    if (!sign === !signMessage) throw new TypeError("give one of `signMessage` and `sign`");
    const open = { credential: false };
    const challenge = await this.post("/v1/auth/challenge", { wallet, namespace, purpose: "login" }, open);
    const { nonce, message } = challenge;
    const signature = signMessage ? await signMessage(message) : await sign(nonce);
    // The server takes the signature for that of the message where there is one, else for that of the nonce.
    const proof = { wallet, namespace, nonce, message: signMessage && message, signature, chain_type: chain };
    const reply = await this.post("/v1/auth/verify", proof, open);
    this.client.setTokens({ accessToken: reply.access_token, refreshToken: reply.refresh_token, namespace: reply.namespace });
    return reply;
  }

  #refreshing;

  /** Replaces both tokens. Whoever asks while that is under way shares it: using a refresh token twice ends the sign-in. */
  refresh() {
    this.#refreshing ??= this.#refreshOnce().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #refreshOnce() {
    const { refreshToken, namespace } = this.client.tokens ?? {};
    if (!refreshToken) throw new TypeError("there is no refresh token; sign in first");
    try {
      const reply = await this.post("/v1/auth/refresh", { refresh_token: refreshToken, namespace }, { credential: false });
      this.client.setTokens({ accessToken: reply.access_token, refreshToken: reply.refresh_token, namespace: reply.namespace });
      return reply;
    } catch (error) {
      if (error instanceof OramaError && error.status === 401) this.client.setTokens(undefined);
      throw error;
    }
  }

  /** Ends this sign-in, or with `all` every one of the wallet. */
  async logout({ all = false } = {}) {
    await this.post("/v1/auth/logout", all ? { all } : { refresh_token: this.client.tokens?.refreshToken });
    this.client.setTokens(undefined);
  }

  whoami() {
    return this.client.request("GET", "/v1/auth/whoami");
  }
}

class Functions extends Service {
  /** Calls a function with a value as JSON; `name` may be `name@2`. */
  invoke(name, input = {}, { namespace, idempotencyKey } = {}) {
    const path = namespace
      ? `/v1/invoke/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`
      : `/v1/functions/${encodeURIComponent(name)}/invoke`;
    return this.post(path, input, { headers: idempotencyKey ? { "Idempotency-Key": idempotencyKey } : undefined });
  }
}

class Db extends Service {
  /** The rows of a query. With `int64: "string"` integers are texts, so that none loses digits. */
  async query(sql, args = [], { int64 } = {}) {
    return (await this.post("/v1/rqlite/query", { sql, args, int64 })).items;
  }

  exec(sql, args = []) {
    return this.post("/v1/rqlite/exec", { sql, args });
  }

  /** Steps `{ kind: "exec" | "query", sql, args }`, those that change something all or none. */
  async transaction(ops) {
    return (await this.post("/v1/rqlite/transaction", { ops, return_results: true })).results;
  }

  async schema() {
    return (await this.client.request("GET", "/v1/rqlite/schema")).tables;
  }
}

class Cache extends Service {
  /** The value of a key; undefined on a miss. */
  async get(map, key) {
    try {
      return (await this.post("/v1/cache/get", { dmap: map, key })).value;
    } catch (error) {
      if (error instanceof OramaError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** `ttl` is a duration such as `90s` or `1h`. */
  async put(map, key, value, { ttl } = {}) {
    await this.post("/v1/cache/put", { dmap: map, key, value, ttl });
  }

  async delete(map, key) {
    await this.post("/v1/cache/delete", { dmap: map, key });
  }

  async incr(map, key, delta = 1) {
    return (await this.post("/v1/cache/incr", { dmap: map, key, delta })).value;
  }
}

class Storage extends Service {
  /** Stores a Blob, a File or bytes. */
  upload(data, { name = "file", pin = true } = {}) {
    const form = new FormData();
    form.append("pin", String(pin));
    form.append("file", data instanceof Blob ? data : new Blob([data]), name);
    return this.client.request("POST", "/v1/storage/upload", { body: form });
  }

  /** The content as a Response, to be read whole or as a stream. */
  get(cid) {
    return this.client.request("GET", `/v1/storage/get/${encodeURIComponent(cid)}`, { raw: true });
  }

  status(cid) {
    return this.client.request("GET", `/v1/storage/status/${encodeURIComponent(cid)}`);
  }

  unpin(cid) {
    return this.client.request("DELETE", `/v1/storage/unpin/${encodeURIComponent(cid)}`);
  }
}

class PubSub extends Service {
  #WebSocket;

  constructor(client, webSocket) {
    super(client);
    this.#WebSocket = webSocket ?? globalThis.WebSocket;
  }

  /** Publishes a text, bytes, or any other value as JSON; returns the position of the message in its topic. */
  async publish(topic, data) {
    return (await this.post("/v1/pubsub/publish", { topic, data_base64: base64(data) })).position;
  }

  /** Publishes `{ topic, data }`, up to 100: all or none, or with `bestEffort` those that can be. */
  publishBatch(messages, { bestEffort = false } = {}) {
    const encoded = messages.map(({ topic, data }) => ({ topic, data_base64: base64(data) }));
    return this.post("/v1/pubsub/publish-batch", { messages: encoded, best_effort: bestEffort });
  }

  async topics() {
    return (await this.client.request("GET", "/v1/pubsub/topics")).details;
  }

  /**
   * Listens to a topic over a WebSocket until `close()`. A connection that is lost is made again behind the last message; when the
   * server does not have what came meanwhile any more, `onMissed` is called. With `presence: { memberId, meta }` the others see you.
   */
  subscribe(topic, onMessage, options = {}) {
    return new Subscription(this.client, this.#WebSocket, topic, onMessage, options);
  }
}

/** One topic, over one WebSocket at a time. */
class Subscription {
  #client;
  #WebSocket;
  #topic;
  #onMessage;
  #options;
  #socket;
  #attempts = 0;
  #retry;
  #closed = false;

  constructor(client, WebSocket, topic, onMessage, options) {
    if (!WebSocket) throw new TypeError("there is no WebSocket here: new Orama({ url, WebSocket })");
    this.#client = client;
    this.#WebSocket = WebSocket;
    this.#topic = topic;
    this.#onMessage = onMessage;
    this.#options = options;
    /** Of the last message; to be given as `after` to go on behind it later. */
    this.position = options.after;
    this.#open();
  }

  /** Publishes on the topic, in the order of the calls. Throws while there is no connection. */
  send(data) {
    if (this.#socket.readyState !== 1) throw new Error(`not connected to ${this.#topic}`);
    this.#socket.send(typeof data === "string" || isBytes(data) ? data : JSON.stringify(data));
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket.close(1000);
  }

  #open() {
    const { memberId, meta } = this.#options.presence ?? {};
    const socket = new this.#WebSocket(
      this.#client.socketUrl("/v1/pubsub/ws", {
        topic: this.#topic,
        after: this.position,
        presence: memberId && "true",
        member_id: memberId,
        member_meta: meta && JSON.stringify(meta),
      }),
    );
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#attempts = 0;
      this.#options.onOpen?.();
    };
    socket.onmessage = ({ data }) => this.#received(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#lost(opened, code, reason);
  }

  #received(frame) {
    if (frame.type === "cannot_resume") return this.#options.onMissed?.();
    if (frame.position === undefined) return this.#options.onError?.(new Error(frame.message ?? frame.error ?? frame.type));
    this.position = frame.position;
    const { data, timestamp, topic, position, ...event } = frame;
    // What the platform itself says has fields of its own, which nobody else can write.
    const own = "_orama" in event || "type" in event ? event : undefined;
    this.#onMessage(new Message(topic ?? this.#topic, bytesOf(data), timestamp, position, own));
  }

  async #lost(opened, code, reason) {
    // 4401: the credential has ended. 4403: it is not enough. 4404: the namespace is gone.
    if (this.#closed || code === 4403 || code === 4404) return this.#options.onClose?.(code, reason);
    try {
      if ((!opened || code === 4401) && this.#client.tokens?.refreshToken) await this.#client.auth.refresh();
    } catch (error) {
      if (error instanceof OramaError) return this.#options.onClose?.(code, error.message);
    }
    const wait = Math.min(30_000, 500 * 2 ** this.#attempts++) * (0.5 + Math.random());
    if (!this.#closed) this.#retry = setTimeout(() => this.#open(), wait);
  }
}

/** A message of a topic. `event` has the fields of what the platform itself says: presence and ephemeral state. */
class Message {
  constructor(topic, data, timestamp, position, event) {
    Object.assign(this, { topic, data, timestamp, position, event });
  }

  text() {
    return new TextDecoder().decode(this.data);
  }

  json() {
    return JSON.parse(this.text());
  }
}

function isBytes(data) {
  return data instanceof ArrayBuffer || ArrayBuffer.isView(data);
}

function base64(data) {
  let bytes;
  if (data instanceof ArrayBuffer) bytes = new Uint8Array(data);
  else if (ArrayBuffer.isView(data)) bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  else bytes = new TextEncoder().encode(typeof data === "string" ? data : JSON.stringify(data));
  let text = "";
  // In pieces: a call has only so many arguments.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
