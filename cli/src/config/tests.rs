use std::path::Path;

use expect_test::{Expect, expect};

use super::schema::{Kind, Renamed, SCHEMA, Schema, Setting};
use super::*;

fn from_file(text: &str) -> Result<Settings, String> {
    let mut settings = Settings::defaults(SCHEMA);
    settings.apply_file(Path::new("orama.yaml"), text).map_err(|failure| failure.message)?;
    Ok(settings)
}

/// The settings that a file changes, or why it is refused.
#[track_caller]
fn check(file: &str, want: Expect) {
    let seen = match from_file(file) {
        Ok(settings) => changed(&settings),
        Err(refused) => format!("refused: {refused}"),
    };
    want.assert_eq(&seen);
}

fn changed(settings: &Settings) -> String {
    let changed = settings.entries().filter(|(_, _, origin)| **origin != Origin::Default);
    changed.map(|(setting, text, origin)| format!("{} = {text} ({origin})\n", setting.path)).collect()
}

#[test]
fn without_a_file_everything_has_a_default() {
    expect![[r#"
        ServeConfig {
            listen: 127.0.0.1:6001,
            data: "./orama-data",
            user: "",
            log: LogConfig {
                level: "info",
                format: Text,
            },
            limits: LimitsConfig {
                node_concurrency: 1000,
                namespace_concurrency: 200,
                queue_max: 1000,
                queue_wait: 10s,
                input_bytes_max: 1048576,
                code_bytes_max: 67108864,
                sockets_max: 10000,
                sockets_per_namespace_max: 2000,
                connections_max: 10000,
                connections_per_address_max: 1000,
                sign_ins_per_minute: 600,
            },
            namespace_defaults: NamespaceSettings {
                functions_max: None,
                storage_bytes_max: None,
                database_bytes_max: None,
                concurrency: None,
                requests_per_minute: None,
                caller_requests_per_minute: None,
                egress: None,
            },
            registration_open: false,
            cache_bytes_max_per_namespace: 67108864,
            pubsub: PubSubConfig {
                history_messages_max: 1000,
                history_bytes_max: 1048576,
                history_age_max: 300s,
                history_bytes_max_per_namespace: 33554432,
                waiting_bytes_max_per_namespace: 67108864,
                topics_max_per_namespace: 20000,
                subscriptions_max_per_namespace: 100000,
            },
            push: PushConfig {
                defaults: {},
                endpoints: {
                    "expo": "https://exp.host/",
                    "apns": "https://api.push.apple.com/",
                    "apns_sandbox": "https://api.sandbox.push.apple.com/",
                    "fcm": "https://fcm.googleapis.com/",
                },
            },
            egress_private: [],
            secrets: SecretsConfig {
                master_key_file: None,
                master_key_env: None,
                master_key_command: None,
            },
            chain: ChainConfig {
                rpc: None,
                contract: "0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1",
            },
            retention: RetentionConfig {
                audit_age_max: 31536000s,
                age_max: 604800s,
                bytes_max_per_namespace: 1073741824,
            },
            drain: 30s,
            gateway: GatewayConfig {
                timeout_as_rate_limited: false,
                tls: TlsConfig {
                    listen: None,
                    certificates: [],
                    keys: [],
                    redirect: false,
                    hsts: None,
                    acme: AcmeConfig {
                        directory: None,
                        terms_agreed: false,
                        contacts: [],
                        names: [],
                        on_demand: true,
                        by_tls: false,
                        ca_file: None,
                    },
                },
                trusted_proxies: [
                    AddressRange {
                        first: 127.0.0.0,
                        prefix: 8,
                    },
                    AddressRange {
                        first: ::1,
                        prefix: 128,
                    },
                ],
                allowed_origins: [],
                base_domain: "localhost",
                forward_headers: false,
                name_server: None,
            },
            engine: EngineConfig {
                shards: None,
                memory_keep_resident_bytes: 4194304,
                instances_max: 1000,
                require_isolation: None,
                jail_uid_first: 2000000000,
                workerd: None,
                workers_max: 64,
                worker_spares: 2,
            },
        }"#]]
    .assert_eq(&format!("{:#?}", ServeConfig::from(&Settings::defaults(SCHEMA))));
}

#[test]
fn every_default_is_a_value_of_its_setting() {
    for setting in SETTINGS {
        assert_eq!(setting.check(setting.default), Ok(()), "{}", setting.path);
    }
}

/// Guards against a setting that can be written and is then ignored.
#[test]
fn every_setting_reaches_the_configuration() {
    let untouched = ServeConfig::from(&Settings::defaults(SCHEMA));
    for setting in SETTINGS {
        let other = match setting.kind {
            Kind::Address | Kind::AddressOrNone => "127.0.0.1:7".to_owned(),
            Kind::Path => "/elsewhere".to_owned(),
            Kind::OneOf(words) => words.iter().find(|word| **word != setting.default).expect("two words").to_string(),
            Kind::Number(least, most) => if setting.default == most.to_string() { least } else { most }.to_string(),
            Kind::Switch => (setting.default != "true").to_string(),
            Kind::Text | Kind::Secret | Kind::List => "something".to_owned(),
            Kind::Url => "http://127.0.0.1:7/".to_owned(),
            Kind::Contract => "0x30694a76d737211a908d0dd672f47e1d29fbfb02".to_owned(),
            Kind::Ranges => "10.0.0.0/8,fd00::/8".to_owned(),
            Kind::Origins => "https://app.example.com,http://localhost:3000".to_owned(),
        };
        let mut settings = Settings::defaults(SCHEMA);
        settings.apply_environment([(setting.variable(), other)].into_iter()).expect("a value of its kind");
        assert_ne!(ServeConfig::from(&settings), untouched, "{}", setting.path);
    }
}

#[test]
fn a_file_sets_what_it_names() {
    check(
        "listen: 0.0.0.0:80\nlimits:\n  queue_max: 5\n  queue_wait_ms: 0\nlog: {format: json}\nretention:\n",
        expect![[r#"
            listen = 0.0.0.0:80 (orama.yaml:1)
            log.format = json (orama.yaml:5)
            limits.queue_max = 5 (orama.yaml:3)
            limits.queue_wait_ms = 0 (orama.yaml:4)
        "#]],
    );
    check("", expect![""]);
}

#[test]
fn sections_may_lie_in_sections() {
    check(
        "gateway:\n  tls:\n    listen: 127.0.0.1:0\n    certificate: [a.pem, b.pem]\n    acme: {names: a.example}\n",
        expect![[r#"
            gateway.tls.listen = 127.0.0.1:0 (orama.yaml:3)
            gateway.tls.certificate = a.pem,b.pem (orama.yaml:4)
            gateway.tls.acme.names = a.example (orama.yaml:5)
        "#]],
    );
    check(
        "gateway:\n  tls:\n    acme:\n      directry: x\n",
        expect!["refused: `orama.yaml` line 4, column 7: unknown key `directry`; did you mean `directory`?"],
    );
}

#[test]
fn push_has_defaults_for_every_namespace() {
    let file = "push:\n  ntfy_base_url: https://ntfy.example\n  apns_sandbox: true\n  apns_key_pem: |\n    -----BEGIN\n    A\n";
    let settings = from_file(file).expect("good settings");
    let push = ServeConfig::from(&settings).push;
    let pem = push.defaults.get(PushField::ApnsKeyPem);
    assert_eq!((pem, push.defaults.get(PushField::ApnsSandbox)), (Some("-----BEGIN\nA\n"), Some("true")));
    assert_eq!(format!("{:?}", push.defaults), "{NtfyBaseUrl, ApnsKeyPem, ApnsSandbox}", "no secret in a log");
    check(
        "push: {expo_url: exp.host}",
        expect![
            "refused: `orama.yaml` line 1, column 18: `push.expo_url` must be an http or https URL, not `exp.host`"
        ],
    );
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_key() {
    check(
        "limits:\n  queue_mx: 5",
        expect!["refused: `orama.yaml` line 2, column 3: unknown key `queue_mx`; did you mean `queue_max`?"],
    );
    check(
        "lisen: 0.0.0.0:80",
        expect!["refused: `orama.yaml` line 1, column 1: unknown key `lisen`; did you mean `listen`?"],
    );
    check(
        "colour: red",
        expect![
            "refused: `orama.yaml` line 1, column 1: unknown key `colour`; known are `listen`, `data`, `node`, `log`, `limits`, `auth`, `cache`, `pubsub`, `push`, `egress`, `secrets`, `chain`, `retention`, `drain_seconds`, `gateway`, `engine`"
        ],
    );
}

#[test]
fn a_wrong_value_names_its_place_and_what_is_allowed() {
    check(
        "limits:\n  queue_max: -1",
        expect![
            "refused: `orama.yaml` line 2, column 14: `limits.queue_max` must be a whole number from 0 to 1000000, not `-1`"
        ],
    );
    check(
        "limits: {queue_max: many}",
        expect![[
            r#"refused: `orama.yaml` line 1, column 21: `limits.queue_max` must be a whole number, not the text "many""#
        ]],
    );
    check(
        "log: {level: loud}",
        expect![
            "refused: `orama.yaml` line 1, column 14: `log.level` is `loud`; known are `error`, `warn`, `info`, `debug`, `trace`"
        ],
    );
    check(
        "listen: ':6001'",
        expect![
            "refused: `orama.yaml` line 1, column 9: `listen` must be an address and a port, such as `127.0.0.1:6001`, not `:6001`"
        ],
    );
    check("listen: [a]", expect!["refused: `orama.yaml` line 1, column 9: `listen` must be text, not a list"]);
    check("limits: 5", expect!["refused: `orama.yaml` line 1, column 9: `limits` must be a map of keys, not `5`"]);
    check(
        "- listen",
        expect!["refused: `orama.yaml` line 1, column 1: the configuration must be a map of keys, not a list"],
    );
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut settings = from_file("listen: 127.0.0.1:1\ndata: file\ndrain_seconds: 1").expect("a good file");
    let variables = [("ORAMA_DATA", "variable"), ("ORAMA_LISTEN", "127.0.0.1:2"), ("ORAMA_LOG_LEVEL", "")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.apply_environment(variables.into_iter()).expect("good variables");
    settings.apply_flag("--listen", "listen", Some("127.0.0.1:3")).expect("a good flag");
    expect![[r#"
        listen = 127.0.0.1:3 (--listen)
        data = variable (ORAMA_DATA)
        drain_seconds = 1 (orama.yaml:3)
    "#]]
    .assert_eq(&changed(&settings));
}

#[track_caller]
fn check_variable(name: &str, value: &str, want: Expect) {
    let mut settings = Settings::defaults(SCHEMA);
    let applied = settings.apply_environment([(name.to_owned(), value.to_owned())].into_iter());
    want.assert_eq(&applied.map_or_else(|failure| failure.message, |()| changed(&settings)));
}

#[test]
fn a_wrong_variable_is_refused_and_one_of_others_is_left_alone() {
    check_variable(
        "ORAMA_LIMITS_QUEU_MAX",
        "5",
        expect!["unknown variable `ORAMA_LIMITS_QUEU_MAX`; did you mean `ORAMA_LIMITS_QUEUE_MAX`?"],
    );
    check_variable(
        "ORAMA_DRAIN_SECONDS",
        "soon",
        expect!["`ORAMA_DRAIN_SECONDS` must be a whole number from 0 to 3600, not `soon`"],
    );
    check_variable("ORAMA_SERVICE_HOST", "10.0.0.1", expect![""]);
    check_variable("ORAMA_GATEWAY_URL", "http://10.0.0.1", expect![""]);
    check_variable("PATH", "/bin", expect![""]);
}

#[test]
fn an_old_name_is_refused_and_names_the_new_one() {
    const RENAMED: Schema = Schema {
        settings: &[Setting { path: "limits.queue_max", kind: Kind::Number(0, 9), default: "1", meaning: "" }],
        renamed: &[
            Renamed { old: "limits.queue", new: "limits.queue_max" },
            Renamed { old: "queue", new: "limits.queue_max" },
        ],
    };
    let file = |text| Settings::defaults(RENAMED).apply_file(Path::new("f"), text).expect_err("an old name").message;
    expect!["`f` line 2, column 3: `limits.queue` is now called `limits.queue_max`"]
        .assert_eq(&file("limits:\n  queue: 5"));
    expect!["`f` line 1, column 1: `queue` is now called `limits.queue_max`"].assert_eq(&file("queue: 5"));
    let variable = ("ORAMA_LIMITS_QUEUE".to_owned(), "5".to_owned());
    let refused = Settings::defaults(RENAMED).apply_environment([variable].into_iter()).expect_err("an old name");
    expect!["`ORAMA_LIMITS_QUEUE` is now called `ORAMA_LIMITS_QUEUE_MAX`"].assert_eq(&refused.message);
}
