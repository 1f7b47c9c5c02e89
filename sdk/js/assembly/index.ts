// What functions in AssemblyScript import to run on Orama. Texts are UTF-8 on the way out and in.

// The host places what it returns where this says; `take` gives the room back.
export function orama_alloc(size: i32): usize {
  return heap.alloc(size);
}

namespace host {
  // @ts-ignore: decorators are valid here
  @external("env", "get_caller_wallet") export declare function get_caller_wallet(): u64;
  // @ts-ignore
  @external("env", "get_caller_claim") export declare function get_caller_claim(name: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "get_request_id") export declare function get_request_id(): u64;
  // @ts-ignore
  @external("env", "get_env") export declare function get_env(key: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "get_secret") export declare function get_secret(name: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "log_info") export declare function log_info(message: usize, length: i32): void;
  // @ts-ignore
  @external("env", "log_error") export declare function log_error(message: usize, length: i32): void;
  // @ts-ignore
  @external("env", "db_query_v2") export declare function db_query_v2(sql: usize, sqlLength: i32, args: usize, argsLength: i32): u64;
  // @ts-ignore
  @external("env", "db_execute_v2") export declare function db_execute_v2(sql: usize, sqlLength: i32, args: usize, argsLength: i32): u64;
  // @ts-ignore
  @external("env", "db_transaction") export declare function db_transaction(ops: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "cache_get") export declare function cache_get(key: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "cache_set") export declare function cache_set(key: usize, keyLength: i32, value: usize, valueLength: i32, ttlSeconds: i64): void;
  // @ts-ignore
  @external("env", "cache_delete") export declare function cache_delete(key: usize, length: i32): i32;
  // @ts-ignore
  @external("env", "cache_incr_by") export declare function cache_incr_by(key: usize, length: i32, delta: i64): i64;
  // @ts-ignore
  @external("env", "storage_put") export declare function storage_put(name: usize, nameLength: i32, data: usize, dataLength: i32): u64;
  // @ts-ignore
  @external("env", "storage_get") export declare function storage_get(cid: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "http_fetch") export declare function http_fetch(method: usize, methodLength: i32, url: usize, urlLength: i32, headers: usize, headersLength: i32, body: usize, bodyLength: i32): u64;
  // @ts-ignore
  @external("env", "function_invoke") export declare function function_invoke(name: usize, nameLength: i32, input: usize, inputLength: i32): u64;
  // @ts-ignore
  @external("env", "function_invoke_async") export declare function function_invoke_async(name: usize, nameLength: i32, input: usize, inputLength: i32): i32;
}

/** Reads a packed result: `(pointer << 32) | length`, 0 for nothing. */
function take(packed: u64): ArrayBuffer {
  const place = <usize>(packed >> 32);
  const length = <i32>packed;
  const bytes = new ArrayBuffer(length);
  if (length > 0) {
    memory.copy(changetype<usize>(bytes), place, length);
    heap.free(place);
  }
  return bytes;
}

function takeText(packed: u64): string {
  return String.UTF8.decode(take(packed));
}

function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}

// @ts-ignore: decorators are valid here
@inline
function at(bytes: ArrayBuffer): usize {
  return changetype<usize>(bytes);
}

/** The caller's wallet; the namespace when the caller used an API key; empty when nobody is known. */
export function wallet(): string {
  return takeText(host.get_caller_wallet());
}

/** A custom claim of the caller's token; empty when there is none. */
export function claim(name: string): string {
  const key = utf8(name);
  return takeText(host.get_caller_claim(at(key), key.byteLength));
}

/** The unique id of this invocation. */
export function requestId(): string {
  return takeText(host.get_request_id());
}

/** A variable of `env` in function.yaml; empty when it is not set. */
export function env(name: string): string {
  const key = utf8(name);
  return takeText(host.get_env(at(key), key.byteLength));
}

/** The value of a secret; empty when there is none of this name. */
export function secret(name: string): string {
  const key = utf8(name);
  return takeText(host.get_secret(at(key), key.byteLength));
}

/** Writes a line at level info into the log of the call. */
export function logInfo(message: string): void {
  const text = utf8(message);
  host.log_info(at(text), text.byteLength);
}

/** Writes a line at level error into the log of the call. */
export function logError(message: string): void {
  const text = utf8(message);
  host.log_error(at(text), text.byteLength);
}

/** The database: SQL and a JSON array of arguments in, JSON out. */
export namespace db {
  /** `{"rows":[…],"error"?,"code"?}` */
  export function query(sql: string, args: string = ""): string {
    const text = utf8(sql), values = utf8(args);
    return takeText(host.db_query_v2(at(text), text.byteLength, at(values), values.byteLength));
  }

  /** `{"rows_affected":n,"last_insert_id"?,"error"?,"code"?}` */
  export function execute(sql: string, args: string = ""): string {
    const text = utf8(sql), values = utf8(args);
    return takeText(host.db_execute_v2(at(text), text.byteLength, at(values), values.byteLength));
  }

  /** `{"ops":[{"kind":"exec"|"query","sql","args"?}]}` in, `{"results","committed","failed_index"?,"error"?,"code"?}` out. */
  export function transaction(ops: string): string {
    const text = utf8(ops);
    return takeText(host.db_transaction(at(text), text.byteLength));
  }
}

/** The cache: texts and counters. */
export namespace cache {
  /** The value of a key; empty on a miss. */
  export function get(key: string): string {
    const name = utf8(key);
    return takeText(host.cache_get(at(name), name.byteLength));
  }

  /** Keeps a value for so many seconds; 0 keeps it until it is deleted or room is needed. */
  export function set(key: string, value: string, ttlSeconds: i64 = 0): void {
    const name = utf8(key), text = utf8(value);
    host.cache_set(at(name), name.byteLength, at(text), text.byteLength, ttlSeconds);
  }

  export function remove(key: string): bool {
    const name = utf8(key);
    return host.cache_delete(at(name), name.byteLength) == 1;
  }

  /** Adds to a counter and returns the sum. */
  export function add(key: string, delta: i64 = 1): i64 {
    const name = utf8(key);
    return host.cache_incr_by(at(name), name.byteLength, delta);
  }
}

/** Content by its identifier. */
export namespace storage {
  /** `{"cid","size"}`, or `{"error","code"}` */
  export function put(name: string, data: ArrayBuffer): string {
    const label = utf8(name);
    return takeText(host.storage_put(at(label), label.byteLength, at(data), data.byteLength));
  }

  /** The content; nothing when the namespace does not have it. */
  export function get(cid: string): ArrayBuffer {
    const name = utf8(cid);
    return take(host.storage_get(at(name), name.byteLength));
  }
}

/** Sends a request; headers are a JSON object. `{"status","headers","body","body_base64"?,"error"?}` */
export function fetch(method: string, url: string, headers: string = "", body: string = ""): string {
  const verb = utf8(method), address = utf8(url), head = utf8(headers), content = utf8(body);
  return takeText(host.http_fetch(at(verb), verb.byteLength, at(address), address.byteLength, at(head), head.byteLength, at(content), content.byteLength));
}

/** Calls another function of the namespace; empty when it answered nothing or failed. */
export function invoke(name: string, input: string): string {
  const label = utf8(name), content = utf8(input);
  return takeText(host.function_invoke(at(label), label.byteLength, at(content), content.byteLength));
}

/** Asks for a call that nobody waits for; true when it was accepted. */
export function invokeAsync(name: string, input: string): bool {
  const label = utf8(name), content = utf8(input);
  return host.function_invoke_async(at(label), label.byteLength, at(content), content.byteLength) == 1;
}
