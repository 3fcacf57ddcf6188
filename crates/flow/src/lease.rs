//! One project, one run at a time: a lease in the catalog, renewed while its holder lives.
//!
//! A holder that dies stops renewing, and after [`LEASE_SECONDS`] anybody may take the lease. On the same machine nobody
//! waits that long: a holder whose process is gone has lost it at once, and so has a run of this process that was dropped.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mainspring_catalog::{Catalog, Change, Document, Expect, Principal};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How long a lease is good for without renewal.
pub const LEASE_SECONDS: i64 = 30;

/// How often its holder renews it: three chances before it is lost.
pub const RENEWAL: Duration = Duration::from_secs(10);

/// The runs that hold a lease in this process: what the catalog cannot tell from one that was dropped.
static HELD_HERE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The one lease of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    /// The run it was taken for.
    run: String,
    /// Process and boot of the holder.
    holder: Holder,
    /// From when on anybody may take it.
    expires_at: Timestamp,
    /// Given back by its holder.
    released: bool,
}

impl Document for Lease {
    const KIND: &'static str = "flow_lease";

    fn id(&self) -> String {
        "project".into()
    }
}

/// A process, told apart from a later one with the same number by the time it started and by the machine's boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    process: u32,
    started: String,
    boot: String,
}

impl Holder {
    fn this_process() -> Self {
        let process = std::process::id();
        Self { process, started: start_time(process).unwrap_or_default(), boot: boot_id() }
    }

    /// Whether the process is known to be gone; on another machine nothing is known.
    fn is_gone(&self) -> bool {
        let boot = boot_id();
        !boot.is_empty() && self.boot == boot && start_time(self.process).as_deref() != Some(self.started.as_str())
    }
}

/// The kernel's start time of a process, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
fn start_time(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    // a zombie has ended: only its parent has not looked yet
    if matches!(state, "Z" | "X") { None } else { fields.nth(18).map(str::to_owned) }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The lease as its holder has it.
#[derive(Debug)]
pub struct Held {
    catalog: Catalog,
    principal: Principal,
    lease: Lease,
    version: i64,
}

/// Takes the project's lease for a run.
///
/// # Errors
///
/// [`Error::Busy`] when another run holds it, or was faster.
pub async fn take(catalog: &Catalog, run: &str) -> Result<Held> {
    let lease = Lease {
        run: run.to_owned(),
        holder: Holder::this_process(),
        expires_at: Timestamp::now() + SignedDuration::from_secs(LEASE_SECONDS),
        released: false,
    };
    let expect = match catalog.get::<Lease>("project").await? {
        None => Expect::Absent,
        Some(current) => {
            let old = &current.document;
            let is_over = old.released || old.expires_at <= Timestamp::now() || old.holder.is_gone();
            let was_dropped = || old.holder == lease.holder && !held_here(|held| held.contains(&old.run));
            if !is_over && !was_dropped() {
                return Err(Error::Busy { run: old.run.clone(), holder: old.holder.process.to_string() });
            }
            Expect::Version(current.version)
        }
    };
    held_here(|held| held.insert(run.to_owned()));
    let mut held = Held { catalog: catalog.clone(), principal: Principal::system("flow"), lease, version: 0 };
    match held.write("flow.lease_taken", expect).await {
        Ok(()) => Ok(held),
        Err(Error::LeaseLost { by, holder, .. }) => Err(Error::Busy { run: by, holder }),
        Err(error) => Err(error),
    }
}

fn held_here<T>(with: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
    // a set is whole whenever its lock is given up
    with(&mut HELD_HERE.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Drop for Held {
    fn drop(&mut self) {
        held_here(|held| held.remove(&self.lease.run));
    }
}

impl Held {
    /// Makes the lease last another [`LEASE_SECONDS`].
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when somebody else has taken it.
    pub async fn renew(&mut self) -> Result<()> {
        self.lease.expires_at = Timestamp::now() + SignedDuration::from_secs(LEASE_SECONDS);
        self.write("flow.lease_renewed", Expect::Version(self.version)).await
    }

    /// Gives the lease back.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when somebody else has taken it.
    pub async fn release(mut self) -> Result<()> {
        self.lease.released = true;
        self.write("flow.lease_released", Expect::Version(self.version)).await
    }

    async fn write(&mut self, action: &str, expect: Expect) -> Result<()> {
        let change = Change::new(&self.principal, action, "flow:project").put(&self.lease, expect)?;
        match self.catalog.commit(change).await {
            Ok(committed) => self.version = committed.seq,
            Err(mainspring_catalog::Error::Conflict { .. }) => {
                let now = self.catalog.get::<Lease>("project").await?;
                let (run, holder) =
                    now.map(|now| (now.document.run, now.document.holder.process.to_string())).unwrap_or_default();
                return Err(Error::LeaseLost { run: self.lease.run.clone(), by: run, holder });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_of_one_process_exclude_each_other_and_one_that_was_dropped_holds_nothing() {
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();

        let first = take(&catalog, "first").await.unwrap();
        let meanwhile = take(&catalog, "second").await;
        assert!(matches!(meanwhile, Err(Error::Busy { ref run, .. }) if run == "first"), "{meanwhile:?}");
        drop(first);
        let second = take(&catalog, "second").await.unwrap();
        second.release().await.unwrap();

        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let catalog = catalog.clone();
            tasks.spawn(async move { take(&catalog, &format!("at once {number}")).await });
        }
        let taken = tasks.join_all().await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
        assert!(taken.iter().all(|taken| matches!(taken, Ok(_) | Err(Error::Busy { .. }))), "{taken:?}");
    }
}
