//! Reading and managing functions that exist.

use std::sync::Arc;

use domain::{Caller, Error, ErrorCode, FunctionName, FunctionRef, Namespace, Scope, VersionNumber};
use ports::RegistryError;

use crate::Platform;
use crate::api::FunctionView;
use crate::authorise::unknown_function;
use crate::registry::Function;

impl Platform {
    /// The active version of every function of a namespace, by name.
    pub fn list(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<FunctionView>, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let functions = self.functions.load();
        let all = functions.of_namespace(namespace).into_iter();
        Ok(all.filter_map(|function| function.view(function.state.active)).collect())
    }

    /// One version: the active one, or that which `function` names.
    pub fn get(&self, caller: &Caller, namespace: &Namespace, function: &FunctionRef) -> Result<FunctionView, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let found = self.find(namespace, &function.name)?;
        found.view(function.version.unwrap_or(found.state.active)).ok_or_else(|| unknown_version(function))
    }

    /// Every version of a function, newest first; none when there is no such function.
    pub fn versions(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: &FunctionName,
    ) -> Result<Vec<FunctionView>, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let Ok(function) = self.find(namespace, name) else { return Ok(Vec::new()) };
        Ok(function.versions.keys().rev().filter_map(|number| function.view(*number)).collect())
    }

    /// Deletes one version (`name@N`) or the whole function (`name`).
    pub async fn delete(&self, caller: &Caller, namespace: &Namespace, function: &FunctionRef) -> Result<(), Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        let found = self.find(namespace, &function.name)?;
        let now = self.clock.now();
        let (gone, next) = match function.version {
            Some(version) => {
                let live = found.versions.get(&version).ok_or_else(|| unknown_version(function))?;
                let deleted = self.registry.delete_version(namespace, &function.name, version, now).await;
                deleted.map_err(|error| not_changed("delete a version", error))?;
                (vec![live.version.code], self.functions.load().without_version(&found, version))
            }
            None => {
                let deleted = self.registry.delete_function(namespace, &function.name, now).await;
                deleted.map_err(|error| not_changed("delete a function", error))?;
                let codes = found.versions.values().map(|live| live.version.code).collect();
                (codes, self.functions.load().without(namespace, &function.name))
            }
        };
        self.functions.store(Arc::new(next));
        if self.find(namespace, &function.name).is_err() {
            self.forget_triggers_of(namespace, &function.name).await;
        }
        self.sockets.end_function(namespace, &function.name, function.version);
        for code in gone {
            self.forget_unless_used(&code).await;
        }
        tracing::info!(%namespace, %function, "deleted");
        Ok(())
    }

    /// Makes an earlier version the active one: `to`, or the newest below the active one.
    pub async fn rollback(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: &FunctionName,
        to: Option<VersionNumber>,
    ) -> Result<FunctionView, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        let found = self.find(namespace, name)?;
        let earlier = || found.versions.range(..found.state.active).next_back().map(|(number, _)| *number);
        let target = to.or_else(earlier).ok_or_else(|| {
            Error::new(ErrorCode::Conflict, format!("function `{name}` has no version before {}", found.state.active))
        })?;
        let Some(live) = found.versions.get(&target) else {
            return Err(unknown_version(&FunctionRef { name: name.clone(), version: Some(target) }));
        };
        let now = self.clock.now();
        let triggers = self.triggers_again(namespace, &live.version.manifest);
        let all = self.with_manifest(namespace, name, &triggers);
        let activated = self.registry.activate(namespace, name, target, triggers, now);
        self.change_triggers(namespace, all, activated).await?;
        let next = self.functions.load().with_state(&found, now, |state| state.active = target);
        self.functions.store(Arc::new(next));
        tracing::info!(%namespace, function = %name, version = %target, "rolled back");
        self.get(caller, namespace, &FunctionRef { name: name.clone(), version: Some(target) })
    }

    /// Switches a function on or off; a function that is off answers `FUNCTION_UNAVAILABLE`.
    pub async fn set_enabled(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: &FunctionName,
        enabled: bool,
    ) -> Result<FunctionView, Error> {
        self.manage(caller, Scope::Deploy, namespace)?;
        let _one_at_a_time = self.management.lock().await;
        let found = self.find(namespace, name)?;
        let now = self.clock.now();
        let switched = self.registry.set_enabled(namespace, name, enabled, now).await;
        switched.map_err(|error| not_changed("switch a function", error))?;
        let next = self.functions.load().with_state(&found, now, |state| state.enabled = enabled);
        self.functions.store(Arc::new(next));
        if !enabled {
            self.sockets.end_function(namespace, name, None);
        }
        self.get(caller, namespace, &FunctionRef { name: name.clone(), version: None })
    }

    pub(crate) fn find(&self, namespace: &Namespace, name: &FunctionName) -> Result<Arc<Function>, Error> {
        self.functions.load().find(namespace, name).cloned().ok_or_else(|| unknown_function(name.as_str()))
    }
}

pub(crate) fn unknown_version(function: &FunctionRef) -> Error {
    let number = function.version.map(|version| version.to_string()).unwrap_or_default();
    Error::not_found(format!("function `{}` has no version {number}", function.name))
        .hint(format!("list the versions with `orama function versions {}`", function.name))
}

fn not_changed(doing: &str, error: RegistryError) -> Error {
    match error {
        RegistryError::NotFound => Error::not_found("the function or version does not exist any more"),
        other => crate::identity::not_changed(doing, other),
    }
}
