//! Receipts by themselves: each is signed by a key of the node, and each follows the one before it.

use std::collections::BTreeMap;

use domain::{Cid, PublishedKeys, Receipt};

use crate::failure::{Failure, Outcome};

/// Fails at the first receipt that is wrong, and where one is missing between two others.
pub(super) fn check(receipts: &[Receipt], keys: &PublishedKeys) -> Outcome {
    for receipt in receipts {
        let id = &receipt.facts.request_id;
        let verified = platform::verify_receipt(receipt, keys);
        verified.map_err(|fault| Failure::failed(format!("the receipt `{id}` is not genuine: {fault}")))?;
    }
    chains(receipts).values().try_for_each(|chain| check_chain(chain))
}

/// The receipts of each function, by their numbers.
fn chains(receipts: &[Receipt]) -> BTreeMap<(String, String), Vec<&Receipt>> {
    let mut chains = BTreeMap::<_, Vec<&Receipt>>::new();
    for receipt in receipts {
        let name = (receipt.facts.namespace.to_string(), receipt.facts.function.to_string());
        chains.entry(name).or_default().push(receipt);
    }
    chains.values_mut().for_each(|chain| chain.sort_by_key(|receipt| receipt.link.sequence));
    chains
}

fn check_chain(chain: &[&Receipt]) -> Outcome {
    for pair in chain.windows(2) {
        let [before, after] = pair else { continue };
        let (from, to) = (before.link.sequence, after.link.sequence);
        if to != from + 1 {
            let what =
                if to == from { "two receipts have the number" } else { "receipts are missing behind the number" };
            return Err(Failure::failed(format!("{what} {from} of `{}`", before.facts.function)));
        }
        if after.link.previous != Some(before.digest()) {
            let message = format!("the receipt {to} of `{}` does not follow the one before it", after.facts.function);
            return Err(Failure::failed(message));
        }
    }
    match chain.first().filter(|first| (first.link.sequence == 1) != first.link.previous.is_none()) {
        Some(first) => Err(Failure::failed(format!("the receipt {} is in no chain", first.link.sequence))),
        None => Ok(()),
    }
}

pub(super) fn check_code(receipt: &Receipt, wanted: Option<&Cid>) -> Outcome {
    match wanted {
        Some(wanted) if *wanted != receipt.facts.code => {
            let (id, ran) = (&receipt.facts.request_id, &receipt.facts.code);
            Err(Failure::failed(format!("the receipt `{id}` is about the code {ran}, not {wanted}")))
        }
        _ => Ok(()),
    }
}

/// How many there are, and of what.
pub(super) fn summary(receipts: &[Receipt]) -> String {
    let described = chains(receipts).into_iter().map(|((namespace, function), chain)| {
        let numbers = chain.first().zip(chain.last()).map(|(first, last)| (first.link.sequence, last.link.sequence));
        let (first, last) = numbers.unwrap_or_default();
        format!("{namespace}/{function} {first} to {last}")
    });
    described.collect::<Vec<_>>().join(", ")
}
