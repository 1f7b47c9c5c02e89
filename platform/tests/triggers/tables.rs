//! Changes of tables that call functions.

use std::time::Duration;

use domain::{TriggerKind, TriggerSpec};
use ports::RowOperation::{Delete, Insert, Update};
use ports::TableWatch;

use crate::node::{Act, admin, home, name, node, refusal, until};

fn table(table: &str, on: &[&str]) -> TriggerSpec {
    TriggerSpec::Table { table: table.to_owned(), on: on.iter().map(|operation| (*operation).to_owned()).collect() }
}

#[tokio::test(start_paused = true)]
async fn a_change_calls_the_functions_that_wait_for_it() {
    let node = node().await;
    node.deploy("name: audits\ntriggers: [{table: Users}]", Act::Succeed).await;
    node.deploy("name: greets\ntriggers: [{table: users, on: insert}]", Act::Succeed).await;
    assert!(node.databases.change(&home(), "users", Update, r#"{"id":1}"#, Some(r#"{"id":0}"#)));
    let update = node.calls(1).await.remove(0);
    assert_eq!((update.function.as_str(), update.trigger, update.depth), ("audits", TriggerKind::Database, 1));
    assert_eq!(update.caller.wallet(), "");
    assert!(update.input.starts_with(r#"{"table":"users","operation":"UPDATE","row":{"id":1},"old_row":{"id":0},"#));
    let event = update.json();
    assert_eq!((&event["namespace"], &event["trigger_depth"]), (&"default".into(), &1.into()));

    node.databases.change(&home(), "users", Insert, r#"{"id":2}"#, None);
    let inserts = node.calls(3).await;
    assert!(inserts[1..].iter().all(|call| call.json()["operation"] == "INSERT"));
    assert!(inserts[1].json().get("old_row").is_none());
    assert_eq!(node.counts().waiting, 0);
    let feed = ports::Databases::changes(&node.databases, &home());
    assert_eq!(feed.changes(0, 10).await.expect("changes"), [], "what is owed is forgotten");
}

#[tokio::test(start_paused = true)]
async fn exactly_what_triggers_wait_for_is_watched() {
    let node = node().await;
    let watched = || node.databases.watches(&home());
    node.deploy("name: audits\ntriggers: [{table: a, on: [insert, delete]}]", Act::Succeed).await;
    assert_eq!(watched(), [TableWatch::new("a", &[Insert, Delete])]);
    let added = node.add("audits", table("b", &["update"])).await;
    assert_eq!(watched().len(), 2);
    let set = |enabled| {
        let platform = node.platform.clone();
        let id = added.id.clone();
        async move { platform.set_trigger_enabled(&admin(), &home(), &name("audits"), &id, enabled).await }
    };
    set(false).await.expect("paused");
    assert_eq!(watched().len(), 1);
    set(true).await.expect("resumed");
    assert_eq!(watched().len(), 2);
    node.deploy("name: audits\ntriggers: []", Act::Succeed).await;
    assert_eq!(watched(), [TableWatch::new("b", &[Update])], "what was added by hand stays");
    node.platform.rollback(&admin(), &home(), &name("audits"), None).await.expect("rolled back");
    assert_eq!(watched().len(), 2, "the triggers are those of the active version");
    node.platform.delete(&admin(), &home(), &crate::node::reference("audits")).await.expect("deleted");
    assert_eq!(watched(), []);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_cannot_be_watched_refuses_the_trigger() {
    let node = node().await;
    node.deploy("name: audits\ntriggers: [{table: a}]", Act::Succeed).await;
    node.database_faults.fail("watch", 1);
    let refused = node.platform.add_trigger(&admin(), &home(), &name("audits"), table("b", &["insert"])).await;
    assert!(refusal(refused).starts_with("INTERNAL"));
    node.database_faults.fail("watch", 1);
    let deployed = node.try_deploy(&home(), "name: other\ntriggers: [{table: b}]").await;
    assert!(refusal(deployed).starts_with("INTERNAL"));
    node.faults.fail("add_trigger", 1);
    let refused = node.platform.add_trigger(&admin(), &home(), &name("audits"), table("b", &["insert"])).await;
    assert!(refusal(refused).starts_with("INTERNAL"));
    assert_eq!(node.databases.watches(&home()).len(), 1, "what was watched is watched still, and no more");
    assert_eq!(node.counts().triggers, 1);
}

/// A function that changes the table that it waits for is called for its own changes, and no deeper than any other.
#[tokio::test(start_paused = true)]
async fn a_function_that_changes_its_own_table_ends_at_depth_five() {
    let node = node().await;
    node.deploy("name: echoes\ntriggers: [{table: t}]", Act::Succeed).await;
    for depth in 0..=5 {
        node.databases.change_at_depth(depth, &home(), "t", Insert, "{}", None);
    }
    let depths: Vec<u8> = node.calls(5).await.iter().map(|call| call.depth).collect();
    assert_eq!(depths, [1, 2, 3, 4, 5]);
    assert_eq!(node.counts().cut, 1, "what was changed at depth five calls nobody, and it is said");
}

#[tokio::test(start_paused = true)]
async fn changes_are_called_for_after_a_death_and_once_if_they_were_owed_already() {
    let node = node().await;
    node.deploy("name: audits\ntriggers: [{table: t}]", Act::Wait).await;
    // Owed, but not forgotten: the node dies in between.
    node.faults.fail("begin_deliveries", usize::MAX);
    node.database_faults.fail("forget_changes", usize::MAX);
    node.databases.change(&home(), "t", Insert, r#"{"id":1}"#, None);
    until("it is owed", || node.counts().waiting == 1).await;
    node.faults.heal();
    node.database_faults.heal();
    let node = node.killed().await;
    node.says("audits", Act::Succeed);
    assert_eq!(node.calls(1).await[0].json()["row"]["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_is_read_again() {
    let node = node().await;
    node.deploy("name: audits\ntriggers: [{table: t}]", Act::Succeed).await;
    node.faults.fail("write_deliveries", 2);
    for id in 0..250 {
        node.databases.change(&home(), "t", Insert, &format!("{{\"id\":{id}}}"), None);
    }
    node.advance(Duration::from_secs(5)).await;
    let mut ids: Vec<i64> =
        node.calls(250).await.iter().map(|call| call.json()["row"]["id"].as_i64().expect("a number")).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..250).collect::<Vec<i64>>());
}
