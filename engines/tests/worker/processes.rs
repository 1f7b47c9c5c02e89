//! How long processes live, and that no request notices.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use engines::WorkerLimits;
use ports::{Body, Engine};

use crate::bench::{Bench, Function, LIMITS, failure, head, lines, poll};

/// Names its process.
const WHO: &str = "
const held = [];
export default {
  async fetch(request) {
    globalThis.who ??= crypto.randomUUID();
    const [what, amount] = (await request.text()).split(' ');
    if (what === 'hold') { const bytes = new Uint8Array(Number(amount) << 20); bytes.fill(1); held.push(bytes); }
    if (what === 'wait') await new Promise(resolve => setTimeout(resolve, Number(amount)));
    return new Response(globalThis.who);
  },
};";

async fn another_than(function: &Function, first: &str) -> String {
    let begun = Instant::now();
    loop {
        let now = function.text("").await;
        if now != first {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the process was never replaced");
    }
}

/// Calls `who` for the first time, and waits until a process of its own has taken over.
async fn call_first(bench: &Bench, function: &Function) {
    let first = function.text("").await;
    another_than(function, &first).await;
    bench.until_processes(2).await;
}

#[tokio::test]
async fn the_first_call_is_answered_by_the_process_that_looked_at_the_code() {
    let bench = Bench::new();
    bench.engine.reserve().await;
    let looked = bench.folders();
    let function = bench.deploy("who", WHO.as_bytes(), "").await;
    bench.until_processes(2).await;
    let reserve: Vec<_> = bench.folders().into_iter().filter(|folder| !looked.contains(folder)).collect();
    call_first(&bench, &function).await;
    let left = bench.folders();
    assert!(left.contains(&reserve[0]) && !left.contains(&looked[0]), "{looked:?} {reserve:?} {left:?}");
}

/// Neither for who has the same code and other variables, nor for who needs more memory.
#[tokio::test]
async fn a_process_that_looked_at_code_is_for_nobody_else() {
    for manifest in ["env: {A: b}", "memory: 300"] {
        let bench = Bench::new();
        bench.engine.reserve().await;
        let looked = bench.folders();
        bench.prepare(WHO.as_bytes(), "").await.expect("it is accepted");
        bench.engine.reserve().await;
        let reserve: Vec<_> = bench.folders().into_iter().filter(|folder| !looked.contains(folder)).collect();
        let other = bench.store("other", WHO.as_bytes(), manifest).await;
        other.text("").await;
        if manifest == "env: {A: b}" {
            // It was the one in reserve that answered.
            poll(|| !bench.folders().contains(&reserve[0])).await;
        }
        // That one, the other's own, and one in reserve.
        bench.until_processes(3).await;
        assert!(bench.folders().contains(&looked[0]), "{manifest}");
    }
}

#[tokio::test]
async fn the_first_call_is_answered_by_a_process_in_reserve() {
    let bench = Bench::new();
    let function = bench.store("who", WHO.as_bytes(), "").await;
    bench.engine.reserve().await;
    let reserve = bench.folders();
    let first = function.text("").await;
    // No call fails while the other takes over, and then it stays.
    let second = another_than(&function, &first).await;
    for _ in 0..20 {
        assert_eq!(function.text("").await, second);
    }
    poll(|| !bench.folders().contains(&reserve[0])).await;
    bench.until_processes(2).await;
}

#[tokio::test]
async fn a_process_is_replaced_under_load_and_nothing_is_lost() {
    let bench = Bench::with(WorkerLimits { requests_max: 60, ..LIMITS });
    let function = bench.deploy("who", WHO.as_bytes(), "").await;
    let clients = (0..16).map(|client| {
        let function = function.clone();
        tokio::spawn(async move {
            let mut seen = HashSet::new();
            for round in 0..60 {
                seen.insert(function.text(if round % 7 == client % 7 { "wait 30" } else { "" }).await);
            }
            seen
        })
    });
    let mut seen = HashSet::new();
    for client in clients.collect::<Vec<_>>() {
        seen.extend(client.await.expect("every request was answered"));
    }
    assert!(seen.len() >= 4, "960 requests, and only {} processes", seen.len());
    bench.until_processes(2).await;
}

#[tokio::test]
async fn a_process_that_holds_much_is_replaced() {
    let bench = Bench::new();
    let function = bench.deploy("who", WHO.as_bytes(), "memory: 128").await;
    let first = function.text("hold 170").await;
    // Also one that is busy at hardly any moment: it is asked now and then.
    let mut poll = tokio::time::interval(Duration::from_millis(130));
    let begun = Instant::now();
    while function.text("").await == first {
        assert!(begun.elapsed() < Duration::from_secs(60), "the process was never replaced");
        poll.tick().await;
    }
}

#[tokio::test]
async fn an_unused_process_ends_and_the_reserve_stays() {
    let bench = Bench::with(WorkerLimits { idle_max: Duration::from_secs(1), ..LIMITS });
    let function = bench.deploy("who", WHO.as_bytes(), "").await;
    let first = function.text("").await;
    bench.until_processes(2).await;
    bench.until_processes(1).await;
    assert_ne!(function.text("").await, first);
    // One that works is not idle.
    function.text("wait 3000").await;
}

#[tokio::test]
async fn what_is_forgotten_ends_with_its_last_reply() {
    let bench = Bench::new();
    let function = bench.deploy("who", WHO.as_bytes(), "memory: 128").await;
    let first = function.text("").await;
    let slow = tokio::spawn({
        let function = function.clone();
        async move { function.text("wait 500").await }
    });
    poll(|| !slow.is_finished()).await;
    tokio::task::yield_now().await;
    function.text("").await;
    bench.engine.forget(&function.services.version.code).await;
    assert_eq!(slow.await.expect("answered"), first);
    bench.until_processes(1).await;
}

#[tokio::test]
async fn places_are_limited_and_go_to_who_works() {
    let bench = Bench::with(WorkerLimits { processes_max: 2, spares: 0, ..LIMITS });
    let mut functions = Vec::new();
    for name in ["a", "b", "c"] {
        functions.push(bench.deploy(name, WHO.as_bytes(), "memory: 128").await);
    }
    for function in &functions {
        function.text("").await;
    }
    poll(|| bench.processes() <= 2).await;
    // Two that work; the third finds no place, and finds one when they are done.
    functions[0].text("").await;
    functions[1].text("").await;
    let busy = [functions[0].clone(), functions[1].clone()]
        .map(|function| tokio::spawn(async move { function.text("wait 1500").await }));
    tokio::task::yield_now().await;
    let refused = functions[2].invoke("").await;
    assert_eq!(failure(refused), "SERVICE_UNAVAILABLE None: every process for workers is busy; try again");
    for one in busy {
        one.await.expect("answered");
    }
    functions[2].text("").await;
}

#[tokio::test]
async fn where_a_machine_is_not_shared_one_namespace_has_workers() {
    let bench = Bench::with(WorkerLimits { shared: false, ..LIMITS });
    let other = domain::Namespace::parse("other").expect("a name");
    let first = bench.deploy("who", WHO.as_bytes(), "").await;
    let second = bench.deploy_in(other, "who", WHO.as_bytes(), "").await;
    first.text("").await;
    let refused = failure(second.invoke("").await);
    assert!(refused.starts_with("FUNCTION_UNAVAILABLE None: this machine keeps programs apart"), "{refused}");
    first.text("").await;
}

#[tokio::test]
async fn all_end_with_the_engine() {
    let mut bench = Bench::new();
    let function = bench.deploy("who", WHO.as_bytes(), "").await;
    function.text("").await;
    drop(function);
    let other = Bench::with(WorkerLimits { spares: 0, ..LIMITS });
    bench.engine = other.engine.clone();
    bench.until_processes(0).await;
}

/// What ended is no place that somebody has, whoever still waits for its work.
#[tokio::test]
async fn work_behind_a_reply_keeps_no_place_of_a_process_that_ended() {
    const BEHIND: &str = "
        export default {
          async fetch(request, env, ctx) {
            if (new URL(request.url).pathname === '/end') { const all = []; for (;;) all.push(new Uint8Array(8 << 20).fill(1)); }
            ctx.waitUntil(new Promise(resolve => setTimeout(resolve, 3600000)));
            return new Response('answered');
          },
        };";
    let bench = Bench::with(WorkerLimits { processes_max: 3, spares: 0, ..LIMITS });
    let function = bench.deploy("behind", BEHIND.as_bytes(), "timeout: 100\nmemory: 128").await;
    let mut ends = Vec::new();
    for _ in 0..5 {
        let ask = |path| function.exchange(head("GET", path, &[("host", "a")]), Body::empty());
        ends.push(ask("/").await.expect("answered").end);
        ask("/end").await.map(drop).expect_err("it runs out of memory");
    }
    for end in ends {
        let ended = end.await.expect("it ends with its process, not at its deadline");
        assert_eq!(lines(&ended.logs), ["error the process ended before what went on behind the reply was done"]);
    }
}
