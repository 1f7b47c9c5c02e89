//! Compiling in a child process that can be killed: by its CPU limit, its memory limit, or the clock.
//!
//! The child gets the module on standard input and answers on standard output: one byte, then the compiled code or the
//! refusal as JSON. It opens no file and keeps nothing.

use std::io::{Read, Write};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use domain::{Error, ErrorCode};
use ports::{BoxError, PrepareError};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::{HelperCommand, check, settings};

const MEMORY_BYTES_MAX: u64 = 3 << 30;
/// The most compiled code that is read back.
const COMPILED_BYTES_MAX: u64 = 1 << 30;
/// Children at once: one would leave a core idle, more would only take turns.
const CHILDREN_MAX: usize = 2;

const COMPILED: u8 = 0;
const REFUSED: u8 = 1;

/// Starts and watches the children.
pub(crate) struct Compiler {
    helper: HelperCommand,
    cpu_seconds: u64,
    slots: Semaphore,
}

#[derive(Serialize, Deserialize)]
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Compiler {
    pub(crate) fn new(helper: HelperCommand, cpu_seconds: u64) -> Self {
        Self { helper, cpu_seconds, slots: Semaphore::new(CHILDREN_MAX) }
    }

    /// Compiles `module` to what wasmtime can map.
    pub(crate) async fn compile(&self, module: &[u8]) -> Result<Vec<u8>, PrepareError> {
        let _slot = self.slots.acquire().await.map_err(|closed| PrepareError::Unavailable(closed.into()))?;
        let cpu_seconds = self.cpu_seconds + (module.len() as u64 >> 20);
        // A busy machine gives a child less than a core; a child that waits for its input costs nobody CPU.
        let wall = Duration::from_secs(cpu_seconds * 3 + 5);
        let mut child = self.start(cpu_seconds).map_err(unavailable("start the compiler"))?;
        let answer = tokio::time::timeout(wall, converse(&mut child, module)).await;
        match answer {
            Ok(Ok(answer)) => self.conclude(child, answer, cpu_seconds).await,
            Ok(Err(cause)) => Err(PrepareError::Unavailable(cause.into())),
            Err(_elapsed) => {
                // Killed and reaped, before anybody learns of it.
                child.kill().await.map_err(unavailable("end the compiler"))?;
                Err(PrepareError::Refused(over_limit(cpu_seconds)))
            }
        }
    }

    fn start(&self, cpu_seconds: u64) -> std::io::Result<Child> {
        Command::new(&self.helper.program)
            .args(&self.helper.arguments)
            .arg("compile")
            .arg(cpu_seconds.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }

    async fn conclude(&self, mut child: Child, answer: Vec<u8>, cpu_seconds: u64) -> Result<Vec<u8>, PrepareError> {
        let status = child.wait().await.map_err(unavailable("wait for the compiler"))?;
        if !status.success() {
            // Ended by a signal: of its CPU limit, or an abort for want of memory.
            return match status.code() {
                None => Err(PrepareError::Refused(over_limit(cpu_seconds))),
                Some(code) => Err(PrepareError::Unavailable(format!("the compiler exited with code {code}").into())),
            };
        }
        match answer.split_first() {
            Some((&COMPILED, _)) => Ok(answer),
            Some((&REFUSED, refusal)) => {
                let Refusal { code, message } =
                    serde_json::from_slice(refusal).map_err(unavailable("read the compiler's refusal"))?;
                Err(PrepareError::Refused(Error::new(code, message)))
            }
            _ => Err(PrepareError::Unavailable("the compiler gave no answer".into())),
        }
    }
}

fn over_limit(cpu_seconds: u64) -> Error {
    let mebibytes = MEMORY_BYTES_MAX >> 20;
    let message = format!("compiling took more than {cpu_seconds} s of CPU or {mebibytes} MiB of memory");
    Error::new(ErrorCode::CompileLimit, message).hint("split very large functions, or build with less inlining")
}

fn unavailable<E: Into<BoxError>>(doing: &'static str) -> impl FnOnce(E) -> PrepareError {
    move |cause| PrepareError::Unavailable(format!("{doing}: {}", cause.into()).into())
}

/// Writes the module and reads the answer at the same time, so that neither side waits for ever.
async fn converse(child: &mut Child, module: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut input = child.stdin.take().expect("standard input is piped");
    let output = child.stdout.take().expect("standard output is piped");
    let write = async {
        // A child that died early reads nothing; its status says why.
        input.write_all(module).await.ok();
        drop(input);
    };
    let mut answer = Vec::new();
    let mut bounded = output.take(COMPILED_BYTES_MAX);
    let ((), read) = tokio::join!(write, bounded.read_to_end(&mut answer));
    read.map(|_| answer)
}

/// The child's side.
pub(crate) fn compile_child() -> ExitCode {
    let cpu_seconds =
        std::env::args().next_back().and_then(|text| text.parse().ok()).unwrap_or(settings::COMPILE_CPU_SECONDS);
    if let Err(cause) = confine(cpu_seconds) {
        eprintln!("error: cannot confine the compiler: {cause}");
        return ExitCode::FAILURE;
    }
    let mut module = Vec::new();
    if std::io::stdin().lock().read_to_end(&mut module).is_err() {
        return ExitCode::FAILURE;
    }
    let (tag, body) = match check_and_compile(&module) {
        Ok(compiled) => (COMPILED, compiled),
        Err(Error { code, message, .. }) => {
            (REFUSED, serde_json::to_vec(&Refusal { code, message }).expect("a refusal serializes"))
        }
    };
    let mut output = std::io::stdout().lock();
    match output.write_all(&[tag]).and_then(|()| output.write_all(&body)).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn check_and_compile(module: &[u8]) -> Result<Vec<u8>, Error> {
    check::bodies(module)?;
    let engine = wasmtime::Engine::new(&settings::for_compiling())
        .map_err(|cause| Error::new(ErrorCode::FunctionDeployFailed, format!("the compiler cannot start: {cause}")))?;
    engine
        .precompile_module(module)
        .map_err(|cause| Error::invalid(format!("the module is not valid: {}", cause.root_cause())))
}

/// Limits that this process cannot lift again; it dies with its parent.
fn confine(cpu_seconds: u64) -> rustix::io::Result<()> {
    use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
    let limits = [
        (Resource::Cpu, cpu_seconds),
        (Resource::As, MEMORY_BYTES_MAX),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 16),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    set_parent_process_death_signal(Some(Signal::KILL))
}
