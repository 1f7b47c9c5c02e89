//! What was acknowledged is there: after the process was killed at any moment, and after the power was cut at any moment.
//!
//! [`load`] deploys and calls without a pause and keeps a book of what was acknowledged; the tests end the server at a
//! moment that they choose by dice, start it again, and compare. A kill alone cannot show durability, because the
//! kernel still writes what the dead process wrote; [`disk`] cuts the power of a file system, and a last test shows that
//! this notices a server that does not wait for its disk.

mod disk;
mod load;
mod messages;
mod rows;
mod sent;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use disk::Disk;
use load::{Book, Load};
use messages::Messages;
use rows::Rows;
use sent::Writers;

use crate::support::Server;

const KILLS: u32 = 50;
const ROW_KILLS: u32 = 100;
const MESSAGE_KILLS: u32 = 50;
const POWER_CUTS: u32 = 5;

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged() {
    let mut server = Server::start();
    let book = Book::new(["alone", "shared"]);
    let mut dice = Dice::new();
    let mut inside_a_deploy = 0;
    for round in 1..=KILLS {
        let load = Load::start(&server.http(), &book);
        load.wait_for(dice.below(6), Duration::from_micros(dice.below(20_000)));
        let killed_at = Instant::now();
        let log = server.kill();
        inside_a_deploy += u32::from(load.join(killed_at) > 0);
        server.assert_calm(&log);
        if round % 10 == 0 {
            assert_clean(&server);
        }
        server.restart();
        assert_eq!(book.losses(&server.http()), [""; 0], "after kill {round}");
    }
    assert_eq!(book.losses_of_every_version(&server.http()), [""; 0]);
    println!("{} deploys acknowledged, {inside_a_deploy} of {KILLS} kills inside a deploy", book.acknowledged());
    assert!(book.acknowledged() >= 50, "{} deploys are too few to show anything", book.acknowledged());
    assert!(inside_a_deploy * 100 >= KILLS * 30, "only {inside_a_deploy} of {KILLS} kills landed inside a deploy");
}

#[test]
fn five_power_cuts_lose_nothing_that_was_acknowledged() {
    let disk = Disk::make();
    let mut server = Server::prepared();
    server.keep_data_in(disk.folder().join("data"));
    // Compiled modules can be made again, so nobody waits for them to reach the disk.
    server.expect_warning("a compiled module is damaged");
    server.restart();
    let book = Book::new(["alone", "shared"]);
    let mut dice = Dice::new();
    let mut inside_a_deploy = 0;
    for round in 1..=POWER_CUTS {
        let load = Load::start(&server.http(), &book);
        load.wait_for(2 + dice.below(10), Duration::from_micros(dice.below(20_000)));
        inside_a_deploy += u32::from(cut_power(&disk, &mut server, &book, load) > 0);
        assert_clean(&server);
        server.restart();
        assert_eq!(book.losses(&server.http()), [""; 0], "after power cut {round}");
    }
    assert_eq!(book.losses_of_every_version(&server.http()), [""; 0]);
    println!("{} deploys acknowledged, {inside_a_deploy} of {POWER_CUTS} cuts inside a deploy", book.acknowledged());
    assert!(inside_a_deploy * 100 >= POWER_CUTS * 30, "only {inside_a_deploy} cuts landed inside a deploy");
    server.kill();
}

#[test]
fn a_hundred_kills_lose_no_row_that_was_acknowledged() {
    let mut server = Server::start();
    let rows = Rows::create(&server.http());
    let mut dice = Dice::new();
    let mut inside_a_write = 0;
    for round in 1..=ROW_KILLS {
        let writers = rows.write(&server.http());
        writers.wait_for(dice.below(40) as usize, Duration::from_micros(dice.below(5_000)));
        let killed_at = Instant::now();
        let log = server.kill();
        inside_a_write += u32::from(writers.join(killed_at) > 0);
        server.assert_calm(&log);
        if round % 25 == 0 {
            assert_clean(&server);
        }
        server.restart();
        assert_eq!(rows.wrongs(&server.http()), [""; 0], "after kill {round}");
    }
    println!("{} rows acknowledged, {inside_a_write} of {ROW_KILLS} kills inside a write", rows.acknowledged());
    assert!(rows.acknowledged() >= 1_000, "{} rows are too few to show anything", rows.acknowledged());
    assert!(inside_a_write * 100 >= ROW_KILLS * 30, "only {inside_a_write} of {ROW_KILLS} kills landed inside a write");
}

#[test]
fn five_power_cuts_lose_no_row_that_was_acknowledged() {
    let disk = Disk::make();
    let mut server = Server::prepared();
    server.keep_data_in(disk.folder().join("data"));
    server.restart();
    let rows = Rows::create(&server.http());
    let mut dice = Dice::new();
    let mut inside_a_write = 0;
    for round in 1..=POWER_CUTS {
        let writers = rows.write(&server.http());
        writers.wait_for(20 + dice.below(200) as usize, Duration::from_micros(dice.below(5_000)));
        inside_a_write += u32::from(cut_power_of_writers(&disk, &mut server, writers) > 0);
        assert_clean(&server);
        server.restart();
        assert_eq!(rows.wrongs(&server.http()), [""; 0], "after power cut {round}");
    }
    println!("{} rows acknowledged, {inside_a_write} of {POWER_CUTS} cuts inside a write", rows.acknowledged());
    assert!(inside_a_write * 100 >= POWER_CUTS * 30, "only {inside_a_write} cuts landed inside a write");
    server.kill();
}

#[test]
fn fifty_kills_lose_no_call_of_a_message_that_was_acknowledged() {
    let mut server = Server::start();
    let messages = Messages::create(&server.http());
    let mut dice = Dice::new();
    let mut inside_a_publish = 0;
    for _ in 0..MESSAGE_KILLS {
        let writers = messages.publish(&server.http());
        writers.wait_for(dice.below(40) as usize, Duration::from_micros(dice.below(5_000)));
        let killed_at = Instant::now();
        let log = server.kill();
        inside_a_publish += u32::from(writers.join(killed_at) > 0);
        server.assert_calm(&log);
        server.restart();
    }
    assert_eq!(messages.wrongs(&server.http()), [""; 0]);
    println!("{} messages, {inside_a_publish} of {MESSAGE_KILLS} kills inside a publish", messages.acknowledged());
    assert!(messages.acknowledged() >= 500, "{} messages are too few to show anything", messages.acknowledged());
    assert!(inside_a_publish * 100 >= MESSAGE_KILLS * 30, "only {inside_a_publish} kills landed inside a publish");
}

#[test]
fn five_power_cuts_lose_no_call_of_a_message_that_was_acknowledged() {
    let disk = Disk::make();
    let mut server = Server::prepared();
    server.keep_data_in(disk.folder().join("data"));
    server.expect_warning("a compiled module is damaged");
    server.restart();
    let messages = Messages::create(&server.http());
    let mut dice = Dice::new();
    let mut inside_a_publish = 0;
    for round in 1..=POWER_CUTS {
        let writers = messages.publish(&server.http());
        writers.wait_for(20 + dice.below(200) as usize, Duration::from_micros(dice.below(5_000)));
        inside_a_publish += u32::from(cut_power_of_writers(&disk, &mut server, writers) > 0);
        assert_clean(&server);
        server.restart();
        assert_eq!(messages.wrongs(&server.http()), [""; 0], "after power cut {round}");
    }
    println!("{} messages, {inside_a_publish} of {POWER_CUTS} cuts inside a publish", messages.acknowledged());
    assert!(inside_a_publish * 100 >= POWER_CUTS * 30, "only {inside_a_publish} cuts landed inside a publish");
    server.kill();
}

/// Shows that the test of rows would notice.
#[test]
fn a_power_cut_of_rows_without_syncs_is_noticed() {
    let disk = Disk::make();
    let mut server = Server::prepared();
    server.keep_data_in(disk.folder().join("data"));
    server.restart();
    let rows = Rows::create(&server.http());
    server.kill();

    let (_folder, library) = library_without_syncs();
    server.set_environment([("LD_PRELOAD", library.as_os_str())]);
    server.restart();
    let writers = rows.write(&server.http());
    writers.wait_for(200, Duration::ZERO);
    cut_power_of_writers(&disk, &mut server, writers);

    server.set_environment([]);
    let wrongs = match server.try_restart() {
        Ok(()) => rows.wrongs(&server.http()),
        Err(said) => vec![said],
    };
    assert!(!wrongs.is_empty(), "a server that never syncs lost nothing: the power cut of this test cuts nothing");
    server.kill();
}

/// Returns how many requests had been sent when the cut was over and were never answered: writes are so quick that those under
/// way when it begins may still be done.
fn cut_power_of_writers(disk: &Disk, server: &mut Server, writers: Writers) -> usize {
    let cut_at = Instant::now();
    disk.cut_power();
    let cut_over = Instant::now();
    // What it says about a disk that is gone is of no interest.
    server.kill();
    let sent = writers.sent.clone();
    let unanswered = writers.join(cut_over);
    sent.doubt_since(cut_at);
    disk.mount_again();
    unanswered
}

/// Shows that the power cuts of deploys would notice: the same load and the same cut, with a server whose syncs do nothing.
#[test]
fn a_power_cut_without_syncs_is_noticed() {
    let disk = Disk::make();
    let mut server = Server::prepared();
    server.keep_data_in(disk.folder().join("data"));
    server.expect_warning("a compiled module is damaged");
    let book = Book::new(["alone", "shared"]);
    // The folder, the keys and the first versions are made by a server that syncs.
    server.restart();
    let load = Load::start(&server.http(), &book);
    load.wait_for(2, Duration::ZERO);
    cut_power(&disk, &mut server, &book, load);

    let (_folder, library) = library_without_syncs();
    server.set_environment([("LD_PRELOAD", library.as_os_str())]);
    server.restart();
    let load = Load::start(&server.http(), &book);
    load.wait_for(10, Duration::ZERO);
    cut_power(&disk, &mut server, &book, load);

    server.set_environment([]);
    let losses = match server.try_restart() {
        Ok(()) => book.losses(&server.http()),
        Err(said) => vec![said],
    };
    assert!(!losses.is_empty(), "a server that never syncs lost nothing: the power cut of this test cuts nothing");
    server.kill();
}

/// Returns how many deploys had been sent and were not answered at the cut.
///
/// Answers that come once the cut has begun do not count. The kernel stops this file system step by step, and a sync that waits
/// in that moment can succeed although its data went with the journal: a plain program that appends and syncs sees the same
/// a few times in a hundred cuts. When real power goes, nobody hears such an answer.
fn cut_power(disk: &Disk, server: &mut Server, book: &Book, load: Load) -> usize {
    let cut_at = Instant::now();
    disk.cut_power();
    // What it says about a disk that is gone is of no interest.
    server.kill();
    let unanswered = load.join(cut_at);
    book.doubt_since(cut_at);
    disk.mount_again();
    unanswered
}

#[track_caller]
fn assert_clean(server: &Server) {
    let data = server.data();
    server.orama([OsStr::new("fsck"), OsStr::new("--data"), data.as_os_str()]).ok();
}

/// A library that replaces the calls that wait for the disk.
fn library_without_syncs() -> (tempfile::TempDir, PathBuf) {
    const SOURCE: &[u8] =
        b"int fsync(int file) { (void)file; return 0; }\nint fdatasync(int file) { (void)file; return 0; }\n";
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("no_sync.so");
    compile_library(SOURCE, &library);
    (folder, library)
}

fn compile_library(source: &[u8], library: &Path) {
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-x", "c", "-", "-o"])
        .arg(library)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a C compiler");
    compiler.stdin.take().expect("a pipe").write_all(source).expect("it reads");
    assert!(compiler.wait().expect("it ends").success());
}

/// Numbers that differ from run to run.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(0) | 1)
    }

    /// From 0 to `end`, without `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
