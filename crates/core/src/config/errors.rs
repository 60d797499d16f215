//! What is wrong with a configuration, and where.
//!
//! A message names keys and says what was expected. It never repeats a value: whoever pastes a secret into the
//! wrong place must not find it in the log as well. The place tells where to look.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

use super::source::Place;

/// Everything that is wrong with a configuration, in the order of files and lines; at least one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One mistake in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// `FILE:LINE:COLUMN: message`, and the hint on a line of its own.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path.display(), self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A mistake whose place is known to somebody else.
#[derive(Debug)]
pub(super) struct Mistake {
    message: String,
    hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Puts the name of the key in front.
    pub(super) fn about(self, key: &str) -> Self {
        Self { message: format!("`{key}`: {}", self.message), ..self }
    }
}

/// Where mistakes are gathered while the configuration is read.
#[derive(Debug, Default)]
pub(super) struct Mistakes<'s>(RefCell<Vec<(Place<'s>, Mistake)>>);

impl<'s> Mistakes<'s> {
    pub(super) fn report(&self, place: Place<'s>, mistake: Mistake) {
        self.0.borrow_mut().push((place, mistake));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All of them in the order of files and lines. Of several at one place the first counts: the others follow
    /// from it, as a query where none may be follows from a secret in it.
    pub(super) fn into_errors(self) -> ConfigErrors {
        let mut mistakes = self.0.into_inner();
        mistakes.sort_by_key(|(place, _)| place.order());
        mistakes.dedup_by_key(|(place, _)| place.order());
        ConfigErrors(mistakes.into_iter().map(|(place, mistake)| error(place, mistake)).collect())
    }
}

fn error(place: Place<'_>, mistake: Mistake) -> ConfigError {
    let (line, column) = place.line_and_column();
    let Mistake { message, hint } = mistake;
    ConfigError { path: place.path().to_owned(), line, column, message, hint }
}
