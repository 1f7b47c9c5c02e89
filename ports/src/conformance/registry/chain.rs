use domain::Cid;

use super::at;
use crate::{Registry, StoredChainCode};

pub(super) async fn chain(registry: &dyn Registry) {
    assert_eq!(registry.load_chain_codes().await.expect("load"), []);
    let first = StoredChainCode { transaction: [1; 32], code: Cid::of(b"code"), code_bytes: 4, added_at: at(1) };
    // The same code in another transaction.
    let second = StoredChainCode { transaction: [0xff; 32], added_at: at(2), ..first };
    registry.add_chain_code(first).await.expect("add");
    registry.add_chain_code(second).await.expect("add");
    let again = StoredChainCode { code: Cid::of(b"other"), code_bytes: 5, added_at: at(3), ..first };
    registry.add_chain_code(again).await.expect("once more");
    let mut known = registry.load_chain_codes().await.expect("load");
    known.sort_by_key(|code| code.transaction);
    assert_eq!(known, [first, second]);
}
