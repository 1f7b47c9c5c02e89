//! The host calls as they are imported: pointers and lengths in, packed bytes out.

macro_rules! host_calls {
    ($($name:ident = $import:literal ($($argument:ident: $kind:ident),*) -> $result:ident;)*) => {
        #[cfg(target_os = "wasi")]
        mod imported {
            #[link(wasm_import_module = "env")]
            unsafe extern "C" {
                $(host_calls!(@import $name $import ($($argument: $kind),*) -> $result);)*
            }
        }
        $(host_calls!(@wrapper $name ($($argument: $kind),*) -> $result);)*
    };
    (@import $name:ident $import:literal ($($argument:ident: $kind:ident),*) -> $result:ident) => {
        host_calls!(@declare $name $import [] ($($argument: $kind,)*) -> $result);
    };
    (@declare $name:ident $import:literal [$($done:tt)*] ($argument:ident: bytes, $($rest:tt)*) -> $result:ident) => {
        host_calls!(@declare $name $import [$($done)* _: *const u8, _: usize,] ($($rest)*) -> $result);
    };
    (@declare $name:ident $import:literal [$($done:tt)*] ($argument:ident: text, $($rest:tt)*) -> $result:ident) => {
        host_calls!(@declare $name $import [$($done)* _: *const u8, _: usize,] ($($rest)*) -> $result);
    };
    (@declare $name:ident $import:literal [$($done:tt)*] ($argument:ident: number, $($rest:tt)*) -> $result:ident) => {
        host_calls!(@declare $name $import [$($done)* _: i64,] ($($rest)*) -> $result);
    };
    (@declare $name:ident $import:literal [$($done:tt)*] ($argument:ident: small, $($rest:tt)*) -> $result:ident) => {
        host_calls!(@declare $name $import [$($done)* _: i32,] ($($rest)*) -> $result);
    };
    (@declare $name:ident $import:literal [$($done:tt)*] () -> bytes) => {
        #[link_name = $import]
        pub(super) safe fn $name($($done)*) -> u64;
    };
    (@declare $name:ident $import:literal [$($done:tt)*] () -> number) => {
        #[link_name = $import]
        pub(super) safe fn $name($($done)*) -> i64;
    };
    (@declare $name:ident $import:literal [$($done:tt)*] () -> flag) => {
        #[link_name = $import]
        pub(super) safe fn $name($($done)*) -> u32;
    };
    (@declare $name:ident $import:literal [$($done:tt)*] () -> nothing) => {
        #[link_name = $import]
        pub(super) safe fn $name($($done)*);
    };
    (@wrapper $name:ident ($($argument:ident: $kind:ident),*) -> $result:ident) => {
        #[cfg(target_os = "wasi")]
        pub(crate) fn $name($($argument: host_calls!(@type $kind)),*) -> host_calls!(@result $result) {
            host_calls!(@call $name $result [] ($($argument: $kind,)*))
        }
        #[cfg(not(target_os = "wasi"))]
        pub(crate) fn $name($(_: host_calls!(@type $kind)),*) -> host_calls!(@result $result) {
            Default::default()
        }
    };
    (@call $name:ident $result:ident [$($done:tt)*] ($argument:ident: bytes, $($rest:tt)*)) => {
        host_calls!(@call $name $result [$($done)* $argument.as_ptr(), $argument.len(),] ($($rest)*))
    };
    (@call $name:ident $result:ident [$($done:tt)*] ($argument:ident: text, $($rest:tt)*)) => {
        host_calls!(@call $name $result [$($done)* $argument.as_ptr(), $argument.len(),] ($($rest)*))
    };
    (@call $name:ident $result:ident [$($done:tt)*] ($argument:ident: number, $($rest:tt)*)) => {
        host_calls!(@call $name $result [$($done)* $argument,] ($($rest)*))
    };
    (@call $name:ident $result:ident [$($done:tt)*] ($argument:ident: small, $($rest:tt)*)) => {
        host_calls!(@call $name $result [$($done)* $argument,] ($($rest)*))
    };
    (@call $name:ident bytes [$($done:tt)*] ()) => { take(imported::$name($($done)*)) };
    (@call $name:ident number [$($done:tt)*] ()) => { imported::$name($($done)*) };
    (@call $name:ident flag [$($done:tt)*] ()) => { imported::$name($($done)*) == 1 };
    (@call $name:ident nothing [$($done:tt)*] ()) => { imported::$name($($done)*) };
    (@type bytes) => { &[u8] };
    (@type text) => { &str };
    (@type number) => { i64 };
    (@type small) => { i32 };
    (@result bytes) => { Vec<u8> };
    (@result number) => { i64 };
    (@result flag) => { bool };
    (@result nothing) => { () };
}

host_calls! {
    caller_wallet = "get_caller_wallet" () -> bytes;
    caller_jwt_subject = "get_caller_jwt_subject" () -> bytes;
    caller_claim = "get_caller_claim" (name: text) -> bytes;
    request_id = "get_request_id" () -> bytes;
    env = "get_env" (key: text) -> bytes;
    secret = "get_secret" (name: text) -> bytes;
    log_info = "log_info" (message: text) -> nothing;
    log_error = "log_error" (message: text) -> nothing;
    db_query = "db_query_v2" (sql: text, arguments: bytes) -> bytes;
    db_execute = "db_execute_v2" (sql: text, arguments: bytes) -> bytes;
    db_transaction = "db_transaction" (steps: bytes) -> bytes;
    cache_get = "cache_get" (key: text) -> bytes;
    cache_set = "cache_set" (key: text, value: bytes, ttl_seconds: number) -> nothing;
    cache_delete = "cache_delete" (key: text) -> flag;
    cache_incr_by = "cache_incr_by" (key: text, delta: number) -> number;
    storage_put = "storage_put" (name: text, data: bytes) -> bytes;
    storage_get = "storage_get" (cid: text) -> bytes;
    storage_head = "storage_head" (cid: text) -> bytes;
    http_fetch = "http_fetch" (method: text, url: text, headers: bytes, body: bytes) -> bytes;
    function_invoke = "function_invoke" (name: text, input: bytes) -> bytes;
    function_invoke_async = "function_invoke_async" (name: text, input: bytes) -> flag;
    ws_client_id = "get_ws_client_id" () -> bytes;
    ws_send = "ws_send" (client: text, data: bytes) -> flag;
    ws_broadcast = "ws_broadcast" (topic: text, data: bytes) -> flag;
    ws_bridge = "ws_pubsub_bridge" (client: text, topic: text) -> flag;
    ws_unbridge = "ws_pubsub_unbridge" (client: text, topic: text) -> flag;
    pubsub_publish = "pubsub_publish" (topic: text, data: bytes) -> flag;
    pubsub_publish_batch = "pubsub_publish_batch" (messages: bytes) -> flag;
    exec_and_publish = "exec_and_publish" (steps: bytes, topic: text, data: bytes) -> bytes;
    ephemeral_set = "ephemeral_state_set" (topic: text, key: text, payload: bytes, ttl_ms: number) -> flag;
    ephemeral_clear = "ephemeral_state_clear" (topic: text, key: text) -> flag;
    ephemeral_list = "ephemeral_state_list" (topic: text) -> bytes;
    push_send = "push_send_v2" (user: text, message: bytes) -> bytes;
    notify = "notify" (user: text, message: bytes) -> bytes;
    schedule_once = "schedule_once" (name: text, input: bytes, at_ms: number) -> bytes;
    enqueue_background = "enqueue_background" (name: text, input: bytes) -> bytes;
    job_status = "job_status" (id: text) -> bytes;
    job_cancel = "job_cancel" (id: text) -> flag;
    job_progress = "job_progress" (percent: small) -> flag;
}

/// Where the host places what it returns; [`take`] gives the room back.
#[cfg(target_os = "wasi")]
#[unsafe(no_mangle)]
extern "C" fn orama_alloc(size: usize) -> *mut u8 {
    Box::into_raw(vec![0; size].into_boxed_slice()).cast()
}

/// Where the host gives room back, which it took for the duration of a call.
///
/// # Safety
///
/// `place` came from [`orama_alloc`] with this `size`, and nobody uses it any more.
#[cfg(target_os = "wasi")]
#[unsafe(no_mangle)]
unsafe extern "C" fn orama_free(place: *mut u8, size: usize) {
    // SAFETY: as above; the host gives back what it took and lent, once.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(place, size)) });
}

/// Reads a packed result: `(pointer << 32) | length`, 0 for nothing.
#[cfg(target_os = "wasi")]
fn take(packed: u64) -> Vec<u8> {
    let (pointer, length) = ((packed >> 32) as usize as *mut u8, packed as u32 as usize);
    if packed == 0 {
        return Vec::new();
    }
    // SAFETY: the host asked `orama_alloc` for exactly `length` bytes, got `pointer`, and gives it away with this result.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(pointer, length)) }.into_vec()
}
