//! The clauses that the parser reads and the engine passes over: a query with one would answer another question than it asks,
//! without a word. Each is refused by name.
//!
//! Which they are is read off the planner (`datafusion-sql` 55): fields of the syntax tree that it binds to `_` or leaves out
//! with `..`. What it refuses itself, and hints in comments, which change no row, are not looked for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Function, FunctionArguments, GroupByExpr, GroupByWithModifier, OrderByKind, Query, Select, SelectFlavor,
    SetExpr, SetOperator, Statement, TableAlias, TableFactor, Visit, Visitor,
};

use super::error::{Error, Result};

const WITHOUT: &str = "write the query without it";
const VERSIONS: &str = "name the version in the table's name, as in \"orders@3\" or \"orders@2024-06-30T12:00:00Z\"";
const SAMPLES: &str = "choose rows by WHERE, as in WHERE random() < 0.01";
const FILTERS: &str = "put its condition into WHERE";
const RECURSION: &str = "write WITH RECURSIVE";
const GROUPINGS: &str = "write GROUP BY ROLLUP (…), CUBE (…) or GROUPING SETS (…)";

/// Refuses a statement with a clause that the engine would pass over.
pub(super) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Clauses) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(Ignored { clause, mend }) => Err(Error::Clause { clause, mend }),
    }
}

/// A clause that the engine would pass over.
struct Ignored {
    clause: &'static str,
    mend: &'static str,
}

/// Breaks with the first clause that is there.
fn none_of<const N: usize>(clauses: [(bool, &'static str, &'static str); N]) -> ControlFlow<Ignored> {
    match clauses.into_iter().find(|(is_there, ..)| *is_there) {
        Some((_, clause, mend)) => ControlFlow::Break(Ignored { clause, mend }),
        None => ControlFlow::Continue(()),
    }
}

struct Clauses;

impl Visitor for Clauses {
    type Break = Ignored;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Ignored> {
        let is_select = matches!(query.body.as_ref(), SetExpr::Select(_));
        let by_all = query.order_by.as_ref().is_some_and(|order| matches!(order.kind, OrderByKind::All(_)));
        none_of([
            (!query.locks.is_empty(), "FOR UPDATE or FOR SHARE", WITHOUT),
            (query.for_clause.is_some(), "FOR XML, FOR JSON or FOR BROWSE", WITHOUT),
            (query.settings.is_some(), "SETTINGS", WITHOUT),
            (query.format_clause.is_some(), "FORMAT", WITHOUT),
            (by_all && !is_select, "ORDER BY ALL after UNION, INTERSECT or EXCEPT", "name the columns to order by"),
        ])?;
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        for Cte { alias, query: part, from, .. } in &with.cte_tables {
            let is_union = matches!(part.body.as_ref(), SetExpr::SetOperation { op: SetOperator::Union, .. });
            let is_cut = part.order_by.is_some() || part.limit_clause.is_some() || part.fetch.is_some();
            let is_changed = is_cut || !part.pipe_operators.is_empty();
            let outside = "put it after the statement that reads the common table expression";
            none_of([
                (from.is_some(), "FROM behind a common table expression", WITHOUT),
                (with.recursive && is_union && is_changed, "ORDER BY, LIMIT or |> inside WITH RECURSIVE", outside),
            ])?;
            check_alias(alias)?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Ignored> {
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = &select.group_by;
        let is_totals = modifiers.iter().any(|modifier| matches!(modifier, GroupByWithModifier::Totals));
        let is_global = select.from.iter().flat_map(|from| &from.joins).any(|join| join.global);
        let has_no_columns = select.flavor == SelectFlavor::FromFirstNoSelect;
        none_of([
            (select.prewhere.is_some(), "PREWHERE", FILTERS),
            (!select.connect_by.is_empty(), "START WITH … CONNECT BY", RECURSION),
            (is_totals, "WITH TOTALS", GROUPINGS),
            (!modifiers.is_empty(), "WITH ROLLUP, WITH CUBE or GROUPING SETS behind GROUP BY", GROUPINGS),
            (select.exclude.is_some(), "EXCLUDE behind the columns of SELECT", "write SELECT * EXCLUDE (…)"),
            (select.select_modifiers.is_some(), "a modifier of SELECT such as SQL_NO_CACHE", WITHOUT),
            (select.value_table_mode.is_some(), "SELECT AS STRUCT or AS VALUE", WITHOUT),
            (has_no_columns, "FROM without SELECT", "write SELECT * FROM …"),
            (is_global, "GLOBAL JOIN", "write JOIN"),
        ])
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Ignored> {
        match factor {
            TableFactor::Table {
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                none_of([
                    (sample.is_some(), "TABLESAMPLE", SAMPLES),
                    (version.is_some(), "FOR SYSTEM_TIME, VERSION AS OF, AT or CHANGES", VERSIONS),
                    (!with_hints.is_empty(), "WITH (…) behind a table", WITHOUT),
                    (!index_hints.is_empty(), "USE, FORCE or IGNORE INDEX", WITHOUT),
                    (!partitions.is_empty(), "PARTITION (…)", FILTERS),
                    (json_path.is_some(), "a path into a table", "take its columns apart in SELECT"),
                    (*with_ordinality, "WITH ORDINALITY", "number the rows by row_number() OVER ()"),
                    (args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS", WITHOUT),
                ])?;
                check_alias_of(alias.as_ref())
            }
            TableFactor::Derived { alias, sample, .. } => {
                none_of([(sample.is_some(), "TABLESAMPLE", SAMPLES)])?;
                check_alias_of(alias.as_ref())
            }
            TableFactor::Function { alias, with_ordinality, .. } => {
                none_of([(*with_ordinality, "WITH ORDINALITY", "number the rows by row_number() OVER ()")])?;
                check_alias_of(alias.as_ref())
            }
            TableFactor::UNNEST { alias, .. } => check_alias_of(alias.as_ref()),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                none_of([(table_with_joins.joins.iter().any(|join| join.global), "GLOBAL JOIN", "write JOIN")])?;
                check_alias_of(alias.as_ref())
            }
            // the engine refuses the others
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Ignored> {
        let Expr::Function(Function { parameters, args, .. }) = expr else { return ControlFlow::Continue(()) };
        let has_parameters = !matches!(parameters, FunctionArguments::None);
        let is_of_query = matches!(args, FunctionArguments::Subquery(_));
        none_of([
            (has_parameters, "parameters before the arguments of a function", "give them as arguments"),
            (is_of_query, "a query as the argument of a function", "put the query into brackets of its own"),
        ])
    }
}

fn check_alias_of(alias: Option<&TableAlias>) -> ControlFlow<Ignored> {
    alias.map_or(ControlFlow::Continue(()), check_alias)
}

fn check_alias(alias: &TableAlias) -> ControlFlow<Ignored> {
    let is_typed = alias.columns.iter().any(|column| column.data_type.is_some());
    none_of([
        (alias.at.is_some(), "AT behind an alias", WITHOUT),
        (is_typed, "types in the columns of an alias", "CAST the columns in SELECT"),
    ])
}

#[cfg(test)]
mod tests {
    use crate::query::statement::parse;

    #[test]
    fn a_clause_that_would_be_passed_over_is_refused_by_name() {
        for (text, clause) in [
            ("select count(*) from (select id from sources.stays tablesample system (10))", "TABLESAMPLE"),
            ("select count(*) from sources.stays tablesample bernoulli (1)", "TABLESAMPLE"),
            ("select count(*) from (select 1) tablesample (10 rows)", "TABLESAMPLE"),
            ("explain select * from t tablesample system (10)", "TABLESAMPLE"),
            ("with a as (select * from t tablesample system (10)) select * from a", "TABLESAMPLE"),
            ("select 1 where exists (select 1 from t tablesample system (10))", "TABLESAMPLE"),
            ("select id from t prewhere id < 5", "PREWHERE"),
            ("select id from t start with id = 1 connect by prior id = id", "CONNECT BY"),
            ("select id from t with (nolock)", "WITH (…)"),
            ("select city, count(*) from t group by city with rollup", "WITH ROLLUP"),
            ("select city, count(*) from t group by city with totals", "WITH TOTALS"),
            ("select id from t for update", "FOR UPDATE"),
            ("select id from t settings max_threads = 1", "SETTINGS"),
            ("select id from t format JSON", "FORMAT"),
            ("from t", "FROM without SELECT"),
            ("select quantile(0.5)(id) from t", "parameters before"),
            ("with recursive n as (select 1 as x union all select x + 1 from n limit 5) select * from n", "LIMIT"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(clause) && error.contains("passes over"), "{text}: {error}");
        }
    }

    #[test]
    fn what_the_engine_does_is_let_pass() {
        for text in [
            "select id from t where id < 5 order by id limit 5 offset 2",
            "select distinct on (city) city, id from t as s(city, id) order by city",
            "select city, count(*) filter (where id > 1) over (partition by city) from t group by rollup (city)",
            "with recursive n(x) as (select 1 union all select x + 1 from n where x < 9) select * from n limit 3",
            "with a as (select 1 as x order by x limit 1) select * exclude (y) from a join b using (x)",
            "select u from unnest([1, 2]) as u, generate_series(1, 3), lateral (select 1) as l",
            "from t select id",
            "show columns from sources.stays",
            "explain analyze select array_agg(id order by id) from t qualify row_number() over () = 1",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text).err());
        }
    }
}
