//! What waits to be sent to one socket: bounded in frames and in bytes, in the order in which it came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::shares::Share;

/// The most frames that wait for one socket.
const FRAMES_MAX: usize = 1024;
/// The most bytes that wait for one socket; one frame may be larger when nothing else waits.
const BYTES_MAX: usize = 4 << 20;
/// How long a sender waits for room: its own socket may be the one that is slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// A frame for the client of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFrame {
    pub data: Bytes,
    /// It is UTF-8, and goes out as text.
    pub text: bool,
}

impl SocketFrame {
    pub fn of(data: Bytes) -> Self {
        let text = std::str::from_utf8(&data).is_ok();
        Self { data, text }
    }
}

/// A frame on its way, with its share of all bytes that wait, which copies of it have in common.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) frame: SocketFrame,
    pub(super) _share: Option<Arc<Share>>,
}

/// Why the platform ends a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// More waited for it than may wait.
    TooSlow,
    /// Messages of a topic that it is bridged to were lost before they reached it.
    MessagesLost,
    /// Its function, or the version that it speaks to, is gone or switched off.
    FunctionGone,
    NamespaceGone,
    /// Somebody who manages the namespace closed it.
    ClosedByOwner,
}

/// Why a frame did not find its way into an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The socket is gone, or about to go.
    Gone,
    /// It was too slow, and goes now.
    TooSlow,
}

/// What comes out of an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Frame(SocketFrame),
    /// Nothing comes after it.
    Farewell(Farewell),
}

#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Told when there is something to take.
    filled: Notify,
    /// Told when something was taken.
    emptied: Notify,
    /// Told when there is something else to look at.
    woken: Notify,
}

#[derive(Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    bytes: usize,
    farewell: Option<Farewell>,
    /// The socket is gone.
    closed: bool,
}

impl Queue {
    fn has_room_for(&self, frame: &SocketFrame) -> bool {
        self.parcels.is_empty() || (self.parcels.len() < FRAMES_MAX && self.bytes + frame.data.len() <= BYTES_MAX)
    }

    fn ends(&self) -> bool {
        self.closed || self.farewell.is_some()
    }
}

impl Outbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is whole before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a little for room; a socket that has none after that is too slow, and is ended.
    pub(super) async fn send(&self, mut parcel: Parcel) -> Result<(), Unsent> {
        let within = tokio::time::timeout(PATIENCE, async {
            loop {
                let emptied = self.emptied.notified();
                match self.offer(parcel) {
                    Offered::Taken => return Ok(()),
                    Offered::Gone => return Err(Unsent::Gone),
                    Offered::Full(back) => parcel = back,
                }
                emptied.await;
            }
        });
        match within.await {
            Ok(sent) => sent,
            Err(_) => {
                self.end(Farewell::TooSlow);
                Err(Unsent::TooSlow)
            }
        }
    }

    /// For who cannot wait: a socket without room is ended.
    pub(super) fn send_now(&self, parcel: Parcel) -> Result<(), Unsent> {
        match self.offer(parcel) {
            Offered::Taken => Ok(()),
            Offered::Gone => Err(Unsent::Gone),
            Offered::Full(_) => {
                self.end(Farewell::TooSlow);
                Err(Unsent::TooSlow)
            }
        }
    }

    fn offer(&self, parcel: Parcel) -> Offered {
        let mut queue = self.queue();
        match () {
            () if queue.ends() => Offered::Gone,
            () if !queue.has_room_for(&parcel.frame) => Offered::Full(parcel),
            () => {
                queue.bytes += parcel.frame.data.len();
                queue.parcels.push_back(parcel);
                drop(queue);
                self.filled.notify_one();
                Offered::Taken
            }
        }
    }

    /// Ends the socket: behind what waits, or, when it does not take even that, at once. The first reason stays.
    pub(super) fn end(&self, why: Farewell) {
        let mut queue = self.queue();
        if queue.ends() {
            return;
        }
        queue.farewell = Some(why);
        if why == Farewell::TooSlow {
            queue.parcels.clear();
            queue.bytes = 0;
        }
        drop(queue);
        self.filled.notify_one();
        self.emptied.notify_waiters();
    }

    /// Ends the present or the next [`Outbox::woken`].
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Nobody takes anything out any more.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.parcels = VecDeque::new();
        drop(queue);
        self.emptied.notify_waiters();
    }

    /// The next thing; safe to give up.
    pub(super) async fn next(&self) -> Delivery {
        loop {
            let filled = self.filled.notified();
            if let Some(delivery) = self.take() {
                return delivery;
            }
            filled.await;
        }
    }

    fn take(&self) -> Option<Delivery> {
        let frame = self.take_frame().map(Delivery::Frame);
        frame.or_else(|| self.queue().farewell.map(Delivery::Farewell))
    }

    /// A frame, if one waits.
    pub(super) fn take_frame(&self) -> Option<SocketFrame> {
        let mut queue = self.queue();
        let Parcel { frame, .. } = queue.parcels.pop_front()?;
        queue.bytes -= frame.data.len();
        if queue.parcels.is_empty() {
            // Thousands of sockets rest, and most have had a burst.
            queue.parcels.shrink_to(4);
        }
        drop(queue);
        self.emptied.notify_waiters();
        Some(frame)
    }
}

enum Offered {
    Taken,
    Gone,
    Full(Parcel),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> SocketFrame {
        SocketFrame::of(vec![b'x'; bytes].into())
    }

    fn parcel(bytes: usize) -> Parcel {
        Parcel { frame: frame(bytes), _share: None }
    }

    #[tokio::test]
    async fn frames_come_out_in_order_and_a_farewell_behind_them() {
        let outbox = Outbox::default();
        outbox.send(parcel(1)).await.expect("there is room");
        outbox.send(parcel(2)).await.expect("there is room");
        outbox.end(Farewell::FunctionGone);
        outbox.end(Farewell::ClosedByOwner);
        assert_eq!(outbox.send(parcel(3)).await, Err(Unsent::Gone));
        assert_eq!(outbox.next().await, Delivery::Frame(frame(1)));
        assert_eq!(outbox.next().await, Delivery::Frame(frame(2)));
        assert_eq!(outbox.next().await, Delivery::Farewell(Farewell::FunctionGone));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_ended_and_the_sender_does_not_wait_long() {
        let outbox = Outbox::default();
        for _ in 0..FRAMES_MAX {
            outbox.send_now(parcel(1)).expect("there is room");
        }
        assert_eq!(outbox.send(parcel(1)).await, Err(Unsent::TooSlow));
        assert_eq!(outbox.next().await, Delivery::Farewell(Farewell::TooSlow));
    }

    #[tokio::test]
    async fn a_sender_goes_on_when_something_was_taken() {
        let outbox = Arc::new(Outbox::default());
        outbox.send_now(parcel(BYTES_MAX)).expect("there is room");
        let sending = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.send(parcel(1)).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(outbox.next().await, Delivery::Frame(frame(BYTES_MAX)));
        assert_eq!(sending.await.expect("no panic"), Ok(()));
    }

    #[tokio::test]
    async fn a_frame_larger_than_all_room_still_passes_alone() {
        let outbox = Outbox::default();
        outbox.send_now(parcel(BYTES_MAX + 1)).expect("nothing else waits");
        assert_eq!(outbox.send_now(parcel(1)), Err(Unsent::TooSlow));
    }

    #[tokio::test]
    async fn nothing_waits_for_a_socket_that_is_gone() {
        let outbox = Outbox::default();
        outbox.close();
        assert_eq!(outbox.send(parcel(1)).await, Err(Unsent::Gone));
    }
}
