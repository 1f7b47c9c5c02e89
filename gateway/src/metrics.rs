//! What the edge counts, and the text that `/metrics` answers.
//!
//! Labels are bounded: routes are those of the table, classes are five. No name that a client sends is ever one.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use platform::{DURATION_BOUNDS_SECONDS, DeliveryCounts, MetricsSnapshot};
use ports::PubSubCounts;

use crate::routes::{ROUTES, Verb};
use crate::tls::HandshakeCounts;
use crate::websocket::SocketCounts;

/// Requests of one route, by class of status.
type ByClass = [AtomicU64; 5];

pub(crate) struct Metrics {
    routes: Vec<ByClass>,
    /// Requests that found no route.
    elsewhere: ByClass,
    /// Requests that a function answered on its own host name.
    forwarded: ByClass,
    pub(crate) sockets: Arc<SocketCounts>,
}

impl Metrics {
    pub(crate) fn new(routes: usize) -> Self {
        Self {
            routes: (0..routes).map(|_| ByClass::default()).collect(),
            elsewhere: ByClass::default(),
            forwarded: ByClass::default(),
            sockets: Arc::default(),
        }
    }

    pub(crate) fn answered(&self, route: Option<usize>, status: StatusCode) {
        let classes = route.and_then(|index| self.routes.get(index)).unwrap_or(&self.elsewhere);
        count(classes, status);
    }

    pub(crate) fn forwarded(&self, status: StatusCode) {
        count(&self.forwarded, status);
    }

    /// What TLS adds: `certificates` counts those that have at most so many days left.
    pub(crate) fn render_tls(text: &mut String, handshakes: &HandshakeCounts, certificates: &[(&str, u64)]) {
        head(text, "orama_tls_handshakes_total", "counter", "Handshakes of TLS, by how they ended.");
        for (how, count) in handshakes.ends() {
            line(text, &format!(r#"orama_tls_handshakes_total{{how="{how}"}}"#), count);
        }
        head(text, "orama_tls_certificates", "gauge", "Certificates, by the most days that they have left.");
        for (days, count) in certificates {
            line(text, &format!(r#"orama_tls_certificates{{days_left="{days}"}}"#), *count);
        }
    }

    pub(crate) fn render(&self, connections: &crate::edge::Connections, calls: &MetricsSnapshot) -> String {
        let mut text = String::with_capacity(4096);
        render_calls(&mut text, calls);
        render_topics(&mut text, &calls.pubsub);
        render_schedules(&mut text, calls);
        render_deliveries(&mut text, &calls.deliveries);
        single(&mut text, "orama_connections_open", "gauge", "Connections open now.", connections.open() as u64);
        single(&mut text, "orama_connections_total", "counter", "Connections accepted.", connections.accepted());
        let refused = connections.refused();
        single(&mut text, "orama_connections_refused_total", "counter", "Connections over a limit.", refused);
        render_sockets(&mut text, &self.sockets);
        single(&mut text, "orama_function_sockets", "gauge", "WebSockets that functions can reach.", calls.sockets);
        let instances = calls.socket_instances;
        single(&mut text, "orama_socket_instances", "gauge", "WebSockets with an instance of their own.", instances);
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
        render_classes(text, "*", "host", &self.forwarded);
    }
}

fn count(classes: &ByClass, status: StatusCode) {
    let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
    classes[class].fetch_add(1, Ordering::Relaxed);
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

fn render_sockets(text: &mut String, counts: &SocketCounts) {
    head(text, "orama_websockets_open", "gauge", "WebSockets open now, by what they are for.");
    for (kind, open, _) in counts.kinds() {
        line(text, &format!(r#"orama_websockets_open{{kind="{kind}"}}"#), open);
    }
    head(text, "orama_websockets_total", "counter", "WebSockets opened, by what they are for.");
    for (kind, _, opened) in counts.kinds() {
        line(text, &format!(r#"orama_websockets_total{{kind="{kind}"}}"#), opened);
    }
    head(text, "orama_websockets_closed_total", "counter", "WebSockets closed, by whom or with which code.");
    for (how, count) in counts.ends() {
        line(text, &format!(r#"orama_websockets_closed_total{{how="{how}"}}"#), count);
    }
    head(text, "orama_websocket_messages_total", "counter", "Messages of WebSockets, in and out.");
    for (direction, count) in counts.messages() {
        line(text, &format!(r#"orama_websocket_messages_total{{direction="{direction}"}}"#), count);
    }
}

fn render_deliveries(text: &mut String, counts: &DeliveryCounts) {
    single(text, "orama_triggers", "gauge", "Triggers of functions, paused ones too.", counts.triggers);
    single(text, "orama_deliveries_waiting", "gauge", "Triggered calls that wait or run.", counts.waiting);
    single(text, "orama_deliveries_running", "gauge", "Triggered calls that run.", counts.running);
    head(text, "orama_deliveries_total", "counter", "Triggered calls, by what became of them.");
    let became = [
        ("owed", counts.owed),
        ("made", counts.made),
        ("failed", counts.failed),
        ("put_off", counts.put_off),
        ("dead", counts.dead),
    ];
    for (what, count) in became {
        line(text, &format!(r#"orama_deliveries_total{{became="{what}"}}"#), count);
    }
    let refused = "Publishes refused because the namespace is owed too many calls.";
    single(text, "orama_publishes_refused_total", "counter", refused, counts.refused);
    single(
        text,
        "orama_triggers_cut_total",
        "counter",
        "Triggers that did not fire, too deep below others.",
        counts.cut,
    );
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

fn render_schedules(text: &mut String, calls: &MetricsSnapshot) {
    let (name, help) = ("orama_schedule_slots_total", "Slots of schedules, by what came of them.");
    head(text, name, "counter", help);
    for (what, count) in [("fired", calls.slots_fired), ("left_out", calls.slots_left_out)] {
        line(text, &format!(r#"{name}{{what="{what}"}}"#), count);
    }
    single(text, "orama_jobs_running", "gauge", "Timers and background jobs that run now.", calls.jobs.running);
    let (name, help) = ("orama_jobs_total", "Timers and background jobs, by how they ended.");
    head(text, name, "counter", help);
    let jobs = &calls.jobs;
    for (how, count) in [("completed", jobs.completed), ("failed", jobs.failed), ("cancelled", jobs.cancelled)] {
        line(text, &format!(r#"{name}{{how="{how}"}}"#), count);
    }
}

fn render_topics(text: &mut String, counts: &PubSubCounts) {
    let PubSubCounts { published, delivered, subscriptions, dropped_slow } = *counts;
    single(text, "orama_pubsub_published_total", "counter", "Messages published on topics.", published);
    single(
        text,
        "orama_pubsub_delivered_total",
        "counter",
        "Messages taken by subscribers, each once for each.",
        delivered,
    );
    single(text, "orama_pubsub_subscriptions", "gauge", "Subscriptions open now.", subscriptions);
    let help = "Subscribers dropped because too much waited for them.";
    single(text, "orama_pubsub_dropped_slow_total", "counter", help, dropped_slow);
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
