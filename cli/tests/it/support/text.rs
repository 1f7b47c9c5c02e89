//! Output with what differs from run to run replaced: times, ids, CIDs, sizes, durations, the port.

use serde_json::Value;

/// Cells of a table come out two spaces apart, however wide they were.
pub fn normalised(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", normalised_line(line))).collect()
}

/// Documents, one a line, printed wide and with what differs from run to run replaced.
pub fn normalised_json(text: &str) -> String {
    let document = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        clean(&mut value);
        serde_json::to_string_pretty(&value).expect("it was JSON before") + "\n"
    };
    text.lines().map(document).collect()
}

/// Numbers under these keys are measurements.
const MEASURED: [&str; 5] = ["duration_ms", "cpu_ms", "memory_used_mb", "memory_peak_bytes", "size_bytes"];

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.split('\n').map(normalised_words).collect::<Vec<_>>().join("\n"),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.is_number() && MEASURED.contains(&key.as_str()) {
                    true => *value = Value::from("NUMBER"),
                    false => clean(value),
                }
            }
        }
        _ => {}
    }
}

fn normalised_line(line: &str) -> String {
    let content = line.trim_start_matches(' ');
    let indent = &line[..line.len() - content.len()];
    let cells = content.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let mut clean: Vec<String> = Vec::new();
    for cell in cells {
        let duration = clean.last().is_some_and(|before| matches!(before.as_str(), "success" | "error" | "timeout"));
        clean.push(if duration { "MS".to_owned() } else { normalised_cell(cell) });
    }
    format!("{indent}{}", clean.join("  "))
}

fn normalised_cell(cell: &str) -> String {
    if is_size(cell) {
        return "SIZE".to_owned();
    }
    normalised_words(cell)
}

fn normalised_words(text: &str) -> String {
    text.split(' ').map(normalised_word).collect::<Vec<_>>().join(" ")
}

fn normalised_word(word: &str) -> String {
    if let Some(quoted) = word.strip_suffix('`') {
        return normalised_word(quoted) + "`";
    }
    if let Some(rest) = word.strip_prefix("http://127.0.0.1:") {
        return format!("GATEWAY{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    match word {
        _ if is_time(word) => "TIME".to_owned(),
        _ if is_uuid(word) => "ID".to_owned(),
        _ if word.len() > 40 && word.starts_with("baf") => "CID".to_owned(),
        _ => word.to_owned(),
    }
}

/// `465 B`, `61.3 kB`; megabytes of a memory limit have no fraction and stay.
fn is_size(cell: &str) -> bool {
    let Some((number, unit)) = cell.split_once(' ') else { return false };
    let fraction = number.contains('.') && number.parse::<f64>().is_ok();
    matches!(unit, "B" | "kB" | "MB") && (fraction || unit == "B")
}

fn is_time(word: &str) -> bool {
    word.len() >= 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T' && word.starts_with("20")
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
