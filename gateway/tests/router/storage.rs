//! Content by HTTP: in and out, whole and in parts.

use domain::Cid;
use expect_test::expect;
use gateway::RequestBody;
use http::{Method, Request};
use ports::Storage;
use serde_json::json;

use crate::support::{Form, House, Seen, request, with_header, with_key};

async fn send(house: &House, request: Request<RequestBody>) -> Seen {
    house.send(with_key(request, &house.client)).await
}

async fn put(house: &House, bytes: &[u8]) -> Cid {
    let seen = send(house, Form::default().file("file", bytes).post("/v1/storage/upload")).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    Cid::parse(&seen.text("cid")).expect("an identifier")
}

fn get(cid: &Cid) -> Request<RequestBody> {
    request(Method::GET, &format!("/v1/storage/get/{cid}"), "")
}

/// More than two pieces of a download.
fn large() -> Vec<u8> {
    (0..700_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_form_is_stored_and_comes_back() {
    let house = House::open().await;
    let bytes = large();
    let form = Form::default().text("other", "ignored").file("file", &bytes).text("pin", "true");
    let seen = send(&house, form.post("/v1/storage/upload")).await;
    let cid = Cid::of(&bytes);
    assert_eq!(seen.json(), json!({ "cid": cid, "name": "../../function.wasm", "size": 700_000 }));
    let back = send(&house, get(&cid)).await;
    assert_eq!((back.status.as_u16(), back.header("content-type")), (200, "application/octet-stream"));
    assert_eq!(back.header("content-disposition"), format!("attachment; filename={cid}"));
    assert_eq!((back.header("etag"), back.header("accept-ranges")), (format!("\"{cid}\"").as_str(), "bytes"));
    assert_eq!(back.header("x-content-type-options"), "nosniff");
    assert!(back.header("cache-control").starts_with("private"));
    assert!(back.body == bytes);
    let head = send(&house, request(Method::HEAD, &format!("/v1/storage/get/{cid}"), "")).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "700000", 0));
}

#[tokio::test]
async fn the_name_of_a_file_is_that_of_the_browser() {
    let house = House::open().await;
    let upload = async |file_name: &str| {
        send(&house, Form::default().file_called(file_name, "file", b"x").post("/v1/storage/upload")).await
    };
    for (sent, name) in
        [("h%22é.txt", "h\"é.txt"), ("h\\\"é.txt", "h\"é.txt"), ("100%.txt", "100%.txt"), ("%41", "%41")]
    {
        assert_eq!(upload(sent).await.text("name"), name);
    }
    let broken = upload("a%0D%0Ab").await;
    assert_eq!(broken.text("error"), "the name must have at most 255 bytes and no control characters");
}

#[tokio::test]
async fn json_may_hold_content_too() {
    let house = House::open().await;
    let seen = house.post("/v1/storage/upload", json!({ "name": "a.txt", "data": "aGVsbG8=" })).await;
    assert_eq!(seen.json(), json!({ "cid": Cid::of(b"hello"), "name": "a.txt", "size": 5 }));
    let empty = house.post("/v1/storage/upload", json!({ "name": "empty", "data": "" })).await;
    assert_eq!(empty.json()["size"], 0);
    assert_eq!(send(&house, get(&Cid::of(b""))).await.body.len(), 0);
    for (body, error) in [
        (json!({ "data": "" }), "name is required"),
        (json!({ "name": "a" }), "data is required"),
        (json!({ "name": "a", "data": "%" }), "`data` must be base64"),
        (json!({ "name": "a", "data": [1] }), "`data` must be a text"),
    ] {
        let seen = house.post("/v1/storage/upload", body).await;
        assert_eq!((seen.status.as_u16(), seen.text("error").as_str()), (400, error));
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_or_wrong_stores_nothing() {
    let house = House::open().await;
    let path = "/v1/storage/upload";
    let cut = send(&house, Form::default().file("file", &large()).post_cut(path)).await;
    assert_eq!((cut.status.as_u16(), cut.header("connection")), (400, "close"));
    let none = send(&house, Form::default().text("name", "x").post(path)).await;
    assert_eq!(none.text("error"), "file required: send the content as the part `file`");
    let twice = send(&house, Form::default().file("file", b"a").file("file", b"b").post(path)).await;
    assert_eq!(twice.text("error"), "the part \"file\" stands twice in the upload");
    let pin = send(&house, Form::default().file("file", b"a").text("pin", "maybe").post(path)).await;
    assert_eq!(pin.text("error"), "`pin` must be `true` or `false`");
    let many = (0..17).fold(Form::default(), |form, n| form.text(&format!("n{n}"), "")).file("file", b"a");
    assert_eq!(send(&house, many.post(path)).await.status, 400);
    let boundless = with_header(request(Method::POST, path, "x"), "content-type", "multipart/form-data");
    assert_eq!(send(&house, boundless).await.status, 400);
    assert!(house.content.list().await.expect("memory lists").is_empty());
    assert_eq!(house.client(Method::GET, "/v1/storage/list", "").await.json()["count"], 0);
}

#[tokio::test]
async fn a_range_is_a_part_and_a_known_tag_is_nothing() {
    let house = House::open().await;
    let bytes = large();
    let cid = put(&house, &bytes).await;
    let tag = format!("\"{cid}\"");
    let part = send(&house, with_header(get(&cid), "range", "bytes=300000-599999")).await;
    assert_eq!((part.status.as_u16(), part.header("content-range")), (206, "bytes 300000-599999/700000"));
    assert!(part.body == bytes[300_000..600_000]);
    let tail = send(&house, with_header(get(&cid), "range", "bytes=-1")).await;
    assert_eq!((tail.status.as_u16(), &tail.body[..]), (206, &bytes[699_999..]));
    let beyond = send(&house, with_header(get(&cid), "range", "bytes=700000-")).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */700000"));
    assert_eq!(beyond.code(), "VALIDATION_FAILED");
    for (if_range, status) in [(tag.as_str(), 206), ("\"other\"", 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200)] {
        let ask = with_header(with_header(get(&cid), "range", "bytes=0-0"), "if-range", if_range);
        assert_eq!(send(&house, ask).await.status, status, "{if_range}");
    }
    for (known, status) in [(tag.as_str(), 304), ("*", 304), (&format!("\"a\", W/{tag}"), 304), ("\"a\"", 200)] {
        let seen = send(&house, with_header(get(&cid), "if-none-match", known)).await;
        assert_eq!(seen.status, status, "{known}");
        assert_eq!((seen.header("etag"), seen.body.is_empty()), (tag.as_str(), status == 304));
    }
}

#[tokio::test]
async fn content_is_pinned_named_listed_and_collected() {
    let house = House::open().await;
    let (kept, gone) = (put(&house, b"kept").await, put(&house, b"gone").await);
    let pin = house.post("/v1/storage/pin", json!({ "cid": kept, "name": "named" })).await;
    assert_eq!(pin.json(), json!({ "cid": kept, "name": "named" }));
    let status = house.client(Method::GET, &format!("/v1/storage/status/{kept}"), "").await;
    expect![[r#"
        200
        {
          "cid": "bafkreidz6b3kxxizu5jnw4thx77s7ebccyoredpksgp5vsrp7x6cjsumsy",
          "name": "named",
          "peers": [
            "local"
          ],
          "replication_factor": 1,
          "replication_max": 1,
          "replication_min": 1,
          "size": 4,
          "status": "pinned"
        }
    "#]]
    .assert_eq(&status.snapshot());
    let unpin = house.client(Method::DELETE, &format!("/v1/storage/unpin/{gone}"), "").await;
    assert_eq!(unpin.json(), json!({ "status": "ok", "cid": gone }));
    assert_eq!(house.client(Method::GET, &format!("/v1/storage/status/{gone}"), "").await.text("status"), "unpinned");
    let listed = house.client(Method::GET, "/v1/storage/list", "").await.json();
    assert_eq!((&listed["count"], &listed["used_bytes"]), (&json!(2), &json!(8)));
    let first = &listed["contents"][0];
    let fields: Vec<&String> = first.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["cid", "created_at", "name", "pinned", "size"]);
    let behind_first = format!("/v1/storage/list?limit=1&after={}", first["cid"].as_str().expect("text"));
    assert_eq!(house.client(Method::GET, &behind_first, "").await.json()["count"], 1);
    let swept = house.client(Method::POST, "/v1/storage/gc", "").await;
    assert_eq!(swept.json(), json!({ "contents": 1, "bytes": 4 }));
    assert_eq!(send(&house, get(&gone)).await.status, 404);
    assert_eq!(send(&house, get(&kept)).await.status, 200);
}

#[tokio::test]
async fn what_cannot_exist_is_not_found() {
    let house = House::open().await;
    let missing = Cid::of(b"missing").to_string();
    let v0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKdFns";
    for cid in [missing.as_str(), "nonsense", v0, "..%2f..%2fetc%2fpasswd"] {
        for (method, verb) in [(Method::GET, "get"), (Method::GET, "status"), (Method::DELETE, "unpin")] {
            let seen = house.client(method, &format!("/v1/storage/{verb}/{cid}"), "").await;
            assert_eq!((seen.status.as_u16(), seen.code().as_str()), (404, "NOT_FOUND"), "{verb} {cid}");
        }
    }
    assert_eq!(house.post("/v1/storage/pin", json!({ "cid": missing })).await.status, 404);
    assert_eq!(house.post("/v1/storage/pin", json!({})).await.status, 400);
    for query in ["limit=0", "limit=x", "after=nonsense"] {
        assert_eq!(house.client(Method::GET, &format!("/v1/storage/list?{query}"), "").await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn the_quota_ends_an_upload() {
    let house = House::open().await;
    let settings = json!({ "storage_bytes_max": 100 }).to_string();
    assert_eq!(house.operator(Method::PUT, "/v1/namespaces/default/settings", settings).await.status, 200);
    let seen = send(&house, Form::default().file("file", &[1; 101]).post("/v1/storage/upload")).await;
    assert_eq!((seen.status.as_u16(), seen.code().as_str()), (507, "STORAGE_QUOTA_EXCEEDED"));
    put(&house, &[1; 100]).await;
    assert_eq!(house.client(Method::GET, "/v1/storage/list", "").await.json()["quota_bytes"], 100);
}
