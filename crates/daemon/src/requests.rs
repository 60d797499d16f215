//! What each request does: who may ask it, and who answers.
//!
//! How clients are doing is in `states`, their credentials in `credentials`, who may have what and why in `policy`.

mod credentials;
mod policy;
mod states;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokenbroker_core::config::{ClientName, PRESETS, nearest};
use tokenbroker_core::engine::{Granted, Refusal, WaiterId};
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_core::policy::{Caller, Right};
use tokenbroker_core::slots::{Cell, Loaded, Slot};
use tokenbroker_core::time::Moment;
use tokenbroker_ipc::PeerIdentity;
use tokenbroker_protocol::{Command, Failure, FailureCode, GetToken, Rejected, Renewed, Response};
use tokio::sync::oneshot;

use crate::audit::{Action, Seen, Undertaking};
use crate::clock;
use crate::convert;
use crate::quotas::Admission;
use crate::shared::{Ask, Shared, Want};

/// How long a caller waits for a token unless it says otherwise.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// Among more clients than this, nobody looks for the one that was probably meant: all callers would wait for it.
const MOST_COMPARED: usize = 1_000;

/// What a request is answered with: at once, or when it is done.
pub(crate) enum Answer {
    Now(Outcome),
    Later(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

/// What came of a request. A token is encoded from its slot when it is sent, and not copied before.
pub(crate) enum Outcome {
    Token { granted: Granted, now: Moment },
    Response(Response),
}

impl Outcome {
    /// Why it came to nothing, if it did.
    fn failure(&self) -> Option<FailureCode> {
        match self {
            Self::Response(Response::Failed(failure)) => Some(failure.code),
            Self::Token { .. } | Self::Response(_) => None,
        }
    }
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Response(Response::Failed(failure))
    }
}

/// A caller and what it may do.
#[derive(Clone)]
pub(crate) struct Session {
    peer: Arc<PeerIdentity>,
    shared: Arc<Shared>,
    /// What of this was written down.
    seen: Arc<Seen>,
    /// Held by the one request of the caller's user for which all clients are looked through.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Session {
    pub(crate) fn new(peer: PeerIdentity, admission: &Admission, shared: Arc<Shared>) -> Self {
        Self { peer: Arc::new(peer), shared, seen: Arc::default(), turn: admission.turn() }
    }

    pub(crate) fn answer(&self, command: Command) -> Answer {
        match command {
            Command::Ping => Answer::Now(Response::Done.into()),
            Command::GetToken(get) => self.get_token(get),
            Command::Rejected(rejected) => self.rejected(rejected),
            Command::Status { client, after } => self.status(client.as_deref(), after),
            Command::Presets => {
                Answer::Now(Response::Presets(PRESETS.iter().map(convert::preset).collect()).into())
            }
            Command::Subscribe(_) | Command::Cancel { .. } => Answer::Now(only_on_a_connection().into()),
            _ => self.administer(command),
        }
    }

    /// A warm token is answered here, from its slot; everything else goes to the event loop.
    fn get_token(&self, get: GetToken) -> Answer {
        let now = clock::moment();
        let slots = self.shared.slots.load();
        let (slot, narrowing) = match self.permitted(&slots, &get.client, || self.narrowing(&get)) {
            Ok(permitted) => permitted,
            Err(failure) => return Answer::Now(failure.into()),
        };
        let held = match &narrowing {
            None => slot.current(now).map(|token| (slot.handle(), token)),
            Some(narrowing) => slot
                .narrowed(narrowing, now)
                .and_then(|cell| cell.current(now).map(|token| (cell.handle(), token))),
        };
        let min_ttl = Duration::from_millis(get.min_ttl_ms);
        if let Some((handle, token)) = held.filter(|(_, token)| now.until(token.expires) >= min_ttl) {
            slot.served();
            let granted = Granted { handle, token, min_ttl_met: true };
            return Answer::Now(self.hand_out(&get.client, granted, now));
        }
        match ClientName::new(&get.client) {
            Some(client) => {
                let want = Want::Current { narrowing: narrowing.clone().unwrap_or_default(), min_ttl };
                self.wait_for_token(client, narrowing, want, now, get.wait_ms)
            }
            None => Answer::Now(denied(&get.client).into()),
        }
    }

    /// A resource refused a token. Who may not have it can't tell whether there is such a handle.
    fn rejected(&self, Rejected { handle, generation, wait_ms }: Rejected) -> Answer {
        let now = clock::moment();
        let found = self.shared.slots.find_handle(handle);
        let kept =
            found.and_then(|(client, slot)| Some((client, slot.cell(handle)?, slot.narrowing(handle), slot)));
        let permitted =
            kept.filter(|(_, _, narrowing, slot)| slot.access().permits(&self.caller(), narrowing.as_ref()));
        let Some((client, cell, narrowing, slot)) = permitted else {
            self.write_down_denial(Action::REJECTED);
            return Answer::Now(unknown_handle().into());
        };
        // Somebody else's report has had its effect already, or there never was such a generation.
        if let Some(token) = cell.current(now).filter(|token| token.generation != generation) {
            slot.served();
            let granted = Granted { handle, token, min_ttl_met: true };
            return Answer::Now(self.hand_out(client.as_str(), granted, now));
        }
        self.wait_for_token(client, narrowing, Want::Newer { handle, generation }, now, wait_ms)
    }

    /// Has the event loop answer a caller that may have this of the client's token.
    fn wait_for_token(
        &self,
        client: ClientName,
        narrowing: Option<Narrowing>,
        want: Want,
        now: Moment,
        wait_ms: Option<u64>,
    ) -> Answer {
        let wait = wait_ms.map_or(DEFAULT_WAIT, Duration::from_millis);
        let ticket = match self.ask_for_token(client.clone(), want, now.after(wait)) {
            Ok(ticket) => ticket,
            Err(failure) => return Answer::Now(failure.into()),
        };
        let session = self.clone();
        Answer::Later(Box::pin(async move {
            // The rules may have changed while it waited.
            let answer = ticket.answer().await;
            let slots = session.shared.slots.load();
            let granted = answer.and_then(|granted| {
                let (slot, _) = session.permitted(&slots, client.as_str(), || Ok(narrowing))?;
                Ok((granted, slot))
            });
            match granted {
                Ok((granted, slot)) => {
                    slot.served_late();
                    session.hand_out(client.as_str(), granted, clock::moment())
                }
                Err(failure) => failure.into(),
            }
        }))
    }

    /// The one way of a token to a caller: it is written down who got it.
    pub(crate) fn hand_out(&self, client: &str, granted: Granted, now: Moment) -> Outcome {
        let Granted { handle, token, .. } = &granted;
        self.shared.audit.handed_out(&self.peer, &self.seen, client, *handle, token);
        Outcome::Token { granted, now }
    }

    fn write_down_denial(&self, action: Action) {
        self.shared.audit.denied(&self.peer, &self.seen, action);
    }

    /// The slot of a client and which of its token keys is asked for, if the caller may have that token. Who may not can't
    /// tell whether the client exists.
    fn permitted<'a>(
        &self,
        slots: &'a Loaded,
        client: &str,
        narrowing: impl FnOnce() -> Result<Option<Narrowing>, Failure>,
    ) -> Result<(&'a Arc<Slot>, Option<Narrowing>), Failure> {
        let caller = self.caller();
        let slot = slots.find(client);
        let access = slot.map(|slot| slot.access());
        let permitted = match access.as_ref().map(|access| (access, access.right_of(&caller))) {
            Some((_, Right::Whole)) => Some(narrowing()?),
            // What is wrong with a part is told to those alone who may have all of it: it names what there is.
            Some((access, Right::Part)) => {
                narrowing().ok().filter(|narrowing| access.permits(&caller, narrowing.as_ref()))
            }
            Some((_, Right::Nothing)) | None => None,
        };
        match (slot, permitted) {
            (Some(slot), Some(narrowing)) => Ok((slot, narrowing)),
            (slot, _) => {
                self.write_down_denial(Action::about("get", client));
                Err(match slot {
                    Some(_) if self.is_administrator() => self.not_permitted(client),
                    None if self.is_administrator() => self.unknown_client(client),
                    _ => denied(client),
                })
            }
        }
    }

    /// Which of the client's token keys is asked for: `None` is the configured one. It nearly always is, and then nothing
    /// is looked up.
    fn narrowing(&self, get: &GetToken) -> Result<Option<Narrowing>, Failure> {
        let GetToken { client, scope, resource, audience, .. } = get;
        if scope.is_none() && resource.is_empty() && audience.is_none() {
            return Ok(None);
        }
        let config = self.shared.config.load();
        let Some(configured) = config.clients.get(client.as_str()) else { return Err(denied(client)) };
        let narrowing = Narrowing::of(configured, scope.as_deref(), resource, audience.as_deref());
        let narrowing = narrowing.map_err(|error| convert::not_permitted(&error))?;
        Ok((!narrowing.is_as_configured()).then_some(narrowing))
    }

    /// Where what a caller asks for is published, if it may have it and it is there.
    pub(crate) fn token_key(&self, get: &GetToken) -> Result<Arc<Cell>, Failure> {
        let slots = self.shared.slots.load();
        let (slot, narrowing) = self.permitted(&slots, &get.client, || self.narrowing(get))?;
        match narrowing {
            None => slot.cell(slot.handle()),
            Some(narrowing) => slot.narrowed(&narrowing, clock::moment()),
        }
        .ok_or_else(not_kept_any_more)
    }

    /// What only administrators may ask.
    fn administer(&self, command: Command) -> Answer {
        let action = Action::of(&command);
        if !self.is_administrator() {
            self.write_down_denial(action);
            let denied = Failure::new(FailureCode::Denied, "only an administrator of the broker may do this");
            let hint = "run it as root or as the daemon's user, or add yourself to `admin` of [daemon]";
            return Answer::Now(denied.with_hint(hint).into());
        }
        let undertaking = Undertaking::begin(&self.shared.audit, &self.peer, action);
        match command {
            Command::Renew { client, wait_ms } => written_down(undertaking, self.renew(&client, wait_ms)),
            Command::Reload => written_down(undertaking, self.reload()),
            command => {
                let session = self.clone();
                // On a task of its own: it is carried out though whoever asked leaves in the middle.
                let task = tokio::spawn(async move {
                    let outcome = credentials::carry_out(&session, command).await;
                    undertaking.end(outcome.as_ref().err().map(|failure| failure.code));
                    outcome
                });
                Answer::Later(Box::pin(async move {
                    match task.await {
                        Ok(outcome) => outcome.unwrap_or_else(Response::Failed).into(),
                        Err(_) => Failure::new(FailureCode::Internal, "the request panicked").into(),
                    }
                }))
            }
        }
    }

    fn renew(&self, client: &str, wait_ms: u64) -> Answer {
        let name = ClientName::new(client).filter(|_| self.shared.slots.find(client).is_some());
        let Some(name) = name else { return Answer::Now(self.unknown_client(client).into()) };
        let wait = Duration::from_millis(wait_ms);
        let ticket = match self.ask_for_token(name, Want::Renewal, clock::moment().after(wait)) {
            Ok(ticket) => ticket,
            Err(failure) => return Answer::Now(failure.into()),
        };
        Answer::Later(Box::pin(async move {
            match ticket.answer().await {
                Ok(Granted { token, .. }) => {
                    let expires_in = clock::moment().until(token.expires);
                    let expires_in_ms = convert::milliseconds(expires_in);
                    Response::Renewed(Renewed { generation: token.generation, expires_in_ms }).into()
                }
                Err(failure) => failure.into(),
            }
        }))
    }

    fn reload(&self) -> Answer {
        let shared = Arc::clone(&self.shared);
        Answer::Later(Box::pin(async move {
            let (reply, outcome) = oneshot::channel();
            if shared.event_loop.send(Ask::Reload { reply }).is_err() {
                return shutting_down().into();
            }
            match outcome.await {
                Ok(Ok(())) => Response::Done.into(),
                Ok(Err(refused)) => {
                    Failure { hint: refused.hint, ..Failure::new(FailureCode::Refused, refused.message) }
                        .into()
                }
                Err(_) => shutting_down().into(),
            }
        }))
    }

    fn ask_for_token(&self, client: ClientName, want: Want, deadline: Moment) -> Result<Ticket, Failure> {
        let waiter = self.shared.next_waiter();
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Token { waiter, client, want, deadline, reply };
        self.shared.event_loop.send(ask).map_err(|_| shutting_down())?;
        Ok(Ticket {
            waiter,
            administrator: self.is_administrator(),
            shared: Arc::clone(&self.shared),
            answer,
        })
    }

    fn caller(&self) -> Caller<'_> {
        convert::caller(&self.peer)
    }

    fn is_administrator(&self) -> bool {
        self.shared.admin.load().permits(&self.caller(), None)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Only for administrators: it tells that there is such a client.
    fn not_permitted(&self, client: &str) -> Failure {
        let hint = format!("add a rule for uid {} to `allow` of [clients.{client}]", self.peer.uid);
        let message = format!("no rule of client {client} permits this caller, administrator or not");
        Failure::new(FailureCode::Denied, message).with_hint(hint)
    }

    /// Only for administrators: it tells which clients there are.
    pub(crate) fn unknown_client(&self, client: &str) -> Failure {
        let config = self.shared.config.load();
        let names = config.clients.keys().map(ClientName::as_str);
        // What can't be a name is near to none, and may be too long to compare.
        let is_compared = config.clients.len() <= MOST_COMPARED && ClientName::new(client).is_some();
        let hint = match is_compared.then(|| nearest(client, names)).flatten() {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "`tokenbroker status` lists the clients".to_owned(),
        };
        let message = format!("there is no client {client:?} in the configuration");
        Failure::new(FailureCode::UnknownClient, message).with_hint(hint)
    }
}

/// The same answer. What comes of it is written down, too.
fn written_down(undertaking: Undertaking, answer: Answer) -> Answer {
    match answer {
        Answer::Now(outcome) => {
            undertaking.end(outcome.failure());
            Answer::Now(outcome)
        }
        Answer::Later(outcome) => Answer::Later(Box::pin(async move {
            let outcome = outcome.await;
            undertaking.end(outcome.failure());
            outcome
        })),
    }
}

/// A place in the queue at the event loop, given up when it is dropped.
struct Ticket {
    waiter: WaiterId,
    administrator: bool,
    shared: Arc<Shared>,
    answer: oneshot::Receiver<Result<Granted, Refusal>>,
}

impl Ticket {
    async fn answer(mut self) -> Result<Granted, Failure> {
        tokio::select! {
            answer = &mut self.answer => match answer {
                Ok(Ok(granted)) => Ok(granted),
                Ok(Err(refusal)) => Err(convert::refusal(refusal, self.administrator, clock::moment())),
                Err(_) => Err(shutting_down()),
            },
            () = self.shared.stopping.cancelled() => Err(shutting_down()),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let _stopped_meanwhile = self.shared.event_loop.send(Ask::Gone(self.waiter));
    }
}

fn denied(client: &str) -> Failure {
    Failure::new(
        FailureCode::Denied,
        format!("the client {client:?} is not for this caller, or does not exist"),
    )
}

/// The same for a handle of an earlier daemon, for one whose token key is gone, and for one that is not for the caller.
fn unknown_handle() -> Failure {
    let message =
        "this daemon knows no token with this handle that the caller could have: get the token again";
    Failure::new(FailureCode::UnknownHandle, message)
}

/// A subscription's narrower token key made room for others.
fn not_kept_any_more() -> Failure {
    let message = "this part of the client's scope and resources is not kept any more: subscribe again";
    Failure::new(FailureCode::UnknownHandle, message)
}

/// They are about the connection itself, which takes care of them.
fn only_on_a_connection() -> Failure {
    Failure::new(FailureCode::InvalidRequest, "this can only be asked on a native connection")
}

fn shutting_down() -> Failure {
    Failure::new(FailureCode::ShuttingDown, "the daemon shuts down")
}

/// In the place of a reply that is longer than a frame.
pub(crate) fn does_not_fit() -> Response {
    Response::Failed(Failure::new(
        FailureCode::TokenTooLarge,
        "the reply is longer than the protocol carries",
    ))
}
