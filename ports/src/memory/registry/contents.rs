//! Which namespace owns which content.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::{Cid, Namespace, Timestamp};

use super::{Kept, MemoryRegistry};
use crate::{ContentInfo, Contents, Owned, RegistryError};

#[async_trait]
impl Contents for MemoryRegistry {
    async fn own_content(
        &self,
        namespace: &Namespace,
        content: ContentInfo,
        bytes_max: Option<u64>,
    ) -> Result<Owned, RegistryError> {
        let mut kept = self.kept();
        kept.living(namespace)?;
        let used = kept.owned(namespace).map(|content| content.bytes).sum::<u64>();
        let key = (namespace.clone(), content.cid);
        if let Some(known) = kept.contents.get_mut(&key) {
            let pinned = known.pinned || content.pinned;
            *known = ContentInfo { bytes: known.bytes, pinned, ..content };
            return Ok(Owned::Yes);
        }
        if bytes_max.is_some_and(|max| used.saturating_add(content.bytes) > max) {
            return Ok(Owned::OverQuota { used });
        }
        kept.contents.insert(key, content);
        Ok(Owned::Yes)
    }

    async fn content(&self, namespace: &Namespace, cid: &Cid) -> Result<Option<ContentInfo>, RegistryError> {
        Ok(self.kept().contents.get(&(namespace.clone(), *cid)).cloned())
    }

    async fn list_contents(
        &self,
        namespace: &Namespace,
        after: Option<&Cid>,
        limit: usize,
    ) -> Result<Vec<ContentInfo>, RegistryError> {
        let kept = self.kept();
        let mut owned: Vec<&ContentInfo> = kept.owned(namespace).collect();
        owned.sort_by_key(|content| Reverse((content.created_at, content.cid.to_string())));
        let behind = match after {
            None => 0,
            Some(cid) => owned.iter().position(|content| content.cid == *cid).map_or(owned.len(), |found| found + 1),
        };
        Ok(owned[behind..].iter().take(limit).copied().cloned().collect())
    }

    async fn pin_content(
        &self,
        namespace: &Namespace,
        cid: &Cid,
        pinned: bool,
        name: Option<&str>,
    ) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let content = kept.contents.get_mut(&(namespace.clone(), *cid)).ok_or(RegistryError::NotFound)?;
        content.pinned = pinned;
        if let Some(name) = name {
            content.name = name.to_owned();
        }
        Ok(())
    }

    async fn disown_unpinned(
        &self,
        namespace: Option<&Namespace>,
        before: Timestamp,
    ) -> Result<(u64, u64), RegistryError> {
        let mut kept = self.kept();
        let gone = kept.contents.extract_if(.., |(of, _), content| {
            namespace.is_none_or(|wanted| wanted == of) && !content.pinned && content.created_at < before
        });
        Ok(gone.fold((0, 0), |(count, bytes), (_, content)| (count + 1, bytes + content.bytes)))
    }

    async fn owned_bytes(&self, namespace: &Namespace) -> Result<u64, RegistryError> {
        Ok(self.kept().owned(namespace).map(|content| content.bytes).sum())
    }

    async fn owned_contents(&self) -> Result<Vec<Cid>, RegistryError> {
        let kept = self.kept();
        let distinct: BTreeSet<Cid> = kept.contents.keys().map(|(_, cid)| *cid).collect();
        Ok(distinct.into_iter().collect())
    }
}

impl Kept {
    fn owned(&self, namespace: &Namespace) -> impl Iterator<Item = &ContentInfo> {
        let namespace = namespace.clone();
        self.contents.iter().filter(move |((of, _), _)| *of == namespace).map(|(_, content)| content)
    }
}
