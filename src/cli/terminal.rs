//! The person at the other end: results on standard output, notes and faults on standard error.
//!
//! The one rule: no text from outside moves the cursor or colours the screen; control characters
//! other than the end of a line are replaced before they are written.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::error::CliError;

/// Where a command speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    json: bool,
}

impl Terminal {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// True where records are wanted as JSON.
    pub(super) const fn wants_json(self) -> bool {
        self.json
    }

    /// A line of the result.
    pub(super) fn line(self, text: impl Display) {
        // A reader that closed its end, as `head` does, is no fault of the command.
        let _ = writeln!(std::io::stdout().lock(), "{}", harmless(&text.to_string()));
        let _ = std::io::stdout().lock().flush();
    }

    /// A record, as JSON.
    pub(super) fn json(self, value: &Value) {
        // A Value always has a text.
        self.line(escaped(&serde_json::to_string_pretty(value).unwrap_or_default()));
    }

    /// What is said beside the result: progress, warnings, what to do next.
    pub(super) fn note(self, text: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&text.to_string()));
    }

    /// Asks something, without ending the line.
    pub(super) fn ask(self, text: impl Display) {
        let _ = write!(std::io::stderr().lock(), "{text} ");
    }

    /// Why the command ends.
    pub(super) fn fault(self, error: &CliError) {
        let text = error.to_string();
        if !text.is_empty() {
            self.note(format_args!("dotmac-edge: {text}"));
        }
    }

    /// Waits for `work`; after a moment says on a terminal that it is still at it.
    pub(super) async fn waiting<T>(self, doing: &str, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if !std::io::stderr().is_terminal() {
            return work.await;
        }
        let mut seconds = 0u32;
        loop {
            let pause = tokio::time::sleep(TICK);
            tokio::select! {
                done = &mut work => {
                    if seconds > 0 {
                        let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
                    }
                    return done;
                }
                () = pause => {
                    seconds += 1;
                    let _ = write!(std::io::stderr().lock(), "\r{doing} … {seconds} s");
                }
            }
        }
    }
}

/// The text with control characters made visible.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|symbol| if symbol.is_control() && symbol != '\n' { '\u{fffd}' } else { symbol })
        .collect()
}

/// JSON without raw control characters: `serde_json` escapes those of ASCII up to 0x1f, and the others
/// can only stand inside of texts, where an escape means the same.
fn escaped(json: &str) -> String {
    let escape = |symbol: char| {
        if symbol.is_control() && symbol != '\n' {
            format!("\\u{:04x}", u32::from(symbol))
        } else {
            symbol.to_string()
        }
    };
    json.chars().map(escape).collect()
}

/// Shorter waits need no explanation.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_after_its_control_characters_are_escaped() {
        let value = serde_json::json!({"name": "a\u{9b}\u{7f}\u{1b}\n"});
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(['\u{9b}', '\u{7f}', '\u{1b}']));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_name_from_outside_cannot_move_the_cursor() {
        assert_eq!(harmless("a\x1b[2Jb\r\nc\u{9b}"), "a\u{fffd}[2Jb\u{fffd}\nc\u{fffd}");
    }
}
