//! The helper process on its own, for programs that do not embed it as `orama` does: tests and benchmarks.

fn main() -> std::process::ExitCode {
    engines::helper_main(std::env::args_os().skip(1))
}
