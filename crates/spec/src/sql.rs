//! What can be told of SQL text without an engine: whether it parses, and which tables and columns it names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, ObjectName, Query, TableFactor, Visit, Visitor};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// The longest SQL text read, in bytes.
pub const SQL_BYTES_MAX: usize = 64 * 1024;

/// The most operators in one expression. Each makes the syntax tree deeper, and trees are walked and dropped
/// recursively, so that without a bound a long chain of `+` would end the process.
pub const SQL_OPERATORS_MAX: usize = 1_000;

/// The schemas that may stand before the name of a source or a view; the bare name means the same.
const SCHEMAS: [&str; 2] = ["sources", "features"];

/// Why SQL text does not parse; line and column count from 1 inside the text, and are 0 when unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// What is wrong.
    pub message: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SqlError {}

impl From<ParserError> for SqlError {
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => "it is nested too deep".into(),
        };
        let place = text.rsplit_once(" at Line: ").and_then(|(message, place)| {
            let (line, column) = place.split_once(", Column: ")?;
            Some((message, line.parse().ok()?, column.parse().ok()?))
        });
        match place {
            Some((message, line, column)) => Self { message: message.to_owned(), line, column },
            None => Self { message: text, line: 0, column: 0 },
        }
    }
}

/// The source tables and views that a query reads, each once, in the order of their names. Names bound by `WITH` and
/// table functions do not count; `sources.flights` and `features.weather` are given as the bare name.
///
/// # Errors
/// When the text is not one SQL query.
pub fn table_names(query: &str) -> Result<Vec<String>, SqlError> {
    let query = parse_query(query)?;
    let mut tables = Tables::default();
    let _: ControlFlow<()> = query.visit(&mut tables);
    Ok(tables.found.into_iter().collect())
}

/// The columns that a SQL expression names, each once, in the order of their names.
///
/// # Errors
/// When the text is not one SQL expression, or holds a query of its own.
pub fn column_names(expression: &str) -> Result<Vec<String>, SqlError> {
    let mut parser = parser(expression)?;
    let parsed = parser.parse_expr()?;
    expect_end(&parser)?;
    let mut columns = Columns::default();
    let _: ControlFlow<()> = parsed.visit(&mut columns);
    if columns.has_query {
        let message = "a query inside an expression is not possible here".to_owned();
        return Err(SqlError { message, line: 0, column: 0 });
    }
    Ok(columns.found.into_iter().collect())
}

/// What an expression plainly is, so far as that tells its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plain {
    /// A column.
    Column(String),
    /// A text literal.
    Text(String),
}

/// Whether an expression is no more than a column or a text literal; `None` for all others.
pub(crate) fn plain(expression: &str) -> Option<Plain> {
    match parser(expression).ok()?.parse_expr().ok()? {
        Expr::Identifier(ident) => Some(Plain::Column(folded(&ident))),
        Expr::Value(value) => value.value.into_string().map(Plain::Text),
        _ => None,
    }
}

fn parse_query(text: &str) -> Result<Box<Query>, SqlError> {
    let mut parser = parser(text)?;
    let query = parser.parse_query()?;
    while parser.consume_token(&Token::SemiColon) {}
    expect_end(&parser)?;
    Ok(query)
}

fn parser(text: &str) -> Result<Parser<'static>, SqlError> {
    if text.len() > SQL_BYTES_MAX {
        let message = format!("it is longer than {SQL_BYTES_MAX} bytes");
        return Err(SqlError { message, line: 0, column: 0 });
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let tokens = tokens.map_err(|error| SqlError::from(ParserError::from(error)))?;
    bound_depth(&tokens)?;
    Ok(Parser::new(&GenericDialect {}).with_tokens_with_locations(tokens))
}

/// Refuses text whose syntax tree would be too deep: counts the operators between commas, with those of the
/// parentheses around them.
fn bound_depth(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut levels: Vec<usize> = vec![0];
    let mut open = 0;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => levels.push(0),
            Token::RParen | Token::RBracket if levels.len() > 1 => open -= levels.pop().unwrap_or(0),
            Token::Comma => open -= levels.last_mut().map(std::mem::take).unwrap_or(0),
            other if deepens(other) => {
                open += 1;
                if let Some(last) = levels.last_mut() {
                    *last += 1;
                }
            }
            _ => {}
        }
        if open > SQL_OPERATORS_MAX {
            let message = format!("one expression has more than {SQL_OPERATORS_MAX} operators");
            return Err(SqlError { message, line: place(token).0, column: place(token).1 });
        }
    }
    Ok(())
}

/// Whether a token may make the syntax tree one level deeper.
fn deepens(token: &Token) -> bool {
    use Keyword as K;
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            K::AND
                | K::OR
                | K::NOT
                | K::IS
                | K::IN
                | K::AT
                | K::LIKE
                | K::ILIKE
                | K::BETWEEN
                | K::COLLATE
                | K::UNION
                | K::EXCEPT
                | K::INTERSECT
                | K::DIV
                | K::XOR
                | K::REGEXP
                | K::RLIKE
                | K::SIMILAR
                | K::NOTNULL
                | K::OPERATOR
        ),
        Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period | Token::EOF => false,
        Token::LParen | Token::RParen | Token::LBracket | Token::RBracket | Token::Comma => false,
        _ => true,
    }
}

fn place(token: &TokenWithSpan) -> (usize, usize) {
    let number = |n: u64| usize::try_from(n).unwrap_or(0);
    (number(token.span.start.line), number(token.span.start.column))
}

fn expect_end(parser: &Parser<'_>) -> Result<(), SqlError> {
    let next = parser.peek_token_ref();
    if next.token == Token::EOF {
        return Ok(());
    }
    let (line, column) = place(next);
    Err(SqlError { message: format!("nothing more is expected here, but there is {}", next.token), line, column })
}

/// A name as DataFusion understands it: lower case unless it is quoted.
fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Collects table names, knowing which names a `WITH` binds where.
#[derive(Default)]
struct Tables {
    found: BTreeSet<String>,
    scopes: Vec<Scope>,
}

/// The names bound by one query's `WITH`: those of earlier entries are visible in later ones, all of them in the body.
struct Scope {
    names: Vec<String>,
    /// Addresses of the bound queries, to know which of them is being visited; never followed.
    bodies: Vec<*const Query>,
    visible: usize,
    recursive: bool,
}

impl Tables {
    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.names.iter().take(scope.visible).any(|bound| bound == name))
    }

    fn add(&mut self, name: &ObjectName) {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident().map(folded)).collect();
        match parts.as_slice() {
            [table] if self.is_bound(table) => {}
            [schema, table] if SCHEMAS.contains(&schema.as_str()) => {
                self.found.insert(table.clone());
            }
            parts => {
                self.found.insert(parts.join("."));
            }
        }
    }
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(scope) = self.scopes.last_mut()
            && let Some(at) = scope.bodies.iter().position(|body| std::ptr::eq(*body, query))
        {
            scope.visible = if scope.recursive { scope.names.len() } else { at };
        }
        let entries = query.with.iter().flat_map(|with| &with.cte_tables);
        self.scopes.push(Scope {
            names: entries.clone().map(|entry| folded(&entry.alias.name)).collect(),
            bodies: entries.map(|entry| std::ptr::from_ref(&*entry.query)).collect(),
            visible: usize::MAX,
            recursive: query.with.as_ref().is_some_and(|with| with.recursive),
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        if let Some(scope) = self.scopes.last_mut()
            && scope.bodies.iter().any(|body| std::ptr::eq(*body, query))
        {
            scope.visible = usize::MAX;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.add(name);
        }
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct Columns {
    found: BTreeSet<String>,
    has_query: bool,
}

impl Visitor for Columns {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.has_query = true;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(ident) => {
                self.found.insert(folded(ident));
            }
            Expr::CompoundIdentifier(parts) => {
                self.found.extend(parts.last().map(folded));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(query: &str) -> Vec<String> {
        table_names(query).unwrap()
    }

    #[test]
    fn tables_of_joins_subqueries_and_unions_are_found() {
        let query = "select * from a join sources.b using (x) where y in (select y from features.c) \
                     union all select * from D, \"E\", unnest(a.z)";

        assert_eq!(tables(query), ["E", "a", "b", "c", "d"]);
    }

    #[test]
    fn names_bound_by_with_do_not_count() {
        assert_eq!(tables("with t as (select * from a), u as (select * from t) select * from u join b"), ["a", "b"]);
    }

    #[test]
    fn a_with_that_shadows_a_table_still_reads_it() {
        assert_eq!(tables("with flights as (select * from flights where x) select * from flights"), ["flights"]);
        assert_eq!(tables("with recursive r as (select 1 union select * from r) select * from r"), [""; 0]);
    }

    #[test]
    fn a_name_is_bound_only_inside_its_query() {
        assert_eq!(tables("select * from (with t as (select 1) select * from t) s, t"), ["t"]);
    }

    #[test]
    fn an_error_tells_where() {
        let error = table_names("select a\nfrom b wehre c = 1 and").unwrap_err();

        assert_eq!((error.line, error.column), (2, 14), "{error}");
    }

    #[test]
    fn two_queries_are_not_one() {
        assert!(table_names("select 1; drop table a").is_err());
        assert!(table_names("select 1 ;").is_ok());
    }

    #[test]
    fn columns_of_an_expression_are_found() {
        let found = column_names("case when Dep_delay > 15 then t.\"Late\" else date_part('hour', at) end").unwrap();

        assert_eq!(found, ["Late", "at", "dep_delay"]);
    }

    #[test]
    fn deep_and_long_expressions_end_in_an_answer() {
        let chain = |count: usize, link: &str| "1".to_owned() + &link.repeat(count);
        let nested = |open: &str| open.repeat(20_000);

        for link in ["+1", " and 1", "::int", " is null", "->'a'", " at time zone 'UTC'"] {
            assert!(column_names(&chain(SQL_OPERATORS_MAX / 2, link)).is_ok(), "{link}");
            assert!(column_names(&chain(SQL_BYTES_MAX / 16, link)).is_err(), "{link}");
        }
        for open in ["(", "-", "not ", "[", "case when "] {
            assert!(column_names(&nested(open)).is_err(), "{open}");
        }
        assert!(table_names(&chain(SQL_BYTES_MAX / 16, " union select 1")).is_err());
        assert!(column_names(&format!("f(1{})", ",a+b".repeat(10_000))).is_ok());
        assert!(column_names(&" ".repeat(SQL_BYTES_MAX + 1)).is_err());
    }
}
