//! Addresses and signatures, by vectors that others published.

use platform::{Chain, Proof, Wallet};

use crate::support::*;

/// The examples of EIP-55.
const CHECKED: [&str; 8] = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

#[test]
fn every_form_of_an_address_is_one_wallet() {
    for address in CHECKED {
        let digits = &address[2..];
        let canonical = address.to_lowercase();
        for form in [address, digits, &canonical, &canonical[2..], &format!("0x{}", digits.to_uppercase())] {
            let wallet = Wallet::parse(form, None).expect("an address");
            assert_eq!((wallet.as_str(), wallet.chain()), (canonical.as_str(), Chain::Ethereum), "{form}");
        }
        assert_eq!(Wallet::parse(address, None).expect("an address").shown(), address);
    }
}

#[test]
fn a_wrong_checksum_is_a_mistyped_address() {
    for address in &CHECKED[4..] {
        let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        let first = address[2..].find(|c: char| c.is_ascii_alphabetic()).expect("a letter") + 2;
        let mut wrong = (*address).to_owned();
        wrong.replace_range(first..=first, &address[first..].chars().take(1).map(swap).collect::<String>());
        assert!(Wallet::parse(&wrong, None).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let eth = CHECKED[4];
    let long = "1".repeat(10_000);
    let cases = [
        "",
        "0x",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed0",
        "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg",
        " 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed ",
        "0x０aAeb6053F3E94C9b9A09f33669435E7Ef1Be",
        "vitalik.eth",
        &long,
    ];
    for text in cases {
        assert!(Wallet::parse(text, None).is_err(), "{text:?}");
        assert!(Wallet::parse(text, Some(Chain::Ethereum)).is_err(), "{text:?}");
        assert!(Wallet::parse(text, Some(Chain::Solana)).is_err(), "{text:?}");
    }
    assert!(Wallet::parse(eth, Some(Chain::Solana)).is_err());
    assert!(Wallet::parse(&solana(1).address(), Some(Chain::Ethereum)).is_err());
}

#[test]
fn an_address_of_solana_is_a_key_in_its_one_form() {
    let address = solana(1).address();
    let wallet = Wallet::parse(&address, None).expect("an address");
    assert_eq!((wallet.as_str(), wallet.chain(), wallet.shown()), (address.as_str(), Chain::Solana, address.clone()));

    let encode = |bytes: &[u8]| bs58::encode(bytes).into_string();
    let key = bs58::decode(&address).into_vec().expect("base58");
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    let refused = [
        encode(&key[..31]),
        encode(&[&key[..], &[0]].concat()),
        format!("1{address}"),
        format!("{}0", &address[..address.len() - 1]),
        format!("{}l", &address[..address.len() - 1]),
        format!("{}O", &address[..address.len() - 1]),
        format!("{}I", &address[..address.len() - 1]),
        encode(&off_curve),
    ];
    for text in refused {
        assert!(Wallet::parse(&text, None).is_err(), "{text}");
    }
}

/// Points of small order sign everything; the prime and what lies above it are second forms of other numbers.
#[test]
fn keys_of_small_order_and_second_forms_are_no_wallets() {
    let small = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    let mut keys: Vec<_> = small.iter().map(|key| unhex(key)).collect();
    for above in 0xed..=0xff_u8 {
        for top in [0x7f, 0xff] {
            let mut key = vec![0xff; 32];
            (key[0], key[31]) = (above, top);
            keys.push(key);
        }
    }
    for key in keys {
        let text = bs58::encode(&key).into_string();
        assert!(Wallet::parse(&text, Some(Chain::Solana)).is_err(), "{}", hex(&key));
    }
}

/// Keys, addresses and signatures from the documentation of web3.js and of eth-account.
const SIGNED: [(&str, &str, &str, &str); 2] = [
    (
        "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
        "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23",
        "Some data",
        "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c",
    ),
    (
        "b25c7db31feed9122727bf0939dc769a96564b2de4c4726d035b36ecf1e5b364",
        "0x5ce9454909639D2D17A3F753ce7d93fa0b9aB12E",
        "I♥SF",
        "0xe6ca9bba58c88611fad66a6ce8f996908195593807c4b38bd528d2cff09d4eb33e5bfbbf4d3e39b1a2fd816a7680c19ebebaf3a141b239934ad43cb33fcec8ce1c",
    ),
];

/// Shows that the wallets of these tests sign as the world does, so that what signs in here signs in there.
#[test]
fn the_wallets_of_these_tests_sign_like_published_ones() {
    for (secret, address, text, signature) in SIGNED {
        let wallet = ethereum_of(secret);
        assert_eq!(wallet.address(), address.to_lowercase());
        assert_eq!(wallet.sign(text), signature);
    }
}

#[tokio::test]
async fn a_signature_is_refused_in_every_other_form() {
    let node = node().await;
    let wallet = ethereum(7);
    let challenge = node.challenge(&wallet, &home(), "");
    let good = wallet.sign_bytes(challenge.nonce.as_bytes());
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        format!("0x{}", hex(&bytes))
    };
    let order = unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let mut bad = vec![
        ("high s", with(&|b| high_s(b, &order))),
        ("r of zero", with(&|b| b[..32].fill(0))),
        ("s of zero", with(&|b| b[32..64].fill(0))),
        ("r of the order", with(&|b| b[..32].copy_from_slice(&order))),
        ("s of the order", with(&|b| b[32..64].copy_from_slice(&order))),
        ("cut", hex(&good[..64])),
        ("longer", hex(&[&good[..], &[0]].concat())),
        ("no hexadecimal", "0x".to_owned() + &"zz".repeat(65)),
        ("spaces", format!(" {}", hex(&good))),
        ("base64", base64_of(&good)),
        ("another's", ethereum(8).sign(&challenge.nonce)),
        ("another text", wallet.sign("another text")),
        ("of Solana", solana(7).sign(&challenge.nonce)),
        ("endless", "ab".repeat(1 << 19)),
    ];
    for v in [2, 3, 4, 26, 29, 30, 35, 37, 38, 255] {
        bad.push(("v", with(&|bytes| bytes[64] = v)));
    }
    bad.push(("other v", with(&|bytes| bytes[64] ^= 1)));
    for (what, signature) in bad {
        let refused = refusal(node.platform.verify(Proof { signature, ..answer(&wallet, &challenge) }).await);
        assert_eq!(refused.to_string(), "signature verification failed", "{what}");
        assert_eq!(refused.code, domain::ErrorCode::Unauthorized, "{what}");
    }
    // None of these spent the nonce.
    assert!(node.platform.verify(answer(&wallet, &challenge)).await.is_ok());
}

/// The same signature with s taken from the order of the group, and v turned: valid by the mathematics, refused here.
fn high_s(signature: &mut [u8], order: &[u8]) {
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(order[index]) - i16::from(signature[32 + index]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + index] = difference.rem_euclid(256) as u8;
    }
    signature[64] ^= 1;
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn every_form_of_a_good_signature_signs_in() {
    let node = node().await;
    let wallet = ethereum(7);
    for (prefix, offset, upper) in [("0x", 0, false), ("", 0, true), ("0x", 27, true), ("", 27, false)] {
        let challenge = node.challenge(&wallet, &home(), "");
        let mut bytes = wallet.sign_bytes(challenge.nonce.as_bytes());
        bytes[64] += offset;
        let digits = if upper { hex(&bytes).to_uppercase() } else { hex(&bytes) };
        let proof = Proof { signature: format!("{prefix}{digits}"), ..answer(&wallet, &challenge) };
        assert!(node.platform.verify(proof).await.is_ok(), "{prefix} {offset} {upper}");
    }
}

/// Ed25519 signatures that verifiers disagree about: a second form of S, and a broken one.
#[tokio::test]
async fn a_signature_of_solana_has_one_form() {
    let node = node().await;
    let wallet = solana(7);
    let challenge = node.challenge(&wallet, &home(), "");
    let good = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(wallet.sign(&challenge.nonce)).expect("base64")
    };
    let mut second_form = good.clone();
    add_order(&mut second_form[32..]);
    let mut small_r = good.clone();
    small_r[..32].fill(0);
    small_r[0] = 1;
    let bad = [base64_of(&second_form), base64_of(&small_r), base64_of(&good[..63]), base64_of(&[0; 64]), hex(&good)];
    for signature in bad {
        assert_eq!(
            code(node.platform.verify(Proof { signature, ..answer(&wallet, &challenge) }).await),
            domain::ErrorCode::Unauthorized
        );
    }
    assert!(node.platform.verify(answer(&wallet, &challenge)).await.is_ok());
}

fn add_order(scalar: &mut [u8]) {
    let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    for (byte, add) in scalar.iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}
