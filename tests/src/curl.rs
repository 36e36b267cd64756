//! Requests by curl, so that nothing of ours stands between a test and what is on the wire.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

/// `Content-Type` of OTLP as protobuf.
pub const PROTOBUF: &str = "Content-Type: application/x-protobuf";

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Lines of the head, in lower case.
    head: String,
    /// Body, as text.
    pub body: String,
}

impl Answer {
    /// The value of a header; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    }
}

/// A POST with a body of any bytes.
///
/// # Panics
/// When there is no curl or no answer.
#[must_use]
pub fn post(url: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(body).expect("writes");
    let mut curl = curl(url);
    curl.arg("--data-binary").arg(format!("@{}", file.path().display()));
    headers.iter().for_each(|header| drop(curl.args(["--header", header]).get_args()));
    answer(&mut curl)
}

/// The body of what a POST is answered, byte for byte.
///
/// # Panics
/// When there is no curl, or it was refused.
#[must_use]
pub fn post_bytes(url: &str, headers: &[&str], text: &str) -> Vec<u8> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--data-binary", text, url]);
    headers.iter().for_each(|header| drop(curl.args(["--header", header]).get_args()));
    let output = curl.output().expect("curl runs");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// As the program `gzip` packs it.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("writes");
    Command::new("gzip").arg("-c").arg(file.path()).output().expect("gzip runs").stdout
}

/// A GET.
///
/// # Panics
/// When there is no curl or no answer.
#[must_use]
pub fn get(url: &str) -> Answer {
    get_with(url, &[])
}

/// A GET with headers.
///
/// # Panics
/// When there is no curl or no answer.
#[must_use]
pub fn get_with(url: &str, headers: &[&str]) -> Answer {
    let mut curl = curl(url);
    headers.iter().for_each(|header| drop(curl.args(["--header", header]).get_args()));
    answer(&mut curl)
}

/// What a browser asks before it sends.
///
/// # Panics
/// When there is no curl or no answer.
#[must_use]
pub fn options(url: &str, headers: &[&str]) -> Answer {
    let mut curl = curl(url);
    curl.args(["--request", "OPTIONS"]);
    headers.iter().for_each(|header| drop(curl.args(["--header", header]).get_args()));
    answer(&mut curl)
}

fn curl(url: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--write-out", "\n%{http_code}", url]);
    curl
}

fn answer(curl: &mut Command) -> Answer {
    let output = curl.output().expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, status) = text.rsplit_once('\n').expect("a status");
    // Before it sends a big body, curl asks whether it may.
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text} {output:?}"));
    Answer { status: status.parse().expect("a number"), head: head.to_lowercase(), body: body.to_owned() }
}

/// An answer that does not end, line by line; curl ends when this is dropped.
#[derive(Debug)]
pub struct Lines {
    curl: Child,
    lines: BufReader<ChildStdout>,
}

impl Lines {
    /// A GET; who waits in vain is ended after a minute.
    ///
    /// # Panics
    /// When there is no curl.
    #[must_use]
    pub fn open(url: &str) -> Self {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--max-time", "60", url]);
        Self::of(&mut curl)
    }

    /// The same, a POST with headers.
    ///
    /// # Panics
    /// When there is no curl.
    #[must_use]
    pub fn post(url: &str, headers: &[&str], body: &str) -> Self {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--max-time", "60", "--data-binary", body, url]);
        for header in headers {
            curl.args(["--header", header]);
        }
        Self::of(&mut curl)
    }

    fn of(curl: &mut Command) -> Self {
        let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl");
        let lines = BufReader::new(curl.stdout.take().expect("piped"));
        Self { curl, lines }
    }

    /// The next line.
    ///
    /// # Panics
    /// At the end.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).expect("reads") > 0, "the answer ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.curl.kill());
        drop(self.curl.wait());
    }
}
