//! What comes back over the network, and when: the server's answer, or what a fault makes of it.

use std::time::{Duration, UNIX_EPOCH};

use tokenbroker_core::engine::{TransportFailure, TransportKind};
use tokenbroker_oauth::HttpResponse;
use tokenbroker_secret::Secret;

use super::dice::Dice;
use super::faults::Fault;
use super::server::{Asked, Refused, Server};

/// What a reply should mean to a careful client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A token, with the lifetime in seconds that the reply names.
    Token { token: String, lifetime: Option<u64> },
    /// Nobody's fault.
    Transient,
    /// The credential is refused. Of an assertion: by how many seconds its date, or our clock, is off the server's.
    Credential { dated_off: Option<i64> },
    /// The request is refused.
    Request,
}

/// When a server wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    In(u64),
    /// By the server's clock, from its reply on.
    AtDateIn(u64),
}

/// What comes back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) after: Duration,
    pub(crate) result: Result<HttpResponse, TransportFailure>,
    pub(crate) meaning: Meaning,
    pub(crate) later: Option<Later>,
    /// The fault that took effect.
    pub(crate) fault: Option<Fault>,
}

/// One exchange: what is needed to answer it.
pub(crate) struct Exchange<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) server: &'a mut Server,
    /// By the server's clock.
    pub(crate) unix: u64,
    pub(crate) timeout: Duration,
}

impl Exchange<'_> {
    /// The reply to a token request.
    pub(crate) fn token(&mut self, asked: &Asked, fault: Option<Fault>) -> Reply {
        let after = self.dice.millis(20..300);
        let lifetime = self.server.lifetime(&asked.client_id);
        let Some(fault) = fault else { return self.honest(asked, after) };
        if let Some(reply) = self.broken(fault, after) {
            if fault == Fault::ResetAfter || fault == Fault::HangInBody {
                self.server.issue(asked, self.unix, lifetime);
            }
            return reply;
        }
        if let Some(mut reply) = self.status(fault, after) {
            if let Meaning::Credential { dated_off } = &mut reply.meaning {
                // Whatever it was refused for, the reply tells the server's time.
                *dated_off = asked.dated_off;
            }
            return reply;
        }
        if asked.credential.is_err() {
            // Who is not let in gets no odd token either.
            return self.honest(asked, after);
        }
        self.odd(asked, fault, after, lifetime).unwrap_or_else(|| self.honest(asked, after))
    }

    /// The reply to a request for metadata.
    pub(crate) fn metadata(&mut self, url: &str, fault: Option<Fault>) -> Reply {
        let after = self.dice.millis(20..300);
        let document = self.server.metadata(url);
        let reply = fault.and_then(|fault| match fault {
            Fault::DiscoveryMismatch => {
                let body = document.as_ref()?.replace("/op\"", "/other\"");
                Some(self.reply(200, body, after, Meaning::Request, Some(fault)))
            }
            Fault::DiscoveryFails if self.dice.chance(0.5) => self.status(Fault::Status503Seconds, after),
            Fault::DiscoveryFails => self.broken(Fault::HangBeforeHeaders, after),
            fault => self.broken(fault, after).or_else(|| self.status(fault, after)),
        });
        match (reply, document) {
            // Which of them it was is the network's business; that discovery failed is what counts.
            (Some(reply), _) => Reply { fault: fault.or(reply.fault), ..reply },
            (None, Some(document)) => self.reply(200, document, after, Meaning::Request, None),
            (None, None) => self.reply(404, String::new(), after, Meaning::Request, None),
        }
    }

    fn honest(&mut self, asked: &Asked, after: Duration) -> Reply {
        match &asked.credential {
            Ok(_) => {
                let lifetime = self.server.lifetime(&asked.client_id);
                let token = self.server.issue(asked, self.unix, lifetime);
                self.token_reply(token, &format!(r#","expires_in":{lifetime}"#), Some(lifetime), after, None)
            }
            Err(refused) => {
                let dated_off = asked.dated_off;
                let fault = (*refused == Refused::Dated).then_some(Fault::ServerClockOff);
                let body = r#"{"error":"invalid_client"}"#.to_owned();
                self.reply(401, body, after, Meaning::Credential { dated_off }, fault)
            }
        }
    }

    /// No response at all.
    fn broken(&mut self, fault: Fault, after: Duration) -> Option<Reply> {
        let host = self.server.name;
        let (kind, after, message) = match fault {
            Fault::ConnectionRefused | Fault::IssuerOutage => {
                (TransportKind::Network, after / 10, format!("can't connect to {host}: refused"))
            }
            Fault::DnsFailure => {
                (TransportKind::Network, after, format!("can't connect to {host}: name not known"))
            }
            Fault::ResetBefore | Fault::ResetAfter => {
                (TransportKind::Network, after, format!("the exchange broke off with {host}: reset"))
            }
            Fault::HangBeforeHeaders | Fault::HangInBody => {
                (TransportKind::Timeout, self.timeout, format!("{host} did not answer in time"))
            }
            Fault::TlsFailure => {
                (TransportKind::Tls, after, format!("TLS with {host} failed: bad certificate"))
            }
            Fault::BodyOverLimit => {
                (TransportKind::Malformed, after, format!("the response of {host} is too long"))
            }
            _ => return None,
        };
        let result = Err(TransportFailure { kind, message, hint: None });
        Some(Reply { after, result, meaning: Meaning::Transient, later: None, fault: Some(fault) })
    }

    /// A response that holds no token.
    fn status(&mut self, fault: Fault, after: Duration) -> Option<Reply> {
        let error = |code: &str| format!(r#"{{"error":"{code}","error_description":"words of a server"}}"#);
        let page = "<html><body>words of a gateway</body></html>".to_owned();
        let credential = Meaning::Credential { dated_off: None };
        let (status, body, meaning, later) = match fault {
            Fault::Status500 => (500, String::new(), Meaning::Transient, None),
            Fault::Status502Html => (502, page, Meaning::Transient, None),
            Fault::Status503Seconds => {
                (503, String::new(), Meaning::Transient, Some(Later::In(self.dice.number(1..900))))
            }
            Fault::Status503Date => {
                (503, page, Meaning::Transient, Some(Later::AtDateIn(self.dice.number(1..900))))
            }
            Fault::Status429Absurd => {
                (429, error("slow_down"), Meaning::Transient, Some(Later::In(u64::MAX)))
            }
            Fault::Status408 => (408, String::new(), Meaning::Transient, None),
            Fault::Status425 => (425, String::new(), Meaning::Transient, None),
            Fault::OkWithError if self.dice.chance(0.5) => {
                (200, error("server_error"), Meaning::Transient, None)
            }
            Fault::OkWithError => (200, error("invalid_request"), Meaning::Request, None),
            Fault::OkWithHtml => (200, page, Meaning::Transient, None),
            Fault::Redirect => (302, String::new(), Meaning::Request, None),
            Fault::Empty403 => (403, String::new(), credential, None),
            Fault::Gateway401 => (401, page, credential, None),
            Fault::InvalidClient => (401, error("invalid_client"), credential, None),
            Fault::InvalidScope => (400, error("invalid_scope"), Meaning::Request, None),
            Fault::InvalidTarget => (400, error("invalid_target"), Meaning::Request, None),
            Fault::UnauthorizedClient => (400, error("unauthorized_client"), Meaning::Request, None),
            Fault::ServerError => (400, error("server_error"), Meaning::Transient, None),
            Fault::TemporarilyUnavailable => {
                (400, error("temporarily_unavailable"), Meaning::Transient, None)
            }
            Fault::UseDpopNonce => (400, error("use_dpop_nonce"), Meaning::Request, None),
            Fault::UnknownError => (400, error("computer_says_no"), Meaning::Request, None),
            _ => return None,
        };
        let mut reply = self.reply(status, body, after, meaning, Some(fault));
        reply.later = later;
        if let (Some(later), Ok(response)) = (later, &mut reply.result) {
            response.retry_after = Some(match later {
                Later::In(u64::MAX) => "999999999999999999999999".into(),
                Later::In(seconds) => seconds.to_string(),
                Later::AtDateIn(seconds) => http_date(self.unix + after.as_secs() + seconds),
            });
        }
        Some(reply)
    }

    /// A token with something odd about it. `None` where the oddity has nothing to show itself on.
    fn odd(&mut self, asked: &Asked, fault: Fault, after: Duration, lifetime: u64) -> Option<Reply> {
        let fault = Some(fault);
        if fault == Some(Fault::Reissued) {
            let (token, left) = self.server.issued_before(asked, self.unix)?;
            return Some(self.token_reply(
                token,
                &format!(r#","expires_in":{left}"#),
                Some(left),
                after,
                fault,
            ));
        }
        let slow = self.timeout.mul_f64(0.3) + self.dice.millis(0..(self.timeout.as_millis() as u64) / 2);
        let tiny = self.dice.number(1..25);
        let token = self.server.issue(asked, self.unix, lifetime);
        let words = asked.scope.join(" ");
        let (members, said, after) = match fault? {
            Fault::SlowReply => (format!(r#","expires_in":{lifetime}"#), Some(Some(lifetime)), slow),
            Fault::SlowerThanItsToken => (r#","expires_in":1"#.into(), Some(Some(1)), slow),
            Fault::NoLifetime => (String::new(), Some(None), after),
            Fault::ZeroLifetime => (r#","expires_in":0"#.into(), None, after),
            Fault::NegativeLifetime => (format!(r#","expires_in":-{lifetime}"#), None, after),
            Fault::TextLifetime => (format!(r#","expires_in":"{lifetime}""#), Some(Some(lifetime)), after),
            Fault::HugeLifetime => (r#","expires_in":1e15"#.into(), Some(Some(1_000_000_000_000_000)), after),
            Fault::FractionalLifetime => {
                (format!(r#","expires_in":{lifetime}.9"#), Some(Some(lifetime)), after)
            }
            Fault::TinyLifetime => (format!(r#","expires_in":{tiny}"#), Some(Some(tiny)), after),
            Fault::DuplicateKey => (r#","expires_in":3600,"expires_in":3600"#.into(), None, after),
            Fault::NarrowerScope if asked.scope.len() > 1 => (
                format!(r#","expires_in":{lifetime},"scope":"{}""#, asked.scope[0]),
                Some(Some(lifetime)),
                after,
            ),
            Fault::WiderScope if !asked.scope.is_empty() => {
                (format!(r#","expires_in":{lifetime},"scope":"{words} admin""#), None, after)
            }
            Fault::LineBreakInToken => {
                let body = format!(
                    r#"{{"access_token":"{token}\r\nX-Evil: 1","token_type":"Bearer","expires_in":3600}}"#
                );
                return Some(self.reply(200, body, after, Meaning::Transient, fault));
            }
            Fault::WrongTokenType => {
                let body = format!(r#"{{"access_token":"{token}","token_type":"DPoP","expires_in":3600}}"#);
                return Some(self.reply(200, body, after, Meaning::Transient, fault));
            }
            _ => return None,
        };
        Some(match said {
            Some(said) => self.token_reply(token, &members, said, after, fault),
            None => {
                let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer"{members}}}"#);
                self.reply(200, body, after, Meaning::Transient, fault)
            }
        })
    }

    fn token_reply(
        &self,
        token: String,
        members: &str,
        lifetime: Option<u64>,
        after: Duration,
        fault: Option<Fault>,
    ) -> Reply {
        let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer"{members}}}"#);
        self.reply(200, body, after, Meaning::Token { token, lifetime }, fault)
    }

    fn reply(
        &self,
        status: u16,
        body: String,
        after: Duration,
        meaning: Meaning,
        fault: Option<Fault>,
    ) -> Reply {
        let is_page = body.starts_with('<');
        let response = HttpResponse {
            status,
            content_type: Some(if is_page { "text/html" } else { "application/json" }.into()),
            retry_after: None,
            date: Some(http_date(self.unix + after.as_secs() / 2)),
            body: Secret::new(body.into_bytes()),
        };
        Reply { after, result: Ok(response), meaning, later: None, fault }
    }
}

fn http_date(unix: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix))
}
