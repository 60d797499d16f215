//! `GET /metrics`: counters and gauges of the caller's clients, in Prometheus' text format 0.0.4.
//!
//! What is shown is the state that `status` shows, and depends on who asks. So there is no registry that is counted into,
//! which is what the libraries for this format are about; what is left of it is the few lines of `Exposition`.

use std::fmt::{Display, Write};

use hyper::{Response, StatusCode};
use tokenbroker_protocol::Status;

use super::reply::{self, Body};
use super::{states, token};
use crate::audit;
use crate::requests::Session;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn answer(session: &Session) -> Response<Body> {
    let audit = session.shared().audit.state();
    match session.states(move |clients| exposition(clients, &audit)).await {
        Ok(text) => reply::text(StatusCode::OK, FORMAT, text.into_bytes().into()),
        Err(failure) => token::refused(session, &failure, None),
    }
}

fn exposition(clients: &[Status], audit: &audit::State) -> String {
    let mut text = Exposition(String::with_capacity(2048 + clients.len() * 2048));
    text.family("build_info", GAUGE, "The version of tokenbrokerd; always 1.");
    text.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);

    text.family("audit_records_total", COUNTER, "Records written to the audit log.");
    text.sample("audit_records_total", &[], audit.written);
    text.family("audit_records_dropped_total", COUNTER, "Records that the audit log lost.");
    text.sample("audit_records_dropped_total", &[], audit.dropped);

    text.family("client_info", GAUGE, "The issuer of each client; always 1.");
    for status in clients {
        text.sample("client_info", &[("client", &status.client), ("issuer", &status.issuer)], 1);
    }

    let mut whole = |name, kind, help, value: fn(&Status) -> u64| {
        text.family(name, kind, help);
        for status in clients {
            text.sample(name, &[("client", &status.client)], value(status));
        }
    };
    whole("client_gets_total", COUNTER, "Tokens given to callers.", |status| status.gets);
    whole("client_gets_from_cache_total", COUNTER, "Tokens given to callers at once.", |status| {
        status.gets_from_cache
    });
    whole("client_generation", GAUGE, "The generation of the token; 0 before the first.", |status| {
        status.generation
    });
    whole("client_waiting_callers", GAUGE, "Callers that wait for a token now.", |status| status.waiting);
    whole(
        "client_narrowed_tokens",
        GAUGE,
        "Tokens held besides, of fewer scopes or resources than configured.",
        |status| status.narrowed,
    );

    text.family("client_token_requests_total", COUNTER, "Token requests, by what came of them.");
    for status in clients {
        let outcomes = status.outcomes;
        for (outcome, count) in [
            ("issued", outcomes.issued),
            ("transient", outcomes.transient),
            ("credential", outcomes.credential),
            ("request", outcomes.request),
        ] {
            let labels = [("client", status.client.as_str()), ("outcome", outcome)];
            text.sample("client_token_requests_total", &labels, count);
        }
    }

    text.family("client_state", GAUGE, "1 for the state that the client is in.");
    for status in clients {
        for state in states::STATES {
            let labels = [("client", status.client.as_str()), ("state", states::state(state))];
            text.sample("client_state", &labels, u8::from(status.state == state));
        }
    }

    whole_if_known(
        &mut text,
        "client_credential_expires_timestamp_seconds",
        "When the credential will be worth nothing, in seconds since 1970; absent if that was not told.",
        clients,
        |status| status.credential.as_ref()?.expires.and_then(|at| i64::try_from(at).ok()),
    );
    whole_if_known(
        &mut text,
        "client_certificate_expires_timestamp_seconds",
        "Until when the certificate is good that is shown in TLS, in seconds since 1970; absent without one.",
        clients,
        |status| status.certificate_expires,
    );
    whole_if_known(
        &mut text,
        "client_next_credential_refused",
        "Whether the next credential was refused when it was tried last; absent without one.",
        clients,
        |status| status.next_credential.as_ref().map(|next| i64::from(next.refused.is_some())),
    );

    let mut seconds = |name, help, milliseconds: fn(&Status) -> Option<u64>| {
        text.family(name, GAUGE, help);
        for status in clients {
            if let Some(left) = milliseconds(status) {
                text.sample(name, &[("client", &status.client)], left as f64 / 1000.0);
            }
        }
    };
    seconds(
        "client_token_expires_in_seconds",
        "How long the token may still be used; absent without one.",
        |status| status.expires_in_ms,
    );
    seconds(
        "client_next_renewal_in_seconds",
        "When the token is renewed; absent while that is under way or without a plan.",
        |status| status.renew_in_ms,
    );
    text.0
}

fn whole_if_known(
    text: &mut Exposition,
    name: &str,
    help: &str,
    clients: &[Status],
    value: fn(&Status) -> Option<i64>,
) {
    text.family(name, GAUGE, help);
    for status in clients {
        if let Some(value) = value(status) {
            text.sample(name, &[("client", &status.client)], value);
        }
    }
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

/// Text in the format; every name begins with `tokenbroker_`. Writing to a string can't fail.
struct Exposition(String);

impl Exposition {
    /// Begins a metric: its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP tokenbroker_{name} {help}\n# TYPE tokenbroker_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "tokenbroker_{name}");
        for (index, (label, of)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            self.label_value(of);
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn label_value(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                _ => self.0.push(character),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_clients_there_are_the_names_of_the_metrics_and_the_version() {
        let audit = audit::State { place: audit::Place::Off, written: 3, dropped: 1, trouble: None };
        let text = exposition(&[], &audit);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                &*format!("tokenbroker_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
                "tokenbroker_audit_records_total 3",
                "tokenbroker_audit_records_dropped_total 1",
            ]
        );
        assert_eq!(text.matches("# TYPE tokenbroker_").count(), 16);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_label_can_hold_anything() {
        let mut text = Exposition(String::new());
        text.sample("x", &[("a", "q\"b\\n\n"), ("b", "\u{e5}")], 1.5);
        assert_eq!(text.0, "tokenbroker_x{a=\"q\\\"b\\\\n\\n\",b=\"\u{e5}\"} 1.5\n");
    }
}
