//! The one table of routes. The dispatcher, the OpenAPI document and the isolation matrix are made from it.

mod openapi;

use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use domain::{Error, ErrorCode, Scope};
use http::Method;

use crate::Gateway;
use crate::credential::Identity;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::handlers::{deploy, functions, invoke, logs, node};

pub(crate) use openapi::openapi;

/// Who may use a route at all. Whether the scope holds for the namespace in question is decided by the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; an invalid credential is ignored.
    Public,
    /// Whoever has a valid credential.
    Credential,
    /// Whoever has a valid credential with this scope in the namespace.
    Scope(Scope),
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
            (_, Identity::Invalid(_)) => Err(Error::new(ErrorCode::Unauthorized, "invalid API key")
                .hint("check the key; keys are case-sensitive and look like `ak_…:namespace`")
                .into()),
        }
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
    pub(crate) handler: Handler,
}

macro_rules! routes {
    ($($verb:ident $path:literal, $access:expr, $handler:expr, $summary:literal, $request:literal, $reply:expr;)*) => {
        &[$(Route {
            verb: routes!(@verb $verb),
            path: $path,
            access: $access,
            summary: $summary,
            request: $request,
            reply: $reply,
            handler: routes!(@handler $verb $handler),
        }),*]
    };
    (@verb ANY) => { Verb::Any };
    (@verb $verb:ident) => { Verb::One(Method::$verb) };
    (@handler ANY $form:expr) => { Handler::Invoke($form) };
    (@handler $verb:ident $handler:expr) => { Handler::Plain(|gateway, exchange| Box::pin($handler(gateway, exchange))) };
}

const DEPLOY: Access = Access::Scope(Scope::Deploy);

/// Every route. The first that fits is taken: calls first, because they are the hot path, and words before variables.
#[rustfmt::skip]
pub static ROUTES: &[Route] = routes! {
    ANY "/v1/invoke/{namespace}/{function}", Access::Function, invoke::Form::Namespaced,
        "Call a function", "any bytes", (200, "the function's output");
    ANY "/v1/invoke/{namespace}/{function}/{*path}", Access::Function, invoke::Form::NamespacedPath,
        "Call a function that speaks HTTP, below its root", "any bytes", (200, "the function's reply");

    GET "/v1/functions", DEPLOY, functions::list,
        "List the functions of the namespace", "", (200, "`functions`, `count`");
    POST "/v1/functions", DEPLOY, deploy::deploy,
        "Deploy a new version", "multipart/form-data: `wasm` (file), `metadata` (JSON) and text fields",
        (201, "`message`, `function`, `warnings`, `changed`");
    ANY "/v1/functions/{function}/invoke", Access::Function, invoke::Form::Plain,
        "Call a function of your namespace, or of `?namespace=`", "any bytes", (200, "the function's output");
    ANY "/v1/functions/{function}/invoke/{*path}", Access::Function, invoke::Form::PlainPath,
        "Call a function that speaks HTTP, below its root", "any bytes", (200, "the function's reply");
    GET "/v1/functions/{function}", DEPLOY, functions::get, "One version", "", (200, "the function");
    DELETE "/v1/functions/{function}", DEPLOY, functions::delete,
        "Delete one version, or the whole function", "", (200, "`message`");
    GET "/v1/functions/{function}/versions", DEPLOY, functions::versions,
        "Every version, newest first", "", (200, "`versions`, `count`");
    GET "/v1/functions/{function}/logs", DEPLOY, logs::logs,
        "What calls did and printed", "", (200, "`invocations`, `logs`, `count`, `gaps`, `next`");
    POST "/v1/functions/{function}/rollback", DEPLOY, functions::rollback,
        "Make an earlier version the active one", "JSON: `version`, or nothing for the one before", (200, "`message`, `function`");
    POST "/v1/functions/{function}/enable", DEPLOY, functions::enable,
        "Switch a function on", "", (200, "`status`, `function`, `enabled`");
    POST "/v1/functions/{function}/disable", DEPLOY, functions::disable,
        "Switch a function off", "", (200, "`status`, `function`, `enabled`");

    GET "/v1/auth/whoami", Access::Credential, node::whoami,
        "Who the credential says you are", "", (200, "`authenticated`, `method`, `namespace`, `scopes`");
    GET "/health", Access::Public, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/v1/health", Access::Public, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/status", Access::Public, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/v1/status", Access::Public, node::health, "Is the server alive", "", (200, "`status`, `server`");
    GET "/ready", Access::Public, node::ready, "May calls be sent here", "", (200, "`ready`");
    GET "/v1/version", Access::Public, node::version, "Which build this is", "", (200, "`version`, `commit`, `build_time`");
    GET "/v1/limits", Access::Public, node::limits, "Every limit and default", "", (200, "limits by topic");
    GET "/v1/openapi.json", Access::Public, node::openapi, "This document", "", (200, "OpenAPI 3.1");
    GET "/metrics", Access::LocalOrOperator, node::metrics, "Counters for Prometheus", "", (200, "text");
};

/// The most segments before a `{*rest}`.
const SEGMENTS_MAX: usize = 6;

enum Segment {
    Word(&'static str),
    Variable,
}

/// A path of the table, taken apart.
struct Pattern {
    segments: Vec<Segment>,
    rest: bool,
}

static PATTERNS: LazyLock<Vec<Pattern>> =
    LazyLock::new(|| ROUTES.iter().map(|route| Pattern::of(route.path)).collect());

impl Pattern {
    fn of(path: &'static str) -> Self {
        let (path, rest) = match path.split_once("/{*") {
            Some((before, _)) => (before, true),
            None => (path, false),
        };
        let segment = |text: &'static str| if text.starts_with('{') { Segment::Variable } else { Segment::Word(text) };
        Self { segments: path.split('/').skip(1).map(segment).collect(), rest }
    }

    fn captures(&self, path: &str, parts: &Parts) -> Option<Captures> {
        let count = self.segments.len();
        if parts.count != count && !(self.rest && parts.count > count) {
            return None;
        }
        let mut captures = Captures::default();
        for (segment, (start, end)) in self.segments.iter().zip(parts.ranges) {
            match segment {
                Segment::Word(word) if *word == &path[start..end] => {}
                Segment::Word(_) => return None,
                Segment::Variable => captures.push(start, end),
            }
        }
        if self.rest {
            captures.push(parts.ranges[count].0, path.len());
        }
        Some(captures)
    }
}

/// Where the segments of a path stand; those past the most that any pattern looks at are only counted.
struct Parts {
    ranges: [(usize, usize); SEGMENTS_MAX],
    count: usize,
}

impl Parts {
    fn of(path: &str) -> Self {
        let mut parts = Self { ranges: [(0, 0); SEGMENTS_MAX], count: 0 };
        // `*` and the empty path have no segments.
        let Some(relative) = path.strip_prefix('/') else { return parts };
        let mut start = 1;
        for segment in relative.split('/') {
            if let Some(range) = parts.ranges.get_mut(parts.count) {
                *range = (start, start + segment.len());
            }
            start += segment.len() + 1;
            parts.count += 1;
        }
        parts
    }
}

/// Where the variable parts of a path stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Captures {
    ranges: [(usize, usize); 3],
    count: usize,
}

impl Captures {
    fn push(&mut self, start: usize, end: usize) {
        self.ranges[self.count] = (start, end);
        self.count += 1;
    }

    pub(crate) fn get<'a>(&self, path: &'a str, index: usize) -> &'a str {
        let (start, end) = self.ranges[index];
        &path[start..end]
    }
}

pub(crate) enum Found {
    Route {
        index: usize,
        route: &'static Route,
        captures: Captures,
    },
    /// The path is known, with these methods.
    OtherMethods(Vec<Method>),
    Nothing,
}

/// The route of a request. The path is taken as it was sent: an encoded `/` is part of a segment.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    if is_secrets(path) {
        return Found::Nothing;
    }
    let parts = Parts::of(path);
    let mut others = Vec::new();
    for (index, (route, pattern)) in ROUTES.iter().zip(PATTERNS.iter()).enumerate() {
        let Some(captures) = pattern.captures(path, &parts) else { continue };
        if route.verb.allows(method) {
            return Found::Route { index, route, captures };
        }
        others.extend(route.verb.names());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

/// `secrets` stands where a function's name would, and must never be taken for one.
fn is_secrets(path: &str) -> bool {
    let rest = path.strip_prefix("/v1/functions/secrets");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The refusal of a path that is in no line of the table.
pub(crate) fn unknown_path(path: &str) -> Refusal {
    if is_secrets(path) {
        return Error::not_found("secrets are not available on this server yet").into();
    }
    match path.strip_prefix("/v1/invoke") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Refusal::invalid("Path must be /v1/invoke/{namespace}/{name}")
        }
        _ => Error::not_found("no such route").hint("`GET /v1/openapi.json` lists every route").into(),
    }
}

#[cfg(test)]
mod tests;
