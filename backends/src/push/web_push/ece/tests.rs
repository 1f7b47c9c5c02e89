//! By the example of RFC 8291, appendix A, and what cannot be encrypted. `tests/push` has the judgement of another library.

use super::*;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    URL_SAFE_NO_PAD.decode(text).expect("base64url").try_into().expect("as long as it must be")
}

fn of_the_standard() -> PushSubscription {
    PushSubscription {
        endpoint: "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV".to_owned(),
        p256dh: bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        auth: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
    }
}

#[test]
fn the_example_of_the_standard_comes_out() {
    let scalar: [u8; 32] = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
    let key = PrivateKey::from_private_key(&ECDH_P256, &scalar).expect("a key");
    let public = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    assert_eq!(key.compute_public_key().expect("public").as_ref(), bytes::<65>(public));
    let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw");
    let sealed = seal_with(&key, salt, &of_the_standard(), b"When I grow up, I want to be a watermelon");
    let want = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w\
                EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    assert_eq!(sealed.map(|body| URL_SAFE_NO_PAD.encode(body)), Ok(want.to_owned()));
}

#[test]
fn no_key_and_no_salt_serves_twice() {
    let [one, two] = [(); 2].map(|()| seal(&of_the_standard(), b"the same").expect("sealed"));
    assert_ne!(one[..16], two[..16], "the salt");
    assert_ne!(one[21..86], two[21..86], "the key");
}

#[test]
fn a_body_is_what_push_services_take_and_not_a_byte_longer() {
    let of = |size: usize| seal(&of_the_standard(), &vec![b'x'; size]);
    assert_eq!(of(PLAIN_BYTES_MAX).expect("sealed").len(), 4096);
    assert_eq!(of(PLAIN_BYTES_MAX + 1), Err(NotSealed::TooLarge(3994)));
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let mut subscription = of_the_standard();
    subscription.p256dh[64] ^= 1;
    assert_eq!(seal(&subscription, b"x"), Err(NotSealed::BadKeys));
}
