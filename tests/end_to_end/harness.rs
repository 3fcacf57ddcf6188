//! Starting the program, and talking to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest a verb may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(600);

/// The binary under test.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainspring"));
    command.env("NO_COLOR", "1").env("MAINSPRING_MEMORY", "512MiB");
    command
}

/// What a verb said and how it ended.
pub struct Said {
    /// The exit status.
    pub code: i32,
    /// The data.
    pub out: String,
    /// The talk.
    pub err: String,
}

impl Said {
    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in: {}\n{}", self.out, self.err))
    }

    /// Stops the test unless the verb ended well.
    pub fn fine(self) -> Self {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self
    }
}

/// Runs a verb in a folder to its end.
pub fn mainspring(folder: &Path, words: &[&str]) -> Said {
    let started = Instant::now();
    let output: Output = binary().arg("-C").arg(folder).args(words).stdin(Stdio::null()).output().expect("it starts");
    assert!(started.elapsed() < PATIENCE, "{words:?} took too long");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("output is UTF-8"),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Its root, as `http://127.0.0.1:41234`.
    pub url: String,
}

impl Server {
    /// Starts `serve` on a free port and waits until it says where it listens.
    pub fn start(folder: &Path) -> Self {
        let mut child = binary()
            .arg("-C")
            .arg(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .env("MAINSPRING_LOG", "warn")
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        out.read_line(&mut line).expect("it says where it listens");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| panic!("{line}"));
        Self { url: url.trim_end_matches('/').to_owned(), child }
    }

    /// The address of a path on it.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The memory that its process holds at this moment.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the system tells");
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        kilobytes << 10
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
