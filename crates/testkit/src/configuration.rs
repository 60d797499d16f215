//! The tables that most tests start from. Keys appended to one become part of it.

use crate::AuthServer;

/// An issuer: the server, found by discovery.
pub fn issuer(name: &str, server: &AuthServer) -> String {
    let trust = match server.ca_file() {
        Some(file) => format!("ca_file = {file:?}"),
        None => "allow_plain_http = true".into(),
    };
    format!("[issuers.{name}]\nissuer = {:?}\n{trust}\n", server.issuer())
}

/// A client that is called the same here and there.
pub fn client(name: &str, issuer: &str, auth: &str) -> String {
    format!("[clients.{name}]\nissuer = {issuer:?}\nclient_id = {name:?}\nauth = {auth:?}\n")
}
