//! Forms with files, read as they arrive.

use bytes::{Bytes, BytesMut};
use domain::Error;
use futures_util::Stream;
use http::header;
use multer::Field;

use crate::body::BodyReader;
use crate::error::Refusal;
use crate::exchange::Exchange;

/// The boundary of a multipart body; `None` for anything else.
pub(super) fn boundary_of(exchange: &Exchange) -> Result<Option<String>, Refusal> {
    let content_type = exchange.header(header::CONTENT_TYPE);
    let Some(content_type) = content_type.filter(|text| starts_with_ignoring_case(text, "multipart/form-data")) else {
        return Ok(None);
    };
    let invalid = || Refusal::invalid("the `Content-Type` has no boundary; use the one that your HTTP library makes");
    multer::parse_boundary(content_type).map(Some).map_err(|_| invalid())
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// The body as the multipart reader takes it, with our refusals on the way.
pub(super) fn pieces(body: &mut BodyReader) -> impl Stream<Item = Result<Bytes, Interrupted>> + Send {
    futures_util::stream::unfold(body, |body| async move {
        let piece = body.next().await.transpose()?;
        Some((piece.map_err(Interrupted), body))
    })
}

/// Our own refusal of a body, on its way through the multipart reader.
#[derive(Debug, thiserror::Error)]
#[error("the body could not be read")]
pub(super) struct Interrupted(Refusal);

/// What the multipart reader could not read.
pub(super) fn broken(error: multer::Error) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(source) => match source.downcast::<Interrupted>() {
            Ok(interrupted) => interrupted.0,
            Err(_) => Refusal::invalid("the upload could not be read").close(),
        },
        other => Refusal::from(Error::invalid(format!("the upload is not valid multipart/form-data: {other}"))).close(),
    }
}

/// The name of a part's file. Browsers escape three characters and nothing else, not even `%` (WHATWG HTML, "multipart/form-data").
pub(super) fn file_name(part: &Field<'_>) -> Option<String> {
    Some(part.file_name()?.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}

/// A part as a text.
pub(super) async fn read_text(part: &mut Field<'_>, limit: usize, name: &str) -> Result<String, Refusal> {
    let bytes = read_part(part, limit, name).await?;
    String::from_utf8(bytes.into()).map_err(|_| Refusal::invalid(format!("the part {name:?} is not UTF-8 text")))
}

/// A whole part in memory.
pub(super) async fn read_part(part: &mut Field<'_>, limit: usize, name: &str) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        if whole.len() + piece.len() > limit {
            return Err(Refusal::too_large(format!("the part {name:?} is larger than {limit} bytes")));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

pub(super) fn twice(name: &str) -> Refusal {
    Refusal::invalid(format!("the part {name:?} stands twice in the upload"))
}
