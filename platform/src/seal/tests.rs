use std::collections::HashSet;

use super::*;

const KEY: [u8; 32] = [7; 32];
const PLACE: &[&[u8]] = &[b"default", b"TOKEN", b"key-1"];

#[test]
fn what_was_sealed_opens_and_hides_its_content() {
    for plain in [&b""[..], b"x", b"-----BEGIN\r\n\0\xff\xfe", &[9; 70_000]] {
        let sealed = seal(&KEY, PLACE, plain).expect("sealed");
        assert_eq!(sealed.len(), plain.len() + 29);
        assert_eq!(open(&KEY, PLACE, &sealed).expect("opens").as_slice(), plain);
        assert!(plain.len() < 4 || !sealed.windows(plain.len()).any(|window| window == plain));
    }
}

#[test]
fn every_bit_of_every_byte_counts() {
    let sealed = seal(&KEY, PLACE, b"a secret").expect("sealed");
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[position] ^= 1 << bit;
            assert!(open(&KEY, PLACE, &changed).is_none(), "byte {position}, bit {bit}");
        }
    }
    for length in 0..sealed.len() {
        assert!(open(&KEY, PLACE, &sealed[..length]).is_none(), "cut to {length}");
    }
    assert!(open(&KEY, PLACE, &[&sealed[..], b"x"].concat()).is_none());
}

#[test]
fn it_opens_only_with_its_key_and_at_its_place() {
    let sealed = seal(&KEY, PLACE, b"a secret").expect("sealed");
    assert!(open(&[8; 32], PLACE, &sealed).is_none());
    let elsewhere: [&[&[u8]]; 6] = [
        &[],
        &[b"default", b"TOKEN"],
        &[b"default", b"TOKEN", b"key-2"],
        &[b"defaultT", b"OKEN", b"key-1"],
        &[b"default", b"TOKENkey-1", b""],
        &[b"TOKEN", b"default", b"key-1"],
    ];
    for place in elsewhere {
        assert!(open(&KEY, place, &sealed).is_none(), "{place:?}");
    }
}

/// Drawn at random, two of a million 96-bit nonces are alike once in 10^17 runs.
#[test]
fn a_million_seals_have_a_million_nonces() {
    let mut seen = HashSet::with_capacity(1_000_000);
    for _ in 0..1_000_000 {
        let sealed = seal(&KEY, PLACE, b"x").expect("sealed");
        let nonce: [u8; NONCE_BYTES] = *sealed[1..].first_chunk().expect("a nonce");
        assert!(seen.insert(nonce), "a nonce came twice");
    }
}

#[test]
fn a_purpose_has_a_key_of_its_own() {
    let master = NodeKey::new([1; 32]);
    assert_eq!(derive(&master, "secrets"), derive(&master, "secrets"));
    assert_ne!(derive(&master, "secrets"), derive(&master, "signing keys"));
    assert_ne!(derive(&master, "secrets"), derive(&NodeKey::new([2; 32]), "secrets"));
    assert_ne!(&derive(&master, "secrets"), master.expose());
}

/// Test case 16 of the GCM specification (AES-256 with associated data) judges the cipher; RFC 5869, test case 3, the derivation.
#[test]
fn the_algorithms_are_those_of_the_standards() {
    let key: [u8; 32] =
        bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").try_into().expect("32");
    let nonce: [u8; NONCE_BYTES] = bytes("cafebabefacedbaddecaf888").try_into().expect("12");
    let mut text = bytes(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let aad = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let cipher = Aes256Gcm::new((&key).into());
    let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), &aad, text.as_mut_slice().into()).expect("encrypted");
    assert_eq!(tag.as_slice(), bytes("76fc6ece0f4e1768cddf8853bb2d551b"));
    assert_eq!(text[..16], bytes("522dc1f099567d07f47f37a32a84427d"));

    let mut expanded = [0; 42];
    Hkdf::<Sha256>::new(None, &[0x0b; 22]).expand(b"", &mut expanded).expect("expanded");
    let wanted = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(expanded.as_slice(), bytes(wanted));
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}
