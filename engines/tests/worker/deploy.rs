//! What a deploy finds out about a worker.

use std::time::Duration;

use engines::WorkerLimits;
use expect_test::expect;

use crate::bench::{Bench, LIMITS, packed, poll};

const GOOD: &str = "export default { fetch() { return new Response('good'); } };";

#[tokio::test]
async fn both_ways_to_write_a_worker_are_accepted() {
    let bench = Bench::new();
    for (name, code) in [
        (
            "module",
            "export default { async fetch(request) { return new Response('hello ' + await request.text()); } };",
        ),
        (
            "listener",
            "addEventListener('fetch', event => event.respondWith(answer(event.request)));
             async function answer(request) { return new Response('hello ' + await request.text()); }",
        ),
        (
            "class",
            "import { WorkerEntrypoint } from 'cloudflare:workers';
             export default class extends WorkerEntrypoint {
               async fetch(request) { return new Response('hello ' + await request.text()); }
             }",
        ),
    ] {
        for date in ["", "compatibility_date: '2023-03-07'"] {
            let function = bench.deploy(name, code.as_bytes(), date).await;
            assert_eq!(function.text("you").await, "hello you", "{name} {date}");
        }
    }
}

#[tokio::test]
async fn a_folder_of_modules_is_one_worker() {
    let bench = Bench::new();
    let code = packed(&[
        ("lib/greet.js", "import { mark } from './mark.mjs'; export const greet = name => `hello ${name}${mark}`;"),
        ("lib/mark.mjs", "export const mark = '!';"),
        (
            "src/start.js",
            "import { greet } from '../lib/greet.js'; export default { async fetch(r) { return new Response(greet(await r.text())); } };",
        ),
    ]);
    let function = bench.deploy("folder", &code, "main: src/start.js").await;
    assert_eq!(function.text("you").await, "hello you!");
    let refused = bench.refusal(&code, "").await;
    assert_eq!(refused, "VALIDATION_FAILED the worker has no module `index.js`");
}

#[tokio::test]
async fn a_mistake_is_refused_with_its_place() {
    let bench = Bench::new();
    let mut seen = String::new();
    for code in [
        "export default {\n  fetch() {\n    let x = ;\n  }\n};",
        "const a = 1;\nnull.foo;\nexport default { fetch() {} };",
        "import { a } from './missing.js';\nexport default { fetch() {} };",
        "import { nothing } from 'node:async_hooks';\nexport default { fetch() {} };",
        "export const x = 1;",
        "export default { queue() {} };",
        "export default 7;",
        "\u{feff}",
    ] {
        seen += &format!("{}\n", bench.refusal(code.as_bytes(), "").await);
    }
    let broken_module =
        packed(&[("index.js", "import './a/b.js';\nexport default { fetch() {} };"), ("a/b.js", "\n\n  }")]);
    seen += &format!("{}\n", bench.refusal(&broken_module, "").await);
    seen += &format!("{}\n", bench.refusal(GOOD.as_bytes(), "compatibility_date: '2999-01-01'").await);
    seen += &format!("{}\n", bench.refusal(b"\xff\xfe", "").await);
    expect![[r#"
        VALIDATION_FAILED index.js:3:12: SyntaxError: Unexpected token ';'
        VALIDATION_FAILED index.js:2:6: TypeError: Cannot read properties of null (reading 'foo')
        VALIDATION_FAILED Error: No such module "missing.js", imported from "index.js"
        VALIDATION_FAILED index.js:1:9: SyntaxError: The requested module 'node:async_hooks' does not provide an export named 'nothing'
        VALIDATION_FAILED the worker answers no requests: its main module has no fetch handler
        VALIDATION_FAILED the worker answers no requests: its main module has no fetch handler
        VALIDATION_FAILED the worker answers no requests: its main module has no fetch handler
        VALIDATION_FAILED the worker answers no requests: its main module has no fetch handler
        VALIDATION_FAILED a/b.js:3:2: SyntaxError: Unexpected token '}'
        VALIDATION_FAILED Error: This Worker requires compatibility date "2999-01-01", but the newest date supported by this server binary is "2026-11-24"
        VALIDATION_FAILED `index.js` is not UTF-8, from byte 0 on
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn code_that_does_not_end_is_refused_and_others_are_looked_at() {
    let bench = Bench::with(WorkerLimits { spares: 2, ..LIMITS });
    let (endless, good) = tokio::join!(bench.refusal(b"for (;;);", ""), bench.prepare(GOOD.as_bytes(), ""));
    assert_eq!(endless, "VALIDATION_FAILED the code at the top level did not end within 5 s");
    good.expect("accepted meanwhile");
    let bomb = "const all = []; for (;;) all.push(new Array(100000).fill(1.5)); export default { fetch() {} };";
    let refused = bench.refusal(bomb.as_bytes(), "").await;
    assert_eq!(refused, "VALIDATION_FAILED the code at the top level used up the memory");
}

#[tokio::test]
async fn no_more_is_left_of_looks_than_there_is_in_reserve_and_only_for_a_while() {
    let bench = Bench::new();
    assert_eq!(bench.processes(), 0, "a node without workers has no processes");
    for _ in 0..3 {
        bench.prepare(GOOD.as_bytes(), "").await.expect("accepted");
    }
    bench.until_processes(2).await;
    let bench = Bench::with(WorkerLimits { idle_max: Duration::from_millis(1), ..LIMITS });
    bench.engine.reserve().await;
    let looked = bench.folders();
    bench.prepare(GOOD.as_bytes(), "").await.expect("accepted");
    poll(|| bench.processes() == 1 && bench.folders() != looked).await;
}
