//! The one table of routes. The dispatcher, the OpenAPI document and the isolation matrix are made from it.

mod openapi;
mod paths;

use std::pin::Pin;
use std::sync::Arc;

use domain::{Error, ErrorCode, Scope};
use http::Method;

use crate::Gateway;
use platform::InvalidToken;

use crate::credential::Identity;
use crate::error::{Answer, ErrorForm, Refusal};
use crate::exchange::Exchange;
use crate::handlers::{
    audit, cache, certificates, claims, database, deploy, domains, functions, invoke, jobs, keys, logs, namespaces,
    network, node, pubsub, push, receipts, secrets, sign_in, sockets, storage, tokens, triggers,
};

pub(crate) use openapi::openapi;
pub(crate) use paths::{Captures, Found, find};

/// Who may use a route at all. Whether the scope holds for the namespace in question is decided by the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; an invalid credential is ignored.
    Public,
    /// Whoever has a valid credential.
    Credential,
    /// Whoever has a valid credential with this scope in the namespace.
    Scope(Scope),
    /// An operator: it is about the node, or a limit that a namespace must not set itself.
    Operator,
    /// Anybody at this machine; from elsewhere, an operator.
    LocalOrOperator,
    /// Anybody for public functions; for private ones, whoever may call them.
    Function,
}

impl Access {
    /// Turns away whoever cannot pass in any namespace.
    pub(crate) fn admit(self, identity: &Identity) -> Result<(), Refusal> {
        match (self, identity) {
            (Self::Public | Self::Function | Self::LocalOrOperator, _) | (_, Identity::Known(..)) => Ok(()),
            (_, Identity::Missing(_)) => Err(Error::new(ErrorCode::Unauthorized, "missing API key")
                .hint("send an API key as `X-API-Key`, or run `orama login`")
                .into()),
            (_, Identity::Invalid(_, why)) => Err(no_longer_valid(*why).into()),
        }
    }
}

fn no_longer_valid(why: InvalidToken) -> Error {
    let (message, hint) = match why {
        InvalidToken::Refused => {
            ("invalid API key", "check the key; keys are case-sensitive and look like `ak_…:namespace`")
        }
        InvalidToken::Expired => {
            ("the token has expired", "get a new one at `POST /v1/auth/refresh`, or sign in again")
        }
        InvalidToken::Revoked => ("the token has been revoked", "sign in again"),
    };
    Error::new(ErrorCode::Unauthorized, message).hint(hint)
}

/// Which limits a request counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// None: probes and scrapers come on their own schedule.
    Never,
    /// Those of the namespace, the caller and the address.
    AsRequest,
    /// Also that of attempts to sign in, because anybody may come here.
    AsSignIn,
}

/// How a route is treated, whatever it does.
#[derive(Clone, Copy)]
struct Rules {
    counted: Counted,
    errors: ErrorForm,
    audit: Option<&'static str>,
}

const OURS: Rules = Rules { counted: Counted::AsRequest, errors: ErrorForm::Envelope, audit: None };
/// What the published client library calls.
const LIBRARY: Rules = Rules { errors: ErrorForm::Flat, ..OURS };
const SIGN_IN: Rules = Rules { counted: Counted::AsSignIn, ..LIBRARY };
const PROBE: Rules = Rules { counted: Counted::Never, ..OURS };

impl Rules {
    const fn audit(self, action: &'static str) -> Self {
        Self { audit: Some(action), ..self }
    }
}

/// Which methods a route answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    One(Method),
    /// Every method: a function that speaks HTTP decides itself. Ordinary functions answer `POST` alone.
    Any,
}

impl Verb {
    fn allows(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one == method || (one == Method::GET && method == Method::HEAD),
        }
    }

    fn names(&self) -> Vec<Method> {
        match self {
            Self::Any => vec![Method::POST],
            Self::One(one) if *one == Method::GET => vec![Method::GET, Method::HEAD],
            Self::One(one) => vec![one.clone()],
        }
    }
}

pub(crate) type BoxedAnswer = Pin<Box<dyn Future<Output = Answer> + Send>>;

pub(crate) enum Handler {
    /// The hot path: not boxed.
    Invoke(invoke::Form),
    Plain(fn(Arc<Gateway>, Exchange) -> BoxedAnswer),
}

/// One line of the table.
pub struct Route {
    pub verb: Verb,
    /// `{name}` stands for one segment, `{*name}` for the rest of the path.
    pub path: &'static str,
    pub access: Access,
    pub summary: &'static str,
    /// What the request carries; empty for nothing.
    pub request: &'static str,
    /// Status and body of success.
    pub reply: (u16, &'static str),
    /// How its errors look.
    pub errors: ErrorForm,
    pub counted: Counted,
    /// What it is called in the audit log, if it stands there: whatever manages something does.
    pub audit: Option<&'static str>,
    pub(crate) handler: Handler,
}

impl Route {
    /// The names of the variable parts of the path, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &'static str> + use<> {
        let variables = self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        variables.map(|name| name.trim_start_matches('*'))
    }
}

macro_rules! routes {
    ($($verb:ident $path:literal, $access:expr, $rules:expr, $handler:expr, $summary:literal, $request:literal, $reply:expr;)*) => {
        &[$(Route {
            verb: routes!(@verb $verb),
            path: $path,
            access: $access,
            summary: $summary,
            request: $request,
            reply: $reply,
            errors: $rules.errors,
            counted: $rules.counted,
            audit: $rules.audit,
            handler: routes!(@handler $verb $handler),
        }),*]
    };
    (@verb ANY) => { Verb::Any };
    (@verb $verb:ident) => { Verb::One(Method::$verb) };
    (@handler ANY $form:expr) => { Handler::Invoke($form) };
    (@handler $verb:ident $handler:expr) => { Handler::Plain(|gateway, exchange| Box::pin($handler(gateway, exchange))) };
}

const ADMIN: Access = Access::Scope(Scope::Admin);
const DEPLOY: Access = Access::Scope(Scope::Deploy);
const INVOKE: Access = Access::Scope(Scope::Invoke);
const DATA: Access = Access::Scope(Scope::Data);
const PUBSUB: Access = Access::Scope(Scope::Pubsub);

/// Every route. The first that fits is taken: calls first, because they are the hot path, and words before variables.
#[rustfmt::skip]
pub static ROUTES: &[Route] = routes! {
    ANY "/v1/invoke/{namespace}/{function}", Access::Function, OURS, invoke::Form::Namespaced,
        "Call a function", "any bytes", (200, "the function's output");
    ANY "/v1/invoke/{namespace}/{function}/{*path}", Access::Function, OURS, invoke::Form::NamespacedPath,
        "Call a function that speaks HTTP, below its root", "any bytes", (200, "the function's reply");

    GET "/v1/functions", DEPLOY, OURS, functions::list,
        "List the functions of the namespace", "", (200, "`functions`, `count`");
    POST "/v1/functions", DEPLOY, OURS.audit("function.deploy"), deploy::deploy,
        "Deploy a new version", "multipart/form-data: `wasm` (file), `metadata` (JSON) and text fields",
        (201, "`message`, `function`, `warnings`, `changed`");
    GET "/v1/functions/secrets", DEPLOY, OURS, secrets::list,
        "List the names of the namespace's secrets", "", (200, "`secrets`, `details`, `count`");
    PUT "/v1/functions/secrets", DEPLOY, OURS.audit("secret.set"), secrets::set,
        "Set a secret", "JSON: `name`, and `value` or `value_base64`", (200, "`message`, `name`, `namespace`");
    POST "/v1/functions/secrets/rotate", Access::Operator, OURS.audit("secret.rotate"), secrets::rotate,
        "Seal every secret of the node anew", "", (200, "`data_keys`, `secrets`");
    DELETE "/v1/functions/secrets/{secret}", DEPLOY, OURS.audit("secret.delete"), secrets::delete,
        "Delete a secret", "", (200, "`message`");
    ANY "/v1/functions/{function}/invoke", Access::Function, OURS, invoke::Form::Plain,
        "Call a function of your namespace, or of `?namespace=`", "any bytes", (200, "the function's output");
    ANY "/v1/functions/{function}/invoke/{*path}", Access::Function, OURS, invoke::Form::PlainPath,
        "Call a function that speaks HTTP, below its root", "any bytes", (200, "the function's reply");
    GET "/v1/functions/{function}/ws", Access::Function, OURS, sockets::open,
        "A WebSocket to a function", "a WebSocket handshake", (101, "a WebSocket");
    GET "/v1/functions/{function}", DEPLOY, OURS, functions::get, "One version", "", (200, "the function");
    DELETE "/v1/functions/{function}", DEPLOY, OURS.audit("function.delete"), functions::delete,
        "Delete one version, or the whole function", "", (200, "`message`");
    GET "/v1/functions/{function}/versions", DEPLOY, OURS, functions::versions,
        "Every version, newest first", "", (200, "`versions`, `count`");
    GET "/v1/functions/{function}/logs", DEPLOY, OURS, logs::logs,
        "What calls did and printed", "", (200, "`invocations`, `logs`, `count`, `gaps`, `next`");
    POST "/v1/functions/{function}/rollback", DEPLOY, OURS.audit("function.rollback"), functions::rollback,
        "Make an earlier version the active one", "JSON: `version`, or nothing for the one before", (200, "`message`, `function`");
    POST "/v1/functions/{function}/enable", DEPLOY, OURS.audit("function.enable"), functions::enable,
        "Switch a function on", "", (200, "`status`, `function`, `enabled`");
    POST "/v1/functions/{function}/disable", DEPLOY, OURS.audit("function.disable"), functions::disable,
        "Switch a function off", "", (200, "`status`, `function`, `enabled`");
    GET "/v1/functions/{function}/triggers", DEPLOY, OURS, triggers::list,
        "The triggers of a function", "", (200, "`triggers`, `count`");
    POST "/v1/functions/{function}/triggers", DEPLOY, OURS.audit("trigger.add"), triggers::add,
        "Add a trigger",
        "JSON: one of `topic`, `cron_expression`, `once`, `table`; `aggregation_window_ms`, `aggregation_max_batch_size`; `tz`, `overlap`, `catch_up`, `day_rule`; `on`",
        (201, "`trigger_id`, `function` and what was sent");
    POST "/v1/functions/{function}/triggers/run", DEPLOY, OURS.audit("trigger.run"), triggers::run,
        "Run the schedules that are due at a moment, as if it were now", "JSON: `at`, `trigger_id`", (200, "`fired`, `count`");
    GET "/v1/functions/{function}/triggers/dlq", DEPLOY, OURS, triggers::dead,
        "Triggered calls that were given up, the last first", "", (200, "`deliveries`, `count`, `next`");
    POST "/v1/functions/{function}/triggers/dlq/redrive", DEPLOY, OURS.audit("trigger.redrive"), triggers::redrive,
        "Make given-up calls again, all or some", "JSON: `ids`, or nothing for all", (200, "`redriven`");
    DELETE "/v1/functions/{function}/triggers/dlq", DEPLOY, OURS.audit("trigger.forget_dead"), triggers::delete_all_dead,
        "Forget every given-up call", "", (200, "`deleted`");
    DELETE "/v1/functions/{function}/triggers/dlq/{delivery}", DEPLOY, OURS.audit("trigger.forget_dead"), triggers::delete_dead,
        "Forget a given-up call", "", (200, "`deleted`");
    POST "/v1/functions/{function}/triggers/{trigger}/pause", DEPLOY, OURS.audit("trigger.pause"), triggers::pause,
        "Pause a trigger", "", (200, "the trigger");
    POST "/v1/functions/{function}/triggers/{trigger}/resume", DEPLOY, OURS.audit("trigger.resume"), triggers::resume,
        "Resume a trigger", "", (200, "the trigger");
    DELETE "/v1/functions/{function}/triggers/{trigger}", DEPLOY, OURS.audit("trigger.delete"), triggers::delete,
        "Delete a trigger", "", (200, "`message`");
    GET "/v1/triggers", DEPLOY, OURS, triggers::list_all,
        "Every trigger of the namespace", "", (200, "`triggers`, `count`");

    POST "/v1/functions/{function}/jobs", INVOKE, OURS.audit("job.enqueue"), jobs::enqueue,
        "Call a function in the background, or at a time", "JSON: `payload` (JSON) or `payload_base64`, `run_at`", (202, "the job");
    GET "/v1/jobs", DEPLOY, OURS, jobs::list,
        "The jobs of the namespace, the last first: `?function=`, `?status=`, behind `?after=`", "", (200, "`jobs`, `count`, `next`");
    GET "/v1/jobs/{job}", Access::Credential, OURS, jobs::get,
        "One job with its result, for who may ask for jobs or manage them", "", (200, "the job");
    DELETE "/v1/jobs/{job}", DEPLOY, OURS.audit("job.cancel"), jobs::cancel,
        "Cancel a job: one that waits is forgotten, one that runs is ended", "", (200, "the job");

    GET "/v1/serverless/ws/connections", DEPLOY, OURS, sockets::list,
        "The open WebSockets of the namespace's functions", "", (200, "`connections`, `count`");
    GET "/v1/serverless/ws/connections/{client}", DEPLOY, OURS, sockets::get,
        "One open WebSocket", "", (200, "the connection");
    DELETE "/v1/serverless/ws/connections/{client}", DEPLOY, OURS.audit("socket.close"), sockets::close,
        "Close a WebSocket", "", (200, "`message`");

    POST "/v1/auth/challenge", Access::Public, SIGN_IN, sign_in::challenge,
        "A challenge for a wallet to sign", "JSON: `wallet`, `namespace`, `purpose`",
        (200, "`wallet`, `namespace`, `nonce`, `purpose`, `message`, `expires_at`");
    POST "/v1/auth/verify", Access::Public, SIGN_IN.audit("auth.sign_in"), sign_in::verify,
        "Sign in with a signed challenge", "JSON: `wallet`, `nonce` or `message`, `signature`, `namespace`, `chain_type`",
        (200, "`access_token`, `token_type`, `expires_in`, `refresh_token`, `subject`, `namespace`, `api_key`");
    POST "/v1/auth/api-key", Access::Public, SIGN_IN.audit("auth.api_key"), sign_in::api_key,
        "The API key of a wallet, for a signed challenge", "JSON: as for verify",
        (200, "`api_key`, `namespace`, `plan`, `wallet`");
    POST "/v1/auth/register", Access::Public, SIGN_IN.audit("auth.register"), sign_in::register,
        "Register a client application, with a signed challenge", "JSON: as for verify, and `name`",
        (201, "`client_id`, `app`, `signature_verified`");
    POST "/v1/auth/simple-key", Access::Public, SIGN_IN.audit("auth.simple_key"), sign_in::simple_key,
        "Always refused: keys need a signature", "", (404, "why");
    GET "/v1/auth/login", Access::Public, LIBRARY, sign_in::login, "How to sign in, for people", "", (200, "HTML");
    POST "/v1/auth/token", Access::Credential, LIBRARY.audit("auth.token"), tokens::exchange,
        "An access token for an API key", "", (200, "`access_token`, `token_type`, `expires_in`, `namespace`");
    POST "/v1/auth/refresh", Access::Public, SIGN_IN.audit("auth.refresh"), tokens::refresh,
        "A new access token and the next refresh token", "JSON: `refresh_token`, `namespace`",
        (200, "`access_token`, `token`, `token_type`, `expires_in`, `refresh_token`, `subject`, `namespace`");
    POST "/v1/auth/logout", Access::Public, SIGN_IN.audit("auth.logout"), tokens::logout,
        "End a sign-in, or all of a wallet", "JSON: `refresh_token`, `all`", (200, "`status`");
    GET "/v1/auth/whoami", Access::Credential, LIBRARY, tokens::whoami,
        "Who the credential says you are", "", (200, "`authenticated`, `method`, `namespace`, `scopes`");
    GET "/v1/auth/jwks", Access::Public, LIBRARY, tokens::jwks,
        "The keys that verify access tokens", "", (200, "`keys` (RFC 7517)");
    GET "/.well-known/jwks.json", Access::Public, LIBRARY, tokens::jwks,
        "The keys that verify access tokens", "", (200, "`keys` (RFC 7517)");
    POST "/v1/auth/signing-keys/rotate", Access::Operator, LIBRARY.audit("auth.rotate_signing_key"), tokens::rotate,
        "Sign tokens with a new key from now on", "", (200, "`kid`");
    GET "/.well-known/orama-keys.json", Access::Public, LIBRARY, receipts::keys,
        "The keys that sign replies and receipts, the earlier ones too", "", (200, "`keys`");
    POST "/v1/auth/receipt-keys/rotate", Access::Operator, LIBRARY.audit("auth.rotate_receipt_key"), receipts::rotate,
        "Sign receipts (or replies) with a new key from now on", "JSON: `use`: `receipts` or `oyster`", (200, "the key");
    GET "/v1/auth/keys", ADMIN, LIBRARY, keys::list, "The API keys of the namespace", "", (200, "`keys`, `count`");
    POST "/v1/auth/keys", ADMIN, LIBRARY.audit("key.create"), keys::create,
        "Make an API key", "JSON: `name`, `scopes`, `expires_in_seconds`", (201, "`key`, `id` and what lists show");
    DELETE "/v1/auth/keys/{key}", ADMIN, LIBRARY.audit("key.revoke"), keys::revoke,
        "Revoke an API key", "", (200, "`message`");
    GET "/v1/auth/claims/{wallet}", ADMIN, LIBRARY, claims::list,
        "The claims that the next tokens of a wallet carry", "", (200, "`wallet`, `claims`");
    PUT "/v1/auth/claims/{wallet}/{claim}", ADMIN, LIBRARY.audit("claim.set"), claims::set,
        "Set a claim", "JSON: `value`", (200, "`wallet`, `claims`");
    DELETE "/v1/auth/claims/{wallet}/{claim}", ADMIN, LIBRARY.audit("claim.delete"), claims::delete,
        "Delete a claim", "", (200, "`wallet`, `claims`");

    GET "/v1/namespaces", Access::Credential, OURS, namespaces::list,
        "The namespaces that you may see", "", (200, "`namespaces`, `count`");
    POST "/v1/namespaces", Access::Credential, OURS.audit("namespace.create"), namespaces::create,
        "Make a namespace", "JSON: `name`", (201, "the namespace");
    GET "/v1/namespaces/{namespace}", Access::Credential, OURS, namespaces::get, "One namespace", "", (200, "the namespace");
    DELETE "/v1/namespaces/{namespace}", ADMIN, OURS.audit("namespace.delete"), namespaces::delete,
        "Delete a namespace with everything in it", "", (200, "`message`");
    GET "/v1/namespaces/{namespace}/settings", Access::Credential, OURS, namespaces::settings,
        "What is set for a namespace", "", (200, "limits and policy");
    PUT "/v1/namespaces/{namespace}/settings", Access::Operator, OURS.audit("namespace.settings"), namespaces::put_settings,
        "Set the limits and the policy of a namespace", "JSON: limits and policy", (200, "limits and policy");
    GET "/v1/namespaces/{namespace}/owners", ADMIN, OURS, namespaces::owners,
        "The wallets that may do something in a namespace", "", (200, "`owners`, `count`");
    PUT "/v1/namespaces/{namespace}/owners/{wallet}", ADMIN, OURS.audit("owner.put"), namespaces::put_owner,
        "Add an owner, or replace the scopes of one", "JSON: `scopes`", (200, "the owner");
    DELETE "/v1/namespaces/{namespace}/owners/{wallet}", ADMIN, OURS.audit("owner.remove"), namespaces::remove_owner,
        "Remove an owner", "", (200, "`message`");
    GET "/v1/namespace/rate-limit", Access::Credential, OURS, namespaces::rate_limit,
        "How many requests the namespace may make", "", (200, "`requests_per_minute`, `caller_requests_per_minute`");
    PUT "/v1/namespace/rate-limit", Access::Operator, OURS.audit("namespace.rate_limit"), namespaces::put_rate_limit,
        "Set how many requests a namespace may make", "JSON: `requests_per_minute`, `caller_requests_per_minute`",
        (200, "`requests_per_minute`, `caller_requests_per_minute`");
    DELETE "/v1/namespace/rate-limit", Access::Operator, OURS.audit("namespace.rate_limit"), namespaces::clear_rate_limit,
        "Let a namespace follow the node again", "", (200, "`requests_per_minute`, `caller_requests_per_minute`");
    GET "/v1/receipts", DEPLOY, OURS, receipts::list,
        "The receipts of `?function=`, in the order of their chain, behind `?after=`", "", (200, "`receipts`, `count`, `next`");
    GET "/v1/receipts/{request}", DEPLOY, OURS, receipts::get, "The receipt of a call", "", (200, "the receipt");
    GET "/v1/audit", ADMIN, OURS, audit::list,
        "What was done, by whom, with what outcome", "", (200, "`events`, `count`");

    POST "/v1/rqlite/query", DATA, LIBRARY, database::query,
        "Rows of a statement", "JSON: `sql`, `args`", (200, "`items`, `count`");
    POST "/v1/rqlite/exec", DATA, LIBRARY, database::exec,
        "Run a statement", "JSON: `sql`, `args`", (200, "`rows_affected`, `last_insert_id`, `execution_state`");
    POST "/v1/rqlite/find", DATA, LIBRARY, database::find,
        "Rows of a table that equal the criteria", "JSON: `table`, `criteria`, `options`", (200, "`items`, `count`");
    POST "/v1/rqlite/find-one", DATA, LIBRARY, database::find_one,
        "The first row of a table that equals the criteria", "JSON: `table`, `criteria`, `options`", (200, "the row");
    POST "/v1/rqlite/select", DATA, LIBRARY, database::select,
        "Rows of a composed query",
        "JSON: `table`, `alias`, `select`, `joins`, `where`, `group_by`, `order_by`, `limit`, `offset`, `one`",
        (200, "`items`, `count`, or the row for `one`");
    POST "/v1/rqlite/transaction", DATA, LIBRARY, database::transaction,
        "Several statements, all or none", "JSON: `ops` or `statements`, `return_results`", (200, "`status`, `results`");
    GET "/v1/rqlite/schema", DATA, LIBRARY, database::schema,
        "Tables, views, indexes and triggers", "", (200, "`tables`, `count`");
    POST "/v1/rqlite/create-table", DATA, LIBRARY.audit("database.create_table"), database::create_table,
        "Create a table", "JSON: `schema`, a CREATE TABLE statement", (201, "`status`");
    POST "/v1/rqlite/drop-table", DATA, LIBRARY.audit("database.drop_table"), database::drop_table,
        "Drop a table", "JSON: `table`", (200, "`status`");
    GET "/v1/rqlite/migrations", DATA, LIBRARY, database::migrations,
        "The migrations that were applied", "", (200, "`migrations`, `count`");
    POST "/v1/rqlite/migrate", DATA, LIBRARY.audit("database.migrate"), database::migrate,
        "Bring the schema up to date", "JSON: `migrations`, `dry_run`", (200, "`applied`, `count`");
    POST "/v1/rqlite/import", DATA, LIBRARY.audit("database.import"), database::import,
        "Run an SQL script, all or nothing", "SQL text", (200, "`status`, `statements`");
    GET "/v1/rqlite/export", DATA, LIBRARY, database::export,
        "The whole database as SQL text", "", (200, "SQL text");
    GET "/v1/rqlite/backup", DATA, LIBRARY, database::backup,
        "A consistent copy of the database", "", (200, "a SQLite file");

    GET "/v1/cache/health", Access::Credential, LIBRARY, cache::health, "Is the cache there", "", (200, "`status`, `service`");
    POST "/v1/cache/put", DATA, LIBRARY, cache::put,
        "Set a value", "JSON: `dmap`, `key`, `value`, `ttl`", (200, "`status`, `key`, `dmap`");
    POST "/v1/cache/get", DATA, LIBRARY, cache::get, "One value", "JSON: `dmap`, `key`", (200, "`key`, `value`, `dmap`");
    POST "/v1/cache/mget", DATA, LIBRARY, cache::mget,
        "Several values", "JSON: `dmap`, `keys`", (200, "`results`, `dmap`");
    POST "/v1/cache/delete", DATA, LIBRARY, cache::delete,
        "Delete a value", "JSON: `dmap`, `key`", (200, "`status`, `key`, `dmap`");
    POST "/v1/cache/scan", DATA, LIBRARY, cache::scan,
        "The keys of a map", "JSON: `dmap`, `match` (a regular expression), `after`, `limit`", (200, "`keys`, `count`, `dmap`");
    POST "/v1/cache/incr", DATA, LIBRARY, cache::incr,
        "Add to a counter", "JSON: `dmap`, `key`, `delta`", (200, "`key`, `value`, `dmap`");
    POST "/v1/cache/cas", DATA, LIBRARY, cache::compare_and_swap,
        "Set a value if it is still what was read", "JSON: `dmap`, `key`, `expected`, `value`, `ttl`",
        (200, "`swapped`, `key`, `dmap`");
    DELETE "/v1/cache/dmap/{map}", DATA, LIBRARY, cache::clear, "Delete a map", "", (200, "`status`, `dmap`, `deleted`");
    DELETE "/v1/cache/dmap/{map}/key/{key}", DATA, LIBRARY, cache::delete_by_path,
        "Delete a value", "", (200, "`status`, `key`, `dmap`");

    POST "/v1/storage/upload", DATA, LIBRARY, storage::upload,
        "Store content", "multipart/form-data: `file`, `pin`; or JSON: `name`, `data` (base64)", (200, "`cid`, `name`, `size`");
    POST "/v1/storage/pin", DATA, LIBRARY, storage::pin, "Keep content", "JSON: `cid`, `name`", (200, "`cid`, `name`");
    GET "/v1/storage/status/{cid}", DATA, LIBRARY, storage::status,
        "What is known of content", "", (200, "`cid`, `name`, `status`, replication");
    GET "/v1/storage/get/{cid}", DATA, LIBRARY, storage::get, "Content, or a range of it", "", (200, "the bytes");
    DELETE "/v1/storage/unpin/{cid}", DATA, LIBRARY, storage::unpin,
        "Keep content no longer", "", (200, "`status`, `cid`");
    GET "/v1/storage/list", DATA, LIBRARY, storage::list,
        "What the namespace stores, newest first", "", (200, "`contents`, `count`, `used_bytes`, `quota_bytes`");
    POST "/v1/storage/gc", DATA, LIBRARY.audit("storage.gc"), storage::collect,
        "Remove what is not pinned, now", "", (200, "`contents`, `bytes`");

    POST "/v1/pubsub/publish", PUBSUB, LIBRARY, pubsub::publish,
        "Publish a message on a topic", "JSON: `topic`, `data_base64`", (200, "`status`, `position`");
    POST "/v1/pubsub/publish-batch", PUBSUB, LIBRARY, pubsub::publish_batch,
        "Publish up to 100 messages: all or none, or with `best_effort` those that can be", "JSON: `messages`, `best_effort`",
        (200, "`status`, `positions`, `failed`");
    GET "/v1/pubsub/topics", PUBSUB, LIBRARY, pubsub::topics,
        "The topics in use, or whose history is kept", "", (200, "`topics`, `details`, `count`");
    GET "/v1/pubsub/ws", PUBSUB, LIBRARY, sockets::listen,
        "A WebSocket to a topic: `?topic=`, `?after=`, `?presence=true&member_id=&member_meta=`", "a WebSocket handshake",
        (101, "a WebSocket");
    GET "/v1/pubsub/presence", PUBSUB, LIBRARY, sockets::presence,
        "Who is on a topic: `?topic=`", "", (200, "`topic`, `members`, `count`");
    GET "/v1/pubsub/sse", PUBSUB, LIBRARY, pubsub::sse,
        "The messages of `?topic=` as Server-Sent Events, from behind `Last-Event-ID`", "", (200, "text/event-stream");

    GET "/v1/push/config", DEPLOY, LIBRARY, push::show,
        "The settings of push, without secrets", "", (200, "the fields, `has_…` for secrets, `providers`, `updated_at`");
    PUT "/v1/push/config", DEPLOY, LIBRARY.audit("push.configure"), push::put,
        "Set fields of push; `null` keeps one, an empty text clears it", "JSON: the fields", (200, "the settings");
    POST "/v1/push/config", DEPLOY, LIBRARY.audit("push.configure"), push::put,
        "Set fields of push; `null` keeps one, an empty text clears it", "JSON: the fields", (200, "the settings");
    DELETE "/v1/push/config", DEPLOY, LIBRARY.audit("push.clear"), push::clear,
        "Clear every setting of push", "", (200, "`status`");
    POST "/v1/push/vapid-key", DEPLOY, LIBRARY.audit("push.vapid_key"), push::draw_vapid_key,
        "Make a key for browsers", "JSON: `replace`", (201, "`public_key`");
    GET "/v1/push/vapid-public-key", Access::Credential, LIBRARY, push::vapid_public_key,
        "The key that browsers subscribe with", "", (200, "`public_key`");
    GET "/v1/push/devices", Access::Credential, LIBRARY, push::devices,
        "One's own devices; with `?user_id=`, those of a user", "", (200, "`devices`, `count`");
    POST "/v1/push/devices", Access::Credential, LIBRARY, push::register,
        "Register a device of one's own", "JSON: `device_id`, `provider`, `token`, `platform`, `app_version`",
        (200, "`status`, `id`, `device_id`");
    DELETE "/v1/push/devices/{device}", Access::Credential, LIBRARY, push::delete_device,
        "Delete a device of one's own", "", (200, "`status`");
    POST "/v1/push/send", DATA, LIBRARY, push::send,
        "Send a message to every device of a user",
        "JSON: `user_id`, `title`, `body`, `channel`, `priority`, `badge`, `sound`, `data`, `target_provider`, `exclude_provider`, `message_id`",
        (200, "`status`, `devices_attempted`, `devices_succeeded`, `results`");
    GET "/v1/namespace/push-credentials", DEPLOY, OURS, push::show,
        "The settings of push, without secrets", "", (200, "the fields, `has_…` for secrets, `providers`, `updated_at`");
    PUT "/v1/namespace/push-credentials", DEPLOY, OURS.audit("push.configure"), push::put,
        "Set fields of push; `null` keeps one, an empty text clears it", "JSON: the fields", (200, "the settings");
    DELETE "/v1/namespace/push-credentials", DEPLOY, OURS.audit("push.clear"), push::clear,
        "Clear every setting of push", "", (200, "`status`");
    GET "/v1/namespace/push-credentials/{provider}", DEPLOY, OURS, push::show_provider,
        "The settings of one provider, without secrets", "", (200, "the fields, `configured`, `updated_at`");
    PUT "/v1/namespace/push-credentials/{provider}", DEPLOY, OURS.audit("push.configure"), push::put_provider,
        "Set fields of one provider", "JSON: the fields", (200, "the settings");
    DELETE "/v1/namespace/push-credentials/{provider}", DEPLOY, OURS.audit("push.clear"), push::clear_provider,
        "Clear the settings of one provider", "", (200, "`status`");
    POST "/v1/notify", DATA, OURS, push::notify,
        "Reach a user: over live sockets, else by push, else in the inbox",
        "JSON: as for `/v1/push/send`, and `expires_in_seconds`", (200, "`via`, and what belongs to it");
    GET "/v1/inbox", Access::Credential, OURS, push::inbox,
        "The messages that wait for the user who asks, behind `?after=`", "", (200, "`messages`, `count`, `next`");
    DELETE "/v1/inbox/{message}", Access::Credential, OURS, push::delete_message,
        "Delete a message of one's own inbox", "", (200, "`status`");

    GET "/v1/domains", ADMIN, OURS, domains::list,
        "The domains of others that lead to functions of the namespace", "", (200, "`domains`, `count`");
    POST "/v1/domains", ADMIN, OURS.audit("domain.add"), domains::add,
        "Claim a domain for a function, or lead it to another one", "JSON: `domain`, `function`",
        (201, "`domain`, `status`, and `record` with `token`, which proves it in the DNS");
    POST "/v1/domains/{domain}/verify", ADMIN, OURS.audit("domain.verify"), domains::verify,
        "Look for the proof; found, the domain leads here and to no other namespace", "", (200, "the domain");
    DELETE "/v1/domains/{domain}", ADMIN, OURS.audit("domain.remove"), domains::remove,
        "Give a domain up", "", (200, "`status`");

    GET "/v1/network/status", Access::Public, LIBRARY, network::status,
        "How this node is connected", "", (200, "`connected`, `peer_count`, `node_id`, `uptime`");
    GET "/v1/network/peers", Access::Public, LIBRARY, network::peers, "The peers of this node", "", (200, "`peers`");
    POST "/v1/network/connect", Access::Credential, LIBRARY, network::connect,
        "Connect to a peer", "JSON: `multiaddr`", (503, "this node runs alone");
    POST "/v1/network/disconnect", Access::Credential, LIBRARY, network::disconnect,
        "Disconnect a peer", "JSON: `peer_id`", (404, "this node has no peers");
    POST "/v1/proxy/anon", DATA, LIBRARY, network::anonymous_fetch,
        "An HTTP request by way of an anonymity proxy", "JSON: `url`, `method`, `headers`, `body`",
        (200, "`status_code`, `headers`, `body`");

    GET "/health", Access::Public, PROBE, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/v1/health", Access::Public, PROBE, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/status", Access::Public, PROBE, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/v1/status", Access::Public, PROBE, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/ready", Access::Public, PROBE, node::ready, "May calls be sent here", "", (200, "`ready`");
    GET "/v1/version", Access::Public, OURS, node::version, "Which build this is", "", (200, "`version`, `commit`, `build_time`");
    GET "/v1/limits", Access::Public, OURS, node::limits, "Every limit and default", "", (200, "limits by topic");
    GET "/v1/certificates", Access::Operator, OURS, certificates::list,
        "The certificates that the node shows", "", (200, "`certificates`, `count`");
    GET "/v1/openapi.json", Access::Public, OURS, node::openapi, "This document", "", (200, "OpenAPI 3.1");
    GET "/metrics", Access::LocalOrOperator, PROBE, node::metrics, "Counters for Prometheus", "", (200, "text");
};

/// The refusal of a path that is in no line of the table.
pub(crate) fn unknown_path(path: &str) -> Refusal {
    match path.strip_prefix("/v1/invoke") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Refusal::invalid("Path must be /v1/invoke/{namespace}/{name}")
        }
        _ => Error::not_found("no such route").hint("`GET /v1/openapi.json` lists every route").into(),
    }
}

#[cfg(test)]
mod tests;
