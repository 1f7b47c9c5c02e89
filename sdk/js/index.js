// The client of an Orama server: sign in, call functions, use the database, the cache and the storage of a namespace.
// Needs `fetch` and nothing else.

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

  constructor({ url, apiKey, tokens, fetch: fetchFunction } = {}) {
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
  }

  /** The tokens of the sign-in, to be kept and given to the constructor again; undefined with an API key. */
  get tokens() {
    return this.#tokens;
  }

  setTokens(tokens) {
    this.#tokens = tokens;
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
  /** Signs in with a wallet: `sign` gets the nonce and returns the signature. */
  async signIn({ wallet, namespace = "default", chain, sign }) {
    const open = { credential: false };
    const challenge = await this.post("/v1/auth/challenge", { wallet, namespace, purpose: "login" }, open);
    const signature = await sign(challenge.nonce, challenge.message);
    const proof = { wallet, namespace, nonce: challenge.nonce, signature, chain_type: chain };
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
