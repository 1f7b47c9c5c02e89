//! A conversation with a function over a WebSocket: each message a call of its own, or all of them for one instance.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use domain::{Caller, Error, ErrorCode, FunctionRef, Namespace, TriggerKind};
use platform::{
    AdmittedSocket, Attached, Cause, Conversation, Delivery, Invoke, NewSocket, Outcome, SocketEnd, SocketRules,
};
use ports::Flow;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Over, words};
use crate::Gateway;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::handlers::invoke::{is_for_us, namespace_of};
use crate::websocket::{
    Control, Event, FAILED, Frame, GOING_AWAY, Goodbye, Holder, NORMAL, Offer, POLICY, Received, Socket, SocketKind,
    TOO_BIG, TRY_LATER,
};

/// The most bytes of messages that wait for one function; behind that the client is read no further.
const QUEUE_BYTES_MAX: usize = 4 << 20;

pub(crate) async fn open(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, function) = (namespace_of(&exchange)?, exchange.function(0)?);
    let admitted = gateway.platform.admit_socket(&namespace, &function, &exchange.caller)?;
    let counted = gateway.platform.count_call_from_elsewhere(&exchange.caller, &namespace);
    counted.map_err(Refusal::over_the_limit)?;
    let offer = Offer::check(&gateway, &mut exchange)?;
    let rules = admitted.rules.clone();
    let (kind, headers) = match rules.persistent {
        true => (SocketKind::Persistent, headers_of(&gateway, &exchange)),
        false => (SocketKind::Stateless, BTreeMap::new()),
    };
    let new = NewSocket {
        namespace: namespace.clone(),
        function: function.name.clone(),
        version: rules.persistent.then_some(rules.version),
        caller: exchange.caller.clone(),
        address: exchange.client,
    };
    let holder = Holder::of(&gateway, &exchange, namespace.clone());
    let target = Target { gateway, namespace, function, rules };
    Ok(offer.accept(kind, target.rules.frame_bytes_max, move |socket, stopping| {
        let attached = target.gateway.platform.attach_socket(new);
        Talk::begin(target, holder, attached, admitted, headers).run(socket, stopping)
    }))
}

/// The headers of the request as the instance may see them: without credentials, and without those of the protocol.
fn headers_of(gateway: &Gateway, exchange: &Exchange) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &exchange.parts.headers {
        let of_the_protocol =
            matches!(name.as_str(), "connection" | "upgrade") || name.as_str().starts_with("sec-websocket-");
        let Some(text) = value.to_str().ok().filter(|_| !of_the_protocol && !is_for_us(gateway, name, value)) else {
            continue;
        };
        let together = shown.entry(name.as_str().to_owned()).or_default();
        if !together.is_empty() {
            together.push_str(", ");
        }
        together.push_str(text);
    }
    shown
}

/// What a socket speaks to.
struct Target {
    gateway: Arc<Gateway>,
    namespace: Namespace,
    function: FunctionRef,
    rules: SocketRules,
}

/// A message, and who said it.
struct Waiting {
    received: Received,
    caller: Arc<Caller>,
}

/// What the function does now. One thing at a time.
type Running = Pin<Box<dyn Future<Output = Done> + Send>>;

enum Done {
    /// A call of its own has ended.
    Answered(Outcome),
    /// The instance goes on, or does not: it asked for the end, or refused the socket.
    Turn(Conversation, Flow),
    /// There is no instance any more.
    Failed(Error),
}

struct Talk {
    target: Target,
    holder: Holder,
    attached: Attached,
    queue: VecDeque<Waiting>,
    queued_bytes: usize,
    running: Option<Running>,
    /// That of a persistent function, while nothing runs.
    conversation: Option<Conversation>,
    /// `ws_open` has not answered.
    opening: bool,
    /// The server stops: what runs may finish.
    draining: bool,
}

/// How it is over, and what the instance is told.
type Last = (Over, SocketEnd);

fn ours(goodbye: Goodbye, end: SocketEnd) -> Last {
    (Over::Ours(goodbye), end)
}

impl Talk {
    fn begin(
        target: Target,
        holder: Holder,
        attached: Attached,
        admitted: AdmittedSocket,
        headers: BTreeMap<String, String>,
    ) -> Self {
        let opening = target.rules.persistent;
        let mut talk = Self {
            target,
            holder,
            attached,
            queue: VecDeque::new(),
            queued_bytes: 0,
            running: None,
            conversation: None,
            opening,
            draining: false,
        };
        if opening {
            let (client, caller) = (talk.attached.id().clone(), talk.holder.last_caller().clone());
            talk.running = Some(Box::pin(async move {
                match admitted.open(client, caller, &headers).await {
                    Ok((conversation, flow)) => Done::Turn(conversation, flow),
                    Err(error) => Done::Failed(error),
                }
            }));
        }
        talk
    }

    async fn run(mut self, mut socket: Socket, stopping: CancellationToken) {
        let (over, end) = self.talk(&mut socket, stopping).await;
        let Self { attached, holder, running, conversation, target, .. } = self;
        // At once: what the socket held is cleared now, whatever the function still has to say.
        drop(attached);
        let leave = async move {
            let conversation = match running {
                Some(running) if target.rules.persistent => match running.await {
                    Done::Turn(conversation, _) => Some(conversation),
                    Done::Answered(_) | Done::Failed(_) => None,
                },
                // Nobody waits for the answer of a call of its own.
                _ => conversation,
            };
            if let Some(conversation) = conversation {
                conversation.close(holder.last_caller().clone(), end).await;
            }
        };
        tokio::join!(Box::pin(over.part(socket)), Box::pin(leave));
    }

    async fn talk(&mut self, socket: &mut Socket, stopping: CancellationToken) -> Last {
        let mut stopped = pin!(stopping.cancelled());
        self.rest(socket);
        loop {
            if self.draining && self.running.is_none() {
                return self.last_words(socket, Goodbye::restart(), SocketEnd::ServerShutdown);
            }
            if let Err(last) = self.go_on(socket) {
                return last;
            }
            let reading = !self.draining && self.queued_bytes <= QUEUE_BYTES_MAX;
            let happened = tokio::select! {
                event = socket.next(reading) => match event {
                    Err(ended) => Err((Over::Theirs(ended), SocketEnd::ClientDisconnect)),
                    Ok(Event::Message(received)) => self.said(socket, received),
                    Ok(Event::Tick) => self.check(),
                    Ok(Event::Due) => self.idle(socket),
                    Ok(Event::Room) => Ok(()),
                },
                delivery = self.attached.next(), if socket.has_room() => match delivery {
                    Delivery::Frame(frame) => {
                        socket.send(words::frame(&frame));
                        Ok(())
                    }
                    Delivery::Farewell(why) => {
                        let (goodbye, end) = words::farewell(why);
                        Err(ours(goodbye, end))
                    }
                },
                done = finished(&mut self.running) => {
                    self.running = None;
                    self.done(socket, done)
                }
                () = &mut stopped, if !self.draining => {
                    self.draining = true;
                    self.queue.clear();
                    Ok(())
                }
            };
            if let Err(last) = happened {
                return last;
            }
        }
    }

    /// The client has said something: the time that it may be silent begins anew.
    fn rest(&self, socket: &mut Socket) {
        socket.wake_at(self.target.rules.idle_timeout.map(|timeout| Instant::now() + timeout));
    }

    fn idle(&mut self, socket: &mut Socket) -> Result<(), Last> {
        if self.running.is_some() || !self.queue.is_empty() {
            // It is the function that is slow.
            self.rest(socket);
            return Ok(());
        }
        Err(ours(Goodbye::new(GOING_AWAY, "idle timeout"), SocketEnd::IdleTimeout))
    }

    fn said(&mut self, socket: &mut Socket, mut received: Received) -> Result<(), Last> {
        self.rest(socket);
        self.attached.received(received.data.len());
        if received.text
            && let Some(control) = Control::of(&received.data)
        {
            let obeyed = self.holder.obey(&control);
            let answer = obeyed.map_err(|goodbye| ours(goodbye, SocketEnd::ClientDisconnect))?;
            self.say(socket, answer);
            self.attached.renew(self.holder.last_caller().clone());
            return Ok(());
        }
        let caller = self.caller()?;
        if self.queue.len() >= self.target.rules.inflight_max {
            return Err(ours(Goodbye::new(TOO_BIG, "queue full"), SocketEnd::ClientDisconnect));
        }
        if !received.hold(&self.target.gateway.message_room) {
            let goodbye = Goodbye::new(TRY_LATER, "too many messages wait on the server, try again");
            return Err(ours(goodbye, SocketEnd::ClientDisconnect));
        }
        self.queued_bytes += received.data.len();
        self.queue.push_back(Waiting { received, caller });
        Ok(())
    }

    /// Who speaks, as the credential says at this moment.
    fn caller(&mut self) -> Result<Arc<Caller>, Last> {
        self.holder.caller().map_err(|goodbye| ours(goodbye, SocketEnd::ClientDisconnect))
    }

    /// May the socket still be here?
    fn check(&mut self) -> Result<(), Last> {
        let caller = self.caller()?;
        let Target { gateway, namespace, function, .. } = &self.target;
        let callable = gateway.platform.may_call(namespace, function, &caller);
        match callable.err().and_then(|error| words::no_longer_callable(&error)) {
            Some(goodbye) => Err(ours(goodbye, SocketEnd::ServerShutdown)),
            None => Ok(()),
        }
    }

    /// Begins with the next message when nothing runs, and the client takes what there is for it.
    fn go_on(&mut self, socket: &mut Socket) -> Result<(), Last> {
        while self.running.is_none() && !self.draining && socket.has_room() {
            let Some(waiting) = self.queue.pop_front() else { return Ok(()) };
            self.queued_bytes -= waiting.received.data.len();
            self.check()?;
            match self.holder.count() {
                Ok(()) => self.running = self.start(waiting),
                Err(error) => self.turn_away(socket, &error)?,
            }
        }
        Ok(())
    }

    /// An instance cannot be told that it missed something, so its socket ends.
    fn turn_away(&mut self, socket: &mut Socket, error: &Error) -> Result<(), Last> {
        if self.target.rules.persistent {
            return Err(ours(Goodbye::new(POLICY, error.message.clone()), SocketEnd::ClientDisconnect));
        }
        let request_id = self.target.gateway.request_ids.next();
        self.say(socket, words::refusal(&request_id, 0, error));
        Ok(())
    }

    /// Sends what does not come from the queue of the socket.
    fn say(&self, socket: &mut Socket, frame: Frame) {
        self.attached.sent(frame.payload_len());
        socket.send(frame);
    }

    fn start(&mut self, waiting: Waiting) -> Option<Running> {
        let Waiting { received, caller } = waiting;
        if self.target.rules.persistent {
            let mut conversation = self.conversation.take()?;
            return Some(Box::pin(async move {
                match conversation.frame(caller, received.data.clone()).await {
                    Ok(flow) => Done::Turn(conversation, flow),
                    Err(error) => Done::Failed(error),
                }
            }));
        }
        let (gateway, invoke) = (self.target.gateway.clone(), self.call_of(&received, caller));
        Some(Box::pin(async move {
            let outcome = gateway.platform.invoke(invoke).await;
            drop(received);
            Done::Answered(outcome)
        }))
    }

    fn call_of(&self, received: &Received, caller: Arc<Caller>) -> Invoke {
        let Target { gateway, namespace, function, .. } = &self.target;
        Invoke {
            request_id: gateway.request_ids.next(),
            namespace: namespace.clone(),
            function: function.clone(),
            caller,
            trigger: TriggerKind::Websocket,
            cause: Cause { socket: Some(self.attached.id().clone()), ..Cause::default() },
            http: None,
            input: received.data.clone(),
            client_request_id: None,
            trace_id: None,
            idempotency_key: None,
        }
    }

    fn done(&mut self, socket: &mut Socket, done: Done) -> Result<(), Last> {
        let opening = std::mem::take(&mut self.opening);
        match done {
            Done::Answered(outcome) => {
                self.say(socket, words::reply(&outcome));
                Ok(())
            }
            Done::Turn(conversation, flow) => {
                self.conversation = Some(conversation);
                match flow {
                    Flow::Continue => Ok(()),
                    Flow::Close if opening => {
                        let goodbye = Goodbye::new(POLICY, "rejected by the function");
                        Err(self.last_words(socket, goodbye, SocketEnd::RejectedByOpen))
                    }
                    Flow::Close => {
                        let goodbye = Goodbye::new(NORMAL, "closed by the function");
                        Err(self.last_words(socket, goodbye, SocketEnd::ClientDisconnect))
                    }
                }
            }
            Done::Failed(error) => {
                let goodbye = match error.code {
                    ErrorCode::ServiceUnavailable => Goodbye::new(TRY_LATER, error.message),
                    _ => Goodbye::new(FAILED, "handler_error"),
                };
                Err(self.last_words(socket, goodbye, SocketEnd::HandlerError))
            }
        }
    }

    /// What the function has said before the end comes before the goodbye.
    fn last_words(&mut self, socket: &mut Socket, goodbye: Goodbye, end: SocketEnd) -> Last {
        while let Some(frame) = self.attached.next_waiting() {
            socket.send(words::frame(&frame));
        }
        ours(goodbye, end)
    }
}

async fn finished(running: &mut Option<Running>) -> Done {
    match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    }
}
