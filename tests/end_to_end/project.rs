//! A project in a temporary folder.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Said, mainspring};

/// The longest wait for what a server does by itself. Far more than it takes: how fast it is, benchmarks say, and a machine
/// that is busy with other tests is no failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A project folder that goes with the test.
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// An empty folder.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// What `init` writes.
    pub fn template() -> Self {
        let project = Self::empty();
        project.say(&["init", "--name", "shop"]).fine();
        project
    }

    /// What `init` writes, applied.
    pub fn applied() -> Self {
        let project = Self::template();
        project.say(&["apply"]).fine();
        project
    }

    /// What `init` writes, applied and trained: `returns` answers with version 1.
    pub fn trained() -> Self {
        let project = Self::applied();
        project.run().succeeded();
        project
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a verb in the folder.
    pub fn say(&self, words: &[&str]) -> Said {
        mainspring(self.path(), words)
    }

    /// The text of a file.
    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap()
    }

    /// Writes a file and the folders it lies in.
    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Replaces a text that a file has once.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {file}:\n{text}");
        self.write(file, text.replace(from, to));
    }

    /// Runs everything.
    pub fn run(&self) -> Ran {
        Ran::of(&self.say(&["run", "--json"]))
    }

    /// The rows of a query.
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        let said = self.say(&["query", sql, "--json", "--limit", "1000000"]).fine();
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The number a query is for; its column is called `n`.
    pub fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql);
        rows[0]["n"].as_i64().unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }

    /// Waits until a query comes to a number, which its column `n` has.
    pub fn wait_for(&self, sql: &str, expected: i64) {
        self.wait_until(sql, |number| number == expected);
    }

    /// Waits until the number of a query is as it should be; that of a table that is not there yet is none.
    pub fn wait_until(&self, sql: &str, holds: impl Fn(i64) -> bool) {
        let begun = Instant::now();
        loop {
            let said = self.say(&["query", sql, "--json"]);
            let row: Value = serde_json::from_str(said.out.trim()).unwrap_or(Value::Null);
            if row["n"].as_i64().is_some_and(&holds) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "`{sql}` within {PATIENCE:?}; last: {}{}", said.out, said.err);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What `run --json` said.
#[derive(Debug)]
pub struct Ran(Value);

impl Ran {
    /// Reads it.
    pub fn of(said: &Said) -> Self {
        let ran = Self(said.json());
        assert_eq!(said.code == 0, ran.state() == "succeeded", "the exit status says the same: {}", said.err);
        ran
    }

    /// Stops the test unless everything was done.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.state(), "succeeded", "{:#}", self.0);
        self
    }

    /// `succeeded` or `failed`.
    pub fn state(&self) -> &str {
        self.0["run"]["state"].as_str().unwrap()
    }

    /// How often the run was taken up after its process died.
    pub fn resumed(&self) -> u64 {
        self.0["run"]["resumed"].as_u64().unwrap()
    }

    /// Every task.
    pub fn tasks(&self) -> &[Value] {
        self.0["tasks"].as_array().unwrap()
    }

    /// A task, as `train` `returns`.
    pub fn task(&self, kind: &str, name: &str) -> &Value {
        let named = |task: &&Value| task["task"] == json!({ "kind": kind, "name": name });
        self.tasks().iter().find(named).unwrap_or_else(|| panic!("no {kind}:{name} in {:#}", self.0))
    }

    /// A figure that a task came to.
    pub fn figure(&self, kind: &str, name: &str, figure: &str) -> f64 {
        let task = self.task(kind, name);
        task["outputs"][figure].as_f64().unwrap_or_else(|| panic!("no {figure} in {task:#}"))
    }

    /// Why a task's last attempt failed.
    pub fn error(&self, kind: &str, name: &str) -> &str {
        let task = self.task(kind, name);
        let last = task["attempts"].as_array().unwrap().last().unwrap();
        last["error"].as_str().unwrap_or_else(|| panic!("no error in {task:#}"))
    }
}

/// A row that `returns` answers to.
pub fn order() -> Value {
    json!({
        "order_id": "o99999", "customer": "c001", "placed_at": "2025-07-07T00:00:00Z", "channel": "web",
        "items": 3, "amount": 99.5
    })
}

/// A request of that row, as of a moment when all of the sample is known.
pub fn order_request() -> Value {
    json!({ "as_of": "2025-07-07T00:00:00Z", "rows": [order()] })
}
