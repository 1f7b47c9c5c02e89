//! Deadlines and memory, and who is hurt by them.

use std::time::{Duration, Instant};

use domain::ErrorCode;
use engines::WorkerLimits;
use ports::Body;

use crate::bench::{Bench, LIMITS, failure, head};

const BAD: &str = "
let count = 0;
export default {
  async fetch(request) {
    const what = await request.text();
    count += 1;
    console.log('begins', what);
    if (what === 'spin') for (;;);
    if (what === 'wait') await new Promise(resolve => setTimeout(resolve, 3600000));
    if (what === 'heap') { const all = []; for (;;) all.push(new Array(10000).fill({}).map(() => ({ a: 1 }))); }
    if (what === 'buffers') { const all = []; for (;;) { const b = new Uint8Array(8 << 20); b.fill(1); all.push(b); } }
    if (what === 'work') for (let n = 0; n < 500000000; n++) count ^= n;
    if (what === 'flood') for (let n = 0; n < 5000; n++) console.log('x'.repeat(1000));
    return new Response(String(count));
  },
};";

const GOOD: &str = "export default { fetch() { return new Response('good'); } };";

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let bench = Bench::new();
    let function = bench.deploy("bad", BAD.as_bytes(), "timeout: 1").await;
    for what in ["spin", "wait"] {
        let begun = Instant::now();
        let outcome = function.invoke(what).await;
        let logged = outcome.as_ref().expect_err("it fails").ended.logs.len();
        assert_eq!(failure(outcome), "TIMEOUT None: the function did not finish within 1 s", "{what}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{what}: {:?}", begun.elapsed());
        assert_eq!(logged, 1, "what it said before is in its log");
        assert!(function.text("").await.parse::<u32>().is_ok(), "after {what}");
    }
}

#[tokio::test]
async fn waiting_too_long_hurts_nobody_else_of_the_function() {
    let bench = Bench::new();
    let function = bench.deploy("bad", BAD.as_bytes(), "timeout: 2").await;
    let (waited, counts) = tokio::join!(function.invoke("wait"), async {
        let mut counts = 0;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2500) {
            function.invoke("").await.expect("the others go on");
            counts += 1;
        }
        counts
    });
    assert_eq!(waited.expect_err("it fails").error.code, ErrorCode::Timeout);
    assert!(counts > 10, "{counts}");
}

#[tokio::test]
async fn memory_ends_with_its_process() {
    let bench = Bench::new();
    let function = bench.deploy("bad", BAD.as_bytes(), "memory: 128\ntimeout: 20").await;
    for what in ["heap", "buffers"] {
        let outcome = failure(function.invoke(what).await);
        let want = "FUNCTION_EXECUTION_FAILED Some(Memory): the function ran out of memory: its limit is 128 MB";
        assert_eq!(outcome, want, "{what}");
        assert_eq!(function.text("").await, "1", "a new process after {what}");
    }
}

#[tokio::test]
async fn one_tenant_spins_and_another_does_not_notice() {
    let bench = Bench::with(WorkerLimits { spares: 2, ..LIMITS });
    let bad = bench.deploy("bad", BAD.as_bytes(), "timeout: 2").await;
    let good = bench.deploy("good", GOOD.as_bytes(), "timeout: 2").await;
    assert_eq!(good.text("").await, "good");
    let (spun, slowest) = tokio::join!(bad.invoke("spin"), async {
        let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < Duration::from_millis(1500) {
            let asked = Instant::now();
            assert_eq!(good.text("").await, "good");
            slowest = slowest.max(asked.elapsed());
        }
        slowest
    });
    assert_eq!(spun.expect_err("it fails").error.code, ErrorCode::Timeout);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn a_spin_that_nobody_waits_for_is_ended() {
    let bench = Bench::with(WorkerLimits { spares: 0, ..LIMITS });
    let function = bench.deploy("bad", BAD.as_bytes(), "timeout: 1").await;
    function.text("").await;
    let asked = tokio::time::timeout(Duration::from_millis(200), function.invoke("spin")).await;
    assert!(asked.is_err(), "it spins");
    bench.until_processes(0).await;
    assert_eq!(function.text("").await, "1");
}

#[tokio::test]
async fn a_spin_in_a_websocket_is_ended() {
    let bench = Bench::with(WorkerLimits { spares: 0, ..LIMITS });
    let code = "
      export default {
        fetch() {
          const [client, server] = Object.values(new WebSocketPair());
          server.accept();
          setTimeout(() => { for (;;); }, 10);
          return new Response(null, { status: 101, webSocket: client });
        },
      };";
    let function = bench.deploy("socket", code.as_bytes(), "timeout: 1").await;
    let upgrade = [
        ("host", "a"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];
    let answer = function.exchange(head("GET", "/", &upgrade), Body::empty()).await.expect("an answer");
    let mut socket = answer.upgraded.expect("a connection");
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
    let _ = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the process was ended");
}

#[tokio::test]
async fn time_on_a_core_is_counted() {
    let bench = Bench::new();
    let function = bench.deploy("bad", BAD.as_bytes(), "").await;
    let reply = function.invoke("work").await.expect("a reply");
    assert!(reply.ended.usage.cpu > Duration::from_millis(50), "{:?}", reply.ended.usage);
}

#[tokio::test]
async fn a_flood_of_lines_is_cut() {
    let bench = Bench::new();
    let function = bench.deploy("bad", BAD.as_bytes(), "").await;
    let reply = function.invoke("flood").await.expect("a reply");
    let lines = reply.ended.logs;
    assert!(lines.len() < 1002 && lines.last().is_some_and(|line| line.message.starts_with("[truncated")));
    assert!(lines.iter().map(|line| line.message.len()).sum::<usize>() < 300 << 10);
}
