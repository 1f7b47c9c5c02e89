//! A deploy: check and compile, store the code, then publish the version in one transaction.
//!
//! A crash before the transaction leaves the old version and perhaps an unreferenced piece of code, which the next start
//! removes; a crash after it leaves the new version. Nothing lies between.

use std::sync::Arc;

use domain::{Caller, Cid, Error, ErrorCode, FunctionVersion, Scope};
use ports::{Code, NewVersion, PrepareError, Prepared, StorageError};

use crate::api::{Deploy, Deployed};
use crate::lease::Lease;
use crate::{Platform, internal, schedule_hints};

impl Platform {
    /// Makes a new version of a function and activates it.
    pub async fn deploy(&self, caller: &Caller, deploy: Deploy) -> Result<Deployed, Error> {
        let lease = self.manage(caller, Scope::Deploy, &deploy.namespace)?;
        self.check_size(deploy.code.len())?;
        let code = Code { cid: Cid::of(&deploy.code), bytes: deploy.code.clone() };
        if deploy.if_changed
            && let Some(kept) = self.unchanged(&deploy, &code.cid)
        {
            return Ok(kept);
        }
        let mut prepared = self.engine.prepare(&code, &deploy.manifest).await.map_err(refused)?;
        prepared.warnings.extend(deploy.manifest.triggers.iter().flat_map(schedule_hints));
        if deploy.dry_run {
            // Under the lock: somebody may be publishing the same code at this moment.
            let _one_at_a_time = self.management.lock().await;
            let triggers = self.triggers_for(&deploy.namespace, &deploy.manifest);
            self.forget_unless_used(&code.cid).await;
            triggers?;
            return Ok(Deployed { function: None, code: code.cid, changed: false, warnings: prepared.warnings });
        }
        self.publish_version(caller, &lease, deploy, code, prepared).await
    }

    fn check_size(&self, size: usize) -> Result<(), Error> {
        let limit = self.config.limits.code_bytes_max;
        match size {
            0 => Err(Error::invalid("the upload is empty; send the compiled module as the part `wasm`")),
            _ if size > limit => {
                Err(Error::new(ErrorCode::PayloadTooLarge, format!("the code is {size} bytes, the limit is {limit}")))
            }
            _ => Ok(()),
        }
    }

    /// The active version, when it has this code and this manifest already.
    fn unchanged(&self, deploy: &Deploy, code: &Cid) -> Option<Deployed> {
        let functions = self.functions.load();
        let function = functions.find(&deploy.namespace, &deploy.manifest.name)?;
        let active = &function.active().version;
        let same = active.code == *code && active.manifest == deploy.manifest;
        same.then(|| Deployed {
            function: function.view(active.version),
            code: *code,
            changed: false,
            warnings: vec![],
        })
    }

    async fn publish_version(
        &self,
        caller: &Caller,
        lease: &Lease,
        deploy: Deploy,
        code: Code,
        prepared: Prepared,
    ) -> Result<Deployed, Error> {
        let _one_at_a_time = self.management.lock().await;
        // Now that nobody can delete it: the namespace may be gone since the code was compiled, and its name another's.
        lease.check()?;
        self.check_room(&deploy)?;
        let triggers = self.triggers_for(&deploy.namespace, &deploy.manifest)?;
        let all = self.with_manifest(&deploy.namespace, &deploy.manifest.name, &triggers);
        self.storage.put(code.bytes).await.map_err(not_stored)?;
        let namespace = deploy.namespace.clone();
        let published = self.registry.publish_version(NewVersion {
            id: uuid::Uuid::now_v7().to_string(),
            namespace: deploy.namespace,
            code: code.cid,
            code_bytes: deploy.code.len() as u64,
            manifest: deploy.manifest,
            triggers,
            created_at: self.clock.now(),
            created_by: caller.wallet().to_owned(),
        });
        let version: FunctionVersion = self.change_triggers(&namespace, all, published).await?;
        let (name, number) = (version.name.clone(), version.version);
        let next = self.functions.load().with_version(version);
        let view = next.find(&namespace, &name).and_then(|function| function.view(number));
        self.functions.store(Arc::new(next));
        tracing::info!(%namespace, function = %name, version = %number, code = %code.cid, "deployed");
        Ok(Deployed { function: view, code: code.cid, changed: true, warnings: prepared.warnings })
    }

    /// Is there room for one more function, if it is one?
    fn check_room(&self, deploy: &Deploy) -> Result<(), Error> {
        let Some(limit) = self.settings_of(&deploy.namespace).functions_max else { return Ok(()) };
        let functions = self.functions.load();
        let is_new = functions.find(&deploy.namespace, &deploy.manifest.name).is_none();
        if is_new && functions.of_namespace(&deploy.namespace).len() as u64 >= limit {
            let message = format!("the namespace has {limit} functions, and may have no more");
            return Err(
                Error::new(ErrorCode::StorageQuotaExceeded, message).hint("delete one, or ask the operator for more")
            );
        }
        Ok(())
    }

    /// Drops code that no version refers to any more, and that did not come from a chain. Whoever calls this holds `management`.
    pub(crate) async fn forget_unless_used(&self, code: &Cid) {
        let used = self.functions.load().referenced_code().contains(code);
        if used || self.chain.referenced_code().contains(code) {
            return;
        }
        self.engine.forget(code).await;
        if let Err(cause) = self.storage.delete(code).await {
            // The next start removes it.
            tracing::warn!(cause = &cause as &dyn std::error::Error, %code, "failed to delete unused code");
        }
    }
}

fn refused(error: PrepareError) -> Error {
    match error {
        PrepareError::Refused(error) => error,
        PrepareError::Unavailable(cause) => {
            let _logged = internal("prepare code", cause);
            Error::new(ErrorCode::FunctionDeployFailed, "Failed to deploy: the engine is not available")
        }
    }
}

fn not_stored(error: StorageError) -> Error {
    match error {
        StorageError::Full(_) => {
            let _logged = internal("store code", error);
            Error::new(ErrorCode::StorageQuotaExceeded, "the disk of the server is full; nothing was changed")
        }
        other => internal("store code", other),
    }
}
