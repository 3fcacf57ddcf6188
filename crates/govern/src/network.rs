//! Where the server may listen, and which browsers may call it.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

/// The server would be reachable by others, and everybody would be let in, or nobody could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines, and there is no key that they could come with; make one first (`mainspring key create NAME --role ROLE`), or listen on 127.0.0.1"
)]
pub struct RefusedBind {
    /// The address asked for.
    pub address: SocketAddr,
}

/// Checks an address before listening on it: one that is not loopback needs a key to exist.
///
/// # Errors
/// [`RefusedBind`].
pub fn check_bind(address: SocketAddr, has_keys: bool) -> Result<(), RefusedBind> {
    if address.ip().to_canonical().is_loopback() || has_keys { Ok(()) } else { Err(RefusedBind { address }) }
}

/// A request that a browser was probably tricked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenHost {
    /// The `Host` header is missing or not a name of this server.
    #[error("`{host}` is not a name of this server; call it by its address, or add the name to its allowed hosts")]
    Host {
        /// The header, shortened.
        host: String,
    },
    /// The `Origin` header names another site.
    #[error("pages of `{origin}` may not call this server")]
    Origin {
        /// The header, shortened.
        origin: String,
    },
}

/// The names by which a server may be called.
///
/// Over loopback one is the local owner without credentials, and so would be any page that the owner's browser shows:
/// it can send requests to `127.0.0.1`, and after rebinding its own name there (CVE-2025-14279 in MLflow), read the
/// answers. Its requests carry its name in `Host` or `Origin`, so both are checked, on every request that comes
/// without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
}

impl AllowedHosts {
    /// The loopback names, the address listened on, and further names, without ports.
    #[must_use]
    pub fn new(listen: SocketAddr, further: &[String]) -> Self {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !listen.ip().is_unspecified() {
            names.push(listen.ip().to_string());
        }
        names.extend(further.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()));
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// Checks the `Host` header (or the authority of HTTP/2) and, when there is one, the `Origin` header. A page may
    /// call only the server, name and port, that it came from.
    ///
    /// # Errors
    /// [`ForbiddenHost`]: a 403.
    pub fn check(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), ForbiddenHost> {
        let host = host.unwrap_or_default();
        if !host_name(host).is_some_and(|name| self.names.iter().any(|own| own.eq_ignore_ascii_case(&name))) {
            return Err(ForbiddenHost::Host { host: shortened(host) });
        }
        let Some(origin) = origin else { return Ok(()) };
        let same = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host));
        if same { Ok(()) } else { Err(ForbiddenHost::Origin { origin: shortened(origin) }) }
    }
}

/// The name of `name`, `name:port`, `[::1]` or `[::1]:port`, in any case.
fn host_name(host: &str) -> Option<Cow<'_, str>> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address: IpAddr = address.parse().ok()?;
            return port_is_fine(port).then(|| address.to_string().into());
        }
        None => match host.find(':') {
            Some(colon) => host.split_at(colon),
            None => (host, ""),
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    (port_is_fine(port) && !name.is_empty()).then_some(Cow::Borrowed(name))
}

fn port_is_fine(port: &str) -> bool {
    port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_needs_a_key() {
        for (address, has_keys, allowed) in [
            ("127.0.0.1:80", false, true),
            ("127.8.8.8:80", false, true),
            ("[::1]:80", false, true),
            ("[::ffff:127.0.0.1]:80", false, true),
            ("0.0.0.0:80", false, false),
            ("[::]:80", false, false),
            ("192.168.0.1:80", false, false),
            ("0.0.0.0:80", true, true),
        ] {
            assert_eq!(check_bind(address.parse().unwrap(), has_keys).is_ok(), allowed, "{address} {has_keys}");
        }
        let refused = check_bind("0.0.0.0:8080".parse().unwrap(), false).unwrap_err().to_string();
        assert!(refused.starts_with("0.0.0.0:8080 can be reached from other machines"), "{refused}");
    }

    #[test]
    fn only_the_servers_own_names_and_pages_may_call() {
        let allowed = AllowedHosts::new("0.0.0.0:8080".parse().unwrap(), &["ML.example.org".to_owned()]);

        for (host, origin) in [
            ("localhost:8080", None),
            ("LOCALHOST.", None),
            ("127.0.0.1", None),
            ("[::1]:8080", None),
            ("ml.example.org", Some("https://ml.example.org")),
            ("localhost:8080", Some("http://localhost:8080")),
            ("localhost:8080", Some("http://LocalHost:8080")),
        ] {
            assert_eq!(allowed.check(Some(host), origin), Ok(()), "{host} {origin:?}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "", "localhost:x", "[::1", "127.0.0.1@evil", "localhost/"]
        {
            assert!(matches!(allowed.check(Some(host), None), Err(ForbiddenHost::Host { .. })), "{host}");
        }
        assert!(allowed.check(None, None).is_err());
        for origin in
            ["http://evil.example", "null", "http://localhost:3000", "localhost:8080", "http://localhost:8080.evil"]
        {
            let refused = allowed.check(Some("localhost:8080"), Some(origin));
            assert!(matches!(refused, Err(ForbiddenHost::Origin { .. })), "{origin}");
        }
    }
}
