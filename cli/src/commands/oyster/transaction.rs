//! A transaction of Ethereum that carries calldata, signed so that it counts on one chain only (EIP-155).

use k256::ecdsa::SigningKey;
use sha3::{Digest, Keccak256};

pub(super) struct Transaction {
    pub(super) chain_id: u128,
    pub(super) nonce: u128,
    /// In the smallest coin.
    pub(super) gas_price: u128,
    pub(super) gas: u128,
    pub(super) to: [u8; 20],
    pub(super) data: Vec<u8>,
}

impl Transaction {
    /// The bytes for `eth_sendRawTransaction`.
    pub(super) fn signed(&self, key: &SigningKey) -> Vec<u8> {
        let (signature, recovery) = key.sign_prehash_recoverable(&self.signing_hash());
        let bytes = signature.to_bytes();
        let (r, s) = bytes.split_at(32);
        let v = self.chain_id * 2 + 35 + u128::from(recovery.to_byte());
        self.encoded([number(v), text(without_zeros(r)), text(without_zeros(s))])
    }

    fn signing_hash(&self) -> [u8; 32] {
        let nothing = || number(0);
        Keccak256::digest(self.encoded([number(self.chain_id), nothing(), nothing()])).into()
    }

    fn encoded(&self, last: [Vec<u8>; 3]) -> Vec<u8> {
        let value = number(0);
        let fields =
            [number(self.nonce), number(self.gas_price), number(self.gas), text(&self.to), value, text(&self.data)];
        list(&[fields.concat(), last.concat()].concat())
    }
}

/// A number in the recursive length prefix of Ethereum: big-endian, without zeros in front.
fn number(number: u128) -> Vec<u8> {
    text(without_zeros(&number.to_be_bytes()))
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    &bytes[first..]
}

fn text(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [&prefix(0x80, bytes.len()), bytes].concat(),
    }
}

fn list(items: &[u8]) -> Vec<u8> {
    [&prefix(0xc0, items.len()), items].concat()
}

/// Lengths up to 55 are in the first byte, longer ones behind it.
fn prefix(kind: u8, length: usize) -> Vec<u8> {
    if length < 56 {
        return vec![kind + length as u8];
    }
    let bytes = (length as u64).to_be_bytes();
    let bytes = without_zeros(&bytes);
    [&[kind + 55 + bytes.len() as u8], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::super::rpc::hex;
    use super::*;

    #[test]
    fn numbers_and_texts_are_written_as_the_yellow_paper_says() {
        assert_eq!(number(0), [0x80]);
        assert_eq!(number(0x7f), [0x7f]);
        assert_eq!(number(0x80), [0x81, 0x80]);
        assert_eq!(number(20_000_000_000), [0x85, 0x04, 0xa8, 0x17, 0xc8, 0x00]);
        assert_eq!(text(b"dog"), b"\x83dog");
        assert_eq!(text(&[0; 56])[..3], [0xb8, 56, 0]);
        assert_eq!(text(&[1; 1024])[..4], [0xb9, 4, 0, 1]);
        assert_eq!(list(b"\x83cat\x83dog"), b"\xc8\x83cat\x83dog");
        assert_eq!(list(b""), [0xc0]);
    }

    #[test]
    fn a_signed_transaction_is_that_of_another_library() {
        let key = SigningKey::from_slice(&[0x46; 32]).expect("a key");
        let transaction = Transaction {
            chain_id: 421_614,
            nonce: 9,
            gas_price: 20_000_000_000,
            gas: 21_000,
            to: [0x35; 20],
            data: vec![1, 2, 3],
        };
        // As eth-account 0.14 signs it.
        let want = "0xf86a098504a817c8008252089435353535353535353535353535353535353535358083010203830cde00a01c71841167f7a938ea98237ce29c04a81beda592630ddaa972587b36ebad5786a034ef6db23daf83402d664fe4d41b68db2de9bcf0886be3eb20cd602c606b2315";
        assert_eq!(hex(&transaction.signed(&key)), want);
    }
}
