//! The RADIUS client of the demo: FreeRADIUS' `radclient`, an implementation that is not ours.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cli::error::CliError;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// `Access-Accept` and so on; empty for silence.
    pub(super) code: String,
    /// "Name = value" each.
    pub(super) attributes: Vec<String>,
    /// What the program complained about.
    pub(super) complaint: String,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Authentication,
    Accounting,
}

/// A server and the secret shared with it, by the file that it is in.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) secret_file: PathBuf,
}

/// Sends one request and waits for its answer.
pub(super) async fn ask(server: &Server, port: Port, attributes: String) -> Result<Said, CliError> {
    let server = server.clone();
    let work = tokio::task::spawn_blocking(move || run(&server, port, &attributes));
    work.await.map_err(|error| CliError::failed("run radclient", &error))?
}

fn run(server: &Server, port: Port, attributes: &str) -> Result<Said, CliError> {
    let failed = |error: std::io::Error| CliError::failed("run radclient", &error);
    let mut child = Command::new(PROGRAM)
        .args(["-x", "-r", "2", "-t", "4", "-S"])
        .arg(&server.secret_file)
        .arg(server.address.to_string())
        .arg(match port {
            Port::Authentication => "auth",
            Port::Accounting => "acct",
        })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ended before it read says why itself.
        let _ = stdin.write_all(attributes.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(Said { complaint, ..heard(&String::from_utf8_lossy(&output.stdout)) })
}

/// What radclient printed of the last packet that came.
fn heard(output: &str) -> Said {
    let mut said = Said { code: String::new(), attributes: Vec::new(), complaint: String::new() };
    let mut inside = false;
    for line in output.lines() {
        if let Some(packet) = line.strip_prefix("Received ") {
            inside = true;
            said.code = packet.split_whitespace().next().unwrap_or_default().to_owned();
            said.attributes.clear();
        } else if !line.starts_with('\t') {
            inside = false;
        } else if inside && !HIDDEN.iter().any(|name| line.contains(name)) {
            said.attributes.push(line.trim().to_owned());
        }
    }
    said
}

const PROGRAM: &str = "radclient";
/// Attributes that hold keys, or nothing that tells a person something.
const HIDDEN: &[&str] = &["MS-CHAP-MPPE-Keys", "MS-MPPE-", "Message-Authenticator"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_among_what_is_printed() {
        let output = "Sent Access-Request Id 5 from 0.0.0.0:53 to 127.0.0.1:1812 length 44\n\tUser-Name = \"ada\"\n\
            Received Access-Accept Id 5 from 127.0.0.1:714 to 127.0.0.1:53 length 20\n\tClass = 0x01\n\tReply-Message = \"a\"\n\
            (0) done\n";
        let said = heard(output);
        assert_eq!(said.code, "Access-Accept");
        assert_eq!(said.attributes, ["Class = 0x01", "Reply-Message = \"a\""]);
        assert_eq!(heard("Sent Access-Request\n\tUser-Name = \"x\"\n").code, "");
    }
}
