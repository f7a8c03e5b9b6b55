//! A real SMTP server on a port of its own (aiosmtpd), and the mails that it took.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct MailServer {
    pub port: u16,
    folder: tempfile::TempDir,
    running: Option<Child>,
}

/// A mail as it arrived.
#[derive(Debug, Clone)]
pub struct Mail {
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl MailServer {
    /// A server's port, with nobody there yet.
    pub fn away() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { port, folder: tempfile::tempdir().unwrap(), running: None }
    }

    pub async fn start() -> Self {
        let mut server = Self::away();
        server.come_up().await;
        server
    }

    pub async fn come_up(&mut self) {
        let (listen, folder) = (format!("127.0.0.1:{}", self.port), self.maildir());
        let handler = "aiosmtpd.handlers.Mailbox";
        self.run(&["-m", "aiosmtpd", "-n", "-l", &listen, "-c", handler, folder.to_str().unwrap()]).await;
    }

    async fn run(&mut self, arguments: &[&str]) {
        let running = Command::new("/usr/bin/python3")
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3-aiosmtpd; run .ci/deps");
        self.running = Some(running);
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the mail server did not come up");
    }

    /// Comes up as a server that answers so to every recipient whose address begins so.
    pub async fn come_up_refusing(&mut self, name: &str, says: &str) {
        let handler = format!(
            "import sys, asyncio\n\
             from aiosmtpd.handlers import Mailbox\n\
             from aiosmtpd.smtp import SMTP\n\
             class Picky(Mailbox):\n\
             \x20   async def handle_RCPT(self, server, session, envelope, address, options):\n\
             \x20       if address.startswith({name:?}): return {says:?}\n\
             \x20       envelope.rcpt_tos.append(address)\n\
             \x20       return '250 OK'\n\
             loop = asyncio.new_event_loop()\n\
             asyncio.set_event_loop(loop)\n\
             picky = Picky(sys.argv[1])\n\
             made = loop.create_server(lambda: SMTP(picky, loop=loop), '127.0.0.1', {})\n\
             loop.run_until_complete(made)\n\
             loop.run_forever()\n",
            self.port
        );
        self.run(&["-c", &handler, self.maildir().to_str().unwrap()]).await;
    }

    fn maildir(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    /// The mails that it took, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        let Ok(found) = std::fs::read_dir(self.maildir().join("new")) else { return Vec::new() };
        let mut files: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        files.iter().map(|path| Mail::read(&std::fs::read_to_string(path).unwrap())).collect()
    }

    /// The newest mail to this address.
    #[track_caller]
    pub fn to(&self, address: &str) -> Mail {
        let mails = self.mails();
        let found = mails.iter().rev().find(|mail| mail.header("To") == [address]);
        found.unwrap_or_else(|| panic!("no mail to {address} among {mails:?}")).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

impl Mail {
    fn read(raw: &str) -> Self {
        let raw = raw.replace("\r\n", "\n");
        let (head, text) = raw.split_once("\n\n").unwrap();
        let head = head.replace("\n ", " ").replace("\n\t", " ");
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        // Quoted-printable (RFC 2045 section 6.7), of which our texts use two kinds only.
        Self { headers, text: text.replace("=\n", "").replace("=3D", "=") }
    }

    /// Every value of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The eight digits that stand alone on a line.
    #[track_caller]
    pub fn code(&self) -> String {
        let alone = |line: &&str| line.len() == 8 && line.bytes().all(|digit| digit.is_ascii_digit());
        self.text.lines().map(str::trim).find(alone).unwrap_or_else(|| panic!("{}", self.text)).to_owned()
    }

    /// The secret of the link, where there is one.
    pub fn link(&self) -> Option<String> {
        let start = "https://portal.example.net/confirm/";
        self.text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::to_owned)
    }
}
