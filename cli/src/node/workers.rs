//! Workers of this node: which workerd runs them, and whether they may run at all.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use anyhow::Context;
use backends::DataFolder;
use engines::jail::{Jail, Level};
use engines::{Worker, WorkerConfig, WorkerEngine, WorkerLimits, Workerd};
use ports::Storage;
use tokio::runtime::Handle;

use super::{Check, CheckState};
use crate::config::EngineConfig;

/// The engine, or why there is none. Only a program that the configuration names must be there.
pub(super) fn open(
    config: &EngineConfig,
    jail: Arc<Jail>,
    folder: &DataFolder,
    storage: Arc<dyn Storage>,
    background: &Handle,
) -> anyhow::Result<Worker> {
    let workerd = match Workerd::find(config.workerd.as_deref()) {
        Ok(workerd) => workerd,
        Err(missing) if config.workerd.is_some() => return Err(missing).context("find `engine.workerd`"),
        Err(missing) => return Ok(Worker::Missing(missing.to_string())),
    };
    if jail.level() == Level::None {
        let why = "this machine cannot isolate programs; `orama doctor` lists what is missing";
        return Ok(Worker::Missing(why.to_owned()));
    }
    let limits = WorkerLimits {
        processes_max: config.workers_max,
        spares: config.worker_spares.min(config.workers_max - 1),
        shared: jail.level() == Level::Full || config.require_isolation == Level::User,
        ..WorkerLimits::default()
    };
    let folders = empty_folder(folder.tmp().join("workers")).context("make the folder of workers")?;
    let config = WorkerConfig { workerd, jail, folders, limits };
    let engine = WorkerEngine::open(config, storage, background.clone()).context("start the engine of workers")?;
    Ok(Worker::Here(engine))
}

/// Without what a server left that was killed.
fn empty_folder(folder: PathBuf) -> io::Result<PathBuf> {
    match fs::remove_dir_all(&folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => fs::create_dir_all(&folder)?,
    }
    Ok(folder)
}

/// The line of `orama doctor`.
pub fn workerd_check(config: &EngineConfig) -> Check {
    let (state, detail) = match Workerd::find(config.workerd.as_deref()) {
        Ok(Workerd { program, version }) => (CheckState::Ok, format!("{version} ({})", program.display())),
        Err(missing) if config.workerd.is_some() => (CheckState::Problem, missing.to_string()),
        Err(missing) => (CheckState::Note, missing.to_string()),
    };
    Check { name: "workerd".to_owned(), state, detail }
}
