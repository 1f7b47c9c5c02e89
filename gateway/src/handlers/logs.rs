//! What calls did and printed, in the shape of older and of newer clients at once.

use std::sync::Arc;
use std::time::Duration;

use domain::{Attempt, FunctionName, Level, LogLine, Namespace, Record, RequestId, Timestamp};
use platform::{Logs, LogsQuery};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Gateway;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;

pub(crate) async fn logs(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let query = read_query(&exchange, namespace.clone(), function.clone(), gateway.platform.clock().now())?;
    let after = query.after;
    let found = gateway.platform.logs(&exchange.caller, query).await?;
    Ok(match exchange.switch("wasm_only") {
        true => lines_only(&namespace, &function, &found),
        false => everything(&namespace, &function, &found, after),
    })
}

fn lines_only(namespace: &Namespace, function: &FunctionName, found: &Logs) -> reply::Reply {
    let lines = flattened(found);
    let count = lines.len();
    reply::ok(&json!({ "name": function, "namespace": namespace, "logs": lines, "count": count }))
}

fn everything(namespace: &Namespace, function: &FunctionName, found: &Logs, after: Option<i64>) -> reply::Reply {
    let invocations: Vec<Invocation<'_>> = found.records.iter().map(|stored| Invocation::of(&stored.record)).collect();
    let gap = |from: Timestamp, until: Timestamp, calls: u64| json!({ "from": from, "until": until, "calls": calls });
    let gaps: Vec<Value> = found.gaps.iter().map(|missing| gap(missing.from, missing.until, missing.calls)).collect();
    // Where to go on following: behind the newest record that was shown.
    let next = found.records.iter().map(|stored| stored.position).max().or(after).unwrap_or(0);
    reply::ok(&json!({
        "name": function,
        "namespace": namespace,
        "count": invocations.len(),
        "invocations": invocations,
        "logs": flattened(found),
        "gaps": gaps,
        "next": next,
    }))
}

fn flattened(found: &Logs) -> Vec<Line<'_>> {
    let records = found.records.iter().map(|stored| &stored.record);
    records.flat_map(|record| record.logs.iter().map(|line| Line { line, request_id: &record.request_id })).collect()
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    line: &'a LogLine,
    request_id: &'a RequestId,
}

#[derive(Serialize)]
struct Invocation<'a> {
    id: &'a RequestId,
    request_id: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    version: u32,
    trigger_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_wallet: Option<&'a str>,
    input_size: u64,
    output_size: u64,
    started_at: Timestamp,
    completed_at: Timestamp,
    duration_ms: u64,
    cpu_ms: f64,
    memory_used_mb: f64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attempts: &'a [Attempt],
    wasm_logs: &'a [LogLine],
}

impl<'a> Invocation<'a> {
    fn of(record: &'a Record) -> Self {
        let duration = Duration::from_micros(record.duration_us);
        Self {
            id: &record.request_id,
            request_id: &record.request_id,
            client_request_id: record.client_request_id.as_deref(),
            trace_id: record.trace_id.as_deref(),
            version: record.version.get(),
            trigger_type: record.trigger.as_str(),
            caller_wallet: record.caller_wallet.as_deref(),
            input_size: record.input_bytes,
            output_size: record.output_bytes,
            started_at: record.started_at,
            completed_at: record.started_at.checked_add(duration).unwrap_or(record.started_at),
            duration_ms: duration.as_millis() as u64,
            cpu_ms: hundredths(record.cpu_us as f64 / 1000.0),
            memory_used_mb: hundredths(record.memory_peak_bytes as f64 / f64::from(1 << 20)),
            status: record.status.as_str(),
            error_code: record.error_code.map(|code| code.as_str()),
            error_message: record.error_message.as_deref(),
            attempts: &record.attempts,
            wasm_logs: &record.logs,
        }
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn read_query(
    exchange: &Exchange,
    namespace: Namespace,
    function: FunctionName,
    now: Timestamp,
) -> Result<LogsQuery, Refusal> {
    Ok(LogsQuery {
        namespace,
        function,
        request_id: exchange.query("request_id").map(|id| RequestId::new(&*id)),
        since: exchange.query("since").map(|text| parse_since(&text, now)).transpose()?,
        after: exchange.query("after").map(|text| parse_position(&text)).transpose()?,
        level: exchange.query("level").map(|text| parse_level(&text)).transpose()?,
        limit: exchange.limit(LIMIT_DEFAULT, LIMIT_MAX)?,
    })
}

fn parse_position(text: &str) -> Result<i64, Refusal> {
    let position = text.parse().ok().filter(|position| *position >= 0);
    position.ok_or_else(|| Refusal::invalid("`after` must be the `next` of an earlier reply"))
}

fn parse_level(text: &str) -> Result<Level, Refusal> {
    Level::parse(text).ok_or_else(|| Refusal::invalid("`level` must be `debug`, `info`, `warn` or `error`"))
}

/// A time (RFC 3339), or how long ago: `90s`, `15m`, `2h`, `1d`.
pub(crate) fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let refused =
        || Refusal::invalid("`since` must be a time such as 2026-11-21T10:00:00Z, or `90s`, `15m`, `2h`, `1d`");
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let split = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(refused)?;
    let (number, unit) = text.split_at(split);
    let seconds_each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(refused()),
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let count: u64 = number.parse().ok().filter(|_| digits).ok_or_else(refused)?;
    let ago = Duration::from_secs(count.checked_mul(seconds_each).ok_or_else(refused)?);
    now.checked_sub(ago).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(text: &str) -> Option<String> {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        parse_since(text, now).ok().map(|time| time.to_string())
    }

    #[test]
    fn a_time_is_absolute_or_ago() {
        assert_eq!(since("15m").as_deref(), Some("2026-11-21T11:45:00Z"));
        assert_eq!(since("1d").as_deref(), Some("2026-11-20T12:00:00Z"));
        assert_eq!(since("2026-11-21T10:00:00+02:00").as_deref(), Some("2026-11-21T08:00:00Z"));
        for wrong in ["", "m", "-1m", "+1m", "1", "1w", "1é", "é", "99999999999999999999d", "9999999999999999d", "soon"]
        {
            assert_eq!(since(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn noise_is_never_a_panic() {
        let mut state = 99_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..(state >> 61) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push(char::from_u32((state >> 40) as u32 % 0x2000).unwrap_or('9'));
                text.push(['1', 'd', 'h', 'T', '-', 'Z'][(state >> 33) as usize % 6]);
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            since(&text);
            let _ = (parse_position(&text), parse_level(&text));
        }
    }
}
