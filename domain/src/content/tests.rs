use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check(bytes: &[u8], want: Expect) {
    want.assert_eq(&Cid::of(bytes).to_string());
}

#[test]
fn a_block_is_named_by_its_raw_hash() {
    // The empty file and "hello world" as every IPFS tool prints them.
    check(b"", expect!["bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"]);
    check(b"hello world", expect!["bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"]);
}

/// Around the ends of a leaf and of a full node. The texts are those that `ipfs-unixfs-importer` prints for these bytes.
#[test]
fn larger_content_is_named_by_the_root_of_its_tree() {
    let bytes: Vec<u8> = (0..(FANOUT + 1) * CHUNK_BYTES).map(|i| (i ^ (i >> 8) ^ (i >> 18)) as u8).collect();
    let check = |size: usize, want: Expect| {
        check(&bytes[..size], want);
        assert_eq!(Cid::of(&bytes[..size]).is_leaf(), size <= CHUNK_BYTES);
    };
    check(1, expect!["bafkreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu"]);
    check(CHUNK_BYTES - 1, expect!["bafkreidb7usf7qtqgks5rxazu2xbuznqqxmofrpt4icpkcfagdgausissu"]);
    check(CHUNK_BYTES, expect!["bafkreih6srkvvgezokakf5c4ipeo6kukuhhropyplsmv2gu5ouwyo23zfq"]);
    check(CHUNK_BYTES + 1, expect!["bafybeigef3jyplty4teqxmgmwtzaiyk3274turoat2uflda5p26k6rq6ii"]);
    check(FANOUT * CHUNK_BYTES - 1, expect!["bafybeihfkfjsmq7xn6jmtzvsjeubg4zwi52rbok2dwectxnxy7f3uqzv6u"]);
    check(FANOUT * CHUNK_BYTES, expect!["bafybeie3t2kk3avnl77oczcnpdt6dzouff5s5esaqhlp4zdkzhr3hzkxd4"]);
    check(FANOUT * CHUNK_BYTES + 1, expect!["bafybeicwyp5zplg5ikfibohm2ak5fm3pr4sjl2m3y4tjf4tnjyirujb3we"]);
    check((FANOUT + 1) * CHUNK_BYTES, expect!["bafybeialw775sw23xswg2c5tpc3j4x2rayitkzhvzdvt3ubobgppsf2lhm"]);
}

#[test]
fn a_builder_takes_leaves_that_were_kept() {
    let bytes = vec![7; 3 * CHUNK_BYTES + 5];
    let mut builder = CidBuilder::new();
    for chunk in bytes.chunks(CHUNK_BYTES) {
        builder.push(Leaf::known(*Leaf::of(chunk).digest(), chunk.len() as u64));
    }
    assert_eq!(builder.finish(), Cid::of(&bytes));
    assert_eq!(CidBuilder::new().finish(), Cid::of(b""));
}

/// Three levels of nodes are 7.4 GiB: `ipfs-unixfs-importer` was given them all and printed these texts; here the leaves
/// alone are enough.
#[test]
fn the_tree_grows_as_many_levels_as_it_needs() {
    let check = |leaves: usize, want: Expect| {
        let leaf = Leaf::of(&[7; CHUNK_BYTES]);
        let mut builder = CidBuilder::new();
        (0..leaves).for_each(|_| builder.push(leaf));
        want.assert_eq(&builder.finish().to_string());
    };
    check(FANOUT * FANOUT - 1, expect!["bafybeib6zvzbmwiikok6hkfyok5wjbhknssvav5zu5e6upsu73xoh4itra"]);
    check(FANOUT * FANOUT, expect!["bafybeihk3v3rljr3ic4iddcpxnjmggcmpdknoc6tiakx5aog6i2ms3u7qy"]);
    check(FANOUT * FANOUT + 1, expect!["bafybeie5jrwshady6mix6awarhm4k74ecqxr6hmmhta3ddk2lctcksnj5y"]);
    check(FANOUT * FANOUT + FANOUT + 1, expect!["bafybeie4gq4ogh7xl74q4ihnrmzhn2ipxmk4hpcqh42yskdukvjefsnc3q"]);
}

#[test]
fn only_the_canonical_text_is_a_cid() {
    let good = Cid::of(b"x").to_string();
    assert_eq!(Cid::parse(&good).map(|cid| cid.to_string()), Ok(good.clone()));
    for bad in ["", "x", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", &good.to_uppercase(), &good[..20], "../etc"]
    {
        assert!(Cid::parse(bad).is_err(), "{bad}");
    }
}
