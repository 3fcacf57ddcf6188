//! From a text to one statement that is a query, of a size that can be planned.
//!
//! The parser bounds nesting, but not length: `1 + 1 + …` is a tree as deep as it is long, and so is a chain of `UNION`s.
//! Planning walks trees by recursion, and dropping one does so too, on a stack that nobody watches. So the tokens that
//! deepen a tree are counted before it is built, and planning has threads with a stack of [`STACK_BYTES`].

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement as SqlStatement, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::clauses;
use super::error::{Error, Result};

/// The longest statement: some thousands of lines.
pub(super) const STATEMENT_BYTES_MAX: usize = 256 << 10;
/// The most operators and joining words of a statement; see the module.
const JOINTS_MAX: usize = 2_000;
/// The stack of a planning thread; only what is used takes memory.
pub(super) const STACK_BYTES: usize = 32 << 20;
/// The most nodes of a plan. Common table expressions that each name the one before twice double it at each step.
const NODES_MAX: usize = 20_000;

const READ_ONLY: &str = "tables change by `mainspring run`, and the platform by `mainspring apply` and its API";

/// Reads one query.
pub(super) fn parse(text: &str) -> Result<Statement> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(too_large(
            "bytes",
            text.len(),
            STATEMENT_BYTES_MAX,
            "bind long lists as parameters, or join a table",
        ));
    }
    let text = numbered(text)?;
    let mut parser = DFParserBuilder::new(text.as_str()).build()?;
    let mut statements = parser.parse_statements()?;
    let count = statements.len();
    match (statements.pop_front(), count) {
        (Some(statement), 1) => {
            if let Some(inner) = explained(&statement) {
                check_weight(inner)?;
                clauses::check(inner)?;
            }
            check_kind(statement)
        }
        (None, _) => Err(Error::NotAQuery { what: "an empty text".into(), mend: "write a SELECT" }),
        (Some(_), _) => {
            Err(Error::NotAQuery { what: format!("a text of {count} statements"), mend: "send them one by one" })
        }
    }
}

fn too_large(what: &'static str, is: usize, most: usize, mend: &'static str) -> Error {
    Error::TooLarge { what, is, most, mend }
}

/// Bounds the tokens, and gives `?` placeholders the numbers that the engine knows them by.
fn numbered(text: &str) -> Result<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, text)
        .with_unescape(false)
        .tokenize()
        .map_err(|error| DataFusionError::from(ParserError::from(error)))?;
    let joints = tokens.iter().filter(|token| deepens(token)).count();
    if joints > JOINTS_MAX {
        return Err(too_large("operators", joints, JOINTS_MAX, "use IN lists or bound parameters, or split it"));
    }
    let is_bare = |token: &Token| matches!(token, Token::Placeholder(name) if name == "?");
    if !tokens.iter().any(is_bare) {
        return Ok(text.to_owned());
    }
    if tokens.iter().any(|token| matches!(token, Token::Placeholder(_)) && !is_bare(token)) {
        return Err(Error::Parameters("it mixes `?` with named or numbered placeholders; use one of them".into()));
    }
    let mut number = 0;
    let mut numbered = String::with_capacity(text.len() + 8);
    for token in &tokens {
        if is_bare(token) {
            number += 1;
            numbered.push_str(&format!("${number}"));
        } else {
            numbered.push_str(&token.to_string());
        }
    }
    Ok(numbered)
}

/// Whether a token may put what is before it one level deeper.
fn deepens(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::XOR
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::IN
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::SELECT
        ),
        Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::Placeholder(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::SemiColon
        // nesting by brackets is bounded by the parser
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::RBrace
        | Token::EOF => false,
        _ => true,
    }
}

/// The statement of SQL itself, below any EXPLAIN of the engine's.
fn explained(statement: &Statement) -> Option<&SqlStatement> {
    let mut inner = statement;
    while let Statement::Explain(explain) = inner {
        inner = &explain.statement;
    }
    match inner {
        Statement::Statement(inner) => Some(inner.as_ref()),
        _ => None,
    }
}

/// Refuses a statement that would be too large once each name of a common table expression is replaced by what it stands
/// for: planning does that, and takes as long as the result is large.
fn check_weight(statement: &SqlStatement) -> Result<()> {
    let (mut known, mut left) = (HashMap::new(), NODES_MAX);
    match statement.visit(&mut Weight { known: &mut known, left: &mut left, total: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            let mend = "name a common table expression fewer times, or split the query";
            Err(too_large("steps or more", NODES_MAX + 1, NODES_MAX, mend))
        }
    }
}

/// Counts queries and the tables that they read, common table expressions by their own weight.
struct Weight<'a> {
    known: &'a mut HashMap<String, usize>,
    /// What may still be counted, in all parts together.
    left: &'a mut usize,
    total: usize,
}

impl Weight<'_> {
    fn add(&mut self, weight: usize) -> ControlFlow<()> {
        self.total = self.total.saturating_add(weight);
        match self.left.checked_sub(weight) {
            Some(left) => {
                *self.left = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    }
}

impl Visitor for Weight<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.add(1)?;
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let mut part = Weight { known: &mut *self.known, left: &mut *self.left, total: 0 };
            cte.query.visit(&mut part)?;
            let weight = part.total;
            self.known.insert(cte.alias.name.value.to_lowercase(), weight);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = match relation.0.as_slice() {
            [one] => one.as_ident().map(|name| name.value.to_lowercase()),
            _ => None,
        };
        let weight = name.and_then(|name| self.known.get(&name).copied()).unwrap_or(1);
        self.add(weight)
    }
}

/// Lets queries pass, and what explains or describes them.
fn check_kind(statement: Statement) -> Result<Statement> {
    let refused = |what: String| Err(Error::NotAQuery { what, mend: READ_ONLY });
    match &statement {
        Statement::Statement(inner) => match inner.as_ref() {
            SqlStatement::Query(_)
            | SqlStatement::Explain { .. }
            | SqlStatement::ExplainTable { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowColumns { .. } => Ok(statement),
            SqlStatement::Prepare { .. } | SqlStatement::Execute { .. } | SqlStatement::Deallocate { .. } => {
                Err(Error::NotAQuery {
                    what: words(&inner.to_string()),
                    mend: "prepare statements by the client: CreatePreparedStatement",
                })
            }
            SqlStatement::ShowSchemas { .. } | SqlStatement::ShowDatabases { .. } => Err(Error::NotAQuery {
                what: words(&inner.to_string()),
                mend: "SELECT schema_name FROM information_schema.schemata",
            }),
            other => refused(words(&other.to_string())),
        },
        Statement::Explain(_) => Ok(statement),
        Statement::CreateExternalTable(_) => refused("CREATE EXTERNAL TABLE".into()),
        Statement::CopyTo(_) => refused("COPY".into()),
        Statement::Reset(_) => refused("RESET".into()),
    }
}

/// The first words of a statement, to tell it by.
fn words(statement: &str) -> String {
    let is_word = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let words: Vec<&str> = statement.split_whitespace().take_while(is_word).take(3).collect();
    if words.is_empty() { "this statement".into() } else { words.join(" ") }
}

/// Refuses a plan that is larger than can be walked, or that holds what changes something below an EXPLAIN.
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<()> {
    let mut nodes = 0_usize;
    let mut refusal = None;
    plan.apply_with_subqueries(|node| {
        nodes += 1;
        let what = match node {
            LogicalPlan::Ddl(ddl) => Some(ddl.name().to_owned()),
            LogicalPlan::Dml(dml) => Some(dml.op.to_string()),
            LogicalPlan::Copy(_) => Some("COPY".to_owned()),
            LogicalPlan::Statement(statement) => Some(statement.name().to_owned()),
            _ => None,
        };
        if let Some(what) = what {
            refusal = Some(Error::NotAQuery { what, mend: READ_ONLY });
        } else if nodes > NODES_MAX {
            let mend = "name a common table expression fewer times, or split the query";
            refusal = Some(too_large("steps or more", nodes, NODES_MAX, mend));
        }
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    refusal.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_query_is_refused_with_what_it_is_and_what_to_do() {
        for (text, what) in [
            ("INSERT INTO sources.flights VALUES (1)", "INSERT INTO"),
            ("CREATE TABLE t AS SELECT 1", "CREATE TABLE"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY"),
            ("DROP TABLE sources.flights", "DROP TABLE"),
            ("DELETE FROM sources.flights", "DELETE FROM"),
            ("UPDATE sources.flights SET a = 1", "UPDATE"),
            ("SET a = 1", "SET"),
            ("SELECT 1; SELECT 2", "2 statements"),
            ("", "an empty text"),
        ] {
            let error = refused(text);
            assert!(error.starts_with("only queries are run here") && error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_chain_as_long_as_a_stack_is_refused_before_it_is_built() {
        let chain = format!("SELECT {}1", "1 + ".repeat(50_000));
        assert!(refused(&chain).contains("operators"));
        let unions = format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(5_000));
        assert!(refused(&unions).contains("operators"));
        let casts = format!("SELECT 1{}", "::int".repeat(20_000));
        assert!(refused(&casts).contains("operators"));
        let long = format!("SELECT '{}'", "x".repeat(STATEMENT_BYTES_MAX));
        assert!(refused(&long).contains("bytes"));
        assert!(parse(&format!("SELECT 1 IN ({}1)", "1, ".repeat(20_000))).is_ok());
    }

    #[test]
    fn names_that_double_a_query_at_each_step_are_refused_before_they_are_replaced() {
        let doubling = |steps: usize| {
            let step = |n: usize| format!("t{n} AS (SELECT a.x FROM t{0} a, t{0} b)", n - 1);
            let steps: Vec<String> = (1..=steps).map(step).collect();
            format!("WITH t0 AS (SELECT 1 AS x), {} SELECT * FROM t{}", steps.join(", "), steps.len())
        };
        assert!(parse(&doubling(8)).is_ok());
        for text in [
            doubling(40),
            format!("EXPLAIN {}", doubling(40)),
            format!("SELECT * FROM ({}) AS inner_query", doubling(40)),
            format!("SELECT 1 WHERE 1 IN ({})", doubling(40)),
        ] {
            assert!(refused(&text).contains("steps or more"), "{text}");
        }
        let recursive = "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT * FROM n";
        assert!(parse(recursive).is_ok());
    }

    #[test]
    fn question_marks_are_numbered_and_nothing_else_is_touched() {
        let text = r#"SELECT 'it''s ?', "a ""?""" -- why?
            FROM t /* ? */ WHERE a = ? AND b > ?"#;
        let numbered = numbered(text).unwrap();

        assert_eq!(numbered, text.replace("a = ?", "a = $1").replace("b > ?", "b > $2"));
        assert!(refused("SELECT ? + $2").contains("mixes"));
    }
}
