//! What is wrong with a configuration, said so that the reader can mend it without the manual.
//! A fault never carries a value that could be a secret.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// One thing that is wrong; the operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The configuration file.
    pub file: PathBuf,
    /// Line from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column from 1, in characters; 0 when the line or file as a whole is meant.
    pub column: usize,
    /// Dotted path of the setting, as `radius.workers`; empty where the text is not TOML.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write or do instead.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

impl std::error::Error for Fault {}

/// Why one value is refused, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) problem: String,
    pub(super) remedy: String,
    /// Where in the text, if narrower than the whole value; with the index in its list.
    pub(super) within: Option<(Range<usize>, usize)>,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), within: None }
    }

    pub(super) fn inside(mut self, span: Range<usize>, index: usize) -> Self {
        self.within = Some((span, index));
        self
    }
}

/// Line and column, both from 1, of an offset in `text`.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|octet| *octet == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// The known word that `written` was probably meant to be.
pub(super) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = written.chars().count() / 3 + 1;
    known
        .iter()
        .map(|word| (distance(&written.to_lowercase(), word), *word))
        .filter(|(away, _)| *away <= far)
        .min_by_key(|(away, _)| *away)
        .map(|(_, word)| word)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (pair, right) in row.windows(2).zip(&b) {
            let &[diagonal, above] = pair else { continue };
            let beside = next.last().copied().unwrap_or(0);
            let replaced = diagonal + usize::from(left != *right);
            next.push(replaced.min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(position("ab\nçd", 0), (1, 1));
        assert_eq!(position("ab\nçd", 3), (2, 1));
        assert_eq!(position("ab\nçd", 5), (2, 2));
        assert_eq!(position("ab", 99), (1, 3));
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let known = ["workers", "reject_delay", "accounting"];
        assert_eq!(nearest("worker", &known), Some("workers"));
        assert_eq!(nearest("acounting", &known), Some("accounting"));
        assert_eq!(nearest("reject-delay", &known), Some("reject_delay"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
