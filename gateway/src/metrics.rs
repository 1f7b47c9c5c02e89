//! What the edge counts, and the text that `/metrics` answers.
//!
//! Labels are bounded: routes are those of the table, classes are five. No name that a client sends is ever one.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use platform::{DURATION_BOUNDS_SECONDS, MetricsSnapshot};

use crate::routes::{ROUTES, Verb};

/// Requests of one route, by class of status.
type ByClass = [AtomicU64; 5];

pub(crate) struct Metrics {
    routes: Vec<ByClass>,
    /// Requests that found no route.
    elsewhere: ByClass,
}

impl Metrics {
    pub(crate) fn new(routes: usize) -> Self {
        Self { routes: (0..routes).map(|_| ByClass::default()).collect(), elsewhere: ByClass::default() }
    }

    pub(crate) fn answered(&self, route: Option<usize>, status: StatusCode) {
        let classes = route.and_then(|index| self.routes.get(index)).unwrap_or(&self.elsewhere);
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        classes[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn render(&self, connections: &crate::edge::Connections, calls: &MetricsSnapshot) -> String {
        let mut text = String::with_capacity(4096);
        render_calls(&mut text, calls);
        single(&mut text, "orama_connections_open", "gauge", "Connections open now.", connections.open() as u64);
        single(&mut text, "orama_connections_total", "counter", "Connections accepted.", connections.accepted());
        let refused = connections.refused();
        single(&mut text, "orama_connections_refused_total", "counter", "Connections over a limit.", refused);
        self.render_requests(&mut text);
        text
    }

    fn render_requests(&self, text: &mut String) {
        head(text, "orama_http_requests_total", "counter", "Requests answered, by route and class of status.");
        for (route, classes) in ROUTES.iter().zip(&self.routes) {
            let method = match &route.verb {
                Verb::Any => "*",
                Verb::One(method) => method.as_str(),
            };
            render_classes(text, method, route.path, classes);
        }
        render_classes(text, "*", "none", &self.elsewhere);
    }
}

fn render_classes(text: &mut String, method: &str, route: &str, classes: &ByClass) {
    for (class, count) in classes.iter().enumerate() {
        let (class, count) = (class + 1, count.load(Ordering::Relaxed));
        if count > 0 {
            line(
                text,
                &format!(r#"orama_http_requests_total{{method="{method}",route="{route}",class="{class}xx"}}"#),
                count,
            );
        }
    }
}

fn render_calls(text: &mut String, calls: &MetricsSnapshot) {
    head(text, "orama_calls_total", "counter", "Calls of functions, by how they ended.");
    let ended = [
        ("success", calls.calls_success),
        ("error", calls.calls_error),
        ("timeout", calls.calls_timeout),
        ("refused", calls.calls_refused),
    ];
    for (status, count) in ended {
        line(text, &format!(r#"orama_calls_total{{status="{status}"}}"#), count);
    }
    render_durations(text, calls);
    single(text, "orama_calls_running", "gauge", "Calls running now.", calls.calls_running);
    single(text, "orama_calls_queued", "gauge", "Calls waiting for a place.", calls.calls_queued);
    single(text, "orama_records_written_total", "counter", "Records of calls written.", calls.records_written);
    single(text, "orama_records_lost_total", "counter", "Records of calls lost.", calls.records_lost);
    single(text, "orama_records_pending", "gauge", "Records of calls not written yet.", calls.records_pending);
    single(text, "orama_functions", "gauge", "Functions deployed.", calls.functions);
}

fn render_durations(text: &mut String, calls: &MetricsSnapshot) {
    let name = "orama_call_duration_seconds";
    head(text, name, "histogram", "How long calls took.");
    let mut below = 0;
    for (bound, count) in DURATION_BOUNDS_SECONDS.iter().zip(&calls.durations) {
        below += count;
        line(text, &format!(r#"{name}_bucket{{le="{bound}"}}"#), below);
    }
    let all = calls.calls_success + calls.calls_error + calls.calls_timeout;
    line(text, &format!(r#"{name}_bucket{{le="+Inf"}}"#), all.max(below));
    push(text, format_args!("{name}_sum {}\n", calls.duration_sum.as_secs_f64()));
    line(text, &format!("{name}_count"), all.max(below));
}

fn single(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(text, name, kind, help);
    line(text, name, value);
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    push(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
}

fn line(text: &mut String, name: &str, value: u64) {
    push(text, format_args!("{name} {value}\n"));
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string works");
}
