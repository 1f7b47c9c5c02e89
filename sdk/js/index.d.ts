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
      sign(nonce: string, message: string): string | Promise<string>;
    }): Promise<any>;
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
  readonly storage: {
    upload(data: Blob | BufferSource, options?: { name?: string; pin?: boolean }): Promise<{ cid: string; name: string; size: number }>;
    get(cid: string): Promise<Response>;
    status(cid: string): Promise<any>;
    unpin(cid: string): Promise<any>;
  };
}
