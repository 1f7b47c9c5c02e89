export interface Tokens {
  accessToken: string;
  refreshToken: string;
  namespace?: string;
}

export interface Options {
  url: string;
  apiKey?: string;
  tokens?: Tokens;
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
}

export interface RequestOptions {
  json?: unknown;
  body?: BodyInit;
  headers?: HeadersInit;
  raw?: boolean;
  credential?: boolean;
}

export declare class OramaError extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryable: boolean;
  readonly requestId?: string;
  readonly hint?: string;
}

export type SqlValue = null | boolean | number | string | { base64: string };
export type Row = Record<string, SqlValue>;
export interface Step {
  kind: "exec" | "query";
  sql: string;
  args?: SqlValue[];
}

/** A text, bytes, or a value to be sent as JSON. */
export type Data = string | ArrayBuffer | ArrayBufferView | object | number | boolean | null;

export interface TopicMessage {
  readonly topic: string;
  readonly data: Uint8Array;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly position: string;
  /** The fields of what the platform itself says: presence and ephemeral state. */
  readonly event?: Record<string, any>;
  text(): string;
  json(): any;
}

export interface SubscribeOptions {
  /** The position to go on behind. */
  after?: string;
  presence?: { memberId: string; meta?: unknown };
  onOpen?(): void;
  /** Messages are missing: the server does not have them any more. */
  onMissed?(): void;
  onError?(error: Error): void;
  /** It is over and will not be tried again. */
  onClose?(code: number, reason: string): void;
}

export interface TopicSubscription {
  readonly position: string | undefined;
  send(data: Data): void;
  close(): void;
}

export interface TopicDetail {
  topic: string;
  subscribers: number;
  history: number;
  position: string;
}

export declare class Orama {
  constructor(options: Options);
  readonly tokens: Tokens | undefined;
  setTokens(tokens: Tokens | undefined): void;
  request(method: string, path: string, options?: RequestOptions): Promise<any>;
  readonly auth: {
    signIn(options: {
      wallet: string;
      namespace?: string;
      chain?: "ETH" | "SOL";
    } & ({ signMessage(message: string): string | Promise<string> } | { sign(nonce: string): string | Promise<string> })): Promise<any>;
    refresh(): Promise<any>;
    logout(options?: { all?: boolean }): Promise<void>;
    whoami(): Promise<any>;
  };
  readonly functions: {
    invoke<T = any>(name: string, input?: unknown, options?: { namespace?: string; idempotencyKey?: string }): Promise<T>;
  };
  readonly db: {
    query<T = Row>(sql: string, args?: SqlValue[], options?: { int64?: "string" }): Promise<T[]>;
    exec(sql: string, args?: SqlValue[]): Promise<{ rows_affected: number; last_insert_id?: number }>;
    transaction(steps: Step[]): Promise<any[]>;
    schema(): Promise<{ name: string; type: string; sql: string }[]>;
  };
  readonly cache: {
    get<T = any>(map: string, key: string): Promise<T | undefined>;
    put(map: string, key: string, value: unknown, options?: { ttl?: string }): Promise<void>;
    delete(map: string, key: string): Promise<void>;
    incr(map: string, key: string, delta?: number): Promise<number>;
  };
  readonly pubsub: {
    publish(topic: string, data: Data): Promise<string>;
    publishBatch(
      messages: { topic: string; data: Data }[],
      options?: { bestEffort?: boolean },
    ): Promise<{ status: string; positions: (string | null)[]; failed?: { index: number; code: string; message: string }[] }>;
    topics(): Promise<TopicDetail[]>;
    subscribe(topic: string, onMessage: (message: TopicMessage) => void, options?: SubscribeOptions): TopicSubscription;
  };
  socketUrl(path: string, query: Record<string, string | undefined>): string;
  readonly storage: {
    upload(data: Blob | BufferSource, options?: { name?: string; pin?: boolean }): Promise<{ cid: string; name: string; size: number }>;
    get(cid: string): Promise<Response>;
    status(cid: string): Promise<any>;
    unpin(cid: string): Promise<any>;
  };
}
