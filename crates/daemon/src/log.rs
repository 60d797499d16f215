//! What the engine notes, as log records with fields.

use std::time::Duration;

use tokenbroker_core::engine::{Expiring, Note};
use tokenbroker_core::narrowing::Narrowing;

/// Writes a note to the log.
pub(crate) fn note(note: &Note) {
    match note {
        Note::Issued { client, narrowing, generation, lifetime, assumed, narrowed_to, after_failure } => {
            let lifetime = lifetime.as_secs();
            let narrowing = part(narrowing);
            if *after_failure {
                // Whoever saw the failure in the log has to see its end there.
                tracing::info!(%client, narrowing, generation, lifetime, "a token was issued again");
            } else {
                tracing::debug!(%client, narrowing, generation, lifetime, "a token was issued");
            }
            if *assumed {
                tracing::warn!(
                    %client, narrowing,
                    "the authorization server names no lifetime; assuming default_lifetime, {lifetime} s"
                );
            }
            if let Some(scope) = narrowed_to {
                tracing::warn!(%client, narrowing, %scope, "the authorization server granted less than was asked");
            }
        }
        Note::Failed { client, narrowing, failure, next_try_in, still_served, repeated } => {
            let (code, hint) = (failure.code, failure.hint.as_deref());
            let next_try_in = seconds(*next_try_in);
            let narrowing = part(narrowing);
            if *repeated {
                // An outage has a beginning and an end, and not a line for every try in between.
                tracing::debug!(%client, narrowing, code, hint, next_try_in, "still: {}", failure.message);
            } else if code == "no_credential" {
                // Nothing is wrong with a client that has just been configured.
                tracing::warn!(%client, narrowing, hint, next_try_in, "no token: {}", failure.message);
            } else if *still_served {
                tracing::warn!(
                    %client, narrowing, code, hint, next_try_in,
                    "renewal failed, the current token is still served: {}", failure.message
                );
            } else {
                tracing::error!(%client, narrowing, code, hint, next_try_in, "no token: {}", failure.message);
            }
        }
        Note::CredentialGone { client } => {
            tracing::warn!(%client, "the credential is gone, and the token with it");
        }
        Note::NextAccepted { client, version } => {
            tracing::info!(%client, %version, "the next credential got a token: it is the one in use now");
        }
        Note::NextRefused { client, version, failure, refused_for, next_try_in } => {
            let give_up = format!("`tokenbroker secret remove {client} --next` gives it up");
            let hint = failure.hint.as_ref().map_or(give_up.clone(), |hint| format!("{hint}; {give_up}"));
            let (code, refused_for, next_try_in) =
                (failure.code, seconds(*refused_for), seconds(*next_try_in));
            tracing::warn!(
                %client, %version, code, hint, refused_for, next_try_in,
                "the next credential was refused, and the one in use is used further: {}", failure.message
            );
        }
        Note::NotPromoted { client, failure } => {
            let hint = failure.hint.as_deref();
            tracing::error!(
                %client, hint,
                "the key store could not take down that the next credential is the one in use; it is told again: {}", failure.message
            );
        }
        Note::ExpiresSoon { client, what, expires_in } => {
            let (what, remedy) = match what {
                Expiring::Credential => {
                    ("secret", "have another one issued, and store it with `secret set --next`")
                }
                Expiring::Certificate => {
                    ("certificate", "have it renewed, put it in its place, and `reload`")
                }
            };
            match expires_in {
                Some(left) => {
                    let days = left.as_secs() / (24 * 3600);
                    tracing::warn!(%client, days, "the {what} expires in {days} days: {remedy}");
                }
                None => tracing::error!(%client, "the {what} has expired: {remedy}"),
            }
        }
        Note::KeyStoreUnavailable { failure, next_try_in } => {
            let (hint, next_try_in) = (failure.hint.as_deref(), seconds(*next_try_in));
            tracing::error!(hint, next_try_in, "the key store can't be asked: {}", failure.message);
        }
        Note::Restored { tokens } => {
            tracing::info!(tokens, "tokens that outlived the restart are served");
        }
        Note::Rejected { client, narrowing, generation, next_try_in } => {
            let next_try_in = seconds(*next_try_in);
            let narrowing = part(narrowing);
            tracing::warn!(
                %client, narrowing, generation, next_try_in,
                "a caller says that a resource refused the token; it is replaced, and served until then"
            );
        }
        Note::Reissued { client, narrowing, expires_in, next_try_in } => {
            let narrowing = part(narrowing);
            let (expires_in, next_try_in) = (seconds(*expires_in), seconds(*next_try_in));
            tracing::warn!(
                %client, narrowing, expires_in, next_try_in,
                "the authorization server answered with the token that it had issued before"
            );
        }
        Note::ClockOff { issuer, seconds } => {
            tracing::warn!(
                %issuer, seconds,
                "the clocks of the authorization server and of this host are apart (positive: the server's is ahead); \
                 assertions are dated by the server's"
            );
        }
        Note::WallClockSet => tracing::info!("the wall clock was set; lifetimes don't depend on it"),
        Note::Discovered { issuer, endpoint } => {
            tracing::debug!(%issuer, endpoint, "the token endpoint was discovered");
        }
        _ => tracing::debug!(?note, "noted"),
    }
}

/// Of a narrower token key, which one it is.
fn part(narrowing: &Narrowing) -> Option<String> {
    (!narrowing.is_as_configured()).then(|| narrowing.to_string())
}

/// Tenths of a second are exact enough for a person.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}
