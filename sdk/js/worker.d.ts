/**
 * What a JavaScript worker of Orama is given: `env.ORAMA`, one method for each host call, for the caller of this one request.
 *
 *     import type { OramaEnv } from "@orama/client/worker";
 *     export default { async fetch(request: Request, env: OramaEnv): Promise<Response> { … } };
 *
 * A token behind `env.ORAMA` ends with the request and what it passed to `ctx.waitUntil`: kept for later, it refuses everything.
 * Calls of one request are made one after the other. Whole numbers that a double cannot hold are `bigint`.
 */

/** Variables of `env` in function.yaml, and `ORAMA`. */
export type OramaEnv<Variables extends string = string> = { readonly ORAMA: OramaServices } & {
  readonly [name in Variables]: name extends "ORAMA" ? OramaServices : string;
};

/** Code with `addEventListener("fetch", …)` finds it, and the variables, as globals, and as `event.env`. */
export interface OramaServices {
  /** The id of this call: `X-Request-ID` of its reply, the key of its record. */
  readonly requestId: string;
  readonly caller: Caller;
  /** The WebSocket that the call came from. */
  readonly socket: string | null;
  readonly database: Database;
  readonly cache: Cache;
  readonly storage: Storage;
  readonly secrets: Secrets;
  readonly pubsub: PubSub;
  readonly sockets: Sockets;
  readonly ephemeral: Ephemeral;
  readonly jobs: Jobs;
  readonly log: Log;
  /** Sends a push message to every device of a user. */
  push(user: string, message: PushMessage): Promise<PushResult>;
  /** Reaches a user over a live WebSocket, else push, else the inbox. */
  notify(user: string, message: PushMessage): Promise<Notified>;
  /** Calls another function of the namespace, `name` or `name@version`, as the same caller. */
  invoke(name: string, input?: Data): Promise<Output>;
  /** The same, without waiting for it; false says that it was refused, and the log says why. */
  invokeAsync(name: string, input?: Data): Promise<boolean>;
  /** Credentials for a TURN server: none is configured yet. */
  turnCredentials(): Promise<{ configured: boolean; namespace: string }>;
}

/** A text, bytes, or a value to be sent as JSON. */
export type Data = string | ArrayBuffer | ArrayBufferView | object | number | boolean | null | undefined;

export interface Caller {
  /** The wallet; the namespace when the caller used an API key; empty when nobody is known. */
  readonly wallet: string;
  /** The `sub` claim of the caller's token. */
  readonly subject: string | null;
  readonly claims: Readonly<Record<string, string>>;
}

/** Thrown where a refusal has a code, as `SQL_NOT_ALLOWED` or `NOT_FOUND`. Other calls answer false or null, and the log says why. */
export interface OramaError extends Error {
  readonly name: "OramaError";
  readonly code: string;
  /** The whole answer, as that of a transaction with `failed_index`. */
  readonly answer?: unknown;
}

export type SqlArgument = string | number | bigint | boolean | null | ArrayBuffer | ArrayBufferView | { base64: string };
export type SqlValue = string | number | bigint | null | { base64: string };
export type Row = Record<string, SqlValue>;

export interface Operation {
  kind: "exec" | "query";
  sql: string;
  args?: SqlArgument[];
}

export interface OperationResult {
  kind: "exec" | "query";
  rows_affected?: number;
  last_insert_id?: number;
  rows?: Row[];
  error?: string;
  code?: string;
}

/** SQL on the database of the namespace; a failure throws an {@link OramaError}. */
export interface Database {
  query<R = Row>(sql: string, ...args: SqlArgument[]): Promise<R[]>;
  /** What is acknowledged is on disk. */
  execute(sql: string, ...args: SqlArgument[]): Promise<{ rowsAffected: number; lastInsertId?: number }>;
  /** Every `exec` comes first, all or none; then each `query`. At most 100. */
  transaction(operations: Operation[]): Promise<{ results: OperationResult[]; committed: boolean }>;
  /** Queries on one and the same state of the database. At most 100. */
  batch(
    queries: { sql: string; args?: SqlArgument[] }[],
    options?: { consistency?: "weak" | "none"; freshness?: string; freshness_strict?: boolean },
  ): Promise<{ results: OperationResult[] }>;
  /** Operations, and then a message; `{{seq}}` in it stands for a number that the transaction takes. */
  executeAndPublish(
    operations: Operation[],
    topic: string,
    data: Data,
  ): Promise<{ results: OperationResult[]; committed: boolean; seq?: number; published: boolean; publish_error?: string }>;
}

/** Keys are shared by the functions of the namespace. */
export interface Cache {
  get(key: string): Promise<string | null>;
  getBytes(key: string): Promise<Uint8Array | null>;
  /** `ttl` is in seconds; without one the value stays. */
  set(key: string, value: Data, options?: { ttl?: number }): Promise<void>;
  delete(key: string): Promise<boolean>;
  /** The counter after adding, 0 when it cannot be counted. */
  increment(key: string, by?: number | bigint): Promise<number | bigint>;
}

export interface Storage {
  /** Stores and pins at most 16 MiB. */
  put(name: string, data: Data): Promise<{ cid: string; size: number }>;
  get(cid: string): Promise<Uint8Array | null>;
  head(cid: string): Promise<{ cid: string; name: string; size: number; pinned: boolean } | null>;
}

export interface Secrets {
  /** The log and error messages show `***` for the value. */
  get(name: string): Promise<string | null>;
}

export interface PubSub {
  /** True: whoever subscribes gets it, and the triggers of the topic will run. At most 1,000 messages a call. */
  publish(topic: string, data: Data): Promise<boolean>;
  /** All or none, at most 100. */
  publishBatch(messages: { topic: string; data: Data }[]): Promise<boolean>;
}

/** WebSockets of functions that hold them open; the empty id is the one that the call came from. */
export interface Sockets {
  send(client: string, data: Data): Promise<boolean>;
  broadcast(topic: string, data: Data): Promise<boolean>;
  bridge(client: string, topic: string): Promise<boolean>;
  unbridge(client: string, topic: string): Promise<boolean>;
}

export interface EphemeralEntry {
  key: string;
  client_id: string;
  payload: Uint8Array;
  expires_in_ms: number;
}

/** State that dies with the WebSocket that the call came from. */
export interface Ephemeral {
  set(topic: string, key: string, payload: Data, options?: { ttlMs?: number }): Promise<boolean>;
  clear(topic: string, key: string): Promise<boolean>;
  list(topic: string): Promise<EphemeralEntry[] | null>;
}

export interface PushMessage {
  title?: string;
  body?: string;
  channel?: string;
  priority?: "high" | "normal";
  badge?: number;
  sound?: string;
  data?: unknown;
  target_provider?: string;
  exclude_provider?: string;
  message_id?: string;
}

export interface PushResult {
  ok: boolean;
  devices_attempted: number;
  devices_succeeded: number;
  results: {
    device_id: string;
    provider: string;
    success: boolean;
    http_status?: number;
    reason?: string;
    message?: string;
    unregistered?: boolean;
  }[];
}

export type Notified =
  | { via: "socket"; sockets: number }
  | { via: "push"; push: PushResult }
  | { via: "inbox"; id: string; expires_at: string };

export interface Output {
  readonly bytes: Uint8Array;
  text(): string;
  json(): any;
}

export interface Job {
  id: string;
  function: string;
  status: "pending" | "running" | "completed" | "failed" | "cancelled";
  progress: number;
  run_at: string;
  created_at: string;
  started_at?: string;
  completed_at?: string;
  result?: string;
  result_base64?: string;
  error?: string;
}

/** Calls that are made later or in the background; what was accepted survives a crash. */
export interface Jobs {
  /** The id of the job; null says that it was refused. */
  enqueue(name: string, input?: Data): Promise<string | null>;
  schedule(name: string, input: Data, at: Date | number): Promise<string | null>;
  status(id: string): Promise<Job>;
  cancel(id: string): Promise<boolean>;
  /** How far the job is that this call carries out, in percent. */
  progress(percent: number): Promise<boolean>;
}

/** Lines in the log of the call, as `console` writes them too. */
export interface Log {
  debug(message: unknown): void;
  info(message: unknown): void;
  warn(message: unknown): void;
  error(message: unknown): void;
}
