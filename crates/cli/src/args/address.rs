//! Addresses to listen on.

use std::net::{SocketAddr, ToSocketAddrs};

/// An address to listen on, as numbers or by a name such as `localhost`. A name of several addresses means the first of IPv4,
/// as it does where clients are told to call it.
///
/// # Errors
/// Words on what cannot be read or found.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}; write an address and a port, as in 127.0.0.1:7878 or localhost:7878"))?;
    first_of_version_4(found).ok_or_else(|| format!("`{text}` is a name without an address"))
}

fn first_of_version_4(found: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    let found: Vec<SocketAddr> = found.collect();
    found.iter().find(|address| address.is_ipv4()).or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use mainspring_govern::check_bind;

    use super::*;

    #[test]
    fn addresses_are_numbers_or_names_and_whether_others_reach_them_is_judged_by_what_they_mean() {
        let local = address("localhost:7878").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 7878, "{local}");
        check_bind(local, false).unwrap();
        for (text, is_open) in [("127.0.0.1:0", true), ("[::1]:80", true), ("0.0.0.0:80", false), ("[::]:80", false)] {
            let numbers = address(text).unwrap();

            assert_eq!(numbers, text.parse().unwrap());
            assert_eq!(check_bind(numbers, false).is_ok(), is_open, "{text}");
        }
        for wrong in ["localhost", "7878", "localhost:port", "localhost:70000", ""] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:7878"), "{wrong}");
        }
    }

    #[test]
    fn of_several_addresses_of_a_name_the_first_of_version_4_is_meant() {
        let all: Vec<SocketAddr> = ["[::1]:1", "127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse().unwrap()).into();

        assert_eq!(first_of_version_4(all.iter().copied()), Some(all[1]));
        assert_eq!(first_of_version_4(all[..1].iter().copied()), Some(all[0]));
        assert_eq!(first_of_version_4(std::iter::empty()), None);
    }
}
