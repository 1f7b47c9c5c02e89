//! JSON on its way to a guest: one text, written straight from the values, no larger than what the guest can hold.

use std::io;

use bytes::Bytes;
use domain::{JsonRows, SqlRows};
use serde::Serialize;

/// Rows that are written between two turns of others.
const ROWS_A_TURN: usize = 256;

/// A JSON text that grows to a limit.
pub(super) struct JsonText {
    bytes: Vec<u8>,
    bytes_max: usize,
}

/// The text would be larger than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl JsonText {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::new(), bytes_max }
    }

    /// Punctuation and keys.
    pub(super) fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// What is small: it always finds room, so that nothing that happened goes unsaid.
    pub(super) fn small(&mut self, value: &impl Serialize) {
        serde_json::to_writer(&mut self.bytes, value).expect("keys are texts and numbers are finite");
    }

    /// The fields of what is small, without its braces.
    pub(super) fn fields(&mut self, value: &impl Serialize) {
        let object = serde_json::to_string(value).expect("keys are texts and numbers are finite");
        self.raw(object.trim_start_matches('{').strip_suffix('}').unwrap_or_default());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what stands behind the first `bytes`.
    pub(super) fn take_back(&mut self, bytes: usize) {
        self.bytes.truncate(bytes);
    }

    pub(super) fn value(&mut self, value: &impl Serialize) -> Result<(), TooLarge> {
        // Only the limit can fail: no value of ours has keys that are not texts.
        serde_json::to_writer(&mut *self, value).map_err(|_| TooLarge)
    }

    /// The rows as a list of objects. Others get their turn in between.
    pub(super) async fn rows(&mut self, rows: SqlRows) -> Result<(), TooLarge> {
        if rows.rows.len() <= ROWS_A_TURN {
            return self.value(&JsonRows::of(&rows));
        }
        let SqlRows { columns, rows } = rows;
        let (mut left, mut first) = (rows.into_iter(), true);
        while !left.as_slice().is_empty() {
            let piece = SqlRows { columns: columns.clone(), rows: left.by_ref().take(ROWS_A_TURN).collect() };
            let start = self.bytes.len();
            self.value(&JsonRows::of(&piece))?;
            // Each piece is a list of its own: `[…][…]` becomes `[…,…]`.
            if !first {
                self.bytes[start] = b',';
            }
            self.bytes.pop();
            first = false;
            tokio::task::yield_now().await;
        }
        self.raw("]");
        Ok(())
    }

    pub(super) fn finish(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}

impl io::Write for JsonText {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.bytes_max.saturating_sub(self.bytes.len()) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A small envelope of ours.
pub(super) fn envelope(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("keys are texts and numbers are finite"))
}

#[cfg(test)]
mod tests {
    use domain::SqlValue;

    use super::*;

    fn numbers(count: i64) -> SqlRows {
        SqlRows { columns: ["n".to_owned()].into(), rows: (0..count).map(|n| vec![SqlValue::Integer(n)]).collect() }
    }

    #[tokio::test]
    async fn pieces_are_one_list() {
        for count in [0, 1, 256, 257, 1000] {
            let mut text = JsonText::new(1 << 20);
            text.rows(numbers(count)).await.expect("small enough");
            let whole = serde_json::to_vec(&JsonRows::of(&numbers(count))).expect("rows serialize");
            assert_eq!(text.finish(), whole, "{count}");
        }
    }

    #[tokio::test]
    async fn a_text_stops_at_its_limit() {
        let mut text = JsonText::new(100);
        assert_eq!(text.rows(numbers(1000)).await, Err(TooLarge));
        assert!(text.bytes.len() <= 100);
    }
}
