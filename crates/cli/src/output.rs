//! What goes to standard output and, for people alone, to standard error.

pub(crate) mod checks;
pub(crate) mod json;
pub(crate) mod notes;
pub(crate) mod policy;
pub(crate) mod table;
pub(crate) mod token;
pub(crate) mod words;

use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

/// Room for the longest token as JSON: what grows in place leaves no unwiped copy behind.
const ROOM: usize = 80 * 1024;

/// Writes `bytes` and whatever is still on its way. Whole lines pass the standard library's buffer by.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// A value as one line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(ROOM));
    serde_json::to_writer(&mut *line, value)?;
    line.push(b'\n');
    Ok(line)
}

/// A line of standard error. Where nobody can be told, there is nothing left to do.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
