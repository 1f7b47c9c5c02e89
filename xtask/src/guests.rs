//! Builds the guest programs: `guests/<name>` becomes `<target>/guests/<name>.wasm`, again when its sources change.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{cargo, command, output, run_quietly};
use crate::places::Places;

struct Guest {
    name: &'static str,
    language: Language,
}

enum Language {
    Go { reactor: bool },
    Rust,
    C { arguments: &'static [&'static str] },
    Zig,
    AssemblyScript,
}

const GUESTS: [Guest; 14] = [
    Guest { name: "hello-go", language: Language::Go { reactor: false } },
    Guest { name: "echo-go", language: Language::Go { reactor: false } },
    Guest { name: "reactor-go", language: Language::Go { reactor: true } },
    Guest { name: "echo-rust", language: Language::Rust },
    Guest { name: "echo-c", language: Language::C { arguments: &[] } },
    Guest { name: "probe-c", language: Language::C { arguments: &[] } },
    Guest { name: "reactor-c", language: Language::C { arguments: REACTOR } },
    Guest { name: "frames-c", language: Language::C { arguments: &[] } },
    Guest { name: "socket-c", language: Language::C { arguments: REACTOR } },
    Guest { name: "socket-go", language: Language::Go { reactor: true } },
    Guest { name: "socket-rust", language: Language::Rust },
    Guest { name: "tinygo-shape", language: Language::C { arguments: BARE } },
    Guest { name: "echo-zig", language: Language::Zig },
    Guest { name: "echo-as", language: Language::AssemblyScript },
];

const REACTOR: &[&str] = &["-mexec-model=reactor", "-Wl,--export=malloc,--export=free"];
const BARE: &[&str] = &["-nostdlib", "-ffreestanding", "-Wl,--no-entry"];
const RUST_TARGET: &str = "wasm32-wasip1";

pub fn build(places: &Places) -> Result<()> {
    fs::create_dir_all(places.guests()).context("make the folder of guests")?;
    GUESTS.iter().try_for_each(|guest| guest.build(places).with_context(|| format!("build the guest `{}`", guest.name)))
}

pub fn has_rust_target(places: &Places) -> bool {
    let mut rustc = command(places, "rustc", &places.root);
    let folder = output(rustc.args(["--print", "target-libdir", "--target", RUST_TARGET]));
    folder.is_some_and(|folder| Path::new(&folder).is_dir())
}

/// Compiles Go's library for wasip1 into Go's own cache, so that the tests' builds are quick.
pub fn warm_go(places: &Places) -> Result<()> {
    run_quietly(go(places, &places.root.join("guests/hello-go")).args(["-o", "/dev/null", "."]))
}

impl Guest {
    fn build(&self, places: &Places) -> Result<()> {
        let source = places.root.join("guests").join(self.name);
        let module = places.guests().join(format!("{}.wasm", self.name));
        let stamp = module.with_extension("stamp");
        let sources = match self.language {
            // Some use the SDK.
            Language::Go { .. } => hash_of_both(&source, &places.root.join("sdk/go"))?,
            Language::Rust => hash_of_both(&source, &places.root.join("sdk/rust/src"))?,
            _ => format!("{:016x}", hash_of(&source)?),
        };
        if module.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == sources) {
            return Ok(());
        }
        if matches!(self.language, Language::Rust) && !has_rust_target(places) {
            eprintln!("guests: `{}` is left out, the target {RUST_TARGET} is missing", self.name);
            return Ok(());
        }
        let started = Instant::now();
        // A reader never sees half a module.
        let unfinished = module.with_extension("unfinished");
        self.compile(places, &source, &unfinished)?;
        fs::rename(&unfinished, &module)?;
        fs::write(&stamp, sources)?;
        eprintln!("guests: {} in {:.1} s", self.name, started.elapsed().as_secs_f32());
        Ok(())
    }

    fn compile(&self, places: &Places, source: &Path, module: &Path) -> Result<()> {
        match self.language {
            Language::Go { reactor } => {
                let mut go = go(places, source);
                go.arg("-o").arg(module).args(reactor.then_some("-buildmode=c-shared"));
                run_quietly(go.arg("."))
            }
            Language::Rust => rust(places, self.name, module),
            Language::C { arguments } => {
                run_quietly(c(places, source).arg("-o").arg(module).args(arguments).args(files(source, "c")?))
            }
            Language::Zig => {
                let mut zig = command(places, places.shims().join("zig"), source);
                zig.args([
                    "build-exe",
                    "-target",
                    "wasm32-freestanding",
                    "-O",
                    "ReleaseSmall",
                    "-fno-entry",
                    "-rdynamic",
                ]);
                // Its reports of built files go to the terminal otherwise.
                zig.arg(format!("-femit-bin={}", module.display())).args(files(source, "zig")?);
                run_quietly(&mut zig)
            }
            Language::AssemblyScript => {
                let mut asc = command(places, places.npm_tools().join("asc"), source);
                asc.args(files(source, "ts")?).args(["-O", "--use", "abort=", "--runtime", "stub", "-o"]);
                run_quietly(asc.arg(module))
            }
        }
    }
}

fn go(places: &Places, source: &Path) -> Command {
    let mut go = command(places, "go", source);
    go.env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOWORK", "off");
    go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]);
    go
}

fn rust(places: &Places, name: &str, module: &Path) -> Result<()> {
    let build = places.target.join("guests-build");
    let mut cargo = cargo(places);
    cargo.current_dir(places.root.join("guests")).env("CARGO_TARGET_DIR", &build);
    cargo.args(["build", "--quiet", "--offline", "--locked", "--release", "--target", RUST_TARGET, "-p", name]);
    run_quietly(&mut cargo)?;
    fs::copy(build.join(RUST_TARGET).join("release").join(format!("{name}.wasm")), module)?;
    Ok(())
}

/// clang with Debian's wasi-libc, else zig, which brings a libc of its own.
fn c(places: &Places, source: &Path) -> Command {
    let clang = "/usr/bin/clang-19";
    if Path::new(clang).exists() && Path::new("/usr/include/wasm32-wasi").is_dir() {
        let mut clang = command(places, clang, source);
        clang.args(["--target=wasm32-wasi", "-O2", "-Wl,--strip-all"]);
        return clang;
    }
    let mut zig = command(places, places.shims().join("zig"), source);
    zig.args(["cc", "-target", "wasm32-wasi", "-O2", "-s"]);
    zig
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let all = entries(folder)?.into_iter();
    Ok(all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read the folder `{}`", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn hash_of_both(source: &Path, sdk: &Path) -> Result<String> {
    Ok(format!("{:016x}{:016x}", hash_of(source)?, hash_of(sdk)?))
}

/// Over names and contents of all files below `folder`, and of this one, which knows how they are built.
fn hash_of(folder: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    include_str!("guests.rs").hash(&mut hasher);
    add_to_hash(folder, &mut hasher)?;
    Ok(hasher.finish())
}

fn add_to_hash(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    path.file_name().hash(hasher);
    if path.is_dir() {
        return entries(path)?.iter().try_for_each(|entry| add_to_hash(entry, hasher));
    }
    fs::read(path)?.hash(hasher);
    Ok(())
}
