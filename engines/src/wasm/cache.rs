//! Compiled modules: sealed on disk, mapped at first use, the used ones kept in memory.
//!
//! A file is opened once, its seal (a keyed hash over its bytes) is checked through that descriptor, and the same
//! descriptor is mapped. Whatever fails is compiled again from the code: nothing here is precious, nothing is trusted.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Cid, Error, ErrorCode, Manifest};
use ports::{BoxError, Code, NodeKey, PrepareError, Storage, StorageError};
use wasmtime::{Engine, InstancePre, Linker, Module};

use super::check;
use super::compile::Compiler;
use super::state::State;

pub(crate) struct Cache {
    engine: Engine,
    linker: Linker<State>,
    compiler: Arc<Compiler>,
    storage: Arc<dyn Storage>,
    folder: PathBuf,
    seal: NodeKey,
    /// Names the settings of the engine; code compiled under others is not ours.
    settings: String,
    loaded: quick_cache::sync::Cache<Cid, Arc<Loaded>>,
}

/// A module ready to be instantiated, and what its exports are: known once, asked for by every call.
pub(crate) struct Loaded {
    pub(crate) ready: InstancePre<State>,
    start: Option<TypeCheck>,
    handle: Option<TypeCheck>,
    /// What a function with `ws_persistent: true` exports.
    sockets: TypeCheck,
}

/// Has an exported function the type that it must have? The text says what is wrong.
type TypeCheck = Result<(), String>;

/// How a module wants to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `_start`: input on standard input, output on standard output.
    Command,
    /// `_initialize` and `handle` (`orama.md` 2.5).
    Reactor,
    /// Not at all: it only has `ws_open`, `ws_frame`, `ws_close`.
    Sockets,
}

impl Cache {
    pub(crate) fn open(
        engine: Engine,
        linker: Linker<State>,
        compiler: Arc<Compiler>,
        storage: Arc<dyn Storage>,
        folder: PathBuf,
        modules_max: usize,
        seal: NodeKey,
    ) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let settings = format!("{:016x}", hasher.finish());
        sweep(&folder, &settings)?;
        let loaded = quick_cache::sync::Cache::new(modules_max);
        Ok(Self { engine, linker, compiler, storage, folder, seal, settings, loaded })
    }

    /// The module of `code`, from memory, else from disk, else compiled again.
    pub(crate) async fn get(self: &Arc<Self>, code: &Cid) -> Result<Arc<Loaded>, PrepareError> {
        match self.loaded.get(code) {
            Some(loaded) => Ok(loaded),
            None => self.loaded.get_or_insert_async(code, self.load(code)).await,
        }
    }

    /// Checks and compiles a module that is being deployed. It is not kept in memory: many are deployed, few are called.
    pub(crate) async fn prepare(
        self: &Arc<Self>,
        code: &Code,
        manifest: &Manifest,
    ) -> Result<Arc<Loaded>, PrepareError> {
        let outline = check::outline(&code.bytes).map_err(PrepareError::Refused)?;
        check_memory(outline.memory_bytes_min, manifest).map_err(PrepareError::Refused)?;
        match self.map(&code.cid).await {
            Some(loaded) => Ok(loaded),
            None => self.compile(&code.cid, &code.bytes).await,
        }
    }

    pub(crate) async fn forget(&self, code: &Cid) {
        self.loaded.remove(code);
        let paths = [self.path(code, "cwasm"), self.path(code, "seal")];
        // Not there is as good as gone.
        tokio::task::spawn_blocking(move || paths.iter().for_each(|path| drop(std::fs::remove_file(path)))).await.ok();
    }

    async fn load(self: &Arc<Self>, code: &Cid) -> Result<Arc<Loaded>, PrepareError> {
        if let Some(loaded) = self.map(code).await {
            return Ok(loaded);
        }
        tracing::info!(%code, "compiling again: no usable compiled module on disk");
        let bytes = self.storage.get(code).await.map_err(unreadable)?;
        self.compile(code, &bytes).await
    }

    async fn compile(self: &Arc<Self>, code: &Cid, module: &[u8]) -> Result<Arc<Loaded>, PrepareError> {
        let answer = self.compiler.compile(module).await?;
        let (cache, code) = (self.clone(), *code);
        let written = tokio::task::spawn_blocking(move || cache.write(&code, &answer[1..]));
        written.await.map_err(ours)?.map_err(ours)?;
        let cache = self.clone();
        let mapped = tokio::task::spawn_blocking(move || cache.map_now(&code)).await.map_err(ours)?;
        mapped.map_err(|error| match error {
            MapError::Refused(error) => PrepareError::Refused(error),
            MapError::Unusable(cause) => PrepareError::Unavailable(cause),
        })
    }

    /// The module from disk; `None` when there is none that can be used.
    async fn map(self: &Arc<Self>, code: &Cid) -> Option<Arc<Loaded>> {
        let (cache, code) = (self.clone(), *code);
        let mapped = tokio::task::spawn_blocking(move || cache.map_now(&code)).await;
        match mapped.ok()? {
            Ok(loaded) => Some(loaded),
            Err(MapError::Refused(_)) => None,
            Err(MapError::Unusable(cause)) => {
                let absent = cause.downcast_ref::<std::io::Error>();
                if absent.is_none_or(|cause| cause.kind() != std::io::ErrorKind::NotFound) {
                    tracing::warn!(cause = &*cause as &dyn std::error::Error, %code, "a compiled module is damaged; not using it");
                }
                None
            }
        }
    }

    fn map_now(&self, code: &Cid) -> Result<Arc<Loaded>, MapError> {
        let mut file = File::open(self.path(code, "cwasm")).map_err(unusable)?;
        let seal = std::fs::read(self.path(code, "seal")).map_err(unusable)?;
        let mut hasher = self.hasher(code);
        copy_into(&mut file, &mut hasher).map_err(unusable)?;
        let expected =
            <[u8; 32]>::try_from(seal).map(blake3::Hash::from_bytes).map_err(|_| unusable("a seal of a wrong size"))?;
        if hasher.finalize() != expected {
            return Err(unusable("the seal does not fit the code"));
        }
        // SAFETY: the bytes were written by this node's compiler: their keyed hash, made with a key that only this node has,
        // was just checked through this descriptor. The folder is closed to other users (0700).
        let module = unsafe { Module::deserialize_open_file(&self.engine, file) }.map_err(unusable)?;
        let ready = self.linker.instantiate_pre(&module).map_err(|cause| MapError::Refused(not_linked(&cause)))?;
        Ok(Arc::new(Loaded::new(ready)))
    }

    fn write(&self, code: &Cid, compiled: &[u8]) -> std::io::Result<()> {
        let mut hasher = self.hasher(code);
        hasher.update(compiled);
        write_whole(&self.folder, &self.path(code, "cwasm"), compiled)?;
        write_whole(&self.folder, &self.path(code, "seal"), hasher.finalize().as_bytes())
    }

    /// The seal binds the bytes to the code and the settings they were compiled from.
    fn hasher(&self, code: &Cid) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(self.seal.expose());
        hasher.update(code.to_string().as_bytes()).update(b"\0").update(self.settings.as_bytes()).update(b"\0");
        hasher
    }

    fn path(&self, code: &Cid, extension: &str) -> PathBuf {
        self.folder.join(format!("{code}-{}.{extension}", self.settings))
    }
}

impl Loaded {
    fn new(ready: InstancePre<State>) -> Self {
        let start = check_type(ready.module(), "_start", &[], &[]);
        let handle = check_type(ready.module(), "handle", &["i32", "i32"], &["i64"]);
        let sockets = check_sockets(ready.module());
        Self { ready, start, handle, sockets }
    }

    /// How the module is called under this manifest, or why it cannot be.
    ///
    /// With `ws_persistent: true` it must be fit for sockets, and may be called like any other function if it can be.
    pub(crate) fn entry(&self, manifest: &Manifest) -> Result<Entry, Error> {
        let sockets = manifest.websocket.persistent;
        if let (true, Err(unfit)) = (sockets, &self.sockets) {
            return Err(Error::invalid(format!("the manifest says `ws_persistent: true`, but {unfit}")).hint(
                "docs/host-api.md says what it exports; without `ws_persistent: true` each frame is a call of its own",
            ));
        }
        let typed = |check: &TypeCheck, entry| check.clone().map(|()| entry).map_err(Error::invalid);
        match (manifest.reactor, &self.start, &self.handle) {
            (false, Some(start), _) => typed(start, Entry::Command),
            (true, None, Some(handle)) => typed(handle, Entry::Reactor),
            (true, None, None) | (false, None, _) if sockets => Ok(Entry::Sockets),
            (true, Some(_), _) => {
                Err(Error::invalid("the manifest says `reactor: true`, but the module exports `_start`")
                    .hint("remove `reactor: true`, or build a reactor (Go: `-buildmode=c-shared`)"))
            }
            (true, None, None) => {
                Err(Error::invalid("the manifest says `reactor: true`, but the module exports no `handle`")
                    .hint("export `handle(ptr: i32, len: i32) -> i64`"))
            }
            (false, None, Some(_)) => Err(Error::invalid("the module exports no `_start`, but a `handle`")
                .hint("is it a reactor? then write `reactor: true` into function.yaml")),
            (false, None, None) if self.exports("ws_frame") => {
                Err(Error::invalid("the module exports no `_start`, but a `ws_frame`")
                    .hint("to keep an instance for each WebSocket, write `ws_persistent: true` into function.yaml"))
            }
            (false, None, None) => {
                Err(Error::invalid("the module exports no `_start`")
                    .hint("build a program with a `main`, not a library"))
            }
        }
    }

    /// What an author should know although the module runs.
    pub(crate) fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let allocates = self.exports("orama_alloc") || self.exports("malloc");
        let imports = |import: wasmtime::ImportType<'_>| super::abi::returns_bytes(import.module(), import.name());
        let mut warnings = Vec::new();
        if !allocates && self.ready.module().imports().any(imports) {
            warnings.push("the module imports calls that return bytes, but exports neither `orama_alloc` nor `malloc`: they will return nothing".to_owned());
        }
        if manifest.reactor && !self.exports("malloc") {
            warnings.push("the reactor exports no `malloc`, so `handle` gets no input".to_owned());
        }
        let (allocate, free) = allocator_of(self.ready.module());
        if manifest.websocket.persistent && !self.exports(free) {
            warnings.push(format!(
                "the module exports `{allocate}` but no `{free}`: the memory of a socket grows with every frame"
            ));
        }
        warnings
    }

    fn exports(&self, name: &str) -> bool {
        exports_function(self.ready.module(), name)
    }
}

fn exports_function(module: &Module, name: &str) -> bool {
    matches!(module.get_export(name), Some(wasmtime::ExternType::Func(_)))
}

/// The exports that give and take back room for what the host places in the module's memory.
pub(super) fn allocator_of(module: &Module) -> (&'static str, &'static str) {
    match exports_function(module, "orama_alloc") {
        true => ("orama_alloc", "orama_free"),
        false => ("malloc", "free"),
    }
}

/// Is the module fit to be the instance of a socket (`orama.md` 2.6)? The text says what it lacks.
fn check_sockets(module: &Module) -> TypeCheck {
    let (allocate, free) = allocator_of(module);
    if !matches!(module.get_export("memory"), Some(wasmtime::ExternType::Memory(_))) {
        return Err("the module exports no `memory`".to_owned());
    }
    let needed: [(&str, &[&str], &[&str]); 4] = [
        ("ws_open", &["i32", "i32"], &["i32"]),
        ("ws_frame", &["i32", "i32"], &["i32"]),
        ("ws_close", &["i32", "i32"], &[]),
        (allocate, &["i32"], &["i32"]),
    ];
    for (name, params, results) in needed {
        check_type(module, name, params, results).unwrap_or_else(|| match name {
            "malloc" => Err("the module exports no allocator, neither `orama_alloc` nor `malloc`".to_owned()),
            _ => Err(format!("the module exports no `{name}`")),
        })?;
    }
    let freed: &[&str] = if free == "orama_free" { &["i32", "i32"] } else { &["i32"] };
    let may_be_there: [(&str, &[&str]); 3] = [("_initialize", &[]), ("_start", &[]), (free, freed)];
    may_be_there.iter().try_for_each(|(name, params)| check_type(module, name, params, &[]).unwrap_or(Ok(())))
}

/// `None` when no function of this name is exported.
fn check_type(module: &Module, name: &str, params: &[&str], results: &[&str]) -> Option<TypeCheck> {
    let Some(wasmtime::ExternType::Func(ty)) = module.get_export(name) else { return None };
    let seen_params: Vec<String> = ty.params().map(|ty| ty.to_string()).collect();
    let seen_results: Vec<String> = ty.results().map(|ty| ty.to_string()).collect();
    if seen_params == params && seen_results == results {
        return Some(Ok(()));
    }
    let show = |params: &str, results: &str| format!("({params}) -> ({results})");
    let seen = show(&seen_params.join(", "), &seen_results.join(", "));
    let want = show(&params.join(", "), &results.join(", "));
    Some(Err(format!("`{name}` has the type {seen}, it must be {want}")))
}

enum MapError {
    /// The module can never be linked here.
    Refused(Error),
    Unusable(BoxError),
}

fn unusable(cause: impl Into<BoxError>) -> MapError {
    MapError::Unusable(cause.into())
}

fn ours(cause: impl Into<BoxError>) -> PrepareError {
    PrepareError::Unavailable(cause.into())
}

fn not_linked(cause: &wasmtime::Error) -> Error {
    let chain: Vec<String> = cause.chain().map(|cause| cause.to_string()).collect();
    Error::invalid(format!("the module cannot be linked: {}", chain.join(": ")))
        .hint("the types of every host call are listed in docs/host-api.md")
}

fn unreadable(error: StorageError) -> PrepareError {
    match error {
        StorageError::Corrupt(cid) => PrepareError::Refused(Error::new(
            ErrorCode::Corrupt,
            format!("the stored code {cid} is damaged; deploy it again"),
        )),
        StorageError::NotFound(cid) => PrepareError::Refused(Error::new(
            ErrorCode::Corrupt,
            format!("the stored code {cid} is missing; deploy it again"),
        )),
        other => ours(other),
    }
}

fn check_memory(needed: u64, manifest: &Manifest) -> Result<(), Error> {
    let limit = manifest.memory_bytes_max();
    if needed <= limit {
        return Ok(());
    }
    let megabytes = needed.div_ceil(1 << 20);
    let message = format!("the module needs at least {megabytes} MB of memory, its limit is {} MB", manifest.memory_mb);
    let most = domain::LIMITS.memory_mb.1;
    let hint = match megabytes <= most {
        true => format!("set `memory: {megabytes}` in function.yaml (at most {most})"),
        false => format!("a function has at most {most} MB; build it to need less"),
    };
    Err(Error::invalid(message).hint(hint))
}

fn copy_into(file: &mut File, hasher: &mut blake3::Hasher) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

/// All of the file or nothing of it, under any crash of this process; torn by a power cut, its seal does not fit.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = tempfile::Builder::new()
        .prefix("writing-")
        .make_in(folder, |path| File::options().write(true).create_new(true).mode(0o600).open(path))?;
    let (mut file, path_of_temporary) = temporary.into_parts();
    file.write_all(bytes)?;
    path_of_temporary.persist(path)?;
    Ok(())
}

/// Deletes what other settings compiled, and what a crash left half written.
fn sweep(folder: &Path, settings: &str) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let ours =
            name.to_str().and_then(|name| name.split_once('-')).is_some_and(|(_, rest)| rest.starts_with(settings));
        if !ours {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
