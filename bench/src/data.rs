//! (e) SQL and cache from a guest, beside rusqlite in process and Redis over loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::{Namespace, SqlStatement, SqlValue};
use ports::{Databases, SqlBounds};
use serde_json::json;

use crate::http::{Load, load};
use crate::report::{Report, us};
use crate::server::Server;

/// How long each in-process round lasts.
const ROUND: Duration = Duration::from_secs(3);
const ROWS: u32 = 10_000;
/// Cache reads in one call, and of one Redis client.
const GETS: u32 = 10_000;
const SELECT: &str = "SELECT text FROM points WHERE id = 4711";
const INSERT: &str = "INSERT INTO entries (text) VALUES ('sixteen letters.')";
const TABLES: &str = "CREATE TABLE points (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE entries (id INTEGER PRIMARY KEY, text TEXT NOT NULL);";

pub fn run() -> Result<Report> {
    let mut report = Report::new("SQL and cache from a guest");
    report.say("Every call is a POST through the whole path: socket, a fresh instance of a hand-written guest, one host call, the record. `echo` is the same call without the host call. CPU is that of the server process, a call, in microseconds.");
    let folder = tempfile::tempdir()?;
    let server = Server::start(&folder.path().join("data"))?;
    prepare(&server)?;
    let mut rows = Vec::new();
    for connections in [1, 16, 64] {
        rows.extend(compare(&server, connections)?);
    }
    report.table(["call", "connections", "calls/s", "p50 us", "p99 us", "CPU us", "CPU to echo"], &rows);
    let inserts: f64 = rows
        .iter()
        .filter(|row| row[0] == "INSERT" && row[1] == "64")
        .filter_map(|row| row[2].parse::<f64>().ok())
        .sum();
    limits(&mut report, inserts)?;
    redis(&mut report, &server)?;
    Ok(report)
}

fn prepare(server: &Server) -> Result<()> {
    for (name, host_call) in
        [("echo", None), ("select", Some(("db_query_v2", SELECT))), ("insert", Some(("db_execute_v2", INSERT)))]
    {
        deploy(server, name, &sql_guest(host_call))?;
    }
    deploy(server, "cache-get", &cache_guest("cache_get", 1))?;
    deploy(server, "cache-incr", &cache_guest("cache_incr", 1))?;
    deploy(server, "cache-gets", &cache_guest("cache_get", GETS))?;
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) INSERT INTO points SELECT i, 'point ' || i FROM n"
    );
    for sql in TABLES.split(';').map(str::trim).filter(|sql| !sql.is_empty()).chain([fill.as_str()]) {
        post(server, "/v1/rqlite/exec", &json!({ "sql": sql }))?;
    }
    post(server, "/v1/cache/put", &json!({ "dmap": ports::FUNCTION_MAP, "key": "k", "value": "sixteen letters." }))
}

fn deploy(server: &Server, name: &str, text: &str) -> Result<()> {
    let code = wat::parse_str(text).context("assemble a guest")?;
    server.deploy(name, &format!("name: {name}\npublic: true\nconcurrency: 1000"), &code)
}

fn post(server: &Server, path: &str, body: &serde_json::Value) -> Result<()> {
    let request = server.client.post(format!("{}{path}", server.url)).header("X-API-Key", &server.key).json(body);
    let reply = request.send()?;
    let status = reply.status();
    ensure!(status.is_success(), "{path} answered {status}: {}", reply.text()?);
    Ok(())
}

/// Asks the host once, if at all, and writes what it answered.
fn sql_guest(host_call: Option<(&str, &str)>) -> String {
    let (import, ask) = match host_call {
        None => (String::new(), "(i64.const 0x0000010000000027)".to_owned()),
        Some((name, sql)) => (
            format!(
                "(import \"env\" \"{name}\" (func $ask (param i32 i32 i32 i32) (result i64))) (data (i32.const 256) \"{sql}\")"
            ),
            format!("(call $ask (i32.const 256) (i32.const {}) (i32.const 0) (i32.const 0))", sql.len()),
        ),
    };
    format!(
        r#"(module {import}
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            {ALLOCATOR}
            (func (export "_start") (local $answer i64)
                (local.set $answer {ask})
                (i32.store (i32.const 0) (i32.wrap_i64 (i64.shr_u (local.get $answer) (i64.const 32))))
                (i32.store (i32.const 4) (i32.wrap_i64 (local.get $answer)))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

/// Calls `name` with one key, `times` times.
fn cache_guest(name: &str, times: u32) -> String {
    let key = if name == "cache_incr" { "n" } else { "k" };
    format!(
        r#"(module
            (import "env" "{name}" (func $ask (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (data (i32.const 256) "{key}")
            {ALLOCATOR}
            (func (export "_start") (local $left i32)
                (local.set $left (i32.const {times}))
                (loop $again
                    (if (i64.eqz (call $ask (i32.const 256) (i32.const 1))) (then unreachable))
                    (global.set $top (i32.const 4096))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $again (local.get $left)))))"#
    )
}

const ALLOCATOR: &str = r#"(global $top (mut i32) (i32.const 4096))
    (func (export "orama_alloc") (param i32) (result i32)
        (global.get $top)
        (global.set $top (i32.add (global.get $top) (local.get 0))))"#;

fn compare(server: &Server, connections: u32) -> Result<Vec<[String; 7]>> {
    let mut rows = Vec::new();
    let mut echo = None;
    for (title, name) in [
        ("echo", "echo"),
        ("SELECT", "select"),
        ("INSERT", "insert"),
        ("cache get", "cache-get"),
        ("cache incr", "cache-incr"),
    ] {
        let measured: Load =
            load(&format!("{}/v1/invoke/default/{name}", server.url), None, connections, &server.pid())?;
        let base = *echo.get_or_insert(measured.cpu);
        let number = |value: f64| format!("{value:.0}");
        rows.push([
            title.to_owned(),
            connections.to_string(),
            number(measured.rate),
            number(measured.p50),
            number(measured.p99),
            us(measured.cpu),
            us(measured.cpu / base),
        ]);
    }
    Ok(rows)
}

/// What the same statements cost without a server around them.
fn limits(report: &mut Report, inserts_through_calls: f64) -> Result<()> {
    let (select, insert) = rusqlite_alone()?;
    let grouped = group_commit()?;
    report.say("The limits of this machine: the same statements in process, without HTTP and without a guest.");
    let rate = |value: f64| format!("{value:.0}");
    let share = inserts_through_calls / grouped;
    report.table(
        ["in process", "statements/s"],
        &[
            ["SELECT, rusqlite, one thread".to_owned(), rate(select)],
            ["INSERT, rusqlite, one fsync each".to_owned(), rate(insert)],
            ["INSERT, 64 writers, group commit".to_owned(), rate(grouped)],
        ],
    );
    report.say(&format!("Durable inserts of calls at 64 connections are {share:.2} of the group commit in process (to reach: 0.6), and {:.1} times one fsync each.", inserts_through_calls / insert));
    Ok(())
}

fn rusqlite_alone() -> Result<(f64, f64)> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let connection = rusqlite::Connection::open(folder.path().join("peer.db"))?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    connection.execute_batch(TABLES)?;
    connection.execute("INSERT INTO points VALUES (4711, 'point 4711')", [])?;
    let select = per_second(|| {
        Ok(connection.prepare_cached(SELECT)?.query_row([], |row| row.get::<_, String>(0)).map(drop)?)
    })?;
    let insert = per_second(|| Ok(connection.prepare_cached(INSERT)?.execute([]).map(drop)?))?;
    Ok((select, insert))
}

fn per_second(mut once: impl FnMut() -> Result<()>) -> Result<f64> {
    let (started, mut count) = (Instant::now(), 0u64);
    while started.elapsed() < ROUND {
        once()?;
        count += 1;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// 64 tasks that insert through the database port, as calls do.
fn group_commit() -> Result<f64> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let databases = backends::database::open(folder.path(), backends::database::DatabaseConfig::default())?;
        let database = databases.of(&Namespace::default_namespace());
        let bounds = || SqlBounds::until(Instant::now() + Duration::from_secs(30));
        database.script(TABLES.to_owned(), bounds()).await?;
        let count = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let (database, count) = (database.clone(), count.clone());
            writers.spawn(async move {
                while started.elapsed() < ROUND {
                    let statement = SqlStatement::new(
                        "INSERT INTO entries (text) VALUES (?)",
                        vec![SqlValue::Text("sixteen letters.".into())],
                    );
                    database.execute(statement, bounds()).await?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended??;
        }
        Ok(count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
    })
}

/// One client of Redis that waits for each answer, beside one call that asks the cache as often.
fn redis(report: &mut Report, server: &Server) -> Result<()> {
    let mut peer = Redis::start()?;
    peer.ask("SET k sixteen.letters.")?;
    let get = peer.rate("GET k")?;
    let incr = peer.rate("INCR n")?;
    let url = format!("{}/v1/invoke/default/cache-gets", server.url);
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        server.client.post(&url).send()?.error_for_status()?;
        best = best.min(started.elapsed());
    }
    let ours = f64::from(GETS) / best.as_secs_f64();
    report.say(&format!("Cache reads: one call that makes {GETS} of them, beside one Redis client over loopback that waits for each answer."));
    let rate = |value: f64| format!("{value:.0}");
    report.table(
        ["reader", "operations/s", "to Redis GET"],
        &[
            ["Redis GET".to_owned(), rate(get), "1.00".to_owned()],
            ["Redis INCR".to_owned(), rate(incr), us(incr / get)],
            [format!("cache_get, {GETS} in one call"), rate(ours), us(ours / get)],
        ],
    );
    Ok(())
}

/// A Redis of our own; ended when dropped.
struct Redis {
    child: Child,
    connection: BufReader<TcpStream>,
}

impl Redis {
    fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()]);
        let mut child =
            command.stdout(Stdio::null()).spawn().context("run redis-server; install it: cargo xtask setup")?;
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self { child, connection: BufReader::new(stream) });
                }
                Err(_) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => {
                    child.kill().ok();
                    return Err(error).context("reach redis-server");
                }
            }
        }
    }

    fn ask(&mut self, command: &str) -> Result<()> {
        self.connection.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        self.connection.read_line(&mut line)?;
        if let Some(length) = line.strip_prefix('$') {
            let mut value = vec![0; length.trim().parse::<usize>()? + 2];
            self.connection.read_exact(&mut value)?;
        }
        ensure!(!line.starts_with('-'), "redis said {line}");
        Ok(())
    }

    fn rate(&mut self, command: &str) -> Result<f64> {
        let started = Instant::now();
        for _ in 0..GETS {
            self.ask(command)?;
        }
        Ok(f64::from(GETS) / started.elapsed().as_secs_f64())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
