// What functions in AssemblyScript import to run on Orama. Texts are UTF-8 on the way out and in.

// The host places what it returns where this says; `take` gives the room back.
export function orama_alloc(size: i32): usize {
  return heap.alloc(size);
}

// Takes back what the host has placed for one call: the input of `ws_open`, `ws_frame` and `ws_close`.
export function orama_free(place: usize, size: i32): void {
  heap.free(place);
}

namespace host {
  // @ts-ignore: decorators are valid here
  @external("wasi_snapshot_preview1", "fd_read") export declare function fd_read(fd: i32, buffers: usize, count: i32, read: usize): i32;
  // @ts-ignore
  @external("wasi_snapshot_preview1", "fd_write") export declare function fd_write(fd: i32, buffers: usize, count: i32, written: usize): i32;
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
  // @ts-ignore
  @external("env", "get_ws_client_id") export declare function get_ws_client_id(): u64;
  // @ts-ignore
  @external("env", "ws_send") export declare function ws_send(client: usize, clientLength: i32, data: usize, dataLength: i32): i32;
  // @ts-ignore
  @external("env", "ws_broadcast") export declare function ws_broadcast(topic: usize, topicLength: i32, data: usize, dataLength: i32): i32;
  // @ts-ignore
  @external("env", "ws_pubsub_bridge") export declare function ws_pubsub_bridge(client: usize, clientLength: i32, topic: usize, topicLength: i32): i32;
  // @ts-ignore
  @external("env", "ws_pubsub_unbridge") export declare function ws_pubsub_unbridge(client: usize, clientLength: i32, topic: usize, topicLength: i32): i32;
  // @ts-ignore
  @external("env", "pubsub_publish") export declare function pubsub_publish(topic: usize, topicLength: i32, data: usize, dataLength: i32): i32;
  // @ts-ignore
  @external("env", "pubsub_publish_batch") export declare function pubsub_publish_batch(messages: usize, length: i32): i32;
  // @ts-ignore
  @external("env", "exec_and_publish") export declare function exec_and_publish(ops: usize, opsLength: i32, topic: usize, topicLength: i32, data: usize, dataLength: i32): u64;
  // @ts-ignore
  @external("env", "ephemeral_state_set") export declare function ephemeral_state_set(topic: usize, topicLength: i32, key: usize, keyLength: i32, payload: usize, payloadLength: i32, ttlMs: i64): i32;
  // @ts-ignore
  @external("env", "ephemeral_state_clear") export declare function ephemeral_state_clear(topic: usize, topicLength: i32, key: usize, keyLength: i32): i32;
  // @ts-ignore
  @external("env", "ephemeral_state_list") export declare function ephemeral_state_list(topic: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "push_send_v2") export declare function push_send_v2(user: usize, userLength: i32, message: usize, messageLength: i32): u64;
  // @ts-ignore
  @external("env", "notify") export declare function notify(user: usize, userLength: i32, message: usize, messageLength: i32): u64;
  // @ts-ignore
  @external("env", "schedule_once") export declare function schedule_once(name: usize, nameLength: i32, input: usize, inputLength: i32, atMs: i64): u64;
  // @ts-ignore
  @external("env", "enqueue_background") export declare function enqueue_background(name: usize, nameLength: i32, input: usize, inputLength: i32): u64;
  // @ts-ignore
  @external("env", "job_status") export declare function job_status(id: usize, length: i32): u64;
  // @ts-ignore
  @external("env", "job_cancel") export declare function job_cancel(id: usize, length: i32): i32;
  // @ts-ignore
  @external("env", "job_progress") export declare function job_progress(percent: i32): i32;
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

/** The input of the call, whole. */
export function input(): string {
  const chunk = new ArrayBuffer(4096);
  const call = new StaticArray<u32>(3); // address, length, bytes read
  const place = changetype<usize>(call);
  let whole = new Uint8Array(0);
  while (true) {
    call[0] = <u32>changetype<usize>(chunk);
    call[1] = chunk.byteLength;
    if (host.fd_read(0, place, 1, place + 8) != 0 || call[2] == 0) break;
    const longer = new Uint8Array(whole.length + call[2]);
    longer.set(whole);
    longer.set(Uint8Array.wrap(chunk, 0, call[2]), whole.length);
    whole = longer;
  }
  return String.UTF8.decode(whole.buffer);
}

/** Answers the call; several texts are one after the other. */
export function output(text: string): void {
  const bytes = utf8(text);
  const call = new StaticArray<u32>(3); // address, length, bytes written
  const place = changetype<usize>(call);
  let done: u32 = 0;
  while (done < <u32>bytes.byteLength) {
    call[0] = <u32>changetype<usize>(bytes) + done;
    call[1] = bytes.byteLength - done;
    if (host.fd_write(1, place, 1, place + 8) != 0) return;
    done += call[2];
  }
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

  /** The same, and then a message, in which `{{seq}}` is a number that the transaction takes: `{…,"seq"?,"published","publish_error"?}`. */
  export function executeAndPublish(ops: string, topic: string, message: string): string {
    const text = utf8(ops), name = utf8(topic), data = utf8(message);
    return takeText(host.exec_and_publish(at(text), text.byteLength, at(name), name.byteLength, at(data), data.byteLength));
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

/** The topics of the namespace. True says that whoever listens gets it, and that its triggers will run. */
export namespace pubsub {
  export function publish(topic: string, message: string): bool {
    const name = utf8(topic), data = utf8(message);
    return host.pubsub_publish(at(name), name.byteLength, at(data), data.byteLength) == 1;
  }

  /** Up to 100 messages, all or none: `[{"topic","data_base64"}]`. */
  export function publishBatch(messages: string): bool {
    const text = utf8(messages);
    return host.pubsub_publish_batch(at(text), text.byteLength) == 1;
  }
}

/**
 * The WebSockets of the namespace's functions; the empty client is the socket that the call came from.
 *
 * A function with an instance for each WebSocket (`ws_persistent: true`) exports `ws_open`, `ws_frame`, `ws_close`, `orama_alloc`
 * and `orama_free`; what it gets is read by `lent`.
 */
export namespace sockets {
  /** The id of the WebSocket that the call came from; empty for other calls. */
  export function clientId(): string {
    return takeText(host.get_ws_client_id());
  }

  export function send(client: string, text: string): bool {
    const id = utf8(client), data = utf8(text);
    return host.ws_send(at(id), id.byteLength, at(data), data.byteLength) == 1;
  }

  /** Sends a binary frame. */
  export function sendBytes(client: string, data: ArrayBuffer): bool {
    const id = utf8(client);
    return host.ws_send(at(id), id.byteLength, at(data), data.byteLength) == 1;
  }

  /** Sends a frame to every socket that is bridged to a topic. It is no message: no history keeps it, and no trigger fires. */
  export function broadcast(topic: string, text: string): bool {
    const name = utf8(topic), data = utf8(text);
    return host.ws_broadcast(at(name), name.byteLength, at(data), data.byteLength) == 1;
  }

  /** Forwards the messages of a topic to a socket from now on. */
  export function bridge(client: string, topic: string): bool {
    const id = utf8(client), name = utf8(topic);
    return host.ws_pubsub_bridge(at(id), id.byteLength, at(name), name.byteLength) == 1;
  }

  export function unbridge(client: string, topic: string): bool {
    const id = utf8(client), name = utf8(topic);
    return host.ws_pubsub_unbridge(at(id), id.byteLength, at(name), name.byteLength) == 1;
  }

  /** What `ws_open`, `ws_frame` or `ws_close` got, as text. */
  export function lent(place: usize, length: i32): string {
    return String.UTF8.decodeUnsafe(place, length);
  }
}

/** State that dies with the WebSocket that the call came from. */
export namespace ephemeral {
  /** 0 is a minute; more than half an hour is half an hour. */
  export function set(topic: string, key: string, payload: string = "", ttlMs: i64 = 0): bool {
    const name = utf8(topic), label = utf8(key), data = utf8(payload);
    return host.ephemeral_state_set(at(name), name.byteLength, at(label), label.byteLength, at(data), data.byteLength, ttlMs) == 1;
  }

  export function clear(topic: string, key: string): bool {
    const name = utf8(topic), label = utf8(key);
    return host.ephemeral_state_clear(at(name), name.byteLength, at(label), label.byteLength) == 1;
  }

  /** `{"entries":[{"key","client_id","payload"?,"expires_in_ms"}]}`, the payload in base64; empty on failure. */
  export function list(topic: string): string {
    const name = utf8(topic);
    return takeText(host.ephemeral_state_list(at(name), name.byteLength));
  }
}

/** Sends a push message, a JSON object. `{"ok","devices_attempted","devices_succeeded","results","error"?,"code"?}` */
export function push(user: string, message: string): string {
  const id = utf8(user), text = utf8(message);
  return takeText(host.push_send_v2(at(id), id.byteLength, at(text), text.byteLength));
}

/** Over a live WebSocket, else push, else an inbox. `{"via":"socket"|"push"|"inbox",…}`, or `{"error","code"}` */
export function notify(user: string, message: string): string {
  const id = utf8(user), text = utf8(message);
  return takeText(host.notify(at(id), id.byteLength, at(text), text.byteLength));
}

/** Calls that are made later or in the background. */
export namespace jobs {
  /** The id of the job; empty when it was refused. */
  export function scheduleOnce(name: string, input: string, atMs: i64): string {
    const label = utf8(name), content = utf8(input);
    return takeText(host.schedule_once(at(label), label.byteLength, at(content), content.byteLength, atMs));
  }

  /** The id of the job; empty when it was refused. */
  export function enqueue(name: string, input: string): string {
    const label = utf8(name), content = utf8(input);
    return takeText(host.enqueue_background(at(label), label.byteLength, at(content), content.byteLength));
  }

  /** `{"id","function","status","progress",…}`, or `{"error","code"}` */
  export function status(id: string): string {
    const text = utf8(id);
    return takeText(host.job_status(at(text), text.byteLength));
  }

  export function cancel(id: string): bool {
    const text = utf8(id);
    return host.job_cancel(at(text), text.byteLength) == 1;
  }

  /** Says how far the job is that this call carries out, in percent. */
  export function progress(percent: i32): bool {
    return host.job_progress(percent) == 1;
  }
}
