//! Secrets by HTTP: their names come out, their values never.

use expect_test::expect;
use http::Method;
use serde_json::json;

use crate::support::{House, Seen};

const PATH: &str = "/v1/functions/secrets";
const VALUE: &str = "canary-7f3a9c";

async fn set(house: &House, body: serde_json::Value) -> Seen {
    house.admin(Method::PUT, PATH, body.to_string()).await
}

#[tokio::test]
async fn secrets_are_set_named_and_deleted() {
    let house = House::open().await;
    let seen = set(&house, json!({ "name": "API_KEY", "value": VALUE })).await;
    assert_eq!(
        (seen.status.as_u16(), seen.json()),
        (200, json!({ "message": "Secret set", "name": "API_KEY", "namespace": "default" }))
    );
    assert_eq!(set(&house, json!({ "name": "BYTES", "value_base64": "/wA=" })).await.status, 200);
    let list = house.admin(Method::GET, PATH, "").await;
    expect![[r#"
        200
        {
          "count": 2,
          "details": [
            {
              "created_at": "2026-01-01T00:00:00Z",
              "name": "API_KEY",
              "updated_at": "2026-01-01T00:00:00Z"
            },
            {
              "created_at": "2026-01-01T00:00:00Z",
              "name": "BYTES",
              "updated_at": "2026-01-01T00:00:00Z"
            }
          ],
          "secrets": [
            "API_KEY",
            "BYTES"
          ]
        }
    "#]]
    .assert_eq(&list.snapshot());
    let deleted = house.admin(Method::DELETE, &format!("{PATH}/API_KEY"), "").await;
    assert_eq!(deleted.json(), json!({ "message": "Secret deleted" }));
    let again = house.admin(Method::DELETE, &format!("{PATH}/API_KEY"), "").await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(house.admin(Method::POST, &format!("{PATH}/rotate"), "").await.status, 403);
    let rotated = house.operator(Method::POST, &format!("{PATH}/rotate"), "").await;
    assert_eq!(rotated.json()["secrets"], 1);
}

#[tokio::test]
async fn no_refusal_repeats_a_value() {
    let house = House::open().await;
    for (body, error) in [
        (json!({ "name": "N" }), "value is required"),
        (json!({ "name": "N", "value": "" }), "value is required"),
        (json!({ "name": "", "value": VALUE }), "name is required"),
        (json!({ "value": VALUE }), "name is required"),
        (json!({ "name": "N", "value": [VALUE] }), "`value` must be a text"),
        (json!({ "name": "N", "value": VALUE, "value_base64": "AA==" }), "send `value` or `value_base64`, not both"),
        (json!({ "name": "N", "value_base64": VALUE }), "`value_base64` must be base64"),
    ] {
        let seen = set(&house, body).await;
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        assert_eq!((seen.status.as_u16(), seen.json()["message"].as_str()), (400, Some(error)));
        assert!(!text.contains(VALUE), "{text}");
    }
    let broken = house.admin(Method::PUT, PATH, format!("{{\"name\":\"N\",\"value\":\"{VALUE}")).await;
    assert!(broken.status == 400 && !String::from_utf8_lossy(&broken.body).contains(VALUE), "{broken:?}");
    // Nor does the log of what was done.
    set(&house, json!({ "name": "N", "value": VALUE })).await;
    let events = house.admin(Method::GET, "/v1/audit?action=secret", "").await;
    let text = String::from_utf8_lossy(&events.body).into_owned();
    assert!(text.contains("secret.set") && !text.contains(VALUE), "{text}");
}
