//! An instance for each WebSocket, in Rust. It greets whoever opens it. A frame `count` is answered by {"frames":n}, where n counts
//! the frames of this socket; `bye` closes it, `fail` closes it after a line in the log, `panic` ends the program; any other is
//! published on the topic `frames` and sent back.

use orama_fn::{Context, Error, Flow, Opening};

#[derive(Default)]
struct Socket {
    frames: usize,
}

impl orama_fn::Socket for Socket {
    fn open(&mut self, ctx: Context, opening: Opening) -> Result<(), Error> {
        ctx.sockets.reply(format!("{{\"hello\":{:?}}}", opening.client_id).as_bytes());
        Ok(())
    }

    fn frame(&mut self, ctx: Context, frame: &[u8]) -> Result<Flow, Error> {
        self.frames += 1;
        match frame {
            b"count" => _ = ctx.sockets.reply(format!("{{\"frames\":{}}}", self.frames).as_bytes()),
            b"bye" => return Ok(Flow::Close),
            b"fail" => return Err(Error::new("as it was told")),
            b"panic" => panic!("as it was told"),
            _ => {
                ctx.pubsub.publish("frames", frame);
                ctx.sockets.reply(frame);
            }
        }
        Ok(Flow::Continue)
    }

    fn close(&mut self, ctx: Context, reason: &str) {
        ctx.log.info(&format!("closed: {reason}"));
    }
}

orama_fn::socket!(Socket);

fn main() {}
