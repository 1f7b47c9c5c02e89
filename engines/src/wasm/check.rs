//! What an upload must be before anybody compiles it.
//!
//! [`outline`] reads the frame of a module, which is cheap and safe anywhere. [`bodies`] reads every instruction and belongs
//! into the child: 9 KB of nested loops over many locals can cost a minute of compiling.

use domain::{Error, ErrorCode};
use wasmparser::{Operator, Parser, Payload, TypeRef};

use super::{abi, settings, wasi};

/// Loop depth times locals of one function; at this bound the compiler needs less than a second.
const LOOPS_TIMES_LOCALS_MAX: u64 = 25_000;
const FUNCTIONS_MAX: u32 = 200_000;
const BODY_BYTES_MAX: usize = 4 << 20;
const PAGE_BYTES: u64 = 64 << 10;

/// The frame of a module.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// What the module declares to need at least.
    pub(crate) memory_bytes_min: u64,
    pub(crate) exports: Vec<String>,
}

/// Reads the frame, and refuses what can never run here.
pub(crate) fn outline(bytes: &[u8]) -> Result<Outline, Error> {
    check_header(bytes)?;
    let mut outline = Outline::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(malformed)?;
                    check_import(import.module, import.name, &import.ty)?;
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory.map_err(malformed)?;
                    outline.memory_bytes_min = memory.initial.saturating_mul(PAGE_BYTES);
                }
            }
            Payload::TableSection(tables) => check_tables(tables)?,
            Payload::ExportSection(exports) => {
                for export in exports {
                    outline.exports.push(export.map_err(malformed)?.name.to_owned());
                }
            }
            Payload::CodeSectionStart { count, .. } if count > FUNCTIONS_MAX => {
                return Err(too_expensive(format!("the module has {count} functions, the limit is {FUNCTIONS_MAX}")));
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// Reads every body, and refuses what would cost too much to compile.
pub(crate) fn bodies(bytes: &[u8]) -> Result<(), Error> {
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(malformed)? {
            let size = body.range().len();
            if size > BODY_BYTES_MAX {
                return Err(too_expensive(format!("a function is {size} bytes long, the limit is {BODY_BYTES_MAX}")));
            }
            check_body(&body)?;
        }
    }
    Ok(())
}

fn check_body(body: &wasmparser::FunctionBody<'_>) -> Result<(), Error> {
    let mut locals: u64 = 0;
    for group in body.get_locals_reader().map_err(malformed)? {
        locals += u64::from(group.map_err(malformed)?.0);
    }
    let (mut loops, mut deepest) = (Vec::new(), 0u64);
    let mut depth = 0u64;
    for operator in body.get_operators_reader().map_err(malformed)? {
        match operator.map_err(malformed)? {
            Operator::Loop { .. } => {
                loops.push(true);
                depth += 1;
                deepest = deepest.max(depth);
            }
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => loops.push(false),
            Operator::End => depth -= u64::from(loops.pop().unwrap_or(false)),
            _ => {}
        }
    }
    let cost = deepest.saturating_mul(locals);
    if cost > LOOPS_TIMES_LOCALS_MAX {
        return Err(too_expensive(format!(
            "a function nests {deepest} loops over {locals} locals; loops times locals is limited to {LOOPS_TIMES_LOCALS_MAX}"
        )));
    }
    Ok(())
}

fn check_header(bytes: &[u8]) -> Result<(), Error> {
    const CORE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    let hint = "build it with `orama function build`";
    if bytes.starts_with(CORE) {
        return Ok(());
    }
    if bytes.starts_with(COMPONENT) {
        let message = "the file is a WebAssembly component; a core module is needed here";
        return Err(Error::invalid(message).hint("build for WASI preview 1, such as `--target wasm32-wasip1`"));
    }
    let what = match bytes {
        [b'\0', b'a', b's', b'm', ..] => "is cut off or of an unknown version of WebAssembly",
        [0x7f, b'E', b'L', b'F', ..] => "is a native executable (ELF), not WebAssembly",
        [b'P', b'K', ..] => "is a zip archive, not WebAssembly",
        _ if bytes.trim_ascii_start().starts_with(b"(") => "is WebAssembly text; assemble it first",
        _ => "is not WebAssembly",
    };
    Err(Error::invalid(format!("the file {what}: it must start with `\\0asm` and version 1")).hint(hint))
}

fn check_tables(tables: wasmparser::TableSectionReader<'_>) -> Result<(), Error> {
    let (count, most) = (tables.count(), settings::TABLES_PER_MODULE_MAX);
    if count > most {
        return Err(Error::invalid(format!("the module has {count} tables, the limit is {most}")));
    }
    for table in tables {
        let (elements, most) = (table.map_err(malformed)?.ty.initial, settings::TABLE_ELEMENTS_MAX as u64);
        if elements > most {
            return Err(Error::invalid(format!("a table has {elements} elements, the limit is {most}")));
        }
    }
    Ok(())
}

/// Imports are known by name here; their types are checked when the module is linked.
fn check_import(module: &str, name: &str, ty: &TypeRef) -> Result<(), Error> {
    let shown = |text: &str| text.chars().take(60).collect::<String>().escape_debug().to_string();
    let hosts = abi::MODULES.contains(&module);
    if !hosts && module != wasi::MODULE {
        if module.starts_with("wasi_") {
            let hint = format!("build for WASI preview 1 (`{}`), such as `--target wasm32-wasip1`", wasi::MODULE);
            return Err(Error::invalid(format!("module[{}] not instantiated", shown(module))).hint(hint));
        }
        let hint = format!(
            "import from `env` instead (or its aliases `host` and `orama`): `//go:wasmimport env {}`",
            shown(name)
        );
        return Err(Error::invalid(format!("module[{}] not instantiated", shown(module))).hint(hint));
    }
    let known = if hosts { abi::knows(name) } else { wasi::knows(name) };
    if !known {
        let near = if hosts { abi::nearest(name) } else { None };
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the calls that a function may import are listed in docs/host-api.md".to_owned(),
        };
        return Err(Error::invalid(format!("`{}` has no function `{}`", shown(module), shown(name))).hint(hint));
    }
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => Ok(()),
        _ => Err(Error::invalid(format!("`{module}.{name}` is imported as something that is not a function"))),
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> Error {
    Error::invalid(format!("the module is damaged or cut off: {} at byte {}", error.message(), error.offset()))
}

fn too_expensive(message: String) -> Error {
    Error::new(ErrorCode::CompileLimit, message)
}
