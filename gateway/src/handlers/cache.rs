//! The cache of a namespace for its clients: JSON values in maps.
//!
//! A value is kept as the JSON text that was sent, without the spaces between its parts. What a function wrote may be no JSON:
//! then it is shown as a text, or as `{"base64": "…"}` where it is not even UTF-8.

pub(crate) mod values;

use std::sync::Arc;

use domain::{Error, ErrorCode};
use ports::{CACHE_KEY_BYTES_MAX, CACHE_VALUE_BYTES_MAX, Cache, CacheError, CacheKey};
use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::DATA_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;
use values::{compact, parse_ttl, same, shown};

/// The longest name of a map, in bytes.
const MAP_BYTES_MAX: usize = 255;
/// The most keys of one `mget`.
const MGET_KEYS_MAX: usize = 1000;
/// The most bytes that one `mget` answers.
const MGET_BYTES_MAX: usize = 32 << 20;
/// The most keys of one `scan`.
const SCAN_KEYS_MAX: usize = 10_000;
/// The longest pattern, and how large it may become once it is compiled.
const PATTERN_BYTES_MAX: usize = 1000;
const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;

pub(crate) async fn health(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    gateway.platform.check_cache().await?;
    // The name is what existing clients ask for; the wire is the same whatever keeps the entries.
    Ok(reply::ok(&json!({ "status": "ok", "service": "olric" })))
}

pub(crate) async fn put(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["dmap", "key", "value", "ttl"])?;
    let place = Place::of(&document)?;
    let value = document.raw("value").ok_or_else(no_value)?;
    let ttl = parse_ttl(&document.text_or_empty("ttl")?)?;
    cache.set(place.key(), compact(value).into(), ttl).await.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::ok(&json!({ "status": "ok", "key": place.key, "dmap": place.map })))
}

pub(crate) async fn get(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let place = Place::of(&Document::parse(&body)?.only(&["dmap", "key"])?)?;
    let entry = cache.get(place.key()).await.map_err(|error| refused(&exchange, &error))?;
    let entry = entry.ok_or_else(no_key)?;
    Ok(reply::ok(&Shown { key: &place.key, value: shown(&entry.value), dmap: Some(&place.map) }))
}

pub(crate) async fn mget(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["dmap", "keys"])?;
    let (map, keys) = (document.text_or_empty("dmap")?, document.texts("keys")?);
    if map.is_empty() || keys.is_empty() || keys.iter().any(String::is_empty) {
        return Err(Refusal::invalid("dmap and keys are required"));
    }
    if keys.len() > MGET_KEYS_MAX {
        return Err(Refusal::invalid(format!("`keys` has {} keys, the limit is {MGET_KEYS_MAX}", keys.len())));
    }
    let found = read_all(&exchange, &*cache, &map, &keys).await?;
    let results: Vec<_> = found.iter().map(|(key, value)| Shown { key, value: value.clone(), dmap: None }).collect();
    Ok(reply::ok(&json!({ "results": results, "dmap": map })))
}

async fn read_all<'k>(
    exchange: &Exchange,
    cache: &dyn Cache,
    map: &str,
    keys: &'k [String],
) -> Result<Vec<(&'k str, Box<RawValue>)>, Refusal> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for key in keys {
        let place = checked(map, key)?;
        let Some(entry) = cache.get(place).await.map_err(|error| refused(exchange, &error))? else { continue };
        bytes += entry.value.len();
        if bytes > MGET_BYTES_MAX {
            let message = format!("the values are more than {MGET_BYTES_MAX} bytes; ask for fewer keys");
            return Err(Error::new(ErrorCode::ResultTooLarge, message).into());
        }
        found.push((key.as_str(), shown(&entry.value)));
    }
    Ok(found)
}

pub(crate) async fn delete(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let place = Place::of(&Document::parse(&body)?.only(&["dmap", "key"])?)?;
    remove(&exchange, &*cache, &place).await
}

pub(crate) async fn delete_by_path(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let (map, key) = (exchange.capture(0)?.into_owned(), exchange.capture(1)?.into_owned());
    remove(&exchange, &*cache, &Place::checked(map, key)?).await
}

async fn remove(exchange: &Exchange, cache: &dyn Cache, place: &Place) -> Answer {
    match cache.delete(place.key()).await.map_err(|error| refused(exchange, &error))? {
        true => Ok(reply::ok(&json!({ "status": "ok", "key": place.key, "dmap": place.map }))),
        false => Err(no_key()),
    }
}

pub(crate) async fn clear(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let map = checked_map(&exchange.capture(0)?)?.to_owned();
    let deleted = cache.clear_map(&map).await.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::ok(&json!({ "status": "ok", "dmap": map, "deleted": deleted })))
}

pub(crate) async fn scan(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["dmap", "match", "after", "limit"])?;
    let map = document.text_or_empty("dmap")?;
    if map.is_empty() {
        return Err(Refusal::invalid("dmap is required"));
    }
    let pattern =
        document.text("match")?.filter(|text| !text.is_empty()).map(|text| parse_pattern(&text)).transpose()?;
    let wanted = |key: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(key));
    let limit = document.whole("limit")?.map_or(SCAN_KEYS_MAX, |limit| usize::try_from(limit).unwrap_or(SCAN_KEYS_MAX));
    let limit = limit.clamp(1, SCAN_KEYS_MAX);
    let after = document.text("after")?;
    let found = cache.keys(checked_map(&map)?, &wanted, after.as_deref(), limit + 1).await;
    let mut keys = found.map_err(|error| refused(&exchange, &error))?;
    let more = keys.len() > limit;
    keys.truncate(limit);
    let mut answer = json!({ "keys": keys, "count": keys.len(), "dmap": map });
    if more {
        // Where to go on, as `after`.
        answer["next"] = json!(keys.last());
    }
    Ok(reply::ok(&answer))
}

pub(crate) async fn incr(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["dmap", "key", "delta"])?;
    let place = Place::of(&document)?;
    let delta = document.integer("delta")?.unwrap_or(1);
    let value = cache.add(place.key(), delta).await.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::ok(&json!({ "key": place.key, "value": value, "dmap": place.map })))
}

/// Compares what the values mean, then swaps the very bytes that were compared.
pub(crate) async fn compare_and_swap(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let cache = open(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, DATA_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["dmap", "key", "expected", "value", "ttl"])?;
    let place = Place::of(&document)?;
    let value = compact(document.raw("value").ok_or_else(no_value)?);
    let ttl = parse_ttl(&document.text_or_empty("ttl")?)?;
    let present = cache.get(place.key()).await.map_err(|error| refused(&exchange, &error))?;
    let as_expected = match (&present, document.raw("expected")) {
        (None, None) => true,
        (Some(entry), Some(expected)) => same(&shown(&entry.value), expected),
        _ => false,
    };
    let present = present.as_ref().map(|entry| &entry.value[..]);
    let swapped = match as_expected {
        true => cache.compare_and_swap(place.key(), present, value.into(), ttl).await,
        false => Ok(false),
    };
    let swapped = swapped.map_err(|error| refused(&exchange, &error))?;
    Ok(reply::ok(&json!({ "swapped": swapped, "key": place.key, "dmap": place.map })))
}

#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dmap: Option<&'a str>,
}

/// Where a value lies, as a request names it.
struct Place {
    map: String,
    key: String,
}

impl Place {
    fn of(document: &Document<'_>) -> Result<Self, Refusal> {
        Self::checked(document.text_or_empty("dmap")?, document.text_or_empty("key")?)
    }

    fn checked(map: String, key: String) -> Result<Self, Refusal> {
        checked(&map, &key)?;
        Ok(Self { map, key })
    }

    fn key(&self) -> CacheKey<'_> {
        CacheKey { map: &self.map, key: &self.key }
    }
}

fn checked<'a>(map: &'a str, key: &'a str) -> Result<CacheKey<'a>, Refusal> {
    if map.is_empty() || key.is_empty() {
        return Err(Refusal::invalid("dmap and key are required"));
    }
    within("key", key, CACHE_KEY_BYTES_MAX)?;
    Ok(CacheKey { map: checked_map(map)?, key })
}

fn checked_map(map: &str) -> Result<&str, Refusal> {
    if map.is_empty() {
        return Err(Refusal::invalid("dmap is required"));
    }
    within("name of the map", map, MAP_BYTES_MAX)?;
    Ok(map)
}

fn within(what: &'static str, text: &str, limit: usize) -> Result<(), Refusal> {
    match text.len() > limit {
        true => Err(CacheError::TooLarge { what, size: text.len(), limit }.for_client().into()),
        false => Ok(()),
    }
}

fn parse_pattern(text: &str) -> Result<Regex, Refusal> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(Refusal::invalid(format!("`match` is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    let built = RegexBuilder::new(text).size_limit(PATTERN_COMPILED_BYTES_MAX).build();
    built.map_err(|_| Refusal::invalid("`match` is not a regular expression"))
}

/// What `GET /v1/limits` says.
pub(super) fn limits() -> serde_json::Value {
    json!({
        "map_bytes": MAP_BYTES_MAX,
        "key_bytes": CACHE_KEY_BYTES_MAX,
        "value_bytes": CACHE_VALUE_BYTES_MAX,
        "mget_keys": MGET_KEYS_MAX,
        "scan_keys": SCAN_KEYS_MAX,
    })
}

/// The cache that a request may use. Asked for before the body is read: who may not shall not fill our memory.
fn open(gateway: &Gateway, exchange: &Exchange) -> Result<Arc<dyn Cache>, Refusal> {
    Ok(gateway.platform.cache(&exchange.caller, &exchange.managed_namespace()?)?)
}

fn refused(exchange: &Exchange, error: &CacheError) -> Refusal {
    if matches!(error, CacheError::Unavailable(_)) {
        let request_id = &exchange.request_id;
        tracing::error!(%request_id, cause = error as &dyn std::error::Error, "failed to use a cache");
    }
    error.for_client().into()
}

fn no_key() -> Refusal {
    Error::not_found("key not found").into()
}

fn no_value() -> Refusal {
    Refusal::invalid("value is required, and must not be null")
}
