//! A child process from the test's side.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const SECRET: &str = "secret:0123456789abcdef";
pub(crate) const CHILD: &str = "WATERSHED_PEER_TEST_CHILD";
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

type Lines = Arc<Mutex<Vec<String>>>;

pub(crate) struct Node {
    process: Child,
    input: Mutex<ChildStdin>,
    answers: Arc<Mutex<BTreeMap<u64, String>>>,
    logs: Lines,
    next: AtomicU64,
    pub(crate) id: u64,
    /// `ok address boot`, or what is wrong.
    pub(crate) started: String,
}

impl Node {
    pub(crate) fn start(id: u64) -> Self {
        Self::with(id, "east", "127.0.0.1:0", SECRET)
    }

    pub(crate) fn with(id: u64, cluster: &str, listen: &str, security: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["child", "--exact", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let (answers, logs) = (Arc::default(), Lines::default());
        collect(process.stdout.take().expect("piped"), Arc::clone(&answers), take_answer);
        collect(process.stderr.take().expect("piped"), Arc::clone(&logs), |logs, line| logs.push(line));
        let input = Mutex::new(process.stdin.take().expect("piped"));
        let mut node = Self { process, input, answers, logs, next: AtomicU64::new(1), id, started: String::new() };
        node.write(&format!("{id} {cluster} {listen} {security}"));
        node.started = node.answer(0);
        node
    }

    pub(crate) fn address(&self) -> String {
        self.started.split_whitespace().nth(1).unwrap_or_else(|| panic!("node {}: {}", self.id, self.started)).to_owned()
    }

    pub(crate) fn boot(&self) -> String {
        self.started.split_whitespace().nth(2).expect("started").to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Gives a command; its answer is asked for with [`Self::answer`].
    pub(crate) fn tell(&self, command: &str) -> u64 {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        self.write(&format!("{id} {command}"));
        id
    }

    pub(crate) fn ask(&self, command: &str) -> String {
        self.answer(self.tell(command))
    }

    pub(crate) fn answer(&self, id: u64) -> String {
        let what = format!("node {} answers", self.id);
        eventually(ANSWER_DEADLINE, &what, || self.answers.lock().expect("lock").remove(&id))
    }

    pub(crate) fn expect(&self, command: &str, beginning: &str) -> String {
        let answer = self.ask(command);
        assert!(answer.starts_with(beginning), "node {}: {command}: {answer}\n{}", self.id, self.logs());
        answer
    }

    pub(crate) fn knows(&self, peer: &Self) {
        self.expect(&format!("set {} {}", peer.id, peer.address()), "ok");
    }

    pub(crate) fn expect_connected(&self, peer: u64, millis: u64) {
        self.expect(&format!("wait {peer} {millis}"), "ok true");
    }

    /// What the node says of a peer.
    pub(crate) fn peer(&self, id: u64) -> String {
        let peers = self.ask("peers");
        let words = peers.trim_start_matches("ok ").split(';').find_map(|peer| peer.strip_prefix(&format!("{id}=")));
        words.unwrap_or_default().to_owned()
    }

    pub(crate) fn logs(&self) -> String {
        self.logs.lock().expect("lock").join("\n")
    }

    pub(crate) fn expect_log(&self, words: &str) {
        eventually(Duration::from_secs(10), &format!("node {} logs {words:?}, only:\n{}", self.id, self.logs()), || {
            self.logs().contains(words).then_some(())
        });
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Resident memory, bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("it lives");
        statm.split_whitespace().nth(1).expect("resident pages").parse::<u64>().expect("number") * 4096
    }

    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.process.kill().expect("can be killed");
        self.process.wait().expect("is gone");
    }

    fn write(&self, line: &str) {
        writeln!(self.input.lock().expect("lock"), "{line}").expect("the node reads");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

fn take_answer(answers: &mut BTreeMap<u64, String>, line: String) {
    if let Some((id, answer)) = line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
        answers.insert(id.parse().expect("number"), answer.to_owned());
    }
}

fn collect<T: Send + 'static>(pipe: impl Read + Send + 'static, into: Arc<Mutex<T>>, take: fn(&mut T, String)) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            take(&mut into.lock().expect("lock"), line);
        }
    });
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(deadline: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
