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

/// A file of the configuration, with its number among them and where its lines begin: there may be a mistake in each.
#[derive(Debug)]
pub(super) struct Numbered<'s> {
    source: &'s Source,
    number: usize,
    lines: Vec<usize>,
}

impl<'s> Numbered<'s> {
    /// The files in their order.
    pub(super) fn all(sources: &'s [Source]) -> Vec<Self> {
        let numbered = |(number, source): (usize, &'s Source)| {
            let next_lines = source.text.match_indices('\n').map(|(newline, _)| newline + 1);
            Self { source, number, lines: std::iter::once(0).chain(next_lines).collect() }
        };
        sources.iter().enumerate().map(numbered).collect()
    }

    /// What it says.
    pub(super) fn text(&self) -> &'s str {
        &self.source.text
    }
}

/// A place in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'s> {
    file: &'s Numbered<'s>,
    offset: usize,
}

impl<'s> Place<'s> {
    /// The beginning of a file.
    pub(super) fn beginning(file: &'s Numbered<'s>) -> Self {
        Self { file, offset: 0 }
    }

    /// Another place in the same file, in bytes from its beginning.
    pub(super) fn at(self, offset: usize) -> Self {
        Self { offset, ..self }
    }

    /// What orders places: by file, then by position.
    pub(super) fn order(&self) -> (usize, usize) {
        (self.file.number, self.offset)
    }

    /// The file's path.
    pub(super) fn path(&self) -> &'s Path {
        &self.file.source.path
    }

    /// Line and column, both from 1, the column in characters.
    pub(super) fn line_and_column(&self) -> (usize, usize) {
        let Numbered { source, lines, .. } = self.file;
        let line = lines.partition_point(|start| *start <= self.offset);
        let start = lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = source.text.get(start..self.offset).unwrap_or_default();
        (line, 1 + before.chars().count())
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
        let sources = [source];
        let files = Numbered::all(&sources);
        let place = |text: &str| Place::beginning(&files[0]).at(files[0].text().find(text).unwrap());
        assert_eq!(place("a").line_and_column(), (1, 1));
        assert_eq!(place("üß").line_and_column(), (2, 1));
        assert_eq!(place("2").line_and_column(), (2, 6));
        assert_eq!(place("2").to_string(), "c.toml:2:6");
        assert_eq!(Place::beginning(&files[0]).at(files[0].text().len()).line_and_column(), (3, 1));
    }

    #[test]
    fn the_text_is_not_printed() {
        let sources = [Source { path: "c.toml".into(), text: "hunter2".into() }];
        let files = Numbered::all(&sources);
        assert!(!format!("{sources:?} {:?}", Place::beginning(&files[0])).contains("hunter2"));
    }
}
