//! Where a server sends on somebody's behalf: to public addresses, unless its operator says otherwise.
//!
//! A client that may register a webhook could otherwise make the server call what only the server can reach: its own
//! loopback, the machines beside it, the metadata service of a cloud. The name is resolved once, every address it has is
//! judged, and the caller connects to those very addresses; what it resolves to a moment later does not matter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long a name may take to be resolved.
const RESOLVE_MAX: Duration = Duration::from_secs(5);
/// The most addresses of a name that are looked at.
const ADDRESSES_MAX: usize = 64;

/// Which addresses may be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet.
    #[default]
    Public,
    /// All, also of this machine and its neighbours.
    Anywhere,
}

/// A destination that is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenDestination {
    /// The name has an address that is not public.
    #[error(
        "`{host}` has the address {address}, which is not public; only an operator can allow that, with `allow_private_webhooks: true` under the target in mainspring.yaml"
    )]
    Private {
        /// The name.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The name has no address.
    #[error("`{host}` cannot be resolved: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// Why not.
        reason: String,
    },
}

/// Resolves a name or an address, once, and judges all that it resolves to.
///
/// # Errors
/// [`ForbiddenDestination`].
pub async fn resolve(host: &str, port: u16, reach: Reach) -> Result<Vec<SocketAddr>, ForbiddenDestination> {
    let unresolved = |reason: String| ForbiddenDestination::Unresolved { host: host.into(), reason };
    // a URL writes an IPv6 address in brackets
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = tokio::time::timeout(RESOLVE_MAX, tokio::net::lookup_host((bare, port))).await;
    let found = found.map_err(|_| unresolved("it took longer than 5 seconds".into()))?;
    let addresses: Vec<SocketAddr> =
        found.map_err(|error| unresolved(error.to_string()))?.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return Err(unresolved("it has no address".into()));
    }
    if reach == Reach::Public
        && let Some(private) = addresses.iter().find(|address| !is_public(address.ip()))
    {
        return Err(ForbiddenDestination::Private { host: host.into(), address: private.ip() });
    }
    Ok(addresses)
}

/// Whether an address is of the public internet: none of the ranges that IANA keeps for special purposes, also not one
/// wrapped into IPv6 (mapped, 6to4, NAT64).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match wrapped_v4(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // shared by providers (RFC 6598), benchmarks (RFC 2544), protocols (RFC 6890), 6to4 relays (RFC 7526)
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99);
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // only 2000::/3 is given out; within it are documentation, protocols, benchmarks and ORCHID
    (segments[0] & 0xe000) == 0x2000
        && !(segments[0] == 0x2001 && segments[1] < 0x0200)
        && !(segments[0] == 0x2001 && segments[1] == 0x0db8)
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

fn wrapped_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in
            ["8.8.8.8", "93.184.216.34", "100.128.0.1", "2606:2800:220:1::1", "::ffff:8.8.8.8", "2002:808:808::1"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001:0:1::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "fec0::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn loopback_is_called_only_where_that_is_allowed() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let refused = resolve(host, 80, Reach::Public).await;
            assert!(matches!(refused, Err(ForbiddenDestination::Private { .. })), "{host}: {refused:?}");
            assert!(resolve(host, 80, Reach::Anywhere).await.is_ok(), "{host}");
        }
        let refused = resolve("no-such-name.invalid", 80, Reach::Anywhere).await;
        assert!(matches!(refused, Err(ForbiddenDestination::Unresolved { .. })), "{refused:?}");
    }
}
