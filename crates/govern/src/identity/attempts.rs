//! A bound on wrong keys from one address.
//!
//! Keys cannot be guessed, so this is not what keeps them safe; it keeps a program that runs with an old key, or one
//! that guesses, from filling the log, and tells it to slow down.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

/// Wrong keys that an address may send in a window before it is told to wait.
const MAX_WRONG: u32 = 20;
/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered, about 100 bytes each; beyond, those not seen for long are forgotten.
const MAX_ADDRESSES: usize = 10_000;

pub(super) struct Attempts {
    by_address: Cache<IpAddr, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    started: Instant,
    wrong: u32,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { by_address: Cache::new(MAX_ADDRESSES) }
    }
}

impl Attempts {
    /// Counts a wrong key; says how long to wait when there were too many.
    pub(super) fn wrong(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let peer = network(peer);
        let window = self.by_address.get(&peer).filter(|window| now.duration_since(window.started) < WINDOW);
        let mut window = window.unwrap_or(Window { started: now, wrong: 0 });
        window.wrong = window.wrong.saturating_add(1);
        self.by_address.insert(peer, window);
        (window.wrong > MAX_WRONG).then(|| WINDOW.saturating_sub(now.duration_since(window.started)))
    }
}

/// One subscriber has 2^64 addresses of IPv6, and counts as one.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_bounded_by_address_and_window() {
        let attempts = Attempts::default();
        let start = Instant::now();
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());

        for _ in 0..MAX_WRONG {
            assert_eq!(attempts.wrong(one, start), None);
        }

        assert_eq!(attempts.wrong(one, start + Duration::from_secs(10)), Some(Duration::from_secs(50)));
        assert_eq!(attempts.wrong(other, start), None);
        assert_eq!(attempts.wrong(one, start + WINDOW), None);
    }

    #[test]
    fn a_subscribers_ipv6_addresses_count_as_one() {
        let attempts = Attempts::default();
        let now = Instant::now();

        let told = (0..100_u16)
            .filter(|host| attempts.wrong(format!("2001:db8:1:2::{host:x}").parse().unwrap(), now).is_some());

        assert_eq!(told.count(), 80);
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        let now = Instant::now();

        for number in 0..100_000_u32 {
            attempts.wrong(IpAddr::V4(number.into()), now);
        }

        // each part of the cache rounds its share up, and there are more parts on more cores
        assert!(attempts.by_address.len() <= MAX_ADDRESSES + MAX_ADDRESSES / 10);
    }
}
