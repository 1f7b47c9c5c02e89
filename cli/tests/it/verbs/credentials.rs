//! Who the command line is, and where it keeps that.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use expect_test::expect;

use crate::support::{Server, check, check_failure, check_json, clean, with_input};

#[test]
fn whoami_and_login() {
    let server = Server::start();
    check(
        &server,
        &["whoami"],
        expect![[r#"
        gateway  GATEWAY
        authenticated  true
        key_id  ID
        method  api_key
        namespace  default
        scopes  operator
        wallet  default
    "#]],
    );
    check_json(
        &server,
        &["whoami"],
        expect![[r#"
        {
          "authenticated": true,
          "key_id": "ID",
          "method": "api_key",
          "namespace": "default",
          "scopes": [
            "operator"
          ],
          "wallet": "default"
        }
    "#]],
    );
    check_json(
        &server,
        &["login", "--api-key", server.admin_key()],
        expect![[r#"
        {
          "credentials": "HOME/config/orama/credentials",
          "gateway": "GATEWAY",
          "namespace": "default"
        }
    "#]],
    );
    let printed = with_input(&server, &["login", "--api-key", "-"], format!("{}\n", server.admin_key()).as_bytes());
    expect![[r#"
        logged in to GATEWAY, namespace default
        the key is stored in HOME/config/orama/credentials
    "#]]
    .assert_eq(&clean(&server, &printed));
    check_failure(
        &server,
        &["login", "--api-key", "ak_wrong:default"],
        4,
        expect![[r#"
        error: invalid API key (UNAUTHORIZED)
        hint: check the key; keys are case-sensitive and look like `ak_…:namespace`
    "#]],
    );
    check_failure(
        &server,
        &["login"],
        2,
        expect![[r#"
            API key:
            error: no API key was given
            hint: write `orama login --api-key KEY`
        "#]],
    );
    // The key never shows.
    for verb in [&["whoami"][..], &["whoami", "--json"], &["login", "--api-key", server.admin_key()]] {
        let printed = server.orama(verb);
        assert!(!format!("{printed:?}").contains(server.admin_key()));
    }
}

#[test]
fn credentials_are_private() {
    let server = Server::start();
    let file = server.home().join("config/orama/credentials");
    let mode = fs::metadata(&file).expect("`serve` stored its key").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
    let printed = server.orama(["whoami"]);
    let said = printed.stderr.replace(&*file.to_string_lossy(), "FILE");
    assert_eq!(printed.code, Some(2));
    expect![[r#"
        error: others may read `FILE` (mode 644), so its keys are not used
        hint: run `chmod 600 FILE`
    "#]]
    .assert_eq(&said);
}
