use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::Cid;
use http_body_util::BodyExt;

use super::*;

/// Content that can end too early or fail, and counts how often it is read.
struct Shaky {
    bytes: Bytes,
    declared: u64,
    fails_at: u64,
    reads: Arc<AtomicUsize>,
}

#[async_trait]
impl Content for Shaky {
    fn bytes(&self) -> u64 {
        self.declared
    }

    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if offset >= self.fails_at {
            return Err(StorageError::Corrupt(Cid::of(b"")));
        }
        let start = usize::try_from(offset).expect("small").min(self.bytes.len());
        Ok(self.bytes.slice(start..self.bytes.len().min(start + bytes_max)))
    }
}

const SIZE: u64 = 3 * PIECE_BYTES as u64 + 7;

fn content() -> Shaky {
    let bytes: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
    Shaky { bytes: bytes.into(), declared: SIZE, fails_at: u64::MAX, reads: Arc::default() }
}

fn body(content: Shaky, start: u64, end: u64) -> ReplyBody {
    ReplyBody::of_content(Box::new(content), start, end, RequestId::new("r"))
}

#[tokio::test]
async fn a_range_comes_in_pieces_and_nothing_is_read_ahead() {
    let shaky = content();
    let (reads, bytes) = (shaky.reads.clone(), shaky.bytes.clone());
    let mut body = body(shaky, 5, SIZE - 2);
    assert_eq!(body.size_hint().exact(), Some(SIZE - 7));
    let mut seen = Vec::new();
    for piece in 1.. {
        let Some(frame) = body.frame().await else { break };
        seen.extend_from_slice(frame.expect("a piece").data_ref().expect("bytes"));
        assert_eq!(reads.load(Ordering::Relaxed), piece);
    }
    assert!(seen == bytes[5..bytes.len() - 2]);
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn what_breaks_off_is_an_error_and_not_an_end() {
    let failing = Shaky { fails_at: 1, ..content() };
    let short = Shaky { bytes: content().bytes.slice(..PIECE_BYTES), ..content() };
    for shaky in [failing, short] {
        let mut body = body(shaky, 0, SIZE);
        assert!(body.frame().await.is_some_and(|first| first.is_ok()));
        assert!(body.frame().await.is_some_and(|second| second.is_err()));
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_guard_lives_as_long_as_a_body_that_is_not_in_memory() {
    let guard = Arc::new(());
    let mut whole = ReplyBody::from(Bytes::from_static(b"whole"));
    whole.hold(guard.clone());
    assert_eq!(Arc::strong_count(&guard), 1);
    let mut pieces = body(content(), 0, SIZE);
    pieces.hold(guard.clone());
    pieces.frame().await.expect("a piece").expect("that can be read");
    assert_eq!(Arc::strong_count(&guard), 2);
    drop(pieces);
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[tokio::test]
async fn what_ends_a_held_body_waits() {
    let words = || futures_util::stream::iter(["one", "two"].map(Bytes::from));
    for (length, waits_behind) in [(Some(6), "one"), (Some(7), "onetwo"), (None, "onetwo")] {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let mut body = ReplyBody::of_stream(words());
        body.end_after(async move { drop(ended.await) }, length);
        assert_eq!(body.size_hint().exact(), length);
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().now_or_never() {
            let frame = frame.unwrap_or_else(|| panic!("it ended: {seen:?}")).expect("good");
            seen.extend(frame.into_data().expect("data"));
        }
        assert!(seen == waits_behind.as_bytes() && !body.is_end_stream(), "{seen:?}");
        end.send(()).expect("somebody waits");
        seen.extend(body.collect().await.expect("good").to_bytes());
        assert_eq!(seen, b"onetwo");
    }
}
