//! Secrets come in by standard input, never by the command line, which every process can read.

use std::io::{BufRead, IsTerminal, Read};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::error::CliError;
use super::terminal::Terminal;
use crate::base::secret::Secret;

/// One line of standard input without its end; on a terminal it is asked for and not echoed.
pub(super) fn secret(terminal: Terminal, what: &str) -> Result<Secret, CliError> {
    let stdin = std::io::stdin();
    let silence = if stdin.is_terminal() {
        terminal.ask(format_args!("{what}:"));
        Silence::start(&stdin)
    } else {
        None
    };
    let mut line = Zeroizing::new(String::new());
    // Through the process-wide buffer, so that a second secret finds its line.
    let read = stdin.lock().take(MAX_SECRET_OCTETS).read_line(&mut line);
    if silence.is_some() {
        terminal.note("");
    }
    read.map_err(|error| CliError::failed("read standard input", &error))?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(CliError::Usage(format!("{what} is empty; give it as one line of standard input")));
    }
    Ok(Secret::from_text(text))
}

/// As [`secret`], as text for a request's body.
pub(super) fn password(terminal: Terminal, what: &str) -> Result<String, CliError> {
    let secret = secret(terminal, what)?;
    let text = secret.expose_text().map(ToOwned::to_owned);
    text.ok_or_else(|| CliError::Usage(format!("{what} is not UTF-8")))
}

/// While it lives the terminal does not echo.
struct Silence<'t> {
    stdin: &'t std::io::Stdin,
    before: Termios,
}

impl<'t> Silence<'t> {
    fn start(stdin: &'t std::io::Stdin) -> Option<Self> {
        let before = tcgetattr(stdin.as_fd()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &silent).ok()?;
        Some(Self { stdin, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Nothing else could be done about a terminal that is gone.
        let _ = tcsetattr(self.stdin.as_fd(), SetArg::TCSAFLUSH, &self.before);
    }
}

/// Longer than any password or shared secret.
const MAX_SECRET_OCTETS: u64 = 4096;
