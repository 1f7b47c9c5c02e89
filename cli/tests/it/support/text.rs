//! Output with what differs from run to run replaced: times, ids, CIDs, sizes, durations, the port.

/// Cells of a table come out two spaces apart, however wide they were.
pub fn normalised(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", normalised_line(line))).collect()
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
    cell.split(' ').map(normalised_word).collect::<Vec<_>>().join(" ")
}

fn normalised_word(word: &str) -> String {
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
