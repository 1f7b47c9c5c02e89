use crate::{Certificate, Certificates};

/// Panics when `store`, which must be empty, does not keep certificates. `make` makes one for a name, a different one each time.
pub async fn certificates(store: &dyn Certificates, make: impl Fn(&str) -> Certificate) {
    assert!(kept(store).await.is_empty());
    let first = make("a.example.com");
    store.store(&first).await.expect("store");
    store.store(&make("b.example.com")).await.expect("store");
    assert_eq!(kept(store).await.len(), 2);
    assert!(kept(store).await.contains(&first), "it comes back as it was");

    let renewed = make("a.example.com");
    store.store(&renewed).await.expect("store");
    let all = kept(store).await;
    assert!(all.contains(&renewed) && !all.contains(&first), "a newer one takes the place of the older");

    store.remove("a.example.com").await.expect("remove");
    store.remove("a.example.com").await.expect("removing twice is no error");
    let left = kept(store).await;
    assert_eq!(left.iter().flat_map(|certificate| &certificate.names).collect::<Vec<_>>(), ["b.example.com"]);
}

async fn kept(store: &dyn Certificates) -> Vec<Certificate> {
    let (kept, unusable) = store.list().await.expect("list");
    assert!(unusable.is_empty(), "{unusable:?}");
    kept
}
