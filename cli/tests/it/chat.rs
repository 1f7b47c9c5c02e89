//! The chat of the examples, in two pages of a browser.

use crate::examples::{copy, deploy};
use crate::support::{Browser, Server};

/// What a page shows.
const TEXTS: &str =
    "[...document.querySelectorAll('#messages li')].map((line) => line.lastChild.textContent).join('|')";
const PRESENT: &str = "document.getElementById('present').textContent";
const TYPING: &str = "document.getElementById('typing').textContent";
const STATE: &str = "document.body.dataset.state";

#[test]
fn two_pages_talk_and_see_each_other_come_type_and_go() {
    let server = Server::start();
    let folder = copy(&server, "chat-room");
    deploy(&server, &folder);
    let page = |user: &str| format!("{}/v1/invoke/default/chat-room?room=lobby&user={user}", server.address());
    let mut browser = Browser::start();
    let ada = browser.open(&page("ada"));
    browser.expect(&ada, STATE, "here");
    let grace = browser.open(&page("grace"));
    for page in [&ada, &grace] {
        browser.expect(page, PRESENT, "ada, grace");
    }
    browser.evaluate(&grace, "document.getElementById('text').focus()");
    browser.write(&grace, "hello, ada <b>");
    browser.expect(&ada, TYPING, "grace is typing…");
    browser.evaluate(&grace, "document.getElementById('form').requestSubmit()");
    for page in [&ada, &grace] {
        browser.expect(page, TEXTS, "hello, ada <b>");
        browser.expect(page, TYPING, "");
    }
    // Whoever goes is not there any more, without having said goodbye.
    browser.close(&grace);
    browser.expect(&ada, PRESENT, "ada");
    // A socket that is lost comes back by itself, and nothing is shown twice.
    let connections = || server.http().get("/v1/serverless/ws/connections").json()["connections"].clone();
    let first = connections()[0]["client_id"].as_str().expect("an id").to_owned();
    assert_eq!(server.http().send("DELETE", &format!("/v1/serverless/ws/connections/{first}"), &[], b"").status, 200);
    browser.expect(&ada, "document.body.dataset.greeted", "2");
    browser.expect(&ada, PRESENT, "ada");
    browser.expect(&ada, TEXTS, "hello, ada <b>");
    assert_ne!(connections()[0]["client_id"], first.as_str());
}
