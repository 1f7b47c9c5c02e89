use super::*;

const LABEL: &str = "FSPLPQB5EBRFC3FAVAUMQSZ2Q7IDMXCH64OTE3VBS34RAMPO7SWA";

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The example of the document.
fn sample(host: &str) -> SignedExchange<'_> {
    SignedExchange {
        timestamp: 1_703_482_196,
        method: b"POST",
        path_and_query: b"/",
        host: host.as_bytes(),
        request_body: br#"{"num": 60000}"#,
        reply_body: b"2,2,2,2,2,3,5,5,5,5",
    }
}

#[test]
fn the_signed_bytes_are_those_of_the_document() {
    use sha3::{Digest, Keccak256};
    let host = format!("{LABEL}.oyster.run");
    let message = sample(&host).message();
    assert_eq!(message.len(), 205);
    let digest = Keccak256::digest(&message);
    assert_eq!(digest.as_slice(), hex("134771447cccfc5512f9d351534c22b8c6f575c298bbc3066bb29501af9c218c"));
}

#[test]
fn empty_parts_leave_their_marks() {
    let empty = SignedExchange {
        timestamp: 0,
        method: b"",
        path_and_query: b"",
        host: b"",
        request_body: b"",
        reply_body: b"",
    };
    let want = b"|oyster-serverless-hasher||timestamp|\0\0\0\0\0\0\0\0|request||method||pathandquery||host||body||response||body|";
    assert_eq!(empty.message(), want);
}

#[test]
fn a_label_is_a_hash_in_any_case() {
    let hash = hex("2c9eb7c03d2062516ca0a828c84b3a87d0365c47f71d326ea196f91031eefcac");
    for label in [LABEL.to_owned(), LABEL.to_lowercase(), LABEL.replace('A', "a")] {
        assert_eq!(hash_of_label(&label).expect("a label").as_slice(), hash);
    }
    for hash in [[0; 32], [0xff; 32], std::array::from_fn(|at| at as u8 * 7)] {
        let label = label_of_hash(&hash);
        assert!(label.ends_with(['A', 'Q']), "{label}");
        assert_eq!(hash_of_label(&label), Ok(hash));
    }
    assert_eq!(label_of_hash(&hash.try_into().expect("32 bytes")), LABEL);
}

#[test]
fn what_is_no_label_is_told_apart() {
    let refused = |label: &str| hash_of_label(label).expect_err("no label").to_string();
    assert_eq!(refused(""), "DecodeError { position: 0, kind: Length }");
    assert_eq!(refused(&LABEL[..51]), "DecodeError { position: 51, kind: Length }");
    assert_eq!(refused(&format!("{LABEL}A")), "DecodeError { position: 52, kind: Length }");
    assert_eq!(refused(&LABEL.replace('P', "1")), "DecodeError { position: 2, kind: Symbol }");
    assert_eq!(refused(&format!("{}é", &LABEL[..50])), "DecodeError { position: 50, kind: Symbol }");
    for last in "BCDEFGHIJKLMNOPRSTUVWXYZ234567".chars() {
        let label = format!("{}{last}", &LABEL[..51]);
        assert_eq!(refused(&label), "DecodeError { position: 51, kind: Trailing }", "{last}");
    }
    for padded in [format!("{LABEL}===="), format!("{}=", &LABEL[..51]), format!(" {}", &LABEL[..51])] {
        assert!(hash_of_label(&padded).is_err(), "{padded}");
    }
}

fn word(number: u64) -> Vec<u8> {
    [&[0; 24][..], &number.to_be_bytes()].concat()
}

#[test]
fn code_is_read_from_both_forms_of_calldata() {
    let code = b"export default { fetch() {} }";
    assert_eq!(code_of_calldata(&calldata_of_code(code)), Ok(&code[..]));
    let padded = [&code[..], &[0; 3]].concat();
    assert_eq!(code_of_calldata(&calldata_of_code(&padded)), Ok(&code[..]), "zeros behind the code are no code");
    let two = [
        &CODE_WITH_METADATA_SELECTOR[..],
        &word(64),
        &word(128),
        &word(4),
        b"code",
        &[0; 28],
        &word(2),
        b"{}",
        &[0; 30],
    ]
    .concat();
    assert_eq!(code_of_calldata(&two), Ok(&b"code"[..]));
    let other_way_round =
        [&CODE_WITH_METADATA_SELECTOR[..], &word(128), &word(64), &word(2), b"{}", &[0; 30], &word(4), b"code"]
            .concat();
    assert_eq!(code_of_calldata(&other_way_round), Ok(&b"code"[..]), "the offset counts, and padding does not");
}

#[test]
fn calldata_without_code_is_an_error_and_never_a_panic() {
    let good = calldata_of_code(b"0123456789");
    for cut in 0..good.len() {
        let read = code_of_calldata(&good[..cut]);
        match cut {
            0..4 => assert_eq!(read, Err(InvalidCalldata::NoSelector(cut))),
            4..78 => assert_eq!(read, Err(InvalidCalldata::CutShort), "{cut}"),
            _ => assert_eq!(read, Ok(&b"0123456789"[..]), "only padding is missing"),
        }
    }
    let selector = CODE_SELECTOR.as_slice();
    let huge = [0xff; 32];
    assert_eq!(code_of_calldata(&[selector, &huge].concat()), Err(InvalidCalldata::CutShort));
    assert_eq!(code_of_calldata(&[selector, &word(32), &huge].concat()), Err(InvalidCalldata::CutShort));
    assert_eq!(code_of_calldata(&[selector, &word(u64::MAX), &word(1)].concat()), Err(InvalidCalldata::CutShort));
    assert_eq!(code_of_calldata(&[selector, &word(32), &word(u64::MAX)].concat()), Err(InvalidCalldata::CutShort));
    assert_eq!(code_of_calldata(&calldata_of_code(b"")), Err(InvalidCalldata::Empty));
    assert_eq!(code_of_calldata(&calldata_of_code(&[0; 40])), Err(InvalidCalldata::Empty));
    let other = code_of_calldata(&[0xde, 0xad, 0xbe, 0xef, 1]).expect_err("another function");
    assert_eq!(other.to_string(), "the calldata calls another function: its selector is deadbeef");
}
