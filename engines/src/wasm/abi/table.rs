//! Every host call, in the order of `docs/host-api.md`.

use super::HostResult::{Bytes, I32, I64, Nothing};
use super::Param::{self, Data, Json, Message, Text};
use super::{Answer, HostCall, HostResult, Run};

const NO_ANONYMOUS_FETCH: &str = r#"{"status":0,"error":"no anonymity proxy is configured","proxy":"anyone"}"#;

/// A method that answers at once; its arguments by position, then the number if it takes one.
macro_rules! now {
    ($method:ident($($index:literal),*)) => {
        Run::Now(|host, _arguments| Answer::from(host.$method($(_arguments.pair($index)),*)))
    };
}

/// A method that waits; the same.
macro_rules! later {
    ($method:ident($($index:literal),*)) => {
        Run::Later(|host, arguments| Box::pin(async move {
            Ok(Answer::from(host.$method($(arguments.pair($index)),*).await?))
        }))
    };
    ($method:ident($($index:literal),* ; number)) => {
        Run::Later(|host, arguments| Box::pin(async move {
            Ok(Answer::from(host.$method($(arguments.pair($index),)* arguments.number()).await?))
        }))
    };
}

const fn call(
    name: &'static str,
    params: &'static [Param],
    result: HostResult,
    run: Run,
    doc: &'static str,
) -> HostCall {
    HostCall { name, params, result, run, doc }
}

/// A call whose service does not exist yet; its failure value is 0.
const fn absent(name: &'static str, params: &'static [Param], result: HostResult, doc: &'static str) -> HostCall {
    call(name, params, result, Run::Absent(""), doc)
}

/// The same; its failure value is a JSON text.
const fn absent_json(name: &'static str, params: &'static [Param], json: &'static str, doc: &'static str) -> HostCall {
    call(name, params, Bytes, Run::Absent(json), doc)
}

/// Every call.
pub(super) const CALLS: &[HostCall] = &[
    call(
        "get_caller_wallet",
        &[],
        Bytes,
        now!(caller_wallet()),
        "The wallet of the caller; the namespace when the caller used an API key; empty when nobody is known.",
    ),
    call(
        "get_caller_jwt_subject",
        &[],
        Bytes,
        now!(caller_jwt_subject()),
        "The `sub` claim of the caller's token; empty without a token.",
    ),
    call(
        "get_caller_claim",
        &[Text],
        Bytes,
        now!(caller_claim(0)),
        "A custom claim of the caller's token, by name; empty when there is none.",
    ),
    call(
        "get_request_id",
        &[],
        Bytes,
        now!(request_id()),
        "The unique id of this invocation: the `X-Request-ID` of the reply and the key of its record.",
    ),
    call(
        "get_env",
        &[Text],
        Bytes,
        now!(env(0)),
        "A variable of `env` in function.yaml, by name; empty when it is not set.",
    ),
    call(
        "get_secret",
        &[Text],
        Bytes,
        now!(get_secret(0)),
        "A secret of the namespace, by name; empty when it does not exist. The log and error messages show `***` for its value.",
    ),
    call(
        "log_info",
        &[Message],
        Nothing,
        now!(log_info(0)),
        "Writes a line at level info into the log of the invocation. At most 16 KiB a line, 1,000 lines and 256 KiB a call.",
    ),
    call(
        "log_error",
        &[Message],
        Nothing,
        now!(log_error(0)),
        "Writes a line at level error into the log of the invocation; the same bounds.",
    ),
    call(
        "set_http_response",
        &[Param::I32, Text, Data],
        I32,
        Run::Now(|host, arguments| {
            host.set_http_response(arguments.number(), arguments.pair(0), arguments.pair(1)).into()
        }),
        "Composes the HTTP reply: status (200 to 599), headers (a JSON object of texts or lists of texts, at most 64), body (at most 8 MiB). Only for functions with `raw_http_response: true` or `http: true`. 1 is success, 0 failure. A status from 100 to 199 is refused: it would not end the exchange.",
    ),
    call(
        "turn_credentials",
        &[],
        Bytes,
        now!(turn_credentials()),
        "Credentials for a TURN server, as JSON: `{\"configured\":false,\"namespace\":…}` while none is configured.",
    ),
    call(
        "abort",
        &[Param::I32, Param::I32, Param::I32, Param::I32],
        Nothing,
        Run::ByHand,
        "Ends the call as failed. AssemblyScript imports it: message, file (both UTF-16 strings of its runtime), line, column.",
    ),
    call(
        "db_query",
        &[Json, Json],
        Bytes,
        later!(db_query(0, 1)),
        "SQL and a JSON array of arguments to a JSON array of row objects, `[]` when there is none; 0 on error, and the log says why. Integers keep all their digits; a blob is `{\"base64\":\"…\"}`, both ways. At most 10,000 rows and 32 MiB.",
    ),
    call(
        "db_execute",
        &[Json, Json],
        I32,
        later!(db_execute(0, 1)),
        "SQL and a JSON array of arguments to the number of rows changed; 0 also on error, and the log says why. What is acknowledged is on disk.",
    ),
    call(
        "db_query_v2",
        &[Json, Json],
        Bytes,
        later!(db_query_v2(0, 1)),
        "As `db_query`, to `{\"rows\":[…],\"error\"?,\"code\"?}`. Codes: `INVALID_ARGUMENT`, `SQL_NOT_ALLOWED`, `CONSTRAINT_VIOLATION`, `PAYLOAD_TOO_LARGE`, `DEADLINE_EXCEEDED`, `UNAVAILABLE`, `STORAGE_QUOTA_EXCEEDED`, `CORRUPT`.",
    ),
    call(
        "db_execute_v2",
        &[Json, Json],
        Bytes,
        later!(db_execute_v2(0, 1)),
        "As `db_execute`, to `{\"rows_affected\":n,\"last_insert_id\"?,\"error\"?,\"code\"?}`.",
    ),
    call(
        "db_transaction",
        &[Json],
        Bytes,
        later!(db_transaction(0)),
        "`{\"ops\":[{\"kind\":\"exec\"|\"query\",\"sql\",\"args\"?}]}`, at most 100, to `{\"results\":[{\"kind\",\"rows_affected\"?,\"last_insert_id\"?,\"rows\"?,\"error\"?,\"code\"?}],\"committed\"}`, in the order of the operations. Every `exec` comes first, all or none; each `query` runs after the commit, and its failure undoes nothing. When nothing happened: `{\"results\":[],\"committed\":false,\"failed_index\",\"error\",\"code\"}`; `failed_index` is the operation at fault, counted from 0, or -1 when none is. 101 operations are `TOO_MANY_STATEMENTS`.",
    ),
    call(
        "db_query_batch",
        &[Json],
        Bytes,
        later!(db_query_batch(0)),
        "`{\"ops\":[{\"sql\",\"args\"?}],\"consistency\"?:\"weak\"|\"none\",\"freshness\"?:\"2s\",\"freshness_strict\"?}`, at most 100, to `{\"results\":[{\"kind\":\"query\",\"rows\",\"error\"?,\"code\"?}]}`: queries on one and the same state of the database, within 10 s, 10,000 rows each and 32 MiB together. A refused call is `{\"results\":[],\"failed_index\",\"error\",\"code\"}`. `freshness` needs `consistency` `none` and is 1 ms to 24 h; the answers are always fresh.",
    ),
    call(
        "exec_and_publish",
        &[Json, Text, Data],
        Bytes,
        later!(exec_and_publish(0, 1, 2)),
        "Operations as for `db_transaction`, and then a message: topic, data. `{{seq}}` in the data stands for a number that the same transaction takes: 1, 2, 3, … for each namespace, none twice and no gap. To `{\"results\":[…],\"committed\":true,\"seq\"?,\"published\",\"publish_error\"?}`, or as a refused `db_transaction`: then nothing was published. Messages of calls that run at once may arrive in another order than their numbers.",
    ),
    call(
        "cache_get",
        &[Text],
        Bytes,
        later!(cache_get(0)),
        "The value of a key; empty on a miss. Keys are UTF-8, 1 to 1,024 bytes; all functions of a namespace share them. A counter is its decimal digits.",
    ),
    call(
        "cache_set",
        &[Text, Data, Param::I64],
        Nothing,
        later!(cache_set(0, 1; number)),
        "Sets a key to a value of at most 1 MiB, with a time to live in seconds; 0 is for ever. A negative one, or one above 10 years, stores nothing, and the log says so.",
    ),
    call("cache_delete", &[Text], I32, later!(cache_delete(0)), "Deletes a key; 1 also when it was missing."),
    call(
        "cache_incr",
        &[Text],
        I64,
        Run::Later(|host, arguments| {
            Box::pin(async move { Ok(host.cache_incr_by(arguments.pair(0), 1).await?.into()) })
        }),
        "Adds 1 to a counter and returns it; a missing one counts from 0. 0 when the value is not a whole number or would leave 64 bits, and then it is unchanged.",
    ),
    call(
        "cache_incr_by",
        &[Text, Param::I64],
        I64,
        later!(cache_incr_by(0; number)),
        "Adds to a counter and returns it; the rest as `cache_incr`.",
    ),
    call(
        "http_fetch",
        &[Text, Text, Text, Data],
        Bytes,
        later!(http_fetch(0, 1, 2, 3)),
        "Method, URL, headers as a JSON object of texts or lists of texts, body; to `{\"status\",\"headers\":{\"Name\":[\"value\"]},\"body\"}`. A body that is not UTF-8 is in `body_base64`, and `body` is empty. Without a reply: `{\"error\",\"status\":0}`. At most 30 s; only addresses that the manifest's `egress` and the namespace allow.",
    ),
    call(
        "storage_put",
        &[Text, Data],
        Bytes,
        later!(storage_put(0, 1)),
        "Stores and pins content of at most 16 MiB under a name for people; to `{\"cid\",\"size\"}` or `{\"error\",\"code\"}`.",
    ),
    call(
        "storage_get",
        &[Text],
        Bytes,
        later!(storage_get(0)),
        "The content of an identifier; empty when the namespace does not own it, or when it is larger than 16 MiB or the function's memory.",
    ),
    call(
        "storage_head",
        &[Text],
        Bytes,
        later!(storage_head(0)),
        "What is known of an identifier: `{\"cid\",\"name\",\"size\",\"pinned\"}`; empty when the namespace does not own it.",
    ),
    call(
        "function_invoke",
        &[Text, Data],
        Bytes,
        later!(function_invoke(0, 1)),
        "Calls another function of the namespace, `name` or `name@version`, as the same caller and within the same deadline, and returns its output; 0 when it failed, and the log says why. Calls may stand 8 deep.",
    ),
    call(
        "function_invoke_v2",
        &[Text, Data],
        Bytes,
        later!(function_invoke_v2(0, 1)),
        "As `function_invoke`, to `{\"output\"}`, `{\"output\":\"\",\"output_base64\"}` when the output is not UTF-8, or `{\"output\":\"\",\"error\",\"code\"}`.",
    ),
    call(
        "function_invoke_async",
        &[Text, Data],
        I32,
        later!(function_invoke_async(0, 1)),
        "Calls another function without waiting for it; 1 says that the call was accepted. It is lost when the server dies.",
    ),
    call(
        "get_ws_client_id",
        &[],
        Bytes,
        now!(ws_client_id()),
        "The id of the WebSocket that the call came from; empty for other calls.",
    ),
    call(
        "ws_send",
        &[Text, Data],
        I32,
        later!(ws_send(0, 1)),
        "Sends a frame to a WebSocket of the namespace's functions, by its client id; the empty id is the socket that the call came from. It is a text frame if it is UTF-8, else a binary one. 1 is success; 0 says that there is no such socket, or that it does not keep up.",
    ),
    call(
        "ws_broadcast",
        &[Text, Data],
        I32,
        later!(ws_broadcast(0, 1)),
        "Sends a frame to every WebSocket that is bridged to the topic; 1 is success, also when there is none. It is no message: no history keeps it, and no trigger fires.",
    ),
    call(
        "ws_pubsub_bridge",
        &[Text, Text],
        I32,
        later!(ws_pubsub_bridge(0, 1)),
        "Forwards the messages of a topic, as they are, to a WebSocket of the namespace's functions: client id (empty: the socket that the call came from), topic. At most 1,000 topics a socket; the bridge ends with the socket. 1 is success, also when it is bridged already.",
    ),
    call(
        "ws_pubsub_unbridge",
        &[Text, Text],
        I32,
        later!(ws_pubsub_unbridge(0, 1)),
        "Ends a bridge; the arguments as for `ws_pubsub_bridge`. 1 is success, also when there is none.",
    ),
    call(
        "pubsub_publish",
        &[Text, Data],
        I32,
        later!(pubsub_publish(0, 1)),
        "Publishes a message of at most 1 MiB on a topic of the namespace (1 to 256 bytes without control characters); 1 is success: whoever subscribes gets it, and the triggers of the topic will run. A JSON object with the key `_orama` or `__orama` is refused: those are the platform's own. A call publishes at most 1,000 messages.",
    ),
    call(
        "pubsub_publish_batch",
        &[Data],
        I32,
        later!(pubsub_publish_batch(0)),
        "Publishes up to 100 messages, all or none: `[{\"topic\",\"data_base64\"}]`; 1 is success. Each counts as one of the call's 1,000.",
    ),
    call(
        "ephemeral_state_set",
        &[Text, Text, Data, Param::I64],
        I32,
        later!(ephemeral_state_set(0, 1, 2; number)),
        "Sets state that dies with the WebSocket that the call came from: topic, key, payload (at most 16 KiB), time to live in milliseconds (from 0 down: a minute; at most half an hour). Publishes `{\"_orama\":\"ephemeral.set\",\"topic\",\"key\",\"client_id\",\"payload\"}` on the topic. A key of another socket goes over to this one. 1 is success; 0 without a WebSocket, for an empty topic or key, a payload that is too large, or more than 256 keys of one socket.",
    ),
    call(
        "ephemeral_state_clear",
        &[Text, Text],
        I32,
        later!(ephemeral_state_clear(0, 1)),
        "Clears state of the WebSocket that the call came from: topic, key. Publishes `{\"_orama\":\"ephemeral.clear\",\"topic\",\"key\",\"client_id\",\"reason\":\"explicit\"}`; the reason is `disconnect` when the socket went away, `expired` when its time was over. 1 is success, also when there is nothing of this socket.",
    ),
    call(
        "ephemeral_state_list",
        &[Text],
        Bytes,
        later!(ephemeral_state_list(0)),
        "What is alive on a topic, by key: `{\"entries\":[{\"key\",\"client_id\",\"payload\"?,\"expires_in_ms\"}]}`, the payload in base64. Needs no WebSocket; 0 on failure.",
    ),
    call(
        "push_send",
        &[Text, Json],
        I32,
        later!(push_send(0, 1)),
        "Sends a push message to every device of a user: a JSON object of at most 16 KiB with `title`, `body`, `channel`, `priority` (`high` or `normal`), `badge`, `sound`, `data`, `target_provider`, `exclude_provider`, `message_id`. 1 is success, also when the user has no device or no provider is configured.",
    ),
    call(
        "push_send_v2",
        &[Text, Json],
        Bytes,
        later!(push_send_v2(0, 1)),
        "As `push_send`, to `{\"ok\",\"devices_attempted\",\"devices_succeeded\",\"results\":[{\"device_id\",\"provider\",\"success\",\"http_status\"?,\"reason\"?,\"message\"?,\"unregistered\"?}],\"error\"?,\"code\"?}`.",
    ),
    call(
        "notify",
        &[Text, Json],
        Bytes,
        later!(notify(0, 1)),
        "Reaches a user with a message as `push_send` takes it: over a live WebSocket if there is one, else push, else an inbox. To `{\"via\":\"socket\",\"sockets\"}`, `{\"via\":\"push\",\"push\":…}` (as `push_send_v2`), `{\"via\":\"inbox\",\"id\",\"expires_at\"}`, or `{\"error\",\"code\"}`.",
    ),
    call(
        "schedule_once",
        &[Text, Data, Param::I64],
        Bytes,
        later!(schedule_once(0, 1; number)),
        "Calls a function of the namespace once: `name` or `name@version`, input (at most 1 MiB), the time in milliseconds since 1970; one that has passed is now. To the id of the job; 0 on failure, and the log says why. What was accepted survives a crash.",
    ),
    call(
        "enqueue_background",
        &[Text, Data],
        Bytes,
        later!(enqueue_background(0, 1)),
        "As `schedule_once`, as soon as there is room.",
    ),
    call(
        "job_status",
        &[Text],
        Bytes,
        later!(job_status(0)),
        "What is known of a job, by its id: `{\"id\",\"function\",\"status\",\"progress\",\"run_at\",\"created_at\",\"started_at\"?,\"completed_at\"?,\"result\"?,\"result_base64\"?,\"error\"?}`; the status is `pending`, `running`, `completed`, `failed` or `cancelled`, a result that is not UTF-8 is in `result_base64`. `{\"error\",\"code\"}` when there is none: only then there is a `code`.",
    ),
    call(
        "job_cancel",
        &[Text],
        I32,
        later!(job_cancel(0)),
        "Ends a job that runs, or forgets one that waits; 1 is success, 0 says that there is none, or that it has ended.",
    ),
    call(
        "job_progress",
        &[Param::I32],
        I32,
        later!(job_progress(; number)),
        "Says how far the job is that this call carries out, in percent; 1 is success, 0 in a call that carries out none.",
    ),
    absent("get_caller_device_id", &[], Bytes, "The device of the caller's session; empty when unknown."),
    absent("get_caller_capability", &[], Bytes, "The capability that the call was made with; empty when none."),
    absent_json(
        "anyone_fetch",
        &[Text, Text, Text, Data],
        NO_ANONYMOUS_FETCH,
        "As `http_fetch`, through an anonymity network.",
    ),
    absent_json("anon_fetch", &[Text, Text, Text, Data], NO_ANONYMOUS_FETCH, "Another name of `anyone_fetch`."),
    absent("push_send_topic", &[Text, Json], I64, "Sends a push message to a topic."),
    absent(
        "capability_mint",
        &[Text, Param::I64],
        Bytes,
        "Makes a capability for a resource, with a lifetime in seconds.",
    ),
    absent("capability_revoke", &[Text], I32, "Revokes a capability; 1 is success."),
    absent("storage_fetch_cap_mint", &[Text, Param::I32, Param::I64], Bytes, "Makes capabilities to fetch content."),
    absent("webrtc_admit", &[Text, Text, Text, Param::I64], Bytes, "Admits a device to a room."),
    absent("webrtc_kick", &[Text, Text, Text], I32, "Removes a device from a room; 1 is success."),
    absent("webrtc_mute", &[Text, Text, Text, Param::I32], I32, "Mutes a device in a room; 1 is success."),
];
