//! A 32-byte hash as the first label of a host name: base32 (RFC 4648) without padding, in any case.

/// The characters of a label: 256 bits, five in each.
pub const LABEL_CHARS: usize = 52;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why a label names no hash. The texts are those that clients of the original know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    #[error("DecodeError {{ position: {position}, kind: Symbol }}")]
    Symbol { position: usize },
    /// The bits behind the hash are not zero.
    #[error("DecodeError {{ position: {position}, kind: Trailing }}")]
    Trailing { position: usize },
    /// Not 52 characters.
    #[error("DecodeError {{ position: {position}, kind: Length }}")]
    Length { position: usize },
}

/// The hash that a label names. One label names one hash, and one hash has one label, apart from case.
pub fn hash_of_label(label: &str) -> Result<[u8; 32], InvalidLabel> {
    let mut hash = [0; 32];
    let (mut bits, mut kept) = (0_u32, 0_u32);
    let mut bytes = hash.iter_mut();
    for (position, character) in label.bytes().enumerate().take(LABEL_CHARS) {
        bits = (bits << 5 | value_of(character).ok_or(InvalidLabel::Symbol { position })?) & 0xfff;
        kept += 5;
        if kept >= 8 {
            kept -= 8;
            if let Some(byte) = bytes.next() {
                *byte = (bits >> kept) as u8;
            }
        }
    }
    match label.len() {
        LABEL_CHARS if bits & 0xf != 0 => Err(InvalidLabel::Trailing { position: LABEL_CHARS - 1 }),
        LABEL_CHARS => Ok(hash),
        length => Err(InvalidLabel::Length { position: length.min(LABEL_CHARS) }),
    }
}

fn value_of(character: u8) -> Option<u32> {
    let character = character.to_ascii_uppercase();
    ALPHABET.iter().position(|known| *known == character).and_then(|value| u32::try_from(value).ok())
}

/// The label of a hash, in capitals.
pub fn label_of_hash(hash: &[u8; 32]) -> String {
    let bit = |at: usize| hash.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let value = |index: usize| (0..5).fold(0, |value, offset| value << 1 | bit(5 * index + offset));
    (0..LABEL_CHARS).map(|index| char::from(ALPHABET[usize::from(value(index))])).collect()
}
