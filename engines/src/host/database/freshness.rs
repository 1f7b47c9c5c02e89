//! How old the answers of `db_query_batch` may be. Those of an embedded database never are, so this only refuses what has no
//! meaning: a guest that works here works beside a replicated database.

use std::time::Duration;

use serde::Deserialize;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default, Deserialize)]
pub(super) struct Freshness {
    consistency: Option<String>,
    freshness: Option<String>,
    freshness_strict: Option<bool>,
}

/// The text says what is wrong.
pub(super) fn check(wanted: &Freshness) -> Result<(), String> {
    let consistency = wanted.consistency.as_deref().unwrap_or_default();
    if !["", "weak", "none"].contains(&consistency) {
        return Err(format!("`consistency` is `{consistency}`; it must be `weak` or `none`"));
    }
    match wanted.freshness.as_deref().unwrap_or_default() {
        "" if wanted.freshness_strict == Some(true) => Err("`freshness_strict` needs a `freshness`".into()),
        "" => Ok(()),
        _ if consistency != "none" => Err("`freshness` has a meaning only with `consistency` `none`".into()),
        text => match duration(text) {
            Some(age) if (SHORTEST..=LONGEST).contains(&age) => Ok(()),
            _ => Err(format!("`freshness` is `{text}`; it must be a duration from `1ms` to `24h`, such as `2s`")),
        },
    }
}

/// A duration as Go writes it: `2s`, `1.5h`, `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    let (mut left, mut sum) = (text, 0.0);
    while !left.is_empty() {
        let number = left.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, rest) = left.split_at(number);
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit);
        sum += digits.parse::<f64>().ok()? * seconds(unit)?;
        left = rest;
    }
    Duration::try_from_secs_f64(sum).ok()
}

fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "µs" | "μs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, want) in
            [("2s", 2_000), ("1500ms", 1_500), ("1m30s", 90_000), ("1.5h", 5_400_000), ("24h", 86_400_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(want)), "{text}");
        }
        for text in ["2", "s", "2 s", "-1s", "1..5s", "2d", "1e9s", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let checked = |consistency: &str, freshness: &str, strict: bool| {
            let text = |text: &str| Some(text.to_owned());
            check(&Freshness {
                consistency: text(consistency),
                freshness: text(freshness),
                freshness_strict: Some(strict),
            })
        };
        assert_eq!(checked("", "", false), Ok(()));
        assert_eq!(checked("weak", "", false), Ok(()));
        assert_eq!(checked("none", "2s", true), Ok(()));
        assert_eq!(checked("none", "24h", false), Ok(()));
        for (consistency, freshness, strict) in [
            ("strong", "", false),
            ("weak", "2s", false),
            ("none", "0.5ms", false),
            ("none", "25h", false),
            ("none", "soon", false),
            ("none", "", true),
        ] {
            assert!(checked(consistency, freshness, strict).is_err(), "{consistency} {freshness} {strict}");
        }
    }
}
