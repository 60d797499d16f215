//! The protocol on one connection, as seen by a caller, without the reading and writing.

use std::time::Duration;

use tokenbroker_protocol::hello::{CallerHello, DaemonHello, HIGHEST, LOWEST};
use tokenbroker_protocol::{
    CONNECTION, Command, Failure, FailureCode, FrameBuffer, Reply, Response, decode, encode, frame,
};
use tokenbroker_secret::Secret;

use crate::attempts::Setback;
use crate::question::{Frame, Question};
use crate::{Error, ProtocolError};

/// Random for each start of a daemon: handles and generations mean something to the same instance only.
pub(crate) type Instance = [u8; 16];

/// What a daemon said, which one, and to what was asked when by the boot clock.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) instance: Instance,
    pub(crate) asked: Duration,
}

/// One question at a time, or [requests](Self::request) and [replies](Self::reply) as they come.
#[derive(Debug, Default)]
pub(crate) struct Session {
    instance: Instance,
    received: FrameBuffer,
    buffer: Vec<u8>,
    id: u32,
    /// The daemon has had its last word.
    is_over: bool,
}

impl Session {
    /// What to say first.
    pub(crate) fn hello() -> Result<Secret, Error> {
        frame(&CallerHello::OURS.to_bytes()).map_err(|oversize| ProtocolError::from(oversize).into())
    }

    /// Where to read to, followed by [`filled`](Self::filled).
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.received.space()
    }

    pub(crate) fn filled(&mut self, count: usize) {
        self.received.filled(count);
    }

    /// Whether the daemon's hello has come whole. If so, the two fit.
    pub(crate) fn is_greeted(&mut self) -> Result<bool, Error> {
        let Some(payload) = self.received.next_frame().map_err(ProtocolError::from)? else {
            return Ok(false);
        };
        let hello = DaemonHello::parse(payload).map_err(ProtocolError::from)?;
        self.instance = hello.instance;
        match hello.version {
            Some(LOWEST..=HIGHEST) => Ok(true),
            _ => Err(Error::Incompatible),
        }
    }

    /// Which daemon this is, once it has said hello.
    pub(crate) fn instance(&self) -> Instance {
        self.instance
    }

    /// What to send for a question; it is the one that [`answer`](Self::answer) is about from now on.
    pub(crate) fn ask(&mut self, question: &Question<'_>, elapsed: Duration) -> Result<Frame<'_>, Error> {
        let id = self.next_id();
        Ok(question.encode(id, elapsed, self.instance, &mut self.buffer)?)
    }

    /// The answer, once it has come whole. The daemon's last word on the connection is one to any question.
    pub(crate) fn answer(&mut self) -> Result<Option<Response>, Error> {
        match self.reply()? {
            None => Ok(None),
            Some(Reply { id: CONNECTION, response }) => {
                self.is_over = true;
                Ok(Some(response))
            }
            Some(Reply { id, response }) if id == self.id => Ok(Some(response)),
            Some(_) => Err(ProtocolError::OtherRequest.into()),
        }
    }

    /// What to send for a command, and the id of what comes of it.
    pub(crate) fn request(&mut self, command: &Command) -> Result<(u32, Secret), Error> {
        let id = self.next_id();
        Ok((id, encode(&(id, command))?))
    }

    /// The next reply that has come whole, whatever it is to.
    pub(crate) fn reply(&mut self) -> Result<Option<Reply>, Error> {
        let Some(payload) = self.received.next_frame().map_err(ProtocolError::from)? else { return Ok(None) };
        Ok(Some(decode(payload).map_err(ProtocolError::from)?))
    }

    /// Why the daemon has ended the connection, if it has said so in what has been received.
    pub(crate) fn last_word(&mut self) -> Option<Failure> {
        while let Ok(Some(payload)) = self.received.next_frame() {
            // What can't be read is its hello.
            if let Ok(Reply { id: CONNECTION, response: Response::Failed(failure) }) = decode(payload) {
                return Some(failure);
            }
        }
        None
    }

    /// 0 is the connection's.
    fn next_id(&mut self) -> u32 {
        self.id = self.id.wrapping_add(1).max(1);
        self.id
    }

    /// Whether the next question can be asked here: nothing has come that was not asked for.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.is_over && !self.received.is_partial()
    }
}

/// Sorts answers that are failures from those that are not.
pub(crate) fn outcome(response: Response) -> Result<Response, Setback> {
    match response {
        Response::Failed(failure) => Err(refusal(failure)),
        response => Ok(response),
    }
}

/// What a daemon's no means to a call.
pub(crate) fn refusal(failure: Failure) -> Setback {
    match failure.code {
        FailureCode::ShuttingDown => Setback::ShuttingDown(failure),
        FailureCode::TooMuch => Setback::TooMuch(failure),
        _ => Setback::Final(Error::Failed(failure)),
    }
}

#[cfg(test)]
mod tests {
    use tokenbroker_protocol::{DecodeError, encode};

    use super::*;
    use crate::question::Get;

    fn received(bytes: &[u8]) -> Session {
        let mut session = Session::default();
        session.space()[..bytes.len()].copy_from_slice(bytes);
        session.filled(bytes.len());
        session
    }

    fn greeting(version: Option<u16>) -> Result<bool, Error> {
        let hello = DaemonHello { version, instance: [7; 16] };
        received(frame(&hello.to_bytes()).unwrap().expose()).is_greeted()
    }

    #[test]
    fn s68_only_a_version_that_was_offered_is_taken() {
        assert!(matches!(greeting(Some(HIGHEST)), Ok(true)));
        assert!(matches!(greeting(None), Err(Error::Incompatible)));
        assert!(matches!(greeting(Some(HIGHEST + 1)), Err(Error::Incompatible)));
    }

    #[test]
    fn s07_anything_but_a_hello_is_a_typed_error() {
        let other = frame(b"220 mail.example ESMTP").unwrap();
        assert!(matches!(
            received(other.expose()).is_greeted(),
            Err(Error::Protocol(ProtocolError::Hello(_)))
        ));
        let http = b"HTTP/1.1 400 Bad Request\r\n";
        assert!(matches!(received(http).is_greeted(), Err(Error::Protocol(ProtocolError::Oversize(_)))));
    }

    #[test]
    fn the_answer_to_another_request_is_not_taken() {
        let mut session = received(encode(&Reply { id: 2, response: Response::Done }).unwrap().expose());
        session.ask(&Question::Get(Get::new("x")), Duration::ZERO).unwrap();
        assert!(matches!(session.answer(), Err(Error::Protocol(ProtocolError::OtherRequest))));
    }

    #[test]
    fn the_last_word_on_a_connection_answers_any_question() {
        let failure = Failure::new(FailureCode::TooMuch, "too many connections");
        let word = Reply { id: CONNECTION, response: Response::Failed(failure.clone()) };
        let mut session = received(encode(&word).unwrap().expose());
        session.ask(&Question::Get(Get::new("x")), Duration::ZERO).unwrap();
        assert_eq!(session.answer().unwrap(), Some(Response::Failed(failure)));
        assert!(!session.is_reusable());
    }

    #[test]
    fn the_last_word_is_found_behind_a_hello_nobody_waited_for() {
        let failure = Failure::new(FailureCode::TooMuch, "too many connections");
        let word = Reply { id: CONNECTION, response: Response::Failed(failure.clone()) };
        let hello = DaemonHello { version: Some(HIGHEST), instance: [7; 16] };
        let hello = frame(&hello.to_bytes()).unwrap();
        let both = [hello.expose(), encode(&word).unwrap().expose()].concat();
        assert_eq!(received(&both).last_word(), Some(failure));
        assert_eq!(received(hello.expose()).last_word(), None);
    }

    #[test]
    fn no_question_has_the_id_of_the_connection() {
        let mut session = Session { id: u32::MAX, ..Session::default() };
        assert_eq!(session.request(&Command::Ping).unwrap().0, 1);
    }

    #[test]
    fn s07_a_reply_that_can_not_be_read_is_a_typed_error() {
        let trailing = frame(&[1, 0, 0]).unwrap();
        let refused = received(trailing.expose()).answer();
        assert!(matches!(
            refused,
            Err(Error::Protocol(ProtocolError::Malformed(DecodeError::Trailing { surplus: 1 })))
        ));
    }

    #[test]
    fn a_connection_with_something_unasked_for_is_not_used_again() {
        let mut session = received(encode(&Reply { id: 1, response: Response::Done }).unwrap().expose());
        session.ask(&Question::Get(Get::new("x")), Duration::ZERO).unwrap();
        assert!(!session.is_reusable());
        assert_eq!(session.answer().unwrap(), Some(Response::Done));
        assert!(session.is_reusable());
    }
}
