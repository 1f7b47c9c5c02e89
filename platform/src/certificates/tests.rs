use std::time::Duration;

use ports::memory::{ManualClock, MemoryCertificates, ScriptedAuthority};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const LIFE: Duration = Duration::from_secs(90 * 86_400);

/// Names under `here.example` exist, but for `gone`.
struct Here;

impl NameAuthority for Here {
    fn may_have_certificate(&self, name: &str) -> bool {
        name.ends_with(".here.example") && name != "gone.here.example"
    }
}

struct House {
    certifier: Arc<Certifier>,
    authority: Arc<ScriptedAuthority>,
    store: Arc<MemoryCertificates>,
    clock: Arc<ManualClock>,
}

impl House {
    async fn open(names: &[&str]) -> Self {
        Self::on(Arc::default(), Arc::new(ManualClock::new()), names).await
    }

    async fn on(store: Arc<MemoryCertificates>, clock: Arc<ManualClock>, names: &[&str]) -> Self {
        let authority = Arc::new(ScriptedAuthority::new(clock.clone(), LIFE));
        let ports = CertificatePorts {
            store: store.clone(),
            authority: Some(authority.clone()),
            names: Arc::new(Here),
            clock: clock.clone(),
        };
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let plan = CertificatePlan { names, on_demand: true, ..CertificatePlan::default() };
        let certifier = Certifier::open(ports, plan, Vec::new()).await.expect("memory opens");
        let running = certifier.clone();
        tokio::spawn(async move { running.run().await });
        Self { certifier, authority, store, clock }
    }

    /// Lets the loop do what is due: time is paused, so that nobody waits for it.
    async fn settle(&self) {
        tokio::time::sleep(SLEEP_MAX * 2).await; // paused
    }

    fn asked(&self) -> Vec<String> {
        self.authority.asked().into_iter().map(|(_, name)| name).collect()
    }
}

fn unavailable() -> OrderError {
    OrderError::Unavailable("down".into())
}

#[tokio::test(start_paused = true)]
async fn configured_names_are_ordered_once_and_renewed_after_two_thirds() {
    let house = House::open(&["a.example", "b.example"]).await;
    house.settle().await;
    assert_eq!(house.asked(), ["a.example", "b.example"]);
    house.clock.advance(DAY * 54);
    house.settle().await;
    assert_eq!(house.asked().len(), 2, "not before");
    house.clock.advance(DAY * 7);
    house.settle().await;
    assert_eq!(house.asked().len(), 4, "after two thirds of their life at the latest");
    assert_eq!(house.certifier.book().all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_restart_reuses_what_was_kept() {
    let first = House::open(&["a.example"]).await;
    first.settle().await;
    let second = House::on(first.store.clone(), first.clock.clone(), &["a.example"]).await;
    second.settle().await;
    assert!(second.asked().is_empty());
    assert!(second.certifier.book().find("a.example").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_name_that_exists_gets_it_and_others_do_not() {
    let house = House::open(&[]).await;
    assert_eq!(house.certifier.obtain("a.here.example").await, Ok(()));
    for name in ["elsewhere.example", "gone.here.example", ""] {
        assert_eq!(house.certifier.obtain(name).await, Err(NoCertificate::NoSuchName), "{name}");
    }
    assert_eq!(house.asked(), ["a.here.example"]);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_make_one_order() {
    let house = House::open(&[]).await;
    house.authority.hold();
    let asking = (0..200).map(|_| house.certifier.obtain("a.here.example"));
    let all = futures_util::future::join_all(asking);
    let release = async {
        house.settle().await;
        house.authority.release();
    };
    let (answers, ()) = tokio::join!(all, release);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(house.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_an_hour_and_no_more() {
    let house = House::open(&[]).await;
    let obtain = async |number: u32| house.certifier.obtain(&format!("n{number}.here.example")).await;
    for number in 0..10 {
        assert_eq!(obtain(number).await, Ok(()));
    }
    assert_eq!(obtain(10).await, Err(NoCertificate::TooMany));
    house.clock.advance(HOUR_AND_MORE);
    assert_eq!(obtain(10).await, Ok(()));
}

const HOUR_AND_MORE: Duration = Duration::from_secs(3601);

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_order_under_way() {
    let house = House::open(&[]).await;
    house.authority.hold();
    let asking = house.certifier.obtain("a.here.example");
    assert!(tokio::time::timeout(Duration::from_secs(1), asking).await.is_err());
    house.authority.release();
    house.settle().await;
    assert!(house.certifier.book().find("a.here.example").is_some());
    assert_eq!(house.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_later_and_later() {
    let house = House::open(&["a.example"]).await;
    for _ in 0..3 {
        house.authority.fail_next(unavailable());
    }
    house.authority.fail_next(OrderError::Refused("no".to_owned()));
    // Each step is long enough for one further order, and too short for two.
    for (seconds, orders) in [(0, 1), (4, 1), (1, 2), (9, 2), (1, 3), (20, 4), (300, 4), (3000, 5)] {
        house.clock.advance(Duration::from_secs(seconds));
        house.settle().await;
        assert_eq!(house.asked().len(), orders, "after {seconds} more seconds");
    }
    assert!(house.certifier.book().find("a.example").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_failed_lately_is_not_ordered_for_every_client() {
    let house = House::open(&[]).await;
    house.authority.fail_next(unavailable());
    assert_eq!(house.certifier.obtain("a.here.example").await, Err(NoCertificate::Failed));
    for _ in 0..100 {
        assert_eq!(house.certifier.obtain("a.here.example").await, Err(NoCertificate::TooMany));
    }
    assert_eq!(house.asked().len(), 1);
    house.clock.advance(Duration::from_secs(6));
    assert_eq!(house.certifier.obtain("a.here.example").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_old_one_in_use() {
    let house = House::open(&["a.example"]).await;
    house.settle().await;
    let old = house.certifier.book().find("a.example").cloned().expect("it was ordered");
    house.authority.fail_next(unavailable());
    house.clock.advance(DAY * 61);
    house.settle().await;
    assert_eq!(house.asked().len(), 2);
    assert!(house.certifier.book().find("a.example").is_some_and(|found| Arc::ptr_eq(found, &old)));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_expires_and_is_forgotten() {
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(MemoryCertificates::default());
    let issuer = ScriptedAuthority::new(clock.clone(), LIFE);
    store.store(&issuer.issue("gone.here.example")).await.expect("stored");
    let house = House::on(store.clone(), clock, &[]).await;
    house.settle().await;
    assert!(house.certifier.book().find("gone.here.example").is_some());
    house.clock.advance(LIFE);
    house.settle().await;
    assert!(house.certifier.book().all().is_empty() && house.asked().is_empty());
    assert!(store.list().await.expect("memory lists").0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn files_come_before_orders_and_own_names_before_wildcards() {
    let house = House::open(&["a.example"]).await;
    house.settle().await;
    let file = |names: &[&str]| Certificate {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        source: CertificateSource::File,
        ..house.authority.issue("file")
    };
    house.certifier.replace_files(vec![file(&["*.example", "example"]), file(&["b.example"])]);
    let names_of = |host: &str| house.certifier.book().find(host).map(|found| found.names[0].clone());
    assert_eq!(names_of("a.example").as_deref(), Some("a.example"));
    assert_eq!(names_of("b.example").as_deref(), Some("b.example"));
    assert_eq!(names_of("c.example").as_deref(), Some("*.example"));
    assert_eq!(names_of("c.c.example"), None);
    assert_eq!(names_of("*.example"), None);
    house.certifier.replace_files(vec![file(&["a.example", "other"])]);
    assert_eq!(house.certifier.book().find("a.example").map(|found| found.source), Some(CertificateSource::File));
    assert_eq!(house.certifier.book().all().len(), 2);
    assert_eq!(house.certifier.book().fallback().map(|found| found.names[1].clone()).as_deref(), Some("other"));
}
