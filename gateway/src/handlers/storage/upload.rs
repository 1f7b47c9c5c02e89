//! Content on its way in. Nothing of it is kept in memory but the piece that just arrived, and nothing is stored before its end.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, Namespace};
use multer::{Field, Multipart};
use platform::ContentUpload;
use ports::ContentInfo;
use serde_json::json;

use super::super::multipart::{boundary_of, broken, file_name, pieces, read_text, twice};
use super::checked_name;
use crate::Gateway;
use crate::audit::to_its_end;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

/// The largest content that may stand in a JSON body.
pub(super) const JSON_CONTENT_BYTES_MAX: usize = 32 << 20;
/// As base64, with room for the rest of the body.
const JSON_BODY_BYTES_MAX: usize = JSON_CONTENT_BYTES_MAX / 3 * 4 + (64 << 10);
const PARTS_MAX: usize = 16;
const TEXT_BYTES_MAX: usize = 4096;
/// What is decoded of a JSON body at once.
const JSON_PIECE_BYTES: usize = 1 << 20;

pub(crate) async fn upload(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    // Once everything has arrived it is stored, although the client may go away. Before, its going ends the body.
    to_its_end(async move {
        let namespace = exchange.managed_namespace()?;
        let stored = match boundary_of(&exchange)? {
            Some(boundary) => of_form(&gateway, exchange, &namespace, boundary).await?,
            None => of_document(&gateway, exchange, &namespace).await?,
        };
        Ok(reply::ok(&json!({ "cid": stored.cid, "name": stored.name, "size": stored.bytes })))
    })
    .await
}

async fn of_form(
    gateway: &Gateway,
    mut exchange: Exchange,
    namespace: &Namespace,
    boundary: String,
) -> Result<ContentInfo, Refusal> {
    let mut upload = gateway.platform.upload(&exchange.caller, namespace).await?;
    let mut parts = Multipart::new(Box::pin(pieces(&mut exchange.body)), boundary);
    let (mut name, mut pin) = (None, true);
    for count in 0.. {
        let Some(mut part) = parts.next_field().await.map_err(broken)? else { break };
        if count == PARTS_MAX {
            return Err(Refusal::invalid(format!("the upload has more than {PARTS_MAX} parts")).close());
        }
        match part.name() {
            Some("file") if name.is_some() => return Err(twice("file").close()),
            Some("file") => {
                name = Some(checked_name(file_name(&part).unwrap_or_else(|| "file".to_owned()))?);
                write(&mut upload, &mut part).await?;
            }
            Some("pin") => pin = switch(&read_text(&mut part, TEXT_BYTES_MAX, "pin").await?)?,
            _ => drop(read_text(&mut part, TEXT_BYTES_MAX, "of another name").await?),
        }
    }
    let name = name.ok_or_else(|| Refusal::invalid("file required: send the content as the part `file`"))?;
    Ok(upload.finish(&name, pin).await?)
}

async fn write(upload: &mut ContentUpload<'_>, part: &mut Field<'_>) -> Result<(), Refusal> {
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        // The rest of what is refused is not worth reading.
        upload.write(piece).await.map_err(|error| Refusal::from(error).close())?;
    }
    Ok(())
}

async fn of_document(gateway: &Gateway, mut exchange: Exchange, namespace: &Namespace) -> Result<ContentInfo, Refusal> {
    let mut upload = gateway.platform.upload(&exchange.caller, namespace).await?;
    let body = exchange.receive(gateway, JSON_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let name = checked_name(document.needed_text("name")?)?;
    let pin = document.boolean("pin")?.unwrap_or(true);
    let data = document.text("data")?.ok_or_else(|| Refusal::invalid("data is required"))?;
    let content = STANDARD.decode(data).map_err(|_| Refusal::invalid("`data` must be base64"))?;
    if content.len() > JSON_CONTENT_BYTES_MAX {
        let message = format!("JSON may hold {JSON_CONTENT_BYTES_MAX} bytes; use multipart/form-data for more");
        return Err(Error::new(ErrorCode::PayloadTooLarge, message).into());
    }
    let content = Bytes::from(content);
    for start in (0..content.len()).step_by(JSON_PIECE_BYTES) {
        upload.write(content.slice(start..content.len().min(start + JSON_PIECE_BYTES))).await?;
    }
    Ok(upload.finish(&name, pin).await?)
}

fn switch(text: &str) -> Result<bool, Refusal> {
    match text.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Refusal::invalid("`pin` must be `true` or `false`")),
    }
}
