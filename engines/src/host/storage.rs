//! The content of the namespace, by content identifier.

use bytes::Bytes;
use domain::{Cid, Error, ErrorCode};
use serde::Serialize;

use super::json::envelope;
use super::{DATA_BYTES_MAX, Host, InTime, TEXT_BYTES_MAX, check_size, text};

#[derive(Serialize)]
struct Stored {
    cid: String,
    size: u64,
}

#[derive(Serialize)]
struct Known<'a> {
    cid: String,
    name: &'a str,
    size: u64,
    pinned: bool,
}

#[derive(Serialize)]
struct NotStored<'a> {
    error: &'a str,
    code: &'static str,
}

impl Host {
    /// Stores and pins bytes; JSON with their identifier, or with an error.
    pub(crate) async fn storage_put(&mut self, name: &[u8], data: &[u8]) -> InTime<Bytes> {
        let accepted = text("name", name, TEXT_BYTES_MAX)
            .and_then(|name| check_size("content", data, DATA_BYTES_MAX).map(|()| name));
        let put = match accepted {
            Ok(name) => {
                let bytes = Bytes::copy_from_slice(data);
                self.in_time(self.services.storage.put(name, bytes)).await?
            }
            Err(refused) => Err(refused),
        };
        Ok(match put {
            Ok(info) => envelope(&Stored { cid: info.cid.to_string(), size: info.bytes }),
            Err(error) => envelope(&NotStored { error: &error.message, code: error.code.as_str() }),
        })
    }

    /// The bytes of an identifier, up to 16 MiB and the function's memory; nothing when the namespace does not own it.
    pub(crate) async fn storage_get(&mut self, cid: &[u8]) -> InTime<Option<Bytes>> {
        let bytes_max = DATA_BYTES_MAX.min(self.memory_bytes_max());
        let got = match cid_of(cid) {
            Ok(cid) => self.in_time(self.services.storage.get(&cid, bytes_max)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.stored("storage_get", got))
    }

    /// What is known of an identifier, as JSON; nothing when the namespace does not own it.
    pub(crate) async fn storage_head(&mut self, cid: &[u8]) -> InTime<Option<Bytes>> {
        let known = match cid_of(cid) {
            Ok(cid) => self.in_time(self.services.storage.head(&cid)).await?,
            Err(refused) => Err(refused),
        };
        let shown = self.stored("storage_head", known).map(|info| {
            envelope(&Known { cid: info.cid.to_string(), name: &info.name, size: info.bytes, pinned: info.pinned })
        });
        Ok(shown)
    }

    /// The result; what is missing is no fault of anybody, all else leaves a line in the log.
    fn stored<T>(&mut self, call: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if error.code != ErrorCode::NotFound {
                    self.warn(format!("`{call}`: {error}"));
                }
                None
            }
        }
    }
}

fn cid_of(bytes: &[u8]) -> Result<Cid, Error> {
    let text = text("content identifier", bytes, TEXT_BYTES_MAX)?;
    Cid::parse(text).map_err(|refused| Error::invalid(refused.to_string()))
}
