//! Tickets: what `GetFlightInfo` has planned, for `DoGet` to run, sealed so that nobody else can make or use one.
//!
//! The seal is HMAC-SHA-256 under a key that is made when the process starts: a ticket does not outlive the server, and
//! what is in it may be trusted to be what this server wrote. Who may read is asked again all the same.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use mainspring_catalog::Principal;
use mainspring_lake::TableName;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// How long a ticket is good for.
pub(super) const TICKET_LIFE: SignedDuration = SignedDuration::from_hours(1);
const TAG_BYTES: usize = 32;

/// What a ticket stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// Names the run, to cancel it by.
    pub(super) id: Uuid,
    /// Who may use it.
    pub(super) principal: Principal,
    /// What is run.
    pub(super) of: Statement,
    /// The table versions that it was planned with.
    pub(super) pins: BTreeMap<TableName, u64>,
    /// Until when.
    pub(super) until: Timestamp,
}

/// A statement of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Statement {
    /// Its text.
    Text(String),
    /// The handle of one that is prepared, with the values that are bound to it then.
    Prepared(Uuid),
}

/// Why a ticket is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTicket {
    #[error("the ticket is not one of this server's, or the server was started anew; ask for the query again")]
    Foreign,
    #[error("the ticket was given to somebody else; ask for the query with your own credentials")]
    Anothers,
    #[error("the ticket has expired after an hour; ask for the query again")]
    Expired,
}

/// Seals tickets and opens them.
pub(super) struct Seal(Hmac<Sha256>);

impl Seal {
    pub(super) fn new() -> std::io::Result<Self> {
        let mut key = [0; 64];
        getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
        let mac = Hmac::new_from_slice(&key).map_err(std::io::Error::other)?;
        Ok(Self(mac))
    }

    pub(super) fn close(&self, ticket: &Ticket) -> serde_json::Result<Vec<u8>> {
        let body = serde_json::to_vec(ticket)?;
        let mut sealed = self.0.clone().chain_update(&body).finalize().into_bytes().to_vec();
        sealed.extend(body);
        Ok(sealed)
    }

    pub(super) fn open(&self, sealed: &[u8], principal: &Principal, now: Timestamp) -> Result<Ticket, BadTicket> {
        let (tag, body) = sealed.split_at_checked(TAG_BYTES).ok_or(BadTicket::Foreign)?;
        self.0.clone().chain_update(body).verify_slice(tag).map_err(|_| BadTicket::Foreign)?;
        let ticket: Ticket = serde_json::from_slice(body).map_err(|_| BadTicket::Foreign)?;
        if ticket.principal != *principal {
            return Err(BadTicket::Anothers);
        }
        if now >= ticket.until {
            return Err(BadTicket::Expired);
        }
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            id: Uuid::now_v7(),
            principal: Principal::service("board"),
            of: Statement::Text("SELECT 1".into()),
            pins: [("sources.flights".parse().unwrap(), 3)].into(),
            until: Timestamp::now() + TICKET_LIFE,
        }
    }

    #[test]
    fn a_ticket_is_of_use_to_whom_it_was_given_until_it_expires() {
        let (seal, ticket) = (Seal::new().unwrap(), ticket());
        let sealed = seal.close(&ticket).unwrap();
        let now = Timestamp::now();
        let open = |principal: &Principal, now| seal.open(&sealed, principal, now);

        assert_eq!(open(&ticket.principal, now), Ok(ticket.clone()));
        assert_eq!(open(&Principal::user("board"), now), Err(BadTicket::Anothers));
        assert_eq!(open(&ticket.principal, now + TICKET_LIFE), Err(BadTicket::Expired));
        assert_eq!(Seal::new().unwrap().open(&sealed, &ticket.principal, now), Err(BadTicket::Foreign));
    }

    proptest! {
        #[test]
        fn no_bytes_but_those_that_were_sealed_open(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let (seal, ticket) = (Seal::new().unwrap(), ticket());
            prop_assert_eq!(seal.open(&bytes, &ticket.principal, Timestamp::now()), Err(BadTicket::Foreign));
        }

        #[test]
        fn a_ticket_with_one_bit_changed_does_not_open(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (seal, ticket) = (Seal::new().unwrap(), ticket());
            let mut sealed = seal.close(&ticket).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(seal.open(&sealed, &ticket.principal, Timestamp::now()), Err(BadTicket::Foreign));
        }

        #[test]
        fn a_ticket_that_is_cut_does_not_open(at in any::<prop::sample::Index>()) {
            let (seal, ticket) = (Seal::new().unwrap(), ticket());
            let sealed = seal.close(&ticket).unwrap();
            let cut = &sealed[..at.index(sealed.len())];
            prop_assert_eq!(seal.open(cut, &ticket.principal, Timestamp::now()), Err(BadTicket::Foreign));
        }
    }
}
