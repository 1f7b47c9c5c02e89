//! Sizes, times and durations as people read and write them.

use std::time::Duration;

use domain::Timestamp;

/// `4.4 MB`; powers of 1000, as package sizes are given.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time of a table, to the second, in UTC; what is not a time stays as it is.
pub fn second(text: &str) -> String {
    format_time(text, "%Y-%m-%dT%H:%M:%SZ")
}

/// A time of a log, to the millisecond, in UTC.
pub fn millisecond(text: &str) -> String {
    format_time(text, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

fn format_time(text: &str, format: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.strftime(format).to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Reads `30s`, `15m`, `2h`, `7d` (ago, counted from `now`) or a time such as `2026-01-31T12:00:00Z`.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = duration(text).ok().and_then(|ago| now.checked_sub(ago).ok());
    ago.ok_or_else(|| format!("`{text}` is no duration such as `15m` and no time such as `2026-01-31T12:00:00Z`"))
}

/// Reads `30s`, `15m`, `2h`, `7d` (from `now`) or a time such as `2026-01-31T12:00:00Z`.
pub fn ahead(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ahead = duration(text).ok().and_then(|ahead| now.checked_add(ahead).ok());
    ahead.ok_or_else(|| format!("`{text}` is no duration such as `15m` and no time such as `2026-01-31T12:00:00Z`"))
}

/// Reads `30s`, `15m`, `2h`, `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration such as `30s`, `15m`, `2h` or `7d`");
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds_per_unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count = number.parse::<u32>().ok().filter(|_| !number.starts_with('+')).ok_or_else(wrong)?;
    Ok(Duration::from_secs(u64::from(count) * seconds_per_unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 999, 1000, 61_300, 999_949, 999_960, 4_480_000, 1 << 40].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "61.3 kB", "999.9 kB", "1.0 MB", "4.5 MB", "1.1 TB"]);
    }

    #[test]
    fn times_are_utc_and_of_one_width() {
        assert_eq!(millisecond("2026-01-31T12:00:00.1234567Z"), "2026-01-31T12:00:00.123Z");
        assert_eq!(millisecond("2026-01-31T13:00:00+01:00"), "2026-01-31T12:00:00.000Z");
        assert_eq!(second("2026-01-31T12:00:00.1Z"), "2026-01-31T12:00:00Z");
        assert_eq!(second("yesterday"), "yesterday");
    }

    #[test]
    fn ahead_takes_durations_and_times() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        let read = |text| ahead(text, now).map(|at| at.to_string());
        assert_eq!(read("15m"), Ok("2026-01-31T12:15:00Z".into()));
        assert_eq!(read("2026-03-01T00:00:00+01:00"), Ok("2026-02-28T23:00:00Z".into()));
        assert!(read("tomorrow").is_err());
    }

    #[test]
    fn since_takes_durations_and_times() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        let read = |text| since(text, now).map(|at| at.to_string());
        assert_eq!(read("15m"), Ok("2026-01-31T11:45:00Z".into()));
        assert_eq!(read("7d"), Ok("2026-01-24T12:00:00Z".into()));
        assert_eq!(read("2026-01-01T00:00:00Z"), Ok("2026-01-01T00:00:00Z".into()));
        for wrong in ["", "15", "+5m", "m", "-5m", "1.5h", "5y", "5µ", "4294967295d"] {
            assert!(read(wrong).is_err(), "{wrong} is refused");
        }
    }
}
