//! Which line of the table a path belongs to.

use std::sync::LazyLock;

use http::Method;

use super::{ROUTES, Route};
use crate::error::ErrorForm;

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
    pub(super) count: usize,
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
    OtherMethods {
        allowed: Vec<Method>,
        errors: ErrorForm,
    },
    Nothing,
}

/// The route of a request. The path is taken as it was sent: an encoded `/` is part of a segment.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let parts = Parts::of(path);
    let about_secrets = is_about_secrets(path);
    let mut others = Vec::new();
    let mut errors = ErrorForm::default();
    for (index, (route, pattern)) in ROUTES.iter().zip(PATTERNS.iter()).enumerate() {
        let Some(captures) = pattern.captures(path, &parts) else { continue };
        if about_secrets && !is_about_secrets(route.path) {
            continue;
        }
        if route.verb.allows(method) {
            return Found::Route { index, route, captures };
        }
        others.extend(route.verb.names());
        errors = route.errors;
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods { allowed: others, errors } }
}

/// `secrets` stands where a function's name would, and must never be taken for one.
fn is_about_secrets(path: &str) -> bool {
    let rest = path.strip_prefix("/v1/functions/secrets");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
