//! How many rows a result may have, by who asks.

use std::collections::BTreeMap;

use mainspring_catalog::Principal;
use mainspring_govern::Role;
use mainspring_spec::QueryLimits;

/// The most rows of one result, by principal and by role; declared in a target under `query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowLimits {
    everyone: u64,
    of_principal: BTreeMap<String, u64>,
    of_role: BTreeMap<Role, u64>,
}

impl Default for RowLimits {
    fn default() -> Self {
        Self { everyone: QueryLimits::default().rows, of_principal: BTreeMap::new(), of_role: BTreeMap::new() }
    }
}

impl RowLimits {
    /// The limits as a target declares them.
    ///
    /// # Errors
    /// Words about the first name that is neither a role nor a principal.
    pub fn declared(limits: &QueryLimits) -> Result<Self, String> {
        let mut of = Self { everyone: limits.rows, of_principal: BTreeMap::new(), of_role: BTreeMap::new() };
        for (whose, most) in &limits.rows_of {
            match (whose.split_once(':'), whose.parse::<Role>()) {
                (Some(("user" | "service", name)), _) if !name.is_empty() => {
                    of.of_principal.insert(whose.clone(), *most);
                }
                (_, Ok(role)) => {
                    of.of_role.insert(role, *most);
                }
                (_, Err(reason)) => {
                    return Err(format!(
                        "`query.rows_of` names `{whose}`: {reason}; a principal is written user:NAME or service:NAME"
                    ));
                }
            }
        }
        Ok(of)
    }

    /// The most rows of one result of a principal with these roles, and the key that declares it: the principal's own
    /// limit, else the highest of its roles, else everyone's.
    #[must_use]
    pub fn of(&self, principal: &Principal, roles: &[Role]) -> (u64, String) {
        let name = principal.to_string();
        if let Some(most) = self.of_principal.get(&name) {
            return (*most, format!("query.rows_of.{name}"));
        }
        let by_role = roles.iter().filter_map(|role| self.of_role.get(role).map(|most| (*most, role))).max();
        match by_role {
            Some((most, role)) => (most, format!("query.rows_of.{role}")),
            None => (self.everyone, "query.rows".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &[(&str, u64)]) -> Result<RowLimits, String> {
        let rows_of = text.iter().map(|(whose, most)| ((*whose).to_owned(), *most)).collect();
        RowLimits::declared(&QueryLimits { rows: 1_000, rows_of })
    }

    #[test]
    fn the_principals_own_limit_wins_over_its_roles_and_those_over_everyones() {
        let limits = declared(&[("service:board", 5), ("viewer", 10), ("editor", 20)]).unwrap();

        assert_eq!(limits.of(&Principal::service("board"), &[Role::Editor]), (5, "query.rows_of.service:board".into()));
        let both = limits.of(&Principal::user("ada"), &[Role::Viewer, Role::Editor]);
        assert_eq!(both, (20, "query.rows_of.editor".into()));
        assert_eq!(limits.of(&Principal::user("eve"), &[Role::Owner]), (1_000, "query.rows".into()));
    }

    #[test]
    fn a_name_that_is_no_role_and_no_principal_is_refused() {
        let refused = declared(&[("viewers", 10)]).unwrap_err();

        assert!(refused.contains("`viewers`") && refused.contains("service:NAME"), "{refused}");
        assert!(declared(&[("user:", 10)]).is_err());
    }
}
