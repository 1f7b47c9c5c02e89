//! What a node of a chain answers, read with suspicion.

use bytes::Bytes;
use ports::{ChainTransaction, CodeSourceError};
use serde_json::Value;

/// The transaction in an answer to `eth_getTransactionByHash` about `asked` (`0x` and lower-case digits).
pub(super) fn transaction(
    body: &[u8],
    asked: &str,
    input_bytes_max: usize,
) -> Result<ChainTransaction, CodeSourceError> {
    let unreadable = |cause: serde_json::Error| CodeSourceError::Unavailable(cause.into());
    let mut answer: Value = serde_json::from_slice(body).map_err(unreadable)?;
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let told: String = error.to_string().chars().take(300).collect();
        return Err(CodeSourceError::Unavailable(format!("the node answered the error {told}").into()));
    }
    let mut transaction = match answer.get_mut("result").map(Value::take) {
        Some(Value::Object(transaction)) => transaction,
        Some(Value::Null) => return Err(CodeSourceError::NotFound),
        _ => return Err(CodeSourceError::Unavailable("the answer has no result".into())),
    };
    let hash = transaction.get("hash").and_then(Value::as_str).unwrap_or_default();
    if !hash.eq_ignore_ascii_case(asked) {
        return Err(CodeSourceError::OtherTransaction);
    }
    let to = match transaction.remove("to") {
        None | Some(Value::Null) => None,
        Some(Value::String(to)) => Some(to),
        Some(_) => return Err(CodeSourceError::Malformed("to field of transaction is not an address")),
    };
    let Some(Value::String(input)) = transaction.remove("input") else {
        return Err(CodeSourceError::Malformed("calldata field is not a string"));
    };
    if input.len() / 2 > input_bytes_max + 1 {
        return Err(CodeSourceError::TooLarge { limit: input_bytes_max });
    }
    let input = unhex(&input).ok_or(CodeSourceError::Malformed("calldata is not a valid hex string"))?;
    Ok(ChainTransaction { to, input })
}

/// `0x` and lower-case digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// `0x` and an even number of digits of any case.
fn unhex(text: &str) -> Option<Bytes> {
    let (pairs, []) = text.strip_prefix("0x")?.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<Vec<u8>>>()
        .map(Bytes::from)
}
