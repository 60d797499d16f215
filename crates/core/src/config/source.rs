//! The configuration's files, and places in them.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file of the configuration: where it is and what it says.
#[derive(Clone)]
pub struct Source {
    /// Where it is. Names the file in errors; a relative `ca_file` counts from its directory.
    pub path: PathBuf,
    /// What it says, as TOML.
    pub text: String,
}

/// Without the text: somebody may have written a secret into it.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A place in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'s> {
    source: &'s Source,
    number: usize,
    offset: usize,
}

impl<'s> Place<'s> {
    /// The beginning of the file that is the `number`th of the configuration.
    pub(super) fn beginning(number: usize, source: &'s Source) -> Self {
        Self { source, number, offset: 0 }
    }

    /// Another place in the same file, in bytes from its beginning.
    pub(super) fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// What orders places: by file, then by position.
    pub(super) fn order(&self) -> (usize, usize) {
        (self.number, self.offset)
    }

    /// The file's path.
    pub(super) fn path(&self) -> &'s Path {
        &self.source.path
    }

    /// Line and column, both from 1, the column in characters.
    pub(super) fn line_and_column(&self) -> (usize, usize) {
        let before = self.source.text.get(..self.offset).unwrap_or(&self.source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.path().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_in_characters() {
        let source = Source { path: "c.toml".into(), text: "a = 1\r\nüß = 2\n".into() };
        let place = |text: &str| Place::beginning(0, &source).at(source.text.find(text).unwrap());
        assert_eq!(place("a").line_and_column(), (1, 1));
        assert_eq!(place("üß").line_and_column(), (2, 1));
        assert_eq!(place("2").line_and_column(), (2, 6));
        assert_eq!(place("2").to_string(), "c.toml:2:6");
        assert_eq!(Place::beginning(0, &source).at(source.text.len()).line_and_column(), (3, 1));
    }

    #[test]
    fn the_text_is_not_printed() {
        let source = Source { path: "c.toml".into(), text: "hunter2".into() };
        assert!(!format!("{source:?} {:?}", Place::beginning(0, &source)).contains("hunter2"));
    }
}
