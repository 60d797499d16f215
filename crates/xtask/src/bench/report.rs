//! Tables and figures: on the terminal and as JSON.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::figure::Figure;
use crate::Result;
use crate::samples::Rounds;

/// What a run has measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cpus: usize,
    token_bytes: usize,
    quick: bool,
    sections: Vec<Section>,
}

/// What one group has measured.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    title: String,
    tables: Vec<Table>,
    figures: Vec<Figure>,
}

/// Rows to compare. Ratios are to the first one.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Row>,
    /// Who could not take part, and why.
    absent: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    samples: usize,
    p50_us: f64,
    p50_ratio: f64,
    p99_us: f64,
    p99_ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
}

/// What a row is made from.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) rounds: Rounds,
    /// How many there were in a second, where as many as possible were wanted.
    pub(crate) per_second: Option<f64>,
}

impl Entry {
    pub(crate) fn new(name: impl Into<String>, rounds: impl Into<Rounds>) -> Self {
        Self { name: name.into(), rounds: rounds.into(), per_second: None }
    }
}

impl Report {
    pub(crate) fn new(cpus: usize, token_bytes: usize, quick: bool) -> Self {
        Self { cpus, token_bytes, quick, sections: Vec::new() }
    }

    pub(crate) fn add(&mut self, section: Section) {
        self.sections.push(section);
    }

    pub(crate) fn write(&self, path: &Path) -> Result {
        Ok(fs::write(path, serde_json::to_vec_pretty(self)?)?)
    }

    /// An error that names every figure beyond its limit, if there are any.
    pub(crate) fn check(&self) -> Result {
        let broken: Vec<_> =
            self.figures().filter(|figure| !figure.holds()).map(|figure| format!("\n  {figure}")).collect();
        if broken.is_empty() { Ok(()) } else { Err(format!("beyond the limit:{}", broken.concat()).into()) }
    }

    fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|section| &section.figures)
    }
}

/// The summary.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== What it came to, on {} CPUs, with tokens of {} bytes", self.cpus, self.token_bytes)?;
        self.figures().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}

impl Section {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), tables: Vec::new(), figures: Vec::new() }
    }

    pub(crate) fn table(mut self, table: Table) -> Self {
        self.tables.push(table);
        self
    }

    pub(crate) fn figure(mut self, figure: Figure) -> Self {
        self.figures.push(figure);
        self
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== {}", self.title)?;
        for table in &self.tables {
            write!(f, "\n{table}")?;
        }
        writeln!(f)?;
        self.figures.iter().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, entries: &[Entry]) -> Self {
        let row = |entry: &Entry| Row {
            what: entry.name.clone(),
            samples: entry.rounds.samples(),
            p50_us: entry.rounds.percentile(50),
            p50_ratio: entry.rounds.median_ratio(&entries[0].rounds),
            p99_us: entry.rounds.percentile(99),
            p99_ratio: entry.rounds.percentile_ratio(&entries[0].rounds, 99),
            per_second: entry.per_second,
        };
        Self { title: title.into(), rows: entries.iter().map(row).collect(), absent: Vec::new() }
    }

    pub(crate) fn absent(mut self, absent: Vec<String>) -> Self {
        self.absent = absent;
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, rows, absent } = self;
        writeln!(
            f,
            "{title:40} {:>9} {:>9} {:>6} {:>9} {:>6} {:>9}",
            "samples", "p50 us", "ratio", "p99 us", "ratio", "a second"
        )?;
        for row in rows {
            let Row { what, samples, p50_us, p50_ratio, p99_us, p99_ratio, per_second } = row;
            write!(f, "  {what:38} {samples:9} {p50_us:9.2} {p50_ratio:6.2} {p99_us:9.2} {p99_ratio:6.2}")?;
            match per_second {
                Some(rate) => writeln!(f, " {rate:9.0}")?,
                None => writeln!(f)?,
            }
        }
        absent.iter().try_for_each(|why| writeln!(f, "  {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ratio: f64) -> Report {
        let hundred = |step: u64| (1..=100).rev().map(|n| n * step * 1_000).collect::<Vec<u64>>();
        let entries = [Entry::new("raw", hundred(1)), Entry::new("get", hundred(2))];
        let section = Section::new("gets")
            .table(Table::new("one CPU", &entries).absent(vec!["nginx: not installed".into()]))
            .figure(Figure::new("a get", ratio, "x raw").at_most(1.6))
            .figure(Figure::new("rate", 0.9, "of raw").at_least(0.85));
        let mut report = Report::new(2, 1_200, false);
        report.add(section);
        report
    }

    #[test]
    fn ratios_are_to_the_first_row() {
        let report = report(2.0);
        let [raw, get] = &report.sections[0].tables[0].rows[..] else { panic!("two were measured") };
        assert_eq!((raw.p50_us, raw.p99_us, raw.p50_ratio), (51.0, 100.0, 1.0));
        assert_eq!((get.p50_us, get.p50_ratio, get.p99_ratio), (102.0, 2.0, 2.0));
    }

    #[test]
    fn every_broken_limit_is_named_and_nothing_else() {
        assert!(report(1.6).check().is_ok());
        let error = report(1.7).check().unwrap_err().to_string();
        assert!(error.contains("a get") && !error.contains("rate"), "{error}");
    }

    #[test]
    fn those_who_could_not_take_part_are_in_the_table() {
        assert!(report(1.0).sections[0].to_string().contains("nginx: not installed"));
    }
}
