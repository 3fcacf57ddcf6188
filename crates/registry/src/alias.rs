//! Aliases, and the history of what they named.

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use serde::{Deserialize, Serialize};

/// A name for one version of a model; endpoints serve by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Alias {
    /// The model.
    pub model: String,
    /// The name, as `champion`.
    pub alias: String,
    /// The version it names; none after it was taken away.
    pub version: Option<u64>,
    /// The number of its last event, from 1.
    pub sequence: u64,
}

impl Document for Alias {
    const KIND: &'static str = "alias";

    fn id(&self) -> String {
        Self::document_id(&self.model, &self.alias)
    }

    fn parent(&self) -> Option<String> {
        Some(self.model.clone())
    }
}

impl Alias {
    /// The identifier in the catalog, `model/alias`.
    #[must_use]
    pub fn document_id(model: &str, alias: &str) -> String {
        format!("{model}/{alias}")
    }
}

/// A move of an alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AliasEvent {
    /// The model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// Its number among the moves of this alias, from 1.
    pub sequence: u64,
    /// What kind of move.
    pub action: AliasAction,
    /// The version it named before.
    pub from: Option<u64>,
    /// The version it names from now on.
    pub to: Option<u64>,
    /// Who moved it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Document for AliasEvent {
    const KIND: &'static str = "alias_event";

    fn id(&self) -> String {
        // Padded, so that the order of identifiers is the order of events.
        format!("{}/{}/{:012}", self.model, self.alias, self.sequence)
    }

    fn parent(&self) -> Option<String> {
        Some(Alias::document_id(&self.model, &self.alias))
    }
}

/// The kind of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AliasAction {
    /// A version that met its gates got the alias.
    Promote,
    /// A version that had the alias before got it back; its gates were judged then.
    Rollback,
    /// The alias was taken away.
    Remove,
}

/// A time in which a version was live under an alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LiveSpan {
    /// The version.
    pub version: u64,
    /// From when on.
    pub from: Timestamp,
    /// Until when; none while it is live.
    pub until: Option<Timestamp>,
    /// Who made it live.
    pub by: Principal,
    /// Why.
    pub reason: String,
}

/// The version that a rollback goes to: what was live before the present version was promoted. A second rollback goes one
/// further back, and never to what the first one left. Going back to a named version that an earlier rollback left is like
/// promoting it again: what was live stays below it.
pub(crate) fn rollback_target(events: &[AliasEvent]) -> Option<u64> {
    let mut stack: Vec<u64> = vec![];
    for event in events {
        match (event.action, event.to) {
            (AliasAction::Promote, Some(to)) => {
                if stack.last() != Some(&to) {
                    stack.push(to);
                }
            }
            (AliasAction::Rollback, Some(to)) => match stack.iter().rposition(|version| *version == to) {
                Some(position) => stack.truncate(position + 1),
                None => stack.push(to),
            },
            (AliasAction::Remove, _) | (_, None) => {}
        }
    }
    stack.pop();
    stack.pop()
}

/// The events as times in which a version was live, the earliest first.
pub(crate) fn live_spans(events: &[AliasEvent]) -> Vec<LiveSpan> {
    let mut spans: Vec<LiveSpan> = vec![];
    for event in events {
        if let Some(last) = spans.last_mut()
            && last.until.is_none()
        {
            last.until = Some(event.at);
        }
        if let Some(version) = event.to {
            let (by, reason) = (event.by.clone(), event.reason.clone());
            spans.push(LiveSpan { version, from: event.at, until: None, by, reason });
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(moves: &[(AliasAction, Option<u64>)]) -> Vec<AliasEvent> {
        let mut from = None;
        let event = |(sequence, (action, to)): (usize, &(AliasAction, Option<u64>))| AliasEvent {
            model: "m".into(),
            alias: "champion".into(),
            sequence: sequence as u64 + 1,
            action: *action,
            from: std::mem::replace(&mut from, *to),
            to: *to,
            by: Principal::local_owner(),
            at: Timestamp::from_second(sequence as i64).unwrap(),
            reason: String::new(),
        };
        moves.iter().enumerate().map(event).collect()
    }

    #[test]
    fn rollbacks_go_back_one_promotion_at_a_time() {
        use AliasAction::{Promote, Rollback};
        let three = [(Promote, Some(1)), (Promote, Some(2)), (Promote, Some(3))];
        let once = [&three[..], &[(Rollback, Some(2))]].concat();
        let twice = [&once[..], &[(Rollback, Some(1))]].concat();
        let forward = [&once[..], &[(Promote, Some(4))]].concat();
        let named = [&once[..], &[(Rollback, Some(3))]].concat();
        let named_low = [&twice[..], &[(Rollback, Some(2))]].concat();
        let named_then_back = [&named_low[..], &[(Rollback, Some(1))]].concat();

        assert_eq!(rollback_target(&events(&three)), Some(2));
        assert_eq!(rollback_target(&events(&once)), Some(1));
        assert_eq!(rollback_target(&events(&twice)), None);
        assert_eq!(rollback_target(&events(&forward)), Some(2));
        assert_eq!(rollback_target(&events(&named)), Some(2), "what a named rollback came from stays below it");
        assert_eq!(rollback_target(&events(&named_low)), Some(1));
        assert_eq!(rollback_target(&events(&named_then_back)), None);
        assert_eq!(rollback_target(&[]), None);
    }

    #[test]
    fn spans_end_where_the_next_begins_or_the_alias_is_taken_away() {
        use AliasAction::{Promote, Remove};
        let spans = live_spans(&events(&[(Promote, Some(1)), (Promote, Some(2)), (Remove, None), (Promote, Some(2))]));

        let times: Vec<_> =
            spans.iter().map(|s| (s.version, s.from.as_second(), s.until.map(|t| t.as_second()))).collect();

        assert_eq!(times, [(1, 0, Some(1)), (2, 1, Some(2)), (2, 3, None)]);
    }
}
