//! The states of an alert and what moves it between them.

use jiff::Timestamp;
use mainspring_catalog::{Principal, PrincipalKind};

use super::{Alert, AlertState, Signature};
use crate::{Bound, Rule};

/// Something that happens to the alert of a rule and column.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A closed window broke the bound.
    Breach {
        /// The start of the window.
        window: Timestamp,
        /// The worst value among the versions that answered.
        value: f64,
        /// The bound.
        bound: Bound,
        /// The version with that value.
        model_version: u64,
        /// See [`Alert::detail`].
        detail: Option<String>,
    },
    /// A closed window kept the bound.
    Fine {
        /// The start of the window.
        window: Timestamp,
    },
    /// A person says that they know.
    Acknowledge,
    /// A person says that it is over.
    Resolve,
}

/// What an alert is about: the parts of a new one that no event carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// The identifier that a new alert gets.
    pub id: String,
    /// The monitor.
    pub monitor: String,
    /// The rule.
    pub rule: Rule,
    /// The column.
    pub column: Option<String>,
}

/// Returns the alert after an event, or `None` when the event changes nothing.
///
/// `latest` is the last alert of this subject in whatever state, `through` the start of the latest window judged for it.
/// The same window may be judged again, when more labels have come; a window before `through` says nothing about now and
/// changes nothing.
#[must_use]
pub fn transition(
    latest: Option<&Alert>,
    through: Option<Timestamp>,
    event: &Event,
    subject: &Subject,
    by: &Principal,
    now: Timestamp,
) -> Option<Alert> {
    use AlertState::{Acknowledged, Open, Resolved};
    let is_old = |window: Timestamp| through.is_some_and(|through| window < through);
    let signature = || Some(Signature { by: by.clone(), at: now });
    match (latest.map(|alert| (alert.state, alert)), event) {
        (_, Event::Breach { window, .. } | Event::Fine { window }) if is_old(*window) => None,

        // A person has already said that this window is over.
        (Some((Resolved, alert)), Event::Breach { window, .. })
            if *window == alert.last_window && closed_by_hand(alert) =>
        {
            None
        }
        (None | Some((Resolved, _)), Event::Breach { window, value, bound, model_version, detail }) => Some(Alert {
            id: subject.id.clone(),
            monitor: subject.monitor.clone(),
            rule: subject.rule.clone(),
            column: subject.column.clone(),
            model_version: *model_version,
            state: Open,
            first_window: *window,
            last_window: *window,
            value: *value,
            bound: *bound,
            detail: detail.clone(),
            count: 1,
            opened_at: now,
            last_seen: now,
            acknowledged: None,
            resolved: None,
        }),
        (Some((Open | Acknowledged, alert)), Event::Breach { window, value, bound, model_version, detail }) => {
            let again = *window == alert.last_window;
            let next = Alert {
                last_window: *window,
                value: *value,
                bound: *bound,
                detail: detail.clone(),
                model_version: *model_version,
                count: if again { alert.count } else { alert.count + 1 },
                ..alert.clone()
            };
            (next != *alert).then_some(Alert { last_seen: now, ..next })
        }
        (Some((Open | Acknowledged, alert)), Event::Fine { .. } | Event::Resolve) => {
            Some(Alert { state: Resolved, resolved: signature(), ..alert.clone() })
        }
        (Some((Open, alert)), Event::Acknowledge) => {
            Some(Alert { state: Acknowledged, acknowledged: signature(), ..alert.clone() })
        }
        (None | Some((Resolved, _)), Event::Fine { .. } | Event::Acknowledge | Event::Resolve)
        | (Some((Acknowledged, _)), Event::Acknowledge) => None,
    }
}

fn closed_by_hand(alert: &Alert) -> bool {
    alert.resolved.as_ref().is_some_and(|resolved| resolved.by.kind != PrincipalKind::System)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject(serial: usize) -> Subject {
        Subject { id: format!("alert {serial}"), monitor: "m".into(), rule: Rule::Psi, column: Some("c".into()) }
    }

    fn window(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    /// A subject's alerts, as the store keeps them.
    #[derive(Default)]
    struct Book {
        alerts: Vec<Alert>,
        through: Option<Timestamp>,
        clock: i64,
    }

    impl Book {
        fn feed(&mut self, event: &Event, by: &Principal) -> bool {
            self.clock += 1;
            let now = Timestamp::from_second(2_000_000_000 + self.clock).unwrap();
            let next = transition(self.alerts.last(), self.through, event, &subject(self.alerts.len()), by, now);
            if let Event::Breach { window, .. } | Event::Fine { window } = event {
                self.through = self.through.max(Some(*window));
            }
            let Some(next) = next else { return false };
            match self.alerts.last_mut() {
                Some(last) if last.id == next.id => *last = next,
                _ => self.alerts.push(next),
            }
            true
        }

        fn state(&self) -> Option<AlertState> {
            self.alerts.last().map(|alert| alert.state)
        }
    }

    fn breach(day: i64) -> Event {
        Event::Breach { window: window(day), value: 0.5, bound: Bound::AtMost(0.2), model_version: 1, detail: None }
    }

    fn fine(day: i64) -> Event {
        Event::Fine { window: window(day) }
    }

    fn machine() -> Principal {
        Principal::system("watch")
    }

    #[test]
    fn breaches_in_a_row_are_one_alert() {
        let mut book = Book::default();
        for day in 1..=3 {
            book.feed(&breach(day), &machine());
        }

        assert_eq!((book.alerts.len(), book.alerts[0].count, book.alerts[0].last_window), (1, 3, window(3)));
        assert_eq!(book.alerts[0].first_window, window(1));
    }

    #[test]
    fn fine_window_resolves_and_the_next_breach_opens_another() {
        let mut book = Book::default();
        for event in [breach(1), fine(2), breach(3)] {
            book.feed(&event, &machine());
        }

        assert_eq!(
            book.alerts.iter().map(|alert| alert.state).collect::<Vec<_>>(),
            [AlertState::Resolved, AlertState::Open]
        );
        assert_eq!(book.alerts[0].resolved.as_ref().unwrap().by, machine());
    }

    #[test]
    fn acknowledged_alert_stays_until_it_is_fine() {
        let mut book = Book::default();
        book.feed(&breach(1), &machine());
        book.feed(&Event::Acknowledge, &Principal::local_owner());
        book.feed(&breach(2), &machine());
        assert_eq!((book.state(), book.alerts[0].count), (Some(AlertState::Acknowledged), 2));

        book.feed(&fine(3), &machine());
        assert_eq!(book.state(), Some(AlertState::Resolved));
    }

    #[test]
    fn window_that_a_person_has_resolved_does_not_open_again() {
        let mut book = Book::default();
        book.feed(&breach(1), &machine());
        book.feed(&Event::Resolve, &Principal::local_owner());

        assert!(!book.feed(&breach(1), &machine()));
        assert!(book.feed(&breach(2), &machine()), "the next window is another matter");
    }

    #[test]
    fn late_labels_of_the_latest_window_can_open_and_resolve() {
        let mut book = Book::default();
        for event in [fine(4), breach(4), fine(4), breach(4)] {
            assert_eq!(book.feed(&event, &machine()), event != fine(4) || book.state().is_some());
        }

        assert_eq!(book.alerts.len(), 2);
    }

    fn event() -> impl Strategy<Value = (Event, bool)> {
        prop_oneof![
            4 => (0..12i64, 1..4u32).prop_map(|(day, value)| {
                let (window, value) = (window(day), f64::from(value));
                let bound = Bound::AtMost(0.2);
                (Event::Breach { window, value, bound, model_version: 1, detail: None }, false)
            }),
            4 => (0..12i64).prop_map(|day| (fine(day), false)),
            1 => Just((Event::Acknowledge, true)),
            1 => Just((Event::Resolve, true)),
        ]
    }

    proptest! {
        #[test]
        fn any_history_keeps_the_books(events in prop::collection::vec(event(), 1..60)) {
            let mut book = Book::default();
            for (event, person) in &events {
                let by = if *person { Principal::local_owner() } else { machine() };
                let before = book.alerts.clone();
                let through = book.through;
                let changed = book.feed(event, &by);

                // At most the last alert is open, and what is resolved never changes again.
                let (last, earlier) = book.alerts.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
                prop_assert!(earlier.iter().all(|alert| alert.state == AlertState::Resolved));
                for (old, new) in before.iter().zip(&book.alerts) {
                    prop_assert!(old == new || old.state != AlertState::Resolved);
                }
                // Old windows change nothing; nothing changes without a reason; the same event again changes nothing.
                if let Event::Breach { window, .. } | Event::Fine { window } = event {
                    prop_assert!(!changed || through.is_none_or(|through| *window >= through));
                }
                prop_assert_eq!(changed, before != book.alerts);
                for alert in &book.alerts {
                    prop_assert_eq!(alert.resolved.is_some(), alert.state == AlertState::Resolved);
                    prop_assert!(alert.state != AlertState::Acknowledged || alert.acknowledged.is_some());
                    prop_assert!(alert.count >= 1 && alert.first_window <= alert.last_window);
                    prop_assert!((alert.count == 1) == (alert.first_window == alert.last_window));
                }
                let last = last.cloned();
                prop_assert!(!book.feed(event, &by), "twice the same changed {:?}", last);
            }
            // The latest thing said about the latest window is what stands.
            let latest = events.iter().filter_map(|(event, _)| match event {
                Event::Breach { window, .. } | Event::Fine { window } => Some(*window),
                _ => None,
            }).max();
            if let Some(latest) = latest {
                let verdict = events.iter().rev().find(|(event, _)| match event {
                    Event::Breach { window, .. } | Event::Fine { window } => *window == latest,
                    _ => false,
                });
                let open = book.state().is_some_and(|state| state != AlertState::Resolved);
                match verdict {
                    Some((Event::Fine { .. }, _)) => prop_assert!(!open),
                    _ => {
                        let by_hand = book.alerts.last().is_some_and(closed_by_hand);
                        prop_assert!(open || by_hand);
                    }
                }
            }
        }
    }
}
