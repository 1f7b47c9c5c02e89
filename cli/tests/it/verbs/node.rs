//! What an operator asks of a node.

use std::ffi::OsStr;
use std::fs;
use std::process::Stdio;

use expect_test::expect;

use super::with_echo;
use crate::support::{Printed, Server, normalised, normalised_json};

#[test]
fn config_show() {
    let server = Server::start();
    let show = ["config", "show", "--data", "somewhere"];
    let printed = server.orama(show);
    fs::write(server.folder().join("orama.yaml"), printed.ok()).expect("written");
    assert_eq!(server.orama(show).ok(), printed.ok(), "what it prints is a file that says the same");
    fs::write(server.folder().join("orama.yaml"), "limits:\n  queue_max: 7\n").expect("written");
    let mut command = server.command(&server.folder());
    command.args(show).arg("--origin").env("ORAMA_DRAIN_SECONDS", "9").stdin(Stdio::null());
    let printed: Printed = command.output().expect("it starts").into();
    expect![[r#"
        SETTING  VALUE  ORIGIN
        listen  127.0.0.1:6001  default
        data  somewhere  --data
        node.user  default
        log.level  info  default
        log.format  text  default
        limits.node_concurrency  1000  default
        limits.namespace_concurrency  200  default
        limits.queue_max  7  orama.yaml:2
        limits.queue_wait_ms  10000  default
        limits.input_bytes_max  1048576  default
        limits.code_bytes_max  67108864  default
        limits.sockets_max  10000  default
        limits.sockets_per_namespace_max  2000  default
        limits.connections_max  10000  default
        limits.connections_per_address_max  1000  default
        limits.functions_max  0  default
        limits.storage_bytes_max  0  default
        limits.database_bytes_max  0  default
        limits.requests_per_minute  0  default
        limits.caller_requests_per_minute  0  default
        limits.sign_ins_per_minute  600  default
        auth.registration  closed  default
        cache.bytes_max_per_namespace  67108864  default
        pubsub.history_messages_max  1000  default
        pubsub.history_bytes_max  1048576  default
        pubsub.history_seconds  300  default
        pubsub.history_bytes_max_per_namespace  33554432  default
        pubsub.waiting_bytes_max_per_namespace  67108864  default
        pubsub.topics_max_per_namespace  20000  default
        pubsub.subscriptions_max_per_namespace  100000  default
        push.ntfy_base_url  default
        push.ntfy_auth_token  default
        push.expo_access_token  default
        push.apns_key_pem  default
        push.apns_key_id  default
        push.apns_team_id  default
        push.apns_topic  default
        push.apns_sandbox  false  default
        push.fcm_service_account  default
        push.vapid_private_key  default
        push.vapid_subject  default
        push.expo_url  https://exp.host/  default
        push.apns_url  https://api.push.apple.com/  default
        push.apns_sandbox_url  https://api.sandbox.push.apple.com/  default
        push.fcm_url  https://fcm.googleapis.com/  default
        push.fcm_token_url  default
        egress.private  default
        secrets.master_key_file  default
        secrets.master_key_env  default
        secrets.master_key_command  default
        chain.rpc  default
        chain.contract  0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1  default
        retention.audit_days  365  default
        retention.age_days  7  default
        retention.bytes_max_per_namespace  1073741824  default
        drain_seconds  9  ORAMA_DRAIN_SECONDS
        gateway.trusted_proxies  127.0.0.0/8,::1  default
        gateway.allowed_origins  default
        gateway.base_domain  localhost  default
        gateway.forward_headers  false  default
        gateway.name_server  default
        gateway.tls.listen  default
        gateway.tls.certificate  default
        gateway.tls.key  default
        gateway.tls.redirect  false  default
        gateway.tls.hsts_seconds  0  default
        gateway.tls.acme.directory  default
        gateway.tls.acme.terms_agreed  false  default
        gateway.tls.acme.contact  default
        gateway.tls.acme.names  default
        gateway.tls.acme.on_demand  true  default
        gateway.tls.acme.challenge  http-01  default
        gateway.tls.acme.ca_file  default
        gateway.timeout_as_rate_limited  false  default
        engine.shards  0  default
        engine.memory_keep_resident_bytes  4194304  default
        engine.instances_max  1000  default
        engine.require_isolation  none  default
        engine.jail_uid_first  2000000000  default
        engine.workerd  default
        engine.workers_max  64  default
        engine.worker_spares  2  default
    "#]]
    .assert_eq(&normalised(printed.ok()));
    let document: serde_json::Value =
        serde_json::from_str(server.orama(["config", "show", "--json"]).ok()).expect("a document");
    assert_eq!(document["limits.queue_max"], 7);
}

#[test]
fn doctor() {
    let server = Server::start();
    let doctor = |more: &[&str]| server.orama([&["doctor", "--data", "somewhere"], more].concat());
    let printed = doctor(&[]);
    for check in [
        "orama",
        "go",
        "rust",
        "c",
        "zig",
        "assemblyscript",
        "configuration",
        "data folder",
        "workerd",
        "gateway",
        "engine",
    ] {
        assert!(printed.ok().lines().any(|line| line.starts_with(check)), "{check}: {printed:?}");
    }
    let document: serde_json::Value = serde_json::from_str(doctor(&["--json"]).ok()).expect("a document");
    assert!(document["checks"].as_array().is_some_and(|checks| checks.len() >= 10));
    fs::write(server.folder().join("orama.yaml"), "colour: red\n").expect("written");
    let printed = doctor(&[]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(printed.stderr, "error: 1 problem found\n");
}

#[test]
fn fsck() {
    let mut server = with_echo();
    let data = server.data();
    let fsck = |server: &Server, more: &[&str]| {
        let arguments = [OsStr::new("fsck"), OsStr::new("--data"), data.as_os_str()];
        server.orama(arguments.into_iter().chain(more.iter().map(OsStr::new)))
    };
    let running = fsck(&server, &[]);
    let said = running.stderr.replace(&server.pid().to_string(), "PID").replace(&*data.to_string_lossy(), "DATA");
    assert_eq!(running.code, Some(1));
    expect![[r#"
        error: the data folder `DATA` is in use by process PID; stop that process, or choose another folder with `--data DIR`
    "#]].assert_eq(&said);
    server.terminate();
    server.ended();
    expect![[r#"
        CHECKED        COUNT
        functions      1
        versions       1
        code files     1
        code bytes     225
        content files  0
        content bytes  0
        databases      0
        records        0
    "#]]
    .assert_eq(fsck(&server, &[]).ok());
    expect![[r#"
        {
          "checked": {
            "code bytes": 225,
            "code files": 1,
            "content bytes": 0,
            "content files": 0,
            "databases": 0,
            "functions": 1,
            "records": 0,
            "versions": 1
          },
          "data": "DATA",
          "notices": [],
          "problems": []
        }
    "#]]
    .assert_eq(&normalised_json(&fsck(&server, &["--json"]).ok().replace(&*data.to_string_lossy(), "DATA")));
}
