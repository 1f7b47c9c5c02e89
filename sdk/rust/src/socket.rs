//! Functions with an instance for each WebSocket (`ws_persistent: true` in function.yaml).

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Context, Error, db};

/// Does the socket go on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Close,
}

/// Who opened a socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Opening {
    pub client_id: String,
    #[serde(default)]
    pub wallet: String,
    #[serde(default)]
    pub namespace: String,
    /// A text or a list of texts for each name.
    #[serde(default)]
    pub headers: BTreeMap<String, serde_json::Value>,
}

/// One WebSocket. The instance lives as long as the socket: what it keeps is there at the next frame.
///
/// [`crate::socket!`] makes a type that has this trait the function's.
pub trait Socket: Default {
    /// Refuses the socket by an error, which goes to the log.
    fn open(&mut self, _ctx: Context, _opening: Opening) -> Result<(), Error> {
        Ok(())
    }

    /// Closes the socket by [`Flow::Close`], or by an error, which goes to the log.
    fn frame(&mut self, ctx: Context, frame: &[u8]) -> Result<Flow, Error>;

    /// The last that happens.
    fn close(&mut self, _ctx: Context, _reason: &str) {}
}

/// Makes a [`Socket`] the function's: exports what the platform calls. Beside it stands an empty `fn main() {}`.
///
/// ```ignore
/// #[derive(Default)]
/// struct Echo;
///
/// impl orama_fn::Socket for Echo {
///     fn frame(&mut self, ctx: orama_fn::Context, frame: &[u8]) -> Result<orama_fn::Flow, orama_fn::Error> {
///         ctx.sockets.reply(frame);
///         Ok(orama_fn::Flow::Continue)
///     }
/// }
///
/// orama_fn::socket!(Echo);
/// fn main() {}
/// ```
#[macro_export]
macro_rules! socket {
    ($socket:ty) => {
        thread_local! {
            static SOCKET: ::std::cell::RefCell<$socket> = ::std::cell::RefCell::default();
        }

        /// # Safety
        ///
        /// The platform lends `length` bytes at `place` for this call.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn ws_open(place: *const u8, length: usize) -> i32 {
            // SAFETY: as above.
            unsafe { $crate::open_socket(&SOCKET, place, length) }
        }

        /// # Safety
        ///
        /// The platform lends `length` bytes at `place` for this call.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn ws_frame(place: *const u8, length: usize) -> i32 {
            // SAFETY: as above.
            unsafe { $crate::frame_of_socket(&SOCKET, place, length) }
        }

        /// # Safety
        ///
        /// The platform lends `length` bytes at `place` for this call.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn ws_close(place: *const u8, length: usize) {
            // SAFETY: as above.
            unsafe { $crate::close_socket(&SOCKET, place, length) }
        }
    };
}

type Kept<S> = std::thread::LocalKey<RefCell<S>>;

/// # Safety
///
/// Somebody lends `length` bytes at `place`, or nothing at all.
unsafe fn lent<'a>(place: *const u8, length: usize) -> &'a [u8] {
    match length {
        0 => &[],
        // SAFETY: as above.
        _ => unsafe { std::slice::from_raw_parts(place, length) },
    }
}

/// # Safety
///
/// As for [`lent`].
#[doc(hidden)]
pub unsafe fn open_socket<S: Socket>(socket: &'static Kept<S>, place: *const u8, length: usize) -> i32 {
    // SAFETY: as above.
    let info = unsafe { lent(place, length) };
    let opened = db::read::<Opening>(info)
        .and_then(|opening| socket.with_borrow_mut(|socket| socket.open(Context::default(), opening)));
    answer(opened.map(|()| Flow::Continue))
}

/// # Safety
///
/// As for [`lent`].
#[doc(hidden)]
pub unsafe fn frame_of_socket<S: Socket>(socket: &'static Kept<S>, place: *const u8, length: usize) -> i32 {
    // SAFETY: as above.
    let frame = unsafe { lent(place, length) };
    answer(socket.with_borrow_mut(|socket| socket.frame(Context::default(), frame)))
}

/// # Safety
///
/// As for [`lent`].
#[doc(hidden)]
pub unsafe fn close_socket<S: Socket>(socket: &'static Kept<S>, place: *const u8, length: usize) {
    // SAFETY: as above.
    let reason = String::from_utf8_lossy(unsafe { lent(place, length) });
    socket.with_borrow_mut(|socket| socket.close(Context::default(), &reason));
}

/// What the platform reads: 0 goes on.
fn answer(flow: Result<Flow, Error>) -> i32 {
    match flow {
        Ok(Flow::Continue) => 0,
        Ok(Flow::Close) => 1,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counting {
        frames: usize,
        seen: Vec<String>,
    }

    impl Socket for Counting {
        fn open(&mut self, _ctx: Context, opening: Opening) -> Result<(), Error> {
            self.seen.push(opening.client_id);
            Ok(())
        }

        fn frame(&mut self, _ctx: Context, frame: &[u8]) -> Result<Flow, Error> {
            self.frames += 1;
            match frame {
                b"bye" => Ok(Flow::Close),
                b"" => Err(Error::new("an empty frame")),
                _ => Ok(Flow::Continue),
            }
        }

        fn close(&mut self, _ctx: Context, reason: &str) {
            self.seen.push(format!("{reason} after {}", self.frames));
        }
    }

    thread_local! {
        static SOCKET: RefCell<Counting> = RefCell::default();
    }

    fn frame(data: &[u8]) -> i32 {
        // SAFETY: the bytes live longer than the call.
        unsafe { frame_of_socket(&SOCKET, data.as_ptr(), data.len()) }
    }

    #[test]
    fn an_instance_keeps_what_it_knows() {
        let (info, reason) = (br#"{"client_id":"ws-1","headers":{"A":"1","B":["2"]}}"#, b"client_disconnect");
        // SAFETY: the bytes live longer than the call.
        assert_eq!(unsafe { open_socket(&SOCKET, info.as_ptr(), info.len()) }, 0);
        assert_eq!([frame(b"a"), frame(b""), frame(b"bye")], [0, 1, 1]);
        // SAFETY: the bytes live longer than the call.
        unsafe { close_socket(&SOCKET, reason.as_ptr(), reason.len()) };
        SOCKET.with_borrow(|socket| assert_eq!(socket.seen, ["ws-1", "client_disconnect after 3"]));
        // SAFETY: there is nothing to lend.
        assert_eq!(unsafe { open_socket(&SOCKET, std::ptr::null(), 0) }, 1, "nobody opens it");
    }
}
