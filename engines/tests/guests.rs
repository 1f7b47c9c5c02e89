//! Guest programs, each with a test of the same name: what a program does to us, and what becomes of it.

mod support;

use std::time::{Duration, Instant};

use domain::{ErrorCode, FailureKind, Level};
use expect_test::expect;
use support::{Bench, call, refuse, show};

#[tokio::test]
async fn echo() {
    let bench = Bench::new();
    let input = vec![b'x'; 300_000];
    assert_eq!(call(&bench, "echo", "", &input).await.expect("success").body, input);
    assert_eq!(call(&bench, "echo", "", b"").await.expect("success").body, "");
}

#[tokio::test]
async fn exit_3() {
    show(
        call(&Bench::new(), "exit_3", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Exit): exit code 3; standard error: disk is full
            log debug: disk is full
        "#]],
    );
}

#[tokio::test]
async fn trap_unreachable() {
    show(
        call(&Bench::new(), "trap_unreachable", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Trap): the function trapped: wasm trap: wasm `unreachable` instruction executed in `inner`
        "#]],
    );
}

#[tokio::test]
async fn trap_division() {
    show(
        call(&Bench::new(), "trap_division", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Trap): the function trapped: wasm trap: integer divide by zero
        "#]],
    );
}

/// Everything that never ends on its own ends soon after its deadline, and the next call works.
async fn ends_at_its_deadline(guest: &str) {
    let bench = Bench::new();
    let started = Instant::now();
    let failed = call(&bench, guest, "timeout: 1\nmemory: 64", b"").await.expect_err("no end of its own");
    assert_eq!(failed.error.code, ErrorCode::Timeout, "{failed:?}");
    assert!(failed.error.message.contains("within 1 s"), "{failed:?}");
    assert!(failed.ended.usage.cpu > Duration::ZERO, "spinning costs CPU");
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(call(&bench, "echo", "", b"next").await.expect("success").body, "next");
}

#[tokio::test]
async fn infinite_loop() {
    ends_at_its_deadline("infinite_loop").await;
}

#[tokio::test]
async fn loop_in_start() {
    ends_at_its_deadline("loop_in_start").await;
}

#[tokio::test]
async fn host_call_loop() {
    ends_at_its_deadline("host_call_loop").await;
}

#[tokio::test]
async fn memory_fill_loop() {
    ends_at_its_deadline("memory_fill_loop").await;
}

#[tokio::test]
async fn infinite_recursion() {
    show(
        call(&Bench::new(), "infinite_recursion", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(StackOverflow): the function recursed too deep: its stack overflowed
        "#]],
    );
}

#[tokio::test]
async fn memory_growth() {
    let failed = call(&Bench::new(), "memory_growth", "memory: 8", b"").await.expect_err("out of memory");
    assert_eq!(failed.error.kind, Some(FailureKind::Memory));
    assert_eq!(failed.error.message, "the function ran out of memory: its limit is 8 MB");
    let peak = failed.ended.usage.memory_peak_bytes;
    assert!((7 << 20..=8 << 20).contains(&peak), "{peak}");
}

#[tokio::test]
async fn table_growth() {
    let failed = call(&Bench::new(), "table_growth", "memory: 1", b"").await.expect_err("out of memory");
    assert_eq!(failed.error.kind, Some(FailureKind::Memory));
}

#[tokio::test]
async fn endless_output() {
    show(
        call(&Bench::new(), "endless_output", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(OutputLimit): the reply is larger than 8 MiB
        "#]],
    );
}

#[tokio::test]
async fn endless_log() {
    let reply = call(&Bench::new(), "endless_log", "", b"").await.expect("a flood is no failure");
    let logs = reply.ended.logs;
    assert_eq!(logs.len(), 1001);
    assert_eq!(logs[0].message, "\u{1b}[31mline");
    assert!(logs[1000].message.starts_with("[truncated"));
}

#[tokio::test]
async fn ignores_input() {
    let reply = call(&Bench::new(), "ignores_input", "", &vec![0; 6 << 20]).await.expect("success");
    assert_eq!(reply.body, "ok");
}

#[tokio::test]
async fn allocator_traps() {
    let failed = call(&Bench::new(), "allocator_traps", "", b"").await.expect_err("the allocator traps");
    assert_eq!(failed.error.kind, Some(FailureKind::Trap));
}

#[tokio::test]
async fn allocator_reenters() {
    assert_eq!(call(&Bench::new(), "allocator_reenters", "", b"").await.expect("success").body, "8");
}

#[tokio::test]
async fn allocator_outside() {
    assert_eq!(call(&Bench::new(), "allocator_outside", "", b"").await.expect("success").body, "0");
}

#[tokio::test]
async fn pointers() {
    assert_eq!(call(&Bench::new(), "pointers", "", b"").await.expect("success").body, "0000000000");
}

#[tokio::test]
async fn context() {
    show(
        call(&Bench::new(), "context", "env: {MY_VAR: value}", b"").await,
        expect![[r#"
            request-1
            0xada
            value


            log info: MY_
            log error: VAR
        "#]],
    );
}

#[tokio::test]
async fn absent_services() {
    show(
        call(&Bench::new(), "absent_services", "", b"").await,
        expect![[r#"
        {"status":0,"error":"no anonymity proxy is configured","proxy":"anyone"}{"configured":false,"namespace":"default"}0
        log warn: `anyone_fetch` is not available on this server
        log warn: `capability_revoke` is not available on this server
        log warn: `get_caller_device_id` is not available on this server
        log warn: `push_send_topic` is not available on this server
    "#]],
    );
}

#[tokio::test]
async fn reactor() {
    let bench = Bench::new();
    for input in ["", "abc"] {
        let reply = call(&bench, "reactor", "reactor: true", input.as_bytes()).await.expect("success");
        assert_eq!(reply.body, format!("[{input}]"));
    }
}

#[tokio::test]
async fn reactor_outside() {
    let failed = call(&Bench::new(), "reactor_outside", "reactor: true", b"").await.expect_err("outside");
    assert_eq!(failed.error.kind, Some(FailureKind::Abi));
}

#[tokio::test]
async fn raw_response() {
    let bench = Bench::new();
    let reply = call(&bench, "raw_response", "raw_http_response: true", b"").await.expect("success");
    let head = reply.head.expect("a head was composed");
    assert_eq!(head.status, 201);
    assert_eq!(head.headers.len(), 3);
    assert_eq!(reply.body, "made here");
    // Without the permission of the manifest nothing is composed, and standard output is the reply.
    let reply = call(&bench, "raw_response", "", b"").await.expect("success");
    assert_eq!((reply.head, &reply.body[..]), (None, &b"made here"[..]));
}

#[tokio::test]
async fn environment() {
    let bench = Bench::new();
    assert_eq!(call(&bench, "environment", "env: {A: b}", b"").await.expect("success").body, "");
    let reply = call(&bench, "environment", "http: true", b"abc").await.expect("success");
    let shown = String::from_utf8_lossy(&reply.body).replace('\0', "\n");
    expect![[r#"
        GATEWAY_INTERFACE=CGI/1.1
        REQUEST_METHOD=PUT
        PATH_INFO=/a/b
        QUERY_STRING=c=d
        REQUEST_URI=/a/b?c=d
        CONTENT_LENGTH=3
        HTTP_X_ONE=1
    "#]]
    .assert_eq(&shown);
}

#[tokio::test]
async fn sleeps() {
    let bench = Bench::new();
    let slept = call(&bench, "sleeps", "", &30u32.to_le_bytes()).await.expect("success").body;
    assert!(u32::from_le_bytes(slept[..].try_into().expect("four bytes")) >= 30);
    let failed = call(&bench, "sleeps", "timeout: 1", &60_000u32.to_le_bytes()).await.expect_err("too long");
    assert_eq!(failed.error.code, ErrorCode::Timeout);
}

#[tokio::test]
async fn carry_over() {
    let bench = Bench::new();
    for _ in 0..50 {
        assert_eq!(call(&bench, "carry_over", "", b"").await.expect("success").body, "000");
    }
}

#[tokio::test]
async fn random_and_clock() {
    let bench = Bench::new();
    let first = call(&bench, "random_and_clock", "", b"").await.expect("success").body;
    let second = call(&bench, "random_and_clock", "", b"").await.expect("success").body;
    assert_ne!(first[..8], second[..8]);
    let now = domain::Timestamp::now().as_nanosecond() as u64;
    let seen = u64::from_le_bytes(second[8..].try_into().expect("eight bytes"));
    assert!(now - seen < 60_000_000_000, "{now} {seen}");
}

#[tokio::test]
async fn aborts() {
    show(
        call(&Bench::new(), "aborts", "", b"").await,
        expect![[r#"
            FUNCTION_EXECUTION_FAILED Some(Trap): the function aborted: no (:7:9)
        "#]],
    );
}

#[tokio::test]
async fn tinygo_shape() {
    assert_eq!(call(&Bench::new(), "tinygo_shape", "", b"").await.expect("success").body, "request-1");
}

#[tokio::test]
async fn what_can_never_run_is_refused_with_the_fix() {
    let bench = Bench::new();
    let start = "(memory (export \"memory\") 1) (func (export \"_start\"))";
    let cases: &[(&str, &str)] = &[
        ("(module (import \"mine\" \"f\" (func)) %)", ""),
        ("(module (import \"env\" \"get_evn\" (func)) %)", ""),
        ("(module (import \"env\" \"get_env\" (func (param i64))) %)", ""),
        ("(module (import \"env\" \"memory\" (memory 1)) (func (export \"_start\")))", ""),
        ("(module (import \"wasi_snapshot_preview1\" \"fd_fly\" (func)) %)", ""),
        ("(module (import \"wasi_unstable\" \"fd_write\" (func)) %)", ""),
        ("(module (memory (export \"memory\") 1))", ""),
        ("(module (memory (export \"memory\") 1) (func (export \"_start\") (param i32)))", ""),
        (
            "(module (memory (export \"memory\") 1) (func (export \"handle\") (param i32 i32) (result i64) (i64.const 0)))",
            "",
        ),
        ("(module %)", "reactor: true"),
        ("(module (memory (export \"memory\") 1025) (func (export \"_start\")))", "memory: 64"),
        ("(module (memory i64 1) (func (export \"_start\")))", ""),
        ("(module (memory 1) (memory 1) (func (export \"_start\")))", ""),
        ("(module (memory 1 2 shared) (func (export \"_start\")))", ""),
        ("(module (table 10000000 funcref) %)", ""),
        ("(module (memory (export \"memory\") 65536) (func (export \"_start\")))", ""),
    ];
    let mut seen = String::new();
    for (text, manifest) in cases {
        let module = wat::parse_str(text.replace('%', start)).expect("the case assembles");
        seen += &format!("{}\n", refuse(&bench, &module, manifest).await);
    }
    expect![[r#"
        VALIDATION_FAILED module[mine] not instantiated / import from `env` instead (or its aliases `host` and `orama`): `//go:wasmimport env f`
        VALIDATION_FAILED `env` has no function `get_evn` / did you mean `get_env`?
        VALIDATION_FAILED the module cannot be linked: incompatible import type for `env::get_env`: types incompatible: expected type `(func (param i64))`, found type `(func (param i32 i32) (result i64))` / the types of every host call are listed in docs/host-api.md
        VALIDATION_FAILED `env` has no function `memory` / the calls that a function may import are listed in docs/host-api.md
        VALIDATION_FAILED `wasi_snapshot_preview1` has no function `fd_fly` / the calls that a function may import are listed in docs/host-api.md
        VALIDATION_FAILED module[wasi_unstable] not instantiated / build for WASI preview 1 (`wasi_snapshot_preview1`), such as `--target wasm32-wasip1`
        VALIDATION_FAILED the module exports no `_start` / build a program with a `main`, not a library
        VALIDATION_FAILED `_start` has the type (i32) -> (), it must be () -> ()
        VALIDATION_FAILED the module exports no `_start`, but a `handle` / is it a reactor? then write `reactor: true` into function.yaml
        VALIDATION_FAILED the manifest says `reactor: true`, but the module exports `_start` / remove `reactor: true`, or build a reactor (Go: `-buildmode=c-shared`)
        VALIDATION_FAILED the module needs at least 65 MB of memory, its limit is 64 MB / set `memory: 65` in function.yaml (at most 256)
        VALIDATION_FAILED the module is not valid: memory64 must be enabled for 64-bit memories (at offset 0x15)
        VALIDATION_FAILED the module is not valid: multiple memories (at offset 0x14)
        VALIDATION_FAILED the module is not valid: threads must be enabled for shared memories (at offset 0x15)
        VALIDATION_FAILED a table has 10000000 elements, the limit is 100000
        VALIDATION_FAILED the module needs at least 4096 MB of memory, its limit is 64 MB / a function has at most 256 MB; build it to need less
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn what_is_not_a_module_is_refused_by_its_first_bytes() {
    let bench = Bench::new();
    let files: [&[u8]; 7] = [
        b"\x7fELF\x02",
        b"PK\x03\x04",
        b"\0asm\x0d\0\x01\0",
        b"\0asm\x02\0\0\0",
        b"\0asm",
        b" (module)",
        b"{\"json\": 1}",
    ];
    let mut seen = String::new();
    for file in files {
        seen += &format!("{}\n", refuse(&bench, file, "").await);
    }
    expect![[r#"
        VALIDATION_FAILED the file is a native executable (ELF), not WebAssembly: it must start with `\0asm` and version 1 / build it with `orama function build`
        VALIDATION_FAILED the file is a zip archive, not WebAssembly: it must start with `\0asm` and version 1 / build it with `orama function build`
        VALIDATION_FAILED the file is a WebAssembly component; a core module is needed here / build for WASI preview 1, such as `--target wasm32-wasip1`
        VALIDATION_FAILED the file is cut off or of an unknown version of WebAssembly: it must start with `\0asm` and version 1 / build it with `orama function build`
        VALIDATION_FAILED the file is cut off or of an unknown version of WebAssembly: it must start with `\0asm` and version 1 / build it with `orama function build`
        VALIDATION_FAILED the file is WebAssembly text; assemble it first: it must start with `\0asm` and version 1 / build it with `orama function build`
        VALIDATION_FAILED the file is not WebAssembly: it must start with `\0asm` and version 1 / build it with `orama function build`
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn a_module_cut_at_any_byte_is_refused() {
    let bench = Bench::new();
    let module = support::fixture("echo");
    for length in (0..module.len()).step_by(7) {
        let refusal = refuse(&bench, &module[..length], "").await;
        assert!(refusal.starts_with("VALIDATION_FAILED"), "{length}: {refusal}");
    }
    assert_eq!(bench.compiled_files(), 0, "nothing is kept of what was refused");
}

#[tokio::test]
async fn a_declared_maximum_above_the_limit_is_fine() {
    let module =
        wat::parse_str("(module (memory (export \"memory\") 1 65536) (func (export \"_start\")))").expect("assembles");
    let bench = Bench::new();
    bench.prepare(&module, "memory: 1").await.expect("accepted");
}

#[tokio::test]
async fn compile_bombs_end_in_compile_limit() {
    let bench = Bench::new();
    for (loops, locals) in [(100, 1000), (200, 1000), (300, 2000), (900, 4000)] {
        let refusal = refuse(&bench, &support::compile_bomb(loops, locals), "").await;
        assert!(refusal.starts_with("COMPILE_LIMIT"), "{refusal}");
    }
}

#[tokio::test]
async fn many_costly_functions_end_by_the_cpu_limit_and_disturb_nobody() {
    let bench = Bench::with_an_impatient_compiler();
    let bomb = support::many_bombs(150, 49, 500);
    let (refusal, echoed) = tokio::join!(refuse(&bench, &bomb, ""), call(&bench, "echo", "", b"others"));
    assert!(refusal.starts_with("COMPILE_LIMIT"), "{refusal}");
    assert_eq!(echoed.expect("success").body, "others");
}

#[tokio::test]
async fn a_tampered_compiled_module_is_never_loaded() {
    let bench = Bench::new();
    let code = bench.deploy(&support::fixture("echo"), "").await;
    for spoil in [support::flip_a_byte, support::cut_in_half, support::empty] {
        bench.spoil_compiled(spoil);
        let fresh = bench.reopened();
        let reply = fresh.call_code(&code, "", b"still right").await.expect("compiled again");
        assert_eq!(reply.body, "still right");
    }
}

#[tokio::test]
async fn a_restart_compiles_nothing() {
    let bench = Bench::new();
    let code = bench.deploy(&support::fixture("echo"), "").await;
    let fresh = bench.reopened_without_a_compiler();
    assert_eq!(fresh.call_code(&code, "", b"mapped").await.expect("success").body, "mapped");
}

#[tokio::test]
async fn two_hundred_calls_at_once_see_only_their_own() {
    let bench = Bench::new();
    let code = bench.deploy(&support::fixture("context"), "env: {MY_VAR: v}").await;
    let calls = (0..200).map(|number| {
        let (bench, code) = (&bench, &code);
        async move {
            let id = format!("id-{number}");
            let reply = bench.call_as(code, "env: {MY_VAR: v}", b"", &id).await.expect("success");
            assert!(reply.body.starts_with(format!("{id}\n").as_bytes()), "{id}: {reply:?}");
            assert_eq!(reply.ended.logs.iter().filter(|line| line.level == Level::Info).count(), 1);
        }
    });
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn dropping_a_call_ends_its_guest() {
    let bench = Bench::new();
    let code = bench.deploy(&support::fixture("infinite_loop"), "timeout: 300").await;
    let spinning = bench.call_code(&code, "timeout: 300", b"");
    let given_up = tokio::time::timeout(Duration::from_millis(50), spinning).await;
    assert!(given_up.is_err());
    // With the guest gone, its place in a pool of one is free again.
    assert_eq!(call(&bench, "echo", "", b"next").await.expect("success").body, "next");
}
