//! Which names a SQL query makes from marked columns.
//!
//! Names are followed, not values: wherever a query gives a name to an expression that mentions a marked name, the new
//! name is marked, until nothing new is found. Two tables that use one name for different things are both marked, and
//! so is a count of a marked column: a mark too many is seen and can be discussed, one too few is seen by nobody.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, Visit, Visitor};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

/// Adds to `marked` (lower-case names) every name that the query makes from one of them. A query that does not parse
/// marks nothing here; validation has refused it before.
pub(super) fn follow(query: &str, marked: &mut BTreeSet<String>) {
    let dialect = GenericDialect {};
    let Ok(query) = Parser::new(&dialect).try_with_sql(query).and_then(|mut parser| parser.parse_query()) else {
        return;
    };
    // Each round names at least one thing more, and a query gives finitely many names.
    loop {
        let before = marked.len();
        let _: ControlFlow<()> = query.visit(&mut Names { marked });
        if marked.len() == before {
            return;
        }
    }
}

/// Whether an expression mentions a marked name. One that does not parse is taken to.
pub(super) fn mentions(expression: &str, marked: &BTreeSet<String>) -> bool {
    match mainspring_spec::column_names(expression) {
        Ok(names) => names.iter().any(|name| marked.contains(&name.to_lowercase())),
        Err(_) => !marked.is_empty(),
    }
}

struct Names<'a> {
    marked: &'a mut BTreeSet<String>,
}

impl Names<'_> {
    fn select(&mut self, select: &Select) {
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { expr, alias } if self.touches(expr) => {
                    self.marked.insert(alias.value.to_lowercase());
                }
                SelectItem::ExprWithAliases { expr, aliases } if self.touches(expr) => {
                    self.marked.extend(aliases.iter().map(|alias| alias.value.to_lowercase()));
                }
                _ => {}
            }
        }
    }

    /// The columns of `UNION` and its like are named by the first part, and filled from all.
    fn set_operation(&mut self, body: &SetExpr) {
        let mut parts = Vec::new();
        selects(body, &mut parts);
        let Some((first, rest)) = parts.split_first() else { return };
        let is_wild = |select: &Select| {
            select
                .projection
                .iter()
                .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
        };
        let by_place = !is_wild(first) && !rest.iter().any(|part| is_wild(part));
        for (place, item) in first.projection.iter().enumerate() {
            let touched = rest.iter().any(|part| {
                if by_place {
                    part.projection.get(place).is_some_and(|item| self.item_touches(item))
                } else {
                    part.projection.iter().any(|item| self.item_touches(item)) || is_wild(part)
                }
            });
            if touched && let Some(name) = output_name(item) {
                self.marked.insert(name);
            }
        }
    }

    /// `(...) AS t (a, b)` renames by place: when anything is marked, every new name may be.
    fn alias(&mut self, alias: &TableAlias) {
        if !self.marked.is_empty() {
            self.marked.extend(alias.columns.iter().map(|column| column.name.value.to_lowercase()));
        }
    }

    fn item_touches(&self, item: &SelectItem) -> bool {
        match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => self.touches(expr),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
        }
    }

    fn touches(&self, expr: &Expr) -> bool {
        let mut mention = Mention { marked: self.marked, found: false };
        let _: ControlFlow<()> = expr.visit(&mut mention);
        mention.found
    }
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for entry in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.alias(&entry.alias);
        }
        let mut parts = Vec::new();
        selects(&query.body, &mut parts);
        for select in parts {
            self.select(select);
        }
        if matches!(*query.body, SetExpr::SetOperation { .. }) {
            self.set_operation(&query.body);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } = factor
        {
            self.alias(alias);
        }
        ControlFlow::Continue(())
    }
}

/// Looks for a marked name in an expression, also inside queries within it.
struct Mention<'a> {
    marked: &'a BTreeSet<String>,
    found: bool,
}

impl Visitor for Mention<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_marked = |ident: &Ident| self.marked.contains(&ident.value.to_lowercase());
        self.found |= match expr {
            Expr::Identifier(ident) => is_marked(ident),
            Expr::CompoundIdentifier(idents) => idents.iter().any(is_marked),
            // A query within, such as `(SELECT * FROM people)`, may bring anything.
            Expr::Subquery(query) => !self.marked.is_empty() && query.to_string().contains('*'),
            _ => false,
        };
        ControlFlow::Continue(())
    }
}

fn selects<'a>(body: &'a SetExpr, found: &mut Vec<&'a Select>) {
    match body {
        SetExpr::Select(select) => found.push(select),
        SetExpr::SetOperation { left, right, .. } => {
            selects(left, found);
            selects(right, found);
        }
        SetExpr::Query(query) => selects(&query.body, found),
        _ => {}
    }
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.to_lowercase()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => {
            idents.last().map(|ident| ident.value.to_lowercase())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(query: &str) -> Vec<String> {
        let mut marked = BTreeSet::from(["email".to_owned()]);
        follow(query, &mut marked);
        marked.remove("email");
        marked.into_iter().collect()
    }

    #[test]
    fn marks_follow_names_through_a_query() {
        let none: [&str; 0] = [];
        assert_eq!(marked("SELECT id, amount AS a FROM people"), none);
        assert_eq!(marked("SELECT upper(p.Email) AS shout, amount AS a FROM people p"), ["shout"]);
        assert_eq!(
            marked("WITH t AS (SELECT email AS e FROM people) SELECT e || '!' AS loud, 1 AS one FROM t"),
            ["e", "loud"]
        );
        assert_eq!(marked("SELECT x AS y FROM (SELECT substr(email, 1, 3) AS x FROM people)"), ["x", "y"]);
        assert_eq!(marked("SELECT b AS c FROM (SELECT id, email FROM people) AS t (a, b)"), ["a", "b", "c"]);
        assert_eq!(marked("WITH t (a) AS (SELECT email FROM people) SELECT a FROM t"), ["a"]);
        assert_eq!(marked("SELECT id, note FROM a UNION ALL SELECT id, email FROM people"), ["note"]);
        assert_eq!(marked("SELECT id, note FROM a UNION ALL SELECT * FROM people"), ["id", "note"]);
        assert_eq!(marked("SELECT count(email) OVER (PARTITION BY id) AS n FROM people"), ["n"]);
        assert_eq!(marked("SELECT (SELECT max(email) FROM people) AS m FROM a"), ["m"]);
        assert_eq!(marked("SELECT CASE WHEN email IS NULL THEN 0 ELSE 1 END AS has FROM people"), ["has"]);
        assert_eq!(marked("SELECT id AS i FROM people WHERE email LIKE '%x'"), none);
    }

    #[test]
    fn an_expression_that_is_not_understood_counts_as_marked() {
        let marked = BTreeSet::from(["email".to_owned()]);

        assert!(mentions("upper(email)", &marked));
        assert!(!mentions("upper(city)", &marked));
        assert!(mentions("upper((", &marked));
    }
}
