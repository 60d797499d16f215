//! Callers of the HTTP socket in Python and in Node, with the libraries that people use there.

use std::path::PathBuf;

use crate::peers::{node, python};

const PEER: &str = "http-callers";

/// Small programs, each told on its command line what to do; what it got is on its standard output, as JSON.
pub enum HttpCaller {
    /// Python with httpx, Authlib and prometheus-client.
    Python,
    /// Node with its own `http`, openid-client and undici.
    Node,
}

impl HttpCaller {
    /// What is missing on this host to run it, if something is.
    ///
    /// # Errors
    ///
    /// Words for the one who can install it.
    pub fn available(&self) -> Result<(), String> {
        match self {
            Self::Python => python::available(),
            Self::Node => node::available(),
        }
    }

    /// Installs its packages where that was not done before, and returns the program that runs and the script it takes.
    ///
    /// # Panics
    ///
    /// With what npm or pip said, if that fails.
    pub fn install(&self) -> [PathBuf; 2] {
        match self {
            Self::Python => python::install(PEER, "caller.py"),
            Self::Node => node::install(PEER, "caller.mjs"),
        }
    }
}
