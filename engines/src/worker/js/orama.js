// `env.ORAMA`: the host calls of Orama, one method each, over the engine's socket. The types are in `sdk/js/worker.d.ts`.
//
// A call goes out as `POST /<name>`: each argument with its length before it (32 bits, little endian), a number in the query.
// Bytes and texts come back as they are; 204 stands for nothing.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function bytesOf(value) {
  if (value === undefined || value === null) return new Uint8Array();
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return encoder.encode(typeof value === "string" ? value : JSON.stringify(value));
}

function framed(values) {
  const parts = values.map(bytesOf);
  const frame = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(frame.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length, true);
    frame.set(part, at + 4);
    at += 4 + part.length;
  }
  return frame;
}

// Whole numbers that a double cannot hold become BigInt.
function parsed(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value,
  );
}

function written(value) {
  if (typeof value === "bigint") return JSON.rawJSON(String(value));
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { base64: base64(bytesOf(value)) };
  return value;
}

const argumentsOf = (values) => JSON.stringify((values ?? []).map(written));

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

export class OramaError extends Error {
  name = "OramaError";

  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

function checked(answer) {
  if (answer?.error !== undefined) throw Object.assign(new OramaError(answer.error, answer.code), { answer });
  return answer;
}

const operation = ({ kind, sql, args }) => ({ kind, sql, args: (args ?? []).map(written) });

export function orama(host, { token, caller, requestId, socket, log }) {
  async function send(name, values, number = 0) {
    const reply = await host.fetch(`http://orama/${name}?${number}`, {
      method: "POST",
      headers: { call: token },
      body: framed(values),
    });
    if (reply.status === 204) return null;
    const bytes = new Uint8Array(await reply.arrayBuffer());
    if (reply.status === 200) return bytes;
    throw new OramaError(decoder.decode(bytes), reply.headers.get("code") ?? "INTERNAL");
  }
  const text = async (name, values, number) => {
    const bytes = await send(name, values, number);
    return bytes === null ? null : decoder.decode(bytes);
  };
  const json = async (name, values, number) => {
    const answer = await text(name, values, number);
    return answer === null ? null : parsed(answer);
  };
  const number = async (name, values, given) => parsed((await text(name, values, given)) ?? "0");
  const success = async (name, values, given) => (await number(name, values, given)) === 1;
  const output = (answer) => {
    const bytes = answer.output_base64 === undefined ? encoder.encode(answer.output) : fromBase64(answer.output_base64);
    return { bytes, text: () => decoder.decode(bytes), json: () => parsed(decoder.decode(bytes)) };
  };

  return Object.freeze({
    requestId,
    caller: Object.freeze(caller),
    socket,
    database: Object.freeze({
      query: async (sql, ...args) => checked(await json("db_query_v2", [sql, argumentsOf(args)])).rows,
      execute: async (sql, ...args) => {
        const { rows_affected, last_insert_id } = checked(await json("db_execute_v2", [sql, argumentsOf(args)]));
        return { rowsAffected: rows_affected, lastInsertId: last_insert_id };
      },
      transaction: async (ops) => checked(await json("db_transaction", [JSON.stringify({ ops: ops.map(operation) })])),
      batch: async (ops, options) =>
        checked(await json("db_query_batch", [JSON.stringify({ ...options, ops: ops.map(operation) })])),
      executeAndPublish: async (ops, topic, data) =>
        checked(await json("exec_and_publish", [JSON.stringify({ ops: ops.map(operation) }), topic, data])),
    }),
    cache: Object.freeze({
      get: (key) => text("cache_get", [key]),
      getBytes: (key) => send("cache_get", [key]),
      set: async (key, value, { ttl = 0 } = {}) => void (await send("cache_set", [key, value], ttl)),
      delete: (key) => success("cache_delete", [key]),
      increment: (key, by = 1) => number("cache_incr_by", [key], by),
    }),
    storage: Object.freeze({
      put: async (name, data) => checked(await json("storage_put", [name, data])),
      get: (cid) => send("storage_get", [cid]),
      head: (cid) => json("storage_head", [cid]),
    }),
    secrets: Object.freeze({ get: (name) => text("get_secret", [name]) }),
    pubsub: Object.freeze({
      publish: (topic, data) => success("pubsub_publish", [topic, data]),
      publishBatch: (messages) => {
        const shown = messages.map(({ topic, data }) => ({ topic, data_base64: base64(bytesOf(data)) }));
        return success("pubsub_publish_batch", [JSON.stringify(shown)]);
      },
    }),
    sockets: Object.freeze({
      send: (client, data) => success("ws_send", [client, data]),
      broadcast: (topic, data) => success("ws_broadcast", [topic, data]),
      bridge: (client, topic) => success("ws_pubsub_bridge", [client, topic]),
      unbridge: (client, topic) => success("ws_pubsub_unbridge", [client, topic]),
    }),
    ephemeral: Object.freeze({
      set: (topic, key, payload, { ttlMs = 0 } = {}) => success("ephemeral_state_set", [topic, key, payload], ttlMs),
      clear: (topic, key) => success("ephemeral_state_clear", [topic, key]),
      list: async (topic) => {
        const listed = await json("ephemeral_state_list", [topic]);
        return listed && listed.entries.map((entry) => ({ ...entry, payload: fromBase64(entry.payload ?? "") }));
      },
    }),
    push: async (user, message) => checked(await json("push_send_v2", [user, JSON.stringify(message)])),
    notify: async (user, message) => checked(await json("notify", [user, JSON.stringify(message)])),
    invoke: async (name, input) => output(checked(await json("function_invoke_v2", [name, input]))),
    invokeAsync: (name, input) => success("function_invoke_async", [name, input]),
    jobs: Object.freeze({
      enqueue: (name, input) => text("enqueue_background", [name, input]),
      schedule: (name, input, at) => text("schedule_once", [name, input], Number(at)),
      // A job that failed has an error, too; only without a job there is a code.
      status: async (id) => {
        const job = await json("job_status", [id]);
        return job.code === undefined ? job : checked(job);
      },
      cancel: (id) => success("job_cancel", [id]),
      progress: (percent) => success("job_progress", [], percent),
    }),
    turnCredentials: () => json("turn_credentials", []),
    log: Object.freeze({
      debug: (message) => log("debug", message),
      info: (message) => log("info", message),
      warn: (message) => log("warn", message),
      error: (message) => log("error", message),
    }),
  });
}
