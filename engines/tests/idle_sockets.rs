//! What WebSockets cost that are open and do nothing. Alone in its process, whose memory it looks at.

mod support;

use std::time::Instant;

use ports::Observed;
use support::{Bench, fixture};

const PERSISTENT: &str = "ws_persistent: true\ntimeout: 20";

/// Memory of this process, in KiB: resident, and the tables of its pages.
fn memory_kib() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    ["VmRSS:", "VmPTE:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    })
}

#[tokio::test]
async fn ten_thousand_that_wait_cost_little() {
    const COUNT: usize = 10_000;
    let bench = Bench::with_sockets(|config| {
        config.instances_max = 200;
        config.sockets_max = 11_000;
    });
    let code = bench.deploy(&fixture("socket"), PERSISTENT).await;
    let services = bench.services_of(&code, PERSISTENT);
    let mut sockets = Vec::with_capacity(2 * COUNT);
    let open = async || {
        let mut socket = bench.open_with(services.clone(), b"{}", Observed::default()).await.expect("it opens");
        socket.frame(b"hello").await.expect("a frame");
        socket
    };
    // What the first ones cost is not theirs alone.
    for _ in 0..500 {
        sockets.push(open().await);
    }
    let before = memory_kib();
    let started = Instant::now();
    for _ in 0..COUNT {
        sockets.push(open().await);
    }
    let took = started.elapsed();
    let after = memory_kib();
    let [resident, tables] = [0, 1].map(|which| (after[which] - before[which]) * 1024 / COUNT as u64);
    let mappings = std::fs::read_to_string("/proc/self/maps").expect("Linux").lines().count() / COUNT;
    println!(
        "a socket that waits: {resident} bytes, {tables} of page tables, {mappings} mappings; {took:?} to open all"
    );
    assert!(resident <= 15 << 10, "{resident} bytes each");
    for socket in sockets.iter_mut().step_by(97) {
        socket.frame(b"still awake").await.expect("a frame");
    }
}
