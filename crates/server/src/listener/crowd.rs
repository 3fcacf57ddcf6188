//! Who is connected: a place for each, and whose place is given away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How often connections are looked over.
pub const SWEEP: Duration = Duration::from_secs(5);
/// After so many looks at which no request came and none was under way, a connection is asked to leave: 15 to 20 s, the
/// longest that a request's headers may take, and that a connection is kept open for a next request.
pub const QUIET_SWEEPS: u32 = 4;
/// One in so many places is given away at once when none is free: looking for them costs a walk over all.
const EVICTED_SHARE: usize = 64;
/// How long to wait for a place before looking again who could leave.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a connection was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// To answer what is under way and take nothing new.
    Finish,
    /// To end now.
    Leave,
}

/// A connection, as the crowd sees it.
#[derive(Debug, Default)]
pub struct Member {
    under_way: AtomicU32,
    begun: AtomicU64,
    begun_at_sweep: AtomicU64,
    quiet: AtomicU32,
    told: AtomicU8,
    bell: Notify,
}

impl Member {
    /// Counts a request as under way until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Waits until there is something new to hear.
    pub async fn called(&self) {
        self.bell.notified().await;
    }

    /// What it was told last.
    pub fn told(&self) -> Told {
        match self.told.load(Ordering::Acquire) {
            0 => Told::Nothing,
            1 => Told::Finish,
            _ => Told::Leave,
        }
    }

    fn tell(&self, what: Told) {
        self.told.fetch_max(what as u8, Ordering::AcqRel);
        self.bell.notify_one();
    }

    fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }

    fn has_asked(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > 0
    }

    /// How many looks in a row found it idle, with this one.
    fn look(&self) -> u32 {
        let begun = self.begun.load(Ordering::Relaxed);
        if !self.is_idle() || self.begun_at_sweep.swap(begun, Ordering::Relaxed) != begun {
            self.quiet.store(0, Ordering::Relaxed);
            return 0;
        }
        self.quiet.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A request under way; it is over when this is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Member>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Crowd {
    members: Mutex<BTreeMap<u64, Arc<Member>>>,
    came: AtomicU64,
    places: usize,
    left: Notify,
}

impl Crowd {
    /// An empty crowd with so many places.
    pub fn new(places: usize) -> Arc<Self> {
        let places = places.max(1);
        Arc::new(Self { members: Mutex::default(), came: AtomicU64::new(0), places, left: Notify::new() })
    }

    /// Takes a place; it is free again when the [`Place`] is dropped.
    pub fn join(self: &Arc<Self>) -> Place {
        let number = self.came.fetch_add(1, Ordering::Relaxed);
        let member = Arc::<Member>::default();
        self.members.lock().insert(number, member.clone());
        Place { crowd: self.clone(), number, member }
    }

    /// Waits for a free place, and has idle connections leave when there is none: first those that never asked for
    /// anything, then any, those that came first before the others.
    pub async fn make_room(&self) {
        while self.members.lock().len() >= self.places {
            self.evict();
            let _or_look_again = tokio::time::timeout(PATIENCE, self.left.notified()).await;
        }
    }

    fn evict(&self) {
        let wanted = (self.places / EVICTED_SHARE).max(1);
        let members = self.members.lock();
        let idle = || members.values().filter(|member| member.is_idle() && member.told() < Told::Leave);
        let silent = idle().filter(|member| !member.has_asked());
        let others = idle().filter(|member| member.has_asked());
        silent.chain(others).take(wanted).for_each(|member| member.tell(Told::Leave));
    }

    /// Looks everybody over, again and again.
    pub async fn sweep(&self) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for member in self.members.lock().values() {
                match member.look() {
                    quiet if quiet < QUIET_SWEEPS => {}
                    // in order, which ends a connection that waits for its next request
                    QUIET_SWEEPS => member.tell(Told::Finish),
                    // half a request does not end in order
                    _ => member.tell(Told::Leave),
                }
            }
        }
    }

    /// Tells everybody to finish, and waits until they have.
    pub async fn finish(&self) {
        self.members.lock().values().for_each(|member| member.tell(Told::Finish));
        while !self.members.lock().is_empty() {
            let _or_look_again = tokio::time::timeout(PATIENCE, self.left.notified()).await;
        }
    }
}

/// A place in the crowd.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    /// Who has it.
    pub member: Arc<Member>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.members.lock().remove(&self.number);
        self.crowd.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_silent_make_room_before_those_who_asked_and_those_under_way_stay() {
        let crowd = Crowd::new(3);
        let (asked, busy, silent) = (crowd.join(), crowd.join(), crowd.join());
        drop(asked.member.begin());
        let _under_way = busy.member.begin();

        crowd.evict();
        assert_eq!(
            [&asked, &busy, &silent].map(|place| place.member.told()),
            [Told::Nothing, Told::Nothing, Told::Leave]
        );
        crowd.evict();
        crowd.evict();
        assert_eq!(
            [&asked, &busy, &silent].map(|place| place.member.told()),
            [Told::Leave, Told::Nothing, Told::Leave]
        );
    }

    #[tokio::test]
    async fn room_is_made_when_somebody_leaves() {
        let crowd = Crowd::new(1);
        let place = crowd.join();
        let member = place.member.clone();
        let connection = tokio::spawn(async move {
            member.called().await;
            drop(place);
        });

        crowd.make_room().await;

        connection.await.unwrap();
        assert!(crowd.members.lock().is_empty());
    }

    #[test]
    fn who_asks_between_two_looks_is_not_quiet() {
        let member = Arc::new(Member::default());
        assert_eq!([member.look(), member.look()], [1, 2]);
        drop(member.begin());
        assert_eq!([member.look(), member.look()], [0, 1]);
        let _under_way = member.begin();
        assert_eq!([member.look(), member.look()], [0, 0]);
    }
}
