//! By the example of RFC 8292, 2.4, and the keys that people may give.

use base64::engine::general_purpose::STANDARD;
use expect_test::expect;
use ports::SystemClock;

use super::*;

/// The signature is another each time, by design; what is signed is not.
#[test]
fn what_is_signed_is_that_of_the_standard() {
    let claims = Claims { aud: "https://push.example.net", exp: 1_453_523_768, sub: "mailto:push@example.com" };
    let want = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3Njgs\
                InN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0";
    assert_eq!(jose::signed_part(&HEADER, &claims), want);
}

#[test]
fn a_drawn_key_is_read_in_every_form() {
    let drawn = Vapid::draw().expect("drawn");
    assert_eq!(drawn.len(), 43, "32 bytes");
    let key = Vapid::parse_key(&drawn).expect("our own key");
    assert_eq!(key.public_text().len(), 87, "65 bytes");
    assert_eq!(Vapid::parse_key(&format!("{drawn}=")).expect("with padding").public_text(), key.public_text());
    assert_ne!(Vapid::draw().expect("drawn"), drawn);
    let pair = rcgen::KeyPair::generate().expect("a key of P-256");
    let in_pem = Vapid::parse_key(&pair.serialize_pem()).expect("PEM").public_text();
    assert_eq!(in_pem, URL_SAFE_NO_PAD.encode(pair.public_key_raw()));
}

#[test]
fn what_is_no_key_is_refused() {
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    let above = URL_SAFE_NO_PAD.encode([255; 32]);
    let (short, plus) = (URL_SAFE_NO_PAD.encode([1; 31]), STANDARD.encode([251; 32]));
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key").serialize_pem();
    for text in ["", "key", &zero, &above, &short, &plus, &other, "-----BEGIN PRIVATE KEY-----"] {
        let refused = Vapid::parse_key(text).err();
        expect!["must be a private key of P-256: 32 bytes in base64url, or PEM (PKCS#8)"]
            .assert_eq(refused.unwrap_or_else(|| panic!("{text} is a key")));
    }
}

#[test]
fn a_subject_can_be_reached() {
    for subject in ["mailto:ops@example.com", "https://example.com/contact"] {
        assert_eq!(check_subject(subject), Ok(()));
    }
    for subject in ["", "ops@example.com", "mailto:ops", "http://example.com", "mailto:a@b\r\nx"] {
        assert!(check_subject(subject).is_err(), "{subject:?}");
    }
}

#[test]
fn a_topic_is_short_and_tells_nothing() {
    let topic = topic_of(&"x".repeat(64));
    let text = topic.to_str().expect("visible");
    assert!(text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    assert_eq!(topic_of("call-7"), topic_of("call-7"));
    assert_ne!(topic_of("call-7"), topic_of("call-8"));
}

#[test]
fn an_authorization_does_not_show_in_debug() {
    let key = Vapid::parse_key(&Vapid::draw().expect("drawn")).expect("a key");
    let vapid = Vapid::new(key, "mailto:a@b", Arc::new(SystemClock));
    let endpoint = Url::parse("https://push.example:8443/s/secret").expect("a URL");
    assert_eq!(format!("{:?}", vapid.authorization(&endpoint)), "Sensitive");
}
