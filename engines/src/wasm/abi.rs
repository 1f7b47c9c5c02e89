//! Our host calls for WebAssembly: their types, and how bytes get in and out (`orama.md` 2.2, 2.3).
//!
//! To add a call: a method on [`crate::host::Host`], a line in [`table::CALLS`]. A call whose service this server does not have
//! is only a line: it links, answers its failure value, and logs once that it is not available.

mod guest;
mod table;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use super::state::{State, Stop};
use crate::host::{self, Host, InTime};
pub(crate) use guest::{ALLOCATING_MAX, Allocator};
use guest::{Arguments, give};
use table::CALLS;

/// Three names, one table.
pub(crate) const MODULES: [&str; 3] = ["env", "host", "orama"];

/// One host call.
pub(crate) struct HostCall {
    name: &'static str,
    params: &'static [Param],
    result: HostResult,
    run: Run,
    doc: &'static str,
}

/// One parameter. Bytes are a pointer and a length, two i32.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Param {
    /// A name, a key, a URL, headers.
    Text,
    /// SQL, or JSON that is more than headers.
    Json,
    /// A value, a body, content.
    Data,
    /// A line for the log: what is too long is cut.
    Message,
    I32,
    I64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HostResult {
    Nothing,
    I32,
    I64,
    /// `(pointer << 32) | length` of bytes in the guest's memory; 0 for none.
    Bytes,
}

/// What a call does.
#[derive(Clone, Copy)]
enum Run {
    /// Answers at once.
    Now(fn(&mut Host, &Arguments) -> Answer),
    /// Waits for a service.
    Later(for<'a> fn(&'a mut Host, &'a Arguments) -> BoxFuture<'a, InTime<Answer>>),
    /// Belongs to this engine alone; defined by hand.
    ByHand,
    /// No service here: answers 0, or a JSON text.
    Absent(&'static str),
}

/// What a guest gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Nothing,
    Number(i64),
    Bytes(Bytes),
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Number(0)
    }
}

impl From<bool> for Answer {
    fn from(success: bool) -> Self {
        Self::Number(success.into())
    }
}

impl From<i64> for Answer {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::Bytes(Bytes::from(text))
    }
}

impl From<Bytes> for Answer {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Option<Bytes>> for Answer {
    fn from(bytes: Option<Bytes>) -> Self {
        bytes.map_or(Self::Nothing, Self::Bytes)
    }
}

/// Makes a call for a guest whose memory is not ours: arguments are its bytes in order, and the one number. `None` when there
/// is no such call, or it takes other arguments.
pub(crate) async fn call_by_name(
    host: &mut Host,
    name: &str,
    arguments: &[Bytes],
    number: i64,
) -> Option<InTime<Answer>> {
    let call = find(name)?;
    let arguments = Arguments::given(call.params, arguments, number)?;
    match call.run {
        Run::Absent(answer) => {
            host.unavailable(call.name);
            Some(Ok(Answer::from(answer)))
        }
        Run::Now(run) => Some(Ok(run(host, &arguments))),
        Run::Later(run) => Some(run(host, &arguments).await),
        Run::ByHand => None,
    }
}

fn find(name: &str) -> Option<&'static HostCall> {
    CALLS.iter().find(|call| call.name == name)
}

pub(crate) fn knows(name: &str) -> bool {
    find(name).is_some()
}

pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    domain::nearest(name, CALLS.iter().map(|call| call.name))
}

/// Does this import need the guest's allocator?
pub(crate) fn returns_bytes(module: &str, name: &str) -> bool {
    MODULES.contains(&module) && find(name).is_some_and(|call| call.result == HostResult::Bytes)
}

impl Param {
    /// The longest argument, in bytes; `None` for numbers.
    fn bytes_max(self) -> Option<usize> {
        match self {
            Self::Text => Some(host::TEXT_BYTES_MAX),
            Self::Json => Some(host::JSON_BYTES_MAX),
            Self::Data => Some(host::DATA_BYTES_MAX),
            Self::Message => Some(host::MESSAGE_BYTES_READ_MAX),
            Self::I32 | Self::I64 => None,
        }
    }
}

impl HostCall {
    fn params(&self) -> Vec<ValType> {
        let types = self.params.iter().flat_map(|param| match param {
            Param::I32 => vec![ValType::I32],
            Param::I64 => vec![ValType::I64],
            _ => vec![ValType::I32, ValType::I32],
        });
        types.collect()
    }

    fn results(&self) -> Vec<ValType> {
        match self.result {
            HostResult::Nothing => vec![],
            HostResult::I32 => vec![ValType::I32],
            HostResult::I64 | HostResult::Bytes => vec![ValType::I64],
        }
    }

    /// The imported function as a line of documentation.
    fn signature(&self) -> String {
        let params = self.params.iter().map(|param| match param {
            Param::I32 => "i32",
            Param::I64 => "i64",
            _ => "ptr i32, len i32",
        });
        let result = match self.result {
            HostResult::Nothing => "",
            HostResult::I32 => " -> i32",
            HostResult::I64 => " -> i64",
            HostResult::Bytes => " -> i64 (packed bytes)",
        };
        format!("{}({}){result}", self.name, params.collect::<Vec<_>>().join(", "))
    }

    /// Makes the call: 0 when an argument lies outside the memory.
    async fn answer(&self, caller: &mut Caller<'_, State>, params: &[Val]) -> wasmtime::Result<i64> {
        let answer = match self.run {
            Run::Absent(answer) => {
                caller.data_mut().host.unavailable(self.name);
                Answer::from(answer)
            }
            Run::Now(run) => match Arguments::read(caller, self.params, params) {
                Some(arguments) => run(&mut caller.data_mut().host, &arguments),
                None => return Ok(0),
            },
            Run::Later(run) => match Arguments::read(caller, self.params, params) {
                Some(arguments) => {
                    run(&mut caller.data_mut().host, &arguments).await.map_err(|_passed| Stop::Deadline)?
                }
                None => return Ok(0),
            },
            Run::ByHand => Answer::Number(0),
        };
        match answer {
            Answer::Nothing => Ok(0),
            Answer::Number(number) => Ok(number),
            Answer::Bytes(bytes) => Ok(give(caller, &bytes).await? as i64),
        }
    }
}

/// The table as Markdown: `docs/host-api.md`.
pub fn host_api_reference() -> String {
    let mut page = String::from(include_str!("abi/preface.md"));
    for (title, wanted) in [("Available", false), ("Not available on this server yet", true)] {
        page.push_str(&format!("\n## {title}\n"));
        for call in CALLS.iter().filter(|call| matches!(call.run, Run::Absent(_)) == wanted) {
            page.push_str(&format!("\n### `{}`\n\n    {}\n\n{}\n", call.name, call.signature(), call.doc));
            if let Run::Absent(answer) = call.run
                && !answer.is_empty()
            {
                page.push_str(&format!("Answers `{answer}`.\n"));
            }
        }
    }
    page
}

/// Defines every call under the name `module`.
pub(crate) fn add(linker: &mut Linker<State>, module: &str) -> wasmtime::Result<()> {
    for call in CALLS.iter().filter(|call| !matches!(call.run, Run::ByHand)) {
        add_call(linker, module, call)?;
    }
    guest::add_abort(linker, module)
}

fn add_call(linker: &mut Linker<State>, module: &str, call: &'static HostCall) -> wasmtime::Result<()> {
    let ty = FuncType::new(linker.engine(), call.params(), call.results());
    linker.func_new_async(module, call.name, ty, move |mut caller, params, results| {
        Box::new(async move {
            let answer = call.answer(&mut caller, params).await?;
            if let Some(result) = results.first_mut() {
                *result = if call.result == HostResult::I32 { Val::I32(answer as i32) } else { Val::I64(answer) };
            }
            Ok(())
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
