//! Prepared statements: kept for who prepared them, a bounded number, until they are closed or forgotten.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mainspring_catalog::Principal;
use parking_lot::Mutex;
use tonic::Status;
use uuid::Uuid;

use crate::query::Parameters;

/// The most statements of one principal. One more drops the one that was not used for longest: clients that do not close
/// their statements go on working.
const EACH_MAX: usize = 64;
/// The most statements at all: of text and bound values that is at most some hundred megabytes.
const ALL_MAX: usize = 1_000;
/// A statement that was not used for this long is forgotten.
const IDLE_MAX: Duration = Duration::from_secs(3_600);

/// A statement that was prepared.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// Its text.
    pub(super) text: String,
    /// The values that are bound to it.
    pub(super) bound: Option<Parameters>,
}

struct Kept {
    principal: Principal,
    prepared: Prepared,
    used_at: Instant,
}

/// The statements that are prepared.
#[derive(Default)]
pub(super) struct Statements(Mutex<HashMap<Uuid, Kept>>);

impl Statements {
    /// Keeps a statement, and gives the handle that it is used by.
    pub(super) fn keep(&self, principal: &Principal, text: String, now: Instant) -> Result<Uuid, Status> {
        let mut all = self.0.lock();
        all.retain(|_, kept| now.saturating_duration_since(kept.used_at) < IDLE_MAX);
        let own = || all.iter().filter(|(_, kept)| kept.principal == *principal);
        let longest_unused = own().min_by_key(|(_, kept)| kept.used_at).map(|(handle, _)| *handle);
        if own().count() >= EACH_MAX
            && let Some(handle) = longest_unused
        {
            all.remove(&handle);
        }
        if all.len() >= ALL_MAX {
            return Err(Status::resource_exhausted(format!(
                "the server keeps {ALL_MAX} prepared statements, the most there may be; close some, or come again"
            )));
        }
        let handle = Uuid::now_v7();
        let prepared = Prepared { text, bound: None };
        all.insert(handle, Kept { principal: principal.clone(), prepared, used_at: now });
        Ok(handle)
    }

    /// A statement of the caller.
    pub(super) fn get(&self, principal: &Principal, handle: Uuid, now: Instant) -> Result<Prepared, Status> {
        self.using(principal, handle, now, |prepared| prepared.clone())
    }

    /// Binds values to a statement of the caller, in place of those that were bound before.
    pub(super) fn bind(
        &self,
        principal: &Principal,
        handle: Uuid,
        values: Parameters,
        now: Instant,
    ) -> Result<(), Status> {
        self.using(principal, handle, now, |prepared| prepared.bound = Some(values))
    }

    fn using<T>(
        &self,
        principal: &Principal,
        handle: Uuid,
        now: Instant,
        with: impl FnOnce(&mut Prepared) -> T,
    ) -> Result<T, Status> {
        let mut all = self.0.lock();
        // whose it is makes no difference to what others hear
        let found = all.get_mut(&handle).filter(|kept| kept.principal == *principal);
        let is_live = |kept: &&mut Kept| now.saturating_duration_since(kept.used_at) < IDLE_MAX;
        let kept = found.filter(is_live).ok_or_else(|| {
            Status::not_found(format!(
                "there is no such prepared statement: it was closed, not used for an hour, or {EACH_MAX} others were \
                 prepared after it; prepare it again"
            ))
        })?;
        kept.used_at = now;
        Ok(with(&mut kept.prepared))
    }

    /// Forgets a statement of the caller; one that is not there is as good as closed.
    pub(super) fn close(&self, principal: &Principal, handle: Uuid) {
        let mut all = self.0.lock();
        if all.get(&handle).is_some_and(|kept| kept.principal == *principal) {
            all.remove(&handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_its_principals_until_closed_or_idle() {
        let (statements, now) = (Statements::default(), Instant::now());
        let (ada, eve) = (Principal::user("ada"), Principal::user("eve"));
        let handle = statements.keep(&ada, "SELECT 1".into(), now).unwrap();

        assert_eq!(statements.get(&ada, handle, now).unwrap().text, "SELECT 1");
        assert!(statements.get(&eve, handle, now).is_err());
        statements.close(&eve, handle);
        assert!(statements.get(&ada, handle, now + IDLE_MAX / 2).is_ok());
        assert!(statements.get(&ada, handle, now + IDLE_MAX / 2 + IDLE_MAX).is_err());
        let other = statements.keep(&ada, "SELECT 2".into(), now).unwrap();
        statements.close(&ada, other);
        assert!(statements.get(&ada, other, now).is_err());
    }

    #[test]
    fn one_statement_too_many_drops_the_one_that_was_not_used_for_longest() {
        let (statements, mut now) = (Statements::default(), Instant::now());
        let (ada, eve) = (Principal::user("ada"), Principal::user("eve"));
        let of_eve = statements.keep(&eve, "SELECT 0".into(), now).unwrap();
        let handles: Vec<Uuid> = (0..EACH_MAX)
            .map(|_| {
                now += Duration::from_millis(1);
                statements.keep(&ada, "SELECT 1".into(), now).unwrap()
            })
            .collect();

        statements.get(&ada, handles[0], now + Duration::from_secs(1)).unwrap();
        statements.keep(&ada, "SELECT 2".into(), now).unwrap();

        assert!(statements.get(&ada, handles[0], now).is_ok());
        assert!(statements.get(&ada, handles[1], now).is_err());
        assert!(statements.get(&eve, of_eve, now).is_ok());
    }
}
