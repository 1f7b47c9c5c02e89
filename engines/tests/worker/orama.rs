//! `env.ORAMA`: what a worker may ask, and for whom.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::{Error, Namespace, SqlChanged, SqlRows, SqlValue};
use expect_test::expect;
use ports::memory::{
    HouseAnswers, MemoryCaches, MemorySecrets, RecordingHouse, ScriptedDatabases, ScriptedFetcher, ScriptedInvoker,
    TestServices,
};
use ports::{Caches, Databases, EgressError, EphemeralEntry, FetchReply, FetchRequest, JobStatus, JobView};

use crate::bench::{Bench, lines};

/// Runs its input as the body of a function of `ORAMA`; the answer is what it returns.
fn run(steps: &str) -> String {
    format!(
        "const show = (_key, value) => typeof value === 'bigint' ? `${{value}}n` : value instanceof Uint8Array ? `bytes ${{[...value]}}` : value;
         export default {{
           async fetch(request, env, context) {{
             const O = env.ORAMA, seen = [];
             const tried = async promise => {{ try {{ return await promise }} catch (e) {{ return `${{e.name}} ${{e.code}}: ${{e.message}}` }} }};
             {steps}
             return new Response(seen.map(one => JSON.stringify(one, show) ?? 'undefined').join('\\n') + '\\n');
           }},
         }};"
    )
}

#[tokio::test]
async fn the_database_answers() {
    let mut bench = Bench::new();
    let databases = ScriptedDatabases::new();
    databases.answer(
        "SELECT 1",
        SqlRows {
            columns: ["n".to_owned(), "b".to_owned()].into(),
            rows: vec![vec![SqlValue::Integer(9_007_199_254_740_993), SqlValue::Blob(vec![1, 2])]],
        },
    );
    databases.answer("INSERT", SqlChanged { rows_affected: 2, last_insert_id: Some(7) });
    databases.fail("BAD", || ports::SqlError::Constraint("UNIQUE constraint failed: a.b".into()));
    bench.services = TestServices::new(
        databases.of(&Namespace::default_namespace()),
        MemoryCaches::default().of(&Namespace::default_namespace()),
    );
    let code = run("
      seen.push(await O.database.query('SELECT 1', 'a', 1, null, 1234567890123456789n, new Uint8Array([255])));
      seen.push(await O.database.execute('INSERT'));
      seen.push(await tried(O.database.execute('BAD')));
      seen.push(await O.database.transaction([{ kind: 'exec', sql: 'INSERT', args: [1] }]));
      seen.push(await O.database.batch([{ sql: 'SELECT 1' }]));
      seen.push(await tried(O.database.transaction(new Array(101).fill({ kind: 'exec', sql: 'INSERT' }))));
    ");
    let function = bench.deploy("database", code.as_bytes(), "").await;
    expect![[r#"
        [{"n":"9007199254740993n","b":{"base64":"AQI="}}]
        {"rowsAffected":2,"lastInsertId":7}
        "OramaError CONSTRAINT_VIOLATION: UNIQUE constraint failed: a.b"
        {"results":[{"kind":"exec","rows_affected":2,"last_insert_id":7}],"committed":true}
        {"results":[{"kind":"query","rows":[{"n":"9007199254740993n","b":{"base64":"AQI="}}]}]}
        "OramaError TOO_MANY_STATEMENTS: 101 operations are too many, the limit is 100"
    "#]]
    .assert_eq(&function.text("").await);
}

#[tokio::test]
async fn cache_storage_and_secrets_answer() {
    let mut bench = Bench::new();
    bench.services.secrets = Arc::new(MemorySecrets::of(&[("KEY", b"s3cr3t-value")]));
    let code = run("
      seen.push(await O.cache.get('a'));
      await O.cache.set('a', 'text', { ttl: 60 });
      seen.push(await O.cache.get('a'), await O.cache.getBytes('a'));
      await O.cache.set('empty', '');
      seen.push(await O.cache.get('empty'));
      seen.push(await O.cache.increment('n'), await O.cache.increment('n', 9007199254740993n));
      seen.push(await O.cache.delete('a'), await O.cache.get('a'));
      seen.push(await tried(O.cache.increment('n', 0.5)));
      const { cid, size } = await O.storage.put('file', new Uint8Array([1, 2, 3]));
      seen.push(size, await O.storage.get(cid), (await O.storage.head(cid)).name, await O.storage.get('nonsense'));
      const key = await O.secrets.get('KEY');
      seen.push(key.length, await O.secrets.get('NONE'));
      console.log('the key is', key);
      O.log.warn('again ' + key);
      if ((await request.text()) === 'throw') throw new Error(key);
    ");
    let function = bench.deploy("stores", code.as_bytes(), "").await;
    let reply = function.invoke("").await.expect("a reply");
    expect![[r#"
        null
        "text"
        "bytes 116,101,120,116"
        ""
        1
        "9007199254740994n"
        true
        null
        "OramaError VALIDATION_FAILED: the number is no whole one of 64 bits"
        3
        "bytes 1,2,3"
        "file"
        null
        12
        null
    "#]]
    .assert_eq(&String::from_utf8_lossy(&reply.body));
    let logged = lines(&reply.ended.logs);
    assert_eq!(logged[logged.len() - 2..], ["info the key is ***", "warn again ***"], "{logged:?}");
    let failed = function.invoke("throw").await.expect_err("it throws");
    assert!(failed.error.message.contains("Error: ***") && !failed.error.message.contains("s3cr3t"), "{failed:?}");
}

#[tokio::test]
async fn the_house_answers() {
    let mut bench = Bench::new();
    let entry =
        EphemeralEntry { key: "k".into(), client_id: "ws-1".into(), payload: Bytes::from("p"), expires_in_ms: 9 };
    let house = Arc::new(RecordingHouse::new(HouseAnswers { entries: vec![entry], ..HouseAnswers::default() }));
    bench.services.bus = house.clone();
    bench.services.sockets = house.clone();
    bench.services.ephemeral = house.clone();
    bench.services.jobs = house.clone();
    bench.services.notifier = house.clone();
    bench.services.invoker = Arc::new(ScriptedInvoker::new(|function, input| match function.name.as_str() {
        "echo" => Ok(input),
        other => Err(Error::not_found(format!("function `{other}` does not exist"))),
    }));
    bench.socket = Some("ws-1".into());
    bench.job = Some("job-7".into());
    let code = run("
      seen.push(await O.pubsub.publish('topic', { a: 1 }), await O.pubsub.publish('', 'x'));
      seen.push(await O.pubsub.publishBatch([{ topic: 't', data: 'one' }, { topic: 't', data: new Uint8Array([255]) }]));
      seen.push(O.socket, await O.sockets.send('', 'hi'), await O.sockets.broadcast('t', 'all'));
      seen.push(await O.sockets.bridge('ws-2', 't'), await O.sockets.unbridge('ws-2', 't'));
      seen.push(await O.ephemeral.set('t', 'k', 'v', { ttlMs: 500 }), await O.ephemeral.clear('t', 'k'), await O.ephemeral.list('t'));
      seen.push(await O.push('0xada', { title: 'hi' }), await O.notify('0xada', { title: 'hi' }));
      seen.push((await O.invoke('echo', { n: 1 })).json(), (await O.invoke('echo', new Uint8Array([255]))).bytes);
      seen.push(await tried(O.invoke('none', '')), await O.invokeAsync('echo', ''), await O.invokeAsync('none', ''));
      seen.push(await O.jobs.enqueue('echo', 'in'), await O.jobs.schedule('echo', 'in', new Date(0)));
      seen.push(await tried(O.jobs.status('job-1')), await O.jobs.cancel('job-1'), await O.jobs.progress(50));
      seen.push(await O.turnCredentials(), O.caller, O.requestId);
    ");
    let function = bench.deploy("house", code.as_bytes(), "").await;
    let seen = function.text("").await;
    expect![[r#"
        true
        false
        true
        "ws-1"
        true
        true
        true
        true
        true
        true
        [{"key":"k","client_id":"ws-1","payload":"bytes 112","expires_in_ms":9}]
        {"ok":false,"devices_attempted":0,"devices_succeeded":0,"results":[]}
        {"via":"socket","sockets":1}
        {"n":1}
        "bytes 255"
        "OramaError NOT_FOUND: function `none` does not exist"
        true
        false
        "job-1"
        "job-1"
        "OramaError NOT_FOUND: no such job"
        true
        true
        {"configured":false,"namespace":"default"}
        {"claims":{"tier":"göld"},"subject":"ada","wallet":"ada"}
        "request-of-ada"
        publish topic=b"{\"a\":1}"
        publish t=b"one" t=b"\xff"
        send "" b"hi"
        broadcast t b"all"
        bridge "ws-2" t
        unbridge "ws-2" t
        set t k b"v" 500 of ws-1
        clear t k of ws-1
        list t
        push 0xada {\"title\":\"hi\"}
        notify 0xada {\"title\":\"hi\"}
        enqueue echo b"in" now
        enqueue echo b"in" at 1970-01-01T00:00:00Z
        get "job-1"
        cancel "job-1"
        report 50 of job-7"#]]
    .assert_eq(&format!("{seen}{}", house.asked().join("\n")));
}

#[tokio::test]
async fn calls_at_once_have_their_own_callers() {
    let bench = Bench::new();
    let code = "
      export default {
        async fetch(request, env) {
          const before = env.ORAMA.caller.wallet;
          for (let round = 0; round < 5; round++) {
            await env.ORAMA.cache.increment('rounds');
            console.log(env.ORAMA.caller.subject);
          }
          await new Promise(resolve => setTimeout(resolve, 50));
          return Response.json([before, env.ORAMA.caller.subject, env.ORAMA.caller.claims.tier, env.ORAMA.requestId]);
        },
      };";
    let function = bench.deploy("callers", code.as_bytes(), "").await;
    let running = Arc::new(Mutex::new((0, 0)));
    let calls = (0..200).map(|number| {
        let (function, running) = (function.clone(), running.clone());
        tokio::spawn(async move {
            {
                let mut running = running.lock().expect("no panic");
                running.0 += 1;
                running.1 = running.1.max(running.0);
            }
            let wallet = format!("0x{number}");
            let reply = function.invoke_as(&wallet, "").await.expect("a reply");
            running.lock().expect("no panic").0 -= 1;
            let want = format!(r#"["{wallet}","{wallet}","göld","request-of-{wallet}"]"#);
            assert_eq!(String::from_utf8_lossy(&reply.body), want);
            assert_eq!(lines(&reply.ended.logs), vec![format!("info {wallet}"); 5]);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("as its own caller");
    }
    let most = running.lock().expect("no panic").1;
    assert!(most >= 150, "only {most} calls overlapped");
}

#[tokio::test]
async fn a_call_that_has_ended_may_ask_nothing() {
    let bench = Bench::new();
    let code = "
      let kept;
      export default {
        async fetch(request, env) {
          if (!kept) { kept = env.ORAMA; return new Response('kept'); }
          const own = await env.ORAMA.cache.increment('n');
          try { return new Response(`${own} ${await kept.cache.increment('n')}`); } catch (e) { return new Response(`${own} ${e.code}: ${e.message}`); }
        },
      };";
    let function = bench.deploy("keeper", code.as_bytes(), "memory: 128").await;
    assert_eq!(function.text("").await, "kept");
    assert_eq!(function.text("").await, "1 FORBIDDEN: the request that this belongs to has ended");
}

#[tokio::test]
async fn requests_leave_through_the_filter() {
    let mut bench = Bench::new();
    let asked: Arc<Mutex<Vec<FetchRequest>>> = Arc::default();
    let seen = asked.clone();
    bench.services.fetcher = Arc::new(ScriptedFetcher::new(move |request| {
        seen.lock().expect("no panic").push(request.clone());
        if request.url.contains("forbidden") {
            return Err(EgressError::Refused("`forbidden.test` is not in `egress.allow`".into()));
        }
        let headers = vec![
            ("Content-Type".to_owned(), Bytes::from("text/plain")),
            ("Content-Encoding".to_owned(), Bytes::from("gzip")),
            ("Content-Length".to_owned(), Bytes::from("1")),
            ("Set-Cookie".to_owned(), Bytes::from("a=1")),
            ("Set-Cookie".to_owned(), Bytes::from("b=2")),
        ];
        Ok(FetchReply { status: 201, headers, body: request.body })
    }));
    let code = run("
      const one = await fetch('https://api.test/path?q=1', { method: 'PUT', body: 'sent', headers: { 'x-a': 'b' } });
      seen.push(one.status, await one.text(), [...one.headers]);
      const two = await fetch('http://forbidden.test/');
      seen.push(two.status, await two.text());
      seen.push(await tried(fetch('https://socket.test/', { headers: { upgrade: 'websocket' } }).then(r => r.status)));
      const { connect } = await import('cloudflare:sockets');
      seen.push((await tried(connect('api.test:80').opened)).split(',')[0]);
    ");
    let function = bench.deploy("fetches", code.as_bytes(), "").await;
    let seen = function.text("").await;
    let asked: Vec<String> = asked
        .lock()
        .expect("no panic")
        .iter()
        .map(|request| format!("{} {} {:?} {:?}", request.method, request.url, request.headers, request.body))
        .collect();
    expect![[r#"
        201
        "sent"
        [["content-length","4"],["content-type","text/plain"],["set-cookie","a=1"],["set-cookie","b=2"]]
        403
        "`forbidden.test` is not in `egress.allow`"
        403
        "Error undefined: proxy request failed"
        PUT https://api.test/path?q=1 [("content-type", "text/plain;charset=UTF-8"), ("x-a", "b")] b"sent"
        GET http://forbidden.test/ [] b"""#]]
    .assert_eq(&format!("{seen}{}", asked.join("\n")));
}

#[tokio::test]
async fn a_job_that_failed_is_shown_and_not_thrown() {
    let mut bench = Bench::new();
    let at = domain::Timestamp::UNIX_EPOCH;
    let job = JobView {
        id: "job-1".into(),
        function: domain::FunctionRef::parse("echo").expect("a name"),
        status: JobStatus::Failed,
        progress: 3,
        run_at: at,
        created_at: at,
        started_at: None,
        completed_at: None,
        result: None,
        error: Some("it threw".into()),
    };
    bench.services.jobs = Arc::new(RecordingHouse::new(HouseAnswers { job: Some(job), ..HouseAnswers::default() }));
    let code = run("const { status, error } = await O.jobs.status('job-1'); seen.push(status, error);");
    let function = bench.deploy("jobs", code.as_bytes(), "").await;
    assert_eq!(function.text("").await, "\"failed\"\n\"it threw\"\n");
}
