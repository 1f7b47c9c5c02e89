//! Which certificates the node has, and when it orders another one.
//!
//! There are those of files, which the operator keeps, and those that the node orders: for the names of the configuration from
//! the start on, and, where that is switched on, for every other name that exists here ([`NameAuthority`]) when somebody first
//! asks for it by TLS, a few an hour. All orders are made by one loop, [`Certifier::run`], one at a time for a name; whoever
//! needs the certificate waits for it there. It is renewed after two thirds of its life, a little earlier by chance, so that
//! many of the same day do not come due together. An order that fails is made again later and later (`certificates/orders.rs`).
//!
//! Nothing here knows TLS or ACME: see `gateway::tls` and `backends::certificates`.

mod book;
mod orders;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::Timestamp;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ports::{
    Certificate, CertificateAuthority, CertificateSource, Certificates, CertificatesError, ChallengeBoard, Clock,
    NameAuthority, OrderError,
};
use tokio::sync::mpsc;

pub use book::Book;
pub use orders::NoCertificate;
use orders::{Orders, Waiter};

/// Orders under way at once; what comes due beyond them waits.
const ORDERS_AT_ONCE: usize = 4;
/// Names that wait for the loop.
const WISHES_MAX: usize = 64;
/// The longest sleep of the loop: the wall clock may jump.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
const SLEEP_MIN: Duration = Duration::from_millis(100);

/// What the node is to have certificates for.
#[derive(Debug, Clone)]
pub struct CertificatePlan {
    /// Ordered at the start, and kept.
    pub names: Vec<String>,
    /// Are other names that exist here ordered when somebody asks for them?
    pub on_demand: bool,
    /// How many of those in an hour.
    pub on_demand_per_hour: usize,
}

impl Default for CertificatePlan {
    fn default() -> Self {
        Self { names: Vec::new(), on_demand: false, on_demand_per_hour: 10 }
    }
}

/// What certificates need from the world.
pub struct CertificatePorts {
    pub store: Arc<dyn Certificates>,
    /// `None` where certificates come from files alone.
    pub authority: Option<Arc<dyn CertificateAuthority>>,
    pub names: Arc<dyn NameAuthority>,
    pub clock: Arc<dyn Clock>,
}

/// The certificates of the node.
pub struct Certifier {
    ports: CertificatePorts,
    plan: CertificatePlan,
    board: Arc<ChallengeBoard>,
    book: ArcSwap<Book>,
    /// Held while the book is replaced, so that no change is lost.
    changing: Mutex<()>,
    orders: Mutex<Orders>,
    wishes: mpsc::Sender<String>,
    wished: Mutex<Option<mpsc::Receiver<String>>>,
}

impl Certifier {
    /// Begins with `files` and with what was ordered before.
    pub async fn open(
        ports: CertificatePorts,
        plan: CertificatePlan,
        files: Vec<Certificate>,
    ) -> Result<Arc<Self>, CertificatesError> {
        let (kept, unusable) = ports.store.list().await?;
        for cause in unusable {
            tracing::warn!(
                cause = &cause as &dyn std::error::Error,
                "failed to read a kept certificate; it is ordered anew"
            );
        }
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        Ok(Arc::new(Self {
            ports,
            plan,
            board: Arc::default(),
            book: ArcSwap::from_pointee(Book::new(files.into_iter().chain(kept).map(Arc::new).collect())),
            changing: Mutex::default(),
            orders: Mutex::default(),
            wishes,
            wished: Mutex::new(Some(wished)),
        }))
    }

    /// Every certificate at this moment.
    pub fn book(&self) -> Arc<Book> {
        self.book.load_full()
    }

    /// What authorities look for while orders are under way.
    pub fn board(&self) -> &Arc<ChallengeBoard> {
        &self.board
    }

    /// Takes these in place of all that came from files.
    pub fn replace_files(&self, files: Vec<Certificate>) {
        let files: Vec<_> = files.into_iter().map(Arc::new).collect();
        self.change(|all| {
            all.retain(|certificate| certificate.source != CertificateSource::File);
            all.extend(files);
        });
    }

    /// Waits for a certificate of a name that has none, ordering it if nobody does: for who asks by TLS.
    ///
    /// Giving up leaves the order under way. `host` is in lower case.
    pub async fn obtain(&self, host: &str) -> Result<(), NoCertificate> {
        let waiter = self.wish(host)?;
        waiter.ended().await;
        match self.book().find(host) {
            Some(_) => Ok(()),
            None => Err(NoCertificate::Failed),
        }
    }

    fn wish(&self, host: &str) -> Result<Waiter, NoCertificate> {
        if let Some(waiter) = self.lock().join(host) {
            return Ok(waiter);
        }
        let configured = self.plan.names.iter().any(|name| name == host);
        let wanted = configured || (self.plan.on_demand && self.ports.names.may_have_certificate(host));
        if !wanted || self.ports.authority.is_none() {
            return Err(NoCertificate::NoSuchName);
        }
        // A configured name is the loop's affair; it has it in hand, or rests after a failure.
        if configured {
            return Err(NoCertificate::Failed);
        }
        let waiter = self.lock().begin_on_demand(host, self.ports.clock.now(), self.plan.on_demand_per_hour)?;
        if self.wishes.try_send(host.to_owned()).is_err() {
            self.lock().end(host);
            return Err(NoCertificate::TooMany);
        }
        Ok(waiter)
    }

    /// Orders what is wished for and what is due, until it is dropped. Runs once.
    pub async fn run(&self) {
        let wished = self.wished.lock().expect("no holder panics").take();
        let (Some(mut wished), Some(authority)) = (wished, self.ports.authority.clone()) else { return };
        let mut under_way = FuturesUnordered::new();
        loop {
            let room = ORDERS_AT_ONCE - under_way.len();
            for name in self.take_due(room).await {
                under_way.push(self.order(&*authority, name));
            }
            let has_room = under_way.len() < ORDERS_AT_ONCE;
            tokio::select! {
                Some(name) = wished.recv(), if has_room => under_way.push(self.order(&*authority, name)),
                Some(()) = under_way.next() => {}
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    async fn order(&self, authority: &dyn CertificateAuthority, name: String) {
        let ended = authority.order(&name, &self.board).await;
        match ended {
            Ok(certificate) => {
                tracing::info!(name, not_after = %certificate.not_after, "got a certificate");
                self.keep(certificate).await;
                self.lock().succeeded(&name);
            }
            Err(error) => self.failed(&name, &error),
        }
        self.lock().end(&name);
    }

    async fn keep(&self, certificate: Certificate) {
        if let Err(cause) = self.ports.store.store(&certificate).await {
            // It serves until the node stops; then it is ordered anew.
            tracing::error!(cause = &cause as &dyn std::error::Error, "failed to store a certificate");
        }
        let certificate = Arc::new(certificate);
        self.change(|all| {
            all.retain(|old| old.source != CertificateSource::Acme || old.names.first() != certificate.names.first());
            all.push(certificate);
        });
    }

    fn failed(&self, name: &str, error: &OrderError) {
        let refused = matches!(error, OrderError::Refused(_));
        let wait = self.lock().failed(name, refused, self.ports.clock.now());
        let cause = error as &dyn std::error::Error;
        tracing::warn!(name, cause, again_in_seconds = wait.as_secs(), "failed to get a certificate");
    }

    /// Marks up to `room` names whose order is due as under way, and forgets certificates that nobody needs any more.
    async fn take_due(&self, room: usize) -> Vec<String> {
        let now = self.ports.clock.now();
        self.drop_expired(now).await;
        let book = self.book();
        let mut orders = self.lock();
        orders.forget_old(now);
        let due = self.wanted(&book).filter(|(_, at)| *at <= now).map(|(name, _)| name);
        due.filter(|name| orders.begin_due(name, now)).take(room).collect()
    }

    /// The names whose certificates the loop looks after, and when each is to be ordered next.
    fn wanted<'b>(&'b self, book: &'b Book) -> impl Iterator<Item = (String, Timestamp)> + 'b {
        let missing = self.plan.names.iter().filter(|name| book.find(name).is_none());
        let missing = missing.map(|name| (name.clone(), Timestamp::MIN));
        let ordered = book.all().iter().filter(|certificate| certificate.source == CertificateSource::Acme);
        let renewed = ordered.filter_map(|certificate| {
            let name = certificate.names.first().filter(|name| self.is_wanted(name))?;
            Some((name.clone(), renewal_of(certificate)))
        });
        missing.chain(renewed)
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.plan.names.iter().any(|wanted| wanted == name)
            || (self.plan.on_demand && self.ports.names.may_have_certificate(name))
    }

    /// What expired and will not be renewed, because its name is gone or no longer configured.
    async fn drop_expired(&self, now: Timestamp) {
        let book = self.book();
        let expired = |certificate: &&Arc<Certificate>| {
            certificate.source == CertificateSource::Acme && certificate.not_after <= now
        };
        for certificate in book.all().iter().filter(expired) {
            let Some(name) = certificate.names.first().filter(|name| !self.is_wanted(name)) else { continue };
            if let Err(cause) = self.ports.store.remove(name).await {
                tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to remove a certificate");
            }
            self.change(|all| all.retain(|old| !Arc::ptr_eq(old, certificate)));
        }
    }

    /// Until something is due.
    fn pause(&self) -> Duration {
        let now = self.ports.clock.now();
        let book = self.book();
        let orders = self.lock();
        let next = self.wanted(&book).filter_map(|(name, at)| orders.next_moment(&name, at)).min();
        let pause = next.map_or(SLEEP_MAX, |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        pause.clamp(SLEEP_MIN, SLEEP_MAX)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Certificate>>)) {
        let _changing = self.changing.lock().expect("no holder panics");
        let mut all = self.book.load().all().to_vec();
        change(&mut all);
        self.book.store(Arc::new(Book::new(all)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.orders.lock().expect("no holder panics")
    }
}

/// After two thirds of its life, and up to a twentieth of it earlier: the same moment each time it is asked.
fn renewal_of(certificate: &Certificate) -> Timestamp {
    let life = certificate.not_after.duration_since(certificate.not_before);
    let life = Duration::try_from(life).unwrap_or_default();
    let chance = blake3::hash(certificate.chain_pem.as_bytes()).as_bytes()[0];
    certificate.not_before + (life * 2 / 3).saturating_sub(life / 20 * u32::from(chance) / 255)
}

#[cfg(test)]
mod tests;
