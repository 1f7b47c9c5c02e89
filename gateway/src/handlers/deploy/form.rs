//! The parts of an upload, counted as they arrive: nothing is cut silently, and nothing larger than its limit is kept.

use bytes::Bytes;
use multer::Multipart;

use super::super::multipart::{broken, pieces, read_part, read_text, twice};
use super::definition::Definition;
use crate::body::BodyReader;
use crate::error::Refusal;

const PARTS_MAX: usize = 32;
const TEXT_BYTES_MAX: usize = 256 << 10;
/// What an upload may weigh beside its code.
const EXTRA_BYTES_MAX: usize = PARTS_MAX * (TEXT_BYTES_MAX + 4096);

#[derive(Default)]
pub(crate) struct Upload {
    pub(crate) code: Option<Bytes>,
    pub(crate) definition: Definition,
}

pub(crate) async fn read(body: &mut BodyReader, boundary: String, code_bytes_max: usize) -> Result<Upload, Refusal> {
    let whole_max = code_bytes_max + EXTRA_BYTES_MAX;
    if let Some(declared) = body.declared().filter(|declared| *declared > whole_max as u64) {
        return Err(Refusal::too_large(format!("the upload is {declared} bytes, the limit is {code_bytes_max}")));
    }
    let mut parts = Multipart::new(Box::pin(pieces(body)), boundary);
    let mut upload = Upload::default();
    let mut texts: Vec<(String, String)> = Vec::new();
    let mut metadata = None;
    for count in 0.. {
        let Some(mut part) = parts.next_field().await.map_err(broken)? else { break };
        if count == PARTS_MAX {
            return Err(Refusal::invalid(format!("the upload has more than {PARTS_MAX} parts")).close());
        }
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "wasm" => put_once(&mut upload.code, read_part(&mut part, code_bytes_max, &name).await?, &name)?,
            "metadata" => put_once(&mut metadata, read_part(&mut part, TEXT_BYTES_MAX, &name).await?, &name)?,
            _ => {
                let text = read_text(&mut part, TEXT_BYTES_MAX, &name).await?;
                if texts.iter().any(|(known, _)| *known == name) {
                    return Err(twice(&name));
                }
                texts.push((name, text));
            }
        }
    }
    if let Some(document) = metadata {
        upload.definition.read_metadata(&document)?;
    }
    for (name, text) in texts {
        upload.definition.read_field(&name, &text)?;
    }
    Ok(upload)
}

fn put_once(place: &mut Option<Bytes>, bytes: Bytes, name: &str) -> Result<(), Refusal> {
    match place.replace(bytes) {
        None => Ok(()),
        Some(_) => Err(twice(name)),
    }
}
