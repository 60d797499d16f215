//! `cargo xtask demo`: the whole path on real programs, told as it happens, and every step of it checked.
//!
//! It takes a temporary directory, loopback and Unix sockets, and any user; nothing else of the host is touched.

mod gets;
mod host;
mod story;

use std::fs;
use std::time::Duration;

use tokenbroker_client::blocking::Broker;
use tokenbroker_testkit::{AuthServer, Client, data};

use self::host::Host;
use self::story::Story;
use crate::workspace::Workspace;
use crate::{Result, process};

pub(crate) use self::gets::Gets;

/// Three clients, one for each way of authenticating them.
const INVOICES: &str = "invoices"; // its secret in a Basic header
const REPORTS: &str = "reports"; // its secret in the body
const SIGNTEXT: &str = "signtext"; // an assertion, signed with its key
const CLIENTS: [&str; 3] = [INVOICES, REPORTS, SIGNTEXT];

/// What the protected resource answers to who may know.
const DATA: &str = "This is the protected data.";

/// Half of it passes until a renewal, and as much is left to do without the authorization server.
const SHORT_LIFETIME: Duration = Duration::from_secs(12);

const PROCESSES: usize = 10;
const GETS_PER_PROCESS: usize = 100;

/// Builds what it shows, shows it, and leaves nothing behind. Any step that does not hold is an error.
pub(crate) fn run(workspace: &Workspace) -> Result {
    println!("Building tokenbrokerd and tokenbroker ...");
    process::run(&mut workspace.cargo(["build", "--package=tokenbrokerd", "--package=tokenbroker"]))?;

    let mut story = Story::begin()?;
    let server = authorization_server(&mut story)?;
    let host = Host::start(&server.issuer())?;
    show(&mut story, &host, &server)
        .inspect_err(|_| eprintln!("--- log of tokenbrokerd\n{}---", host.log()))?;
    clean_up(&mut story, host)
}

fn show(story: &mut Story, host: &Host, server: &AuthServer) -> Result {
    story.tell(format_args!(
        "tokenbrokerd runs in {}, with three clients and no credentials yet.",
        host.directory().display()
    ))?;
    set_credentials(story, host, server)?;
    fetch_tokens(story, host, server)?;
    get_a_thousand_times(story, host, server)?;
    watch_a_renewal(story, host)?;
    do_without_the_server(story, host, server)?;
    show_status(story, host)
}

fn authorization_server(story: &mut Story) -> Result<AuthServer> {
    let server = AuthServer::builder().lifetime(Duration::from_secs(3600)).start();
    server.register(Client::secret_basic(INVOICES, host::SECRET));
    server.register(Client::secret_post(REPORTS, host::SECRET).lifetime(SHORT_LIFETIME));
    story.tell(format_args!(
        "An authorization server with a protected resource listens at {}. Its tokens live an hour, those of \
         `{REPORTS}` {} seconds.",
        server.issuer(),
        SHORT_LIFETIME.as_secs()
    ))?;
    Ok(server)
}

fn set_credentials(story: &mut Story, host: &Host, server: &AuthServer) -> Result {
    for client in [INVOICES, REPORTS] {
        host.run_with_secret(&["secret", "set", client])?;
    }
    story.tell(format_args!(
        "`tokenbroker secret set` gave the broker the secrets of `{INVOICES}` (sent in a Basic header) and \
         `{REPORTS}` (sent in the body)."
    ))?;

    host.run(&["key", "generate", SIGNTEXT])?;
    let public = host.run(&["key", "public", SIGNTEXT, "--format", "jwk"])?;
    if public.contains("\"d\"") {
        return Err("the public key holds the private one".into());
    }
    server.register(Client::private_key_jwt(SIGNTEXT, &public));
    // The server did not know the key when the broker first tried it.
    host.run(&["renew", SIGNTEXT])?;
    story.tell(format_args!(
        "`tokenbroker key generate` made an RSA key for `{SIGNTEXT}`; the server got its public half, nobody the \
         private one."
    ))
}

fn fetch_tokens(story: &mut Story, host: &Host, server: &AuthServer) -> Result {
    let mut tokens = Vec::new();
    for client in CLIENTS {
        tokens.push(host.run(&["get", client])?.trim_end().to_owned());
    }
    tokens.sort();
    tokens.dedup();
    if tokens.len() != CLIENTS.len() || tokens.iter().any(String::is_empty) {
        return Err("the three clients don't have three tokens".into());
    }
    for token in &tokens {
        let (status, answer) = data(server.address(), token);
        if (status, answer.as_str()) != (200, DATA) {
            return Err(format!("the protected resource answered {answer:?}").into());
        }
    }
    if data(server.address(), "made-up").0 != 401 {
        return Err("the protected resource takes any token".into());
    }
    story.tell(format_args!(
        "`tokenbroker get` printed a token for each of the three, and GET /data took them: {:?}",
        DATA
    ))
}

fn get_a_thousand_times(story: &mut Story, host: &Host, server: &AuthServer) -> Result {
    let outcome = gets::in_processes(PROCESSES, &host.socket(), INVOICES, GETS_PER_PROCESS)?;
    if outcome.count() != PROCESSES * GETS_PER_PROCESS || outcome.generations().len() != 1 {
        return Err("the processes did not all get the one token".into());
    }
    let requests = server.token_requests(INVOICES);
    if requests != 1 {
        return Err(format!("the gets took {requests} token requests instead of one").into());
    }
    story.tell(format_args!(
        "{PROCESSES} processes got the token of `{INVOICES}` {} times: one token request in all. A get took {} \
         microseconds (median; this build is not optimized).",
        outcome.count(),
        outcome.median().as_micros()
    ))
}

fn watch_a_renewal(story: &mut Story, host: &Host) -> Result {
    let broker = host.broker()?;
    let before = generation(&broker)?;
    let after = story.wait(2 * SHORT_LIFETIME, "a renewal", || {
        let now = generation(&broker)?;
        Ok((now > before).then_some(now))
    })?;
    story.tell(format_args!(
        "The token of `{REPORTS}` was renewed before it expired: generation {before} became {after}, and no get \
         in between failed."
    ))
}

/// Each look is a get like any other, and fails if there is nothing to be had.
fn generation(broker: &Broker) -> Result<u64> {
    Ok(broker.token(REPORTS)?.generation())
}

fn do_without_the_server(story: &mut Story, host: &Host, server: &AuthServer) -> Result {
    server.stop();
    story.tell(format_args!("The authorization server is stopped."))?;

    let broker = host.broker()?;
    story.wait(SHORT_LIFETIME, "a renewal that fails", || {
        let failed = host.state(REPORTS)? == "degraded";
        Ok(failed.then_some(()))
    })?;
    for client in CLIENTS {
        broker.token(client)?;
    }
    story.tell(format_args!(
        "The renewal of `{REPORTS}` failed, and all three are served as before: an outage shorter than what is \
         left of a token goes unnoticed."
    ))
}

fn show_status(story: &mut Story, host: &Host) -> Result {
    let table = host.run(&["status"])?;
    if let Some(absent) = CLIENTS.into_iter().find(|client| !table.contains(client)) {
        return Err(format!("the status does not show {absent}").into());
    }
    story.tell(format_args!("`tokenbroker status` knows all about it:"))?;
    story.show(&table);
    Ok(())
}

fn clean_up(story: &mut Story, host: Host) -> Result {
    let directory = host.directory().to_owned();
    host.stop()?;
    match fs::exists(&directory) {
        Ok(false) => story.tell(format_args!("The daemon ended at SIGTERM, and its directory is gone.")),
        _ => Err(format!("{} is still there", directory.display()).into()),
    }
}
