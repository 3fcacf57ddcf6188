//! MLflow's search language: `metrics.auc > 0.8 AND params."batch size" = '32'`. No OR, no brackets but those of lists.
//!
//! The text is cut into tokens by `sqlparser`, as MLflow's own is by `sqlparse`. What a clause may speak of differs between
//! searches, so this gives clauses as they stand, and each search gives them a meaning.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::error::{Refused, Result};

/// The longest filter or order: room for a list of ten thousand run ids.
const BYTES_MAX: usize = 512 << 10;
/// The most clauses; each is tested on each thing that is searched.
const CLAUSES_MAX: usize = 200;
/// The most texts in a list.
const LISTED_MAX: usize = 10_000;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    /// What it speaks of: `metrics`, `params`, `tags`; none for an attribute.
    pub(super) entity: Option<String>,
    /// The name of it.
    pub(super) key: String,
    /// How it is compared, and with what.
    pub(super) comparison: Comparison,
}

/// How something is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Comparison {
    /// `= != > >= < <=` with a number.
    Number(Relation, f64),
    /// `= != > >= < <=` with a text.
    Text(Relation, String),
    /// `LIKE`
    Like(String),
    /// `ILIKE`
    Ilike(String),
    /// `IN`
    In(Vec<String>),
    /// `NOT IN`
    NotIn(Vec<String>),
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
}

/// A relation of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Relation {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

impl Comparison {
    /// The operator, for messages.
    pub(super) fn sign(&self) -> &'static str {
        match self {
            Self::Number(relation, _) | Self::Text(relation, _) => relation.sign(),
            Self::Like(_) => "LIKE",
            Self::Ilike(_) => "ILIKE",
            Self::In(_) => "IN",
            Self::NotIn(_) => "NOT IN",
            Self::IsNull => "IS NULL",
            Self::IsNotNull => "IS NOT NULL",
        }
    }
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderBy {
    pub(super) entity: Option<String>,
    pub(super) key: String,
    pub(super) ascending: bool,
}

/// Reads a filter.
pub(super) fn parse(filter: &str) -> Result<Vec<Clause>> {
    let mut tokens = Tokens::of(filter, "filter string")?;
    let mut clauses = Vec::new();
    while tokens.skip_spaces() {
        if !clauses.is_empty() && !tokens.take_word("AND") {
            return Err(tokens.invalid());
        }
        tokens.skip_spaces();
        if clauses.len() == CLAUSES_MAX {
            return Err(Refused::invalid(format!("The filter string has more than {CLAUSES_MAX} clauses.")));
        }
        clauses.push(tokens.clause()?);
    }
    Ok(clauses)
}

/// Reads a key of an order: `metrics.auc DESC`.
pub(super) fn parse_order(order_by: &str) -> Result<OrderBy> {
    let mut tokens = Tokens::of(order_by, "order_by")?;
    let invalid = || Refused::invalid(format!("Invalid order_by clause '{}'.", shown(order_by)));
    tokens.skip_spaces();
    let (entity, key) = tokens.identifier().ok_or_else(invalid)?;
    tokens.skip_spaces();
    let descending = tokens.take_word("DESC");
    let _said_so = !descending && tokens.take_word("ASC");
    if tokens.skip_spaces() {
        return Err(invalid());
    }
    Ok(OrderBy { entity, key, ascending: !descending })
}

struct Tokens {
    tokens: Vec<Token>,
    at: usize,
    what: &'static str,
}

impl Tokens {
    fn of(text: &str, what: &'static str) -> Result<Self> {
        if text.len() > BYTES_MAX {
            return Err(Refused::invalid(format!("The {what} has more than {BYTES_MAX} bytes.")));
        }
        let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize();
        let tokens = tokens.map_err(|error| {
            Refused::invalid(format!("Error on parsing {what} '{}': {}.", shown(text), error.message))
        })?;
        Ok(Self { tokens, at: 0, what })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Steps over spaces, and says whether something follows.
    fn skip_spaces(&mut self) -> bool {
        while matches!(self.peek(), Some(Token::Whitespace(_))) {
            self.at += 1;
        }
        self.peek().is_some()
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(Word { value, quote_style: None, .. }))
            if value.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    /// What cannot be understood, from here on.
    fn invalid(&self) -> Refused {
        let rest: String = self.tokens.iter().skip(self.at).map(ToString::to_string).collect();
        Refused::invalid(format!("Invalid clause(s) in {}: '{}'", self.what, shown(&rest)))
    }

    fn clause(&mut self) -> Result<Clause> {
        let (entity, key) = self.identifier().ok_or_else(|| self.invalid())?;
        self.skip_spaces();
        let comparison = self.comparison()?;
        Ok(Clause { entity, key, comparison })
    }

    /// A name with what it belongs to: tokens that stand together without a space.
    fn identifier(&mut self) -> Option<(Option<String>, String)> {
        let first = match self.peek()? {
            Token::Word(word) if word.quote_style != Some('\'') => word.value.clone(),
            _ => return None,
        };
        self.at += 1;
        let has_entity = self.peek().is_some_and(|next| next.to_string().starts_with('.'));
        let mut rest = String::new();
        while let Some(token) = self.peek() {
            match token {
                Token::Word(word) => rest.push_str(&word.value),
                Token::SingleQuotedString(text) if rest == "." => rest.push_str(text),
                Token::Period | Token::Number(..) | Token::Minus | Token::Div | Token::Colon => {
                    rest.push_str(&token.to_string());
                }
                _ => break,
            }
            self.at += 1;
        }
        if has_entity {
            let key = rest.strip_prefix('.').unwrap_or(&rest).to_owned();
            return (!key.is_empty()).then_some((Some(first), key));
        }
        Some((None, first + &rest))
    }

    fn comparison(&mut self) -> Result<Comparison> {
        if self.take_word("IS") {
            self.skip_spaces();
            let negated = self.take_word("NOT");
            self.skip_spaces();
            if !self.take_word("NULL") {
                return Err(self.invalid());
            }
            return Ok(if negated { Comparison::IsNotNull } else { Comparison::IsNull });
        }
        if self.take_word("NOT") {
            self.skip_spaces();
            return if self.take_word("IN") { Ok(Comparison::NotIn(self.texts()?)) } else { Err(self.invalid()) };
        }
        if self.take_word("IN") {
            return Ok(Comparison::In(self.texts()?));
        }
        if self.take_word("LIKE") {
            return Ok(Comparison::Like(self.text()?));
        }
        if self.take_word("ILIKE") {
            return Ok(Comparison::Ilike(self.text()?));
        }
        let relation = match self.peek() {
            Some(Token::Eq) => Relation::Equal,
            Some(Token::Neq) => Relation::NotEqual,
            Some(Token::Gt) => Relation::Above,
            Some(Token::GtEq) => Relation::AtLeast,
            Some(Token::Lt) => Relation::Below,
            Some(Token::LtEq) => Relation::AtMost,
            _ => return Err(self.invalid()),
        };
        self.at += 1;
        self.skip_spaces();
        match self.number() {
            Some(number) => Ok(Comparison::Number(relation, number)),
            None => Ok(Comparison::Text(relation, self.text()?)),
        }
    }

    fn number(&mut self) -> Option<f64> {
        let sign = match self.peek()? {
            Token::Minus => Some(-1.0),
            Token::Plus => Some(1.0),
            _ => None,
        };
        let at = self.at + usize::from(sign.is_some());
        let Some(Token::Number(digits, _)) = self.tokens.get(at) else { return None };
        let number: f64 = digits.parse().ok()?;
        self.at = at + 1;
        Some(number * sign.unwrap_or(1.0))
    }

    fn text(&mut self) -> Result<String> {
        self.skip_spaces();
        let text = match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::DoubleQuotedString(text)) => text.clone(),
            Some(Token::Word(Word { value, quote_style: Some('"'), .. })) => value.clone(),
            Some(Token::Word(word)) => {
                return Err(Refused::invalid(format!(
                    "Parameter value is either not quoted or unidentified quote types used for string value {}. Use \
                     either single or double quotes.",
                    shown(&word.value)
                )));
            }
            Some(other) => {
                let words = format!("Expected a quoted string value (e.g. 'my-value'). Got value {other}");
                return Err(Refused::invalid(words));
            }
            None => return Err(self.invalid()),
        };
        self.at += 1;
        Ok(text)
    }

    fn texts(&mut self) -> Result<Vec<String>> {
        self.skip_spaces();
        if !matches!(self.peek(), Some(Token::LParen)) {
            return Err(self.invalid());
        }
        self.at += 1;
        let mut texts = Vec::new();
        loop {
            if texts.len() == LISTED_MAX {
                return Err(Refused::invalid(format!(
                    "A list of the {} has more than {LISTED_MAX} values.",
                    self.what
                )));
            }
            texts.push(self.text()?);
            self.skip_spaces();
            match self.peek() {
                Some(Token::Comma) => self.at += 1,
                Some(Token::RParen) => {}
                _ => return Err(self.invalid()),
            }
            // a comma may stand behind the last, as Python writes a list of one
            self.skip_spaces();
            if matches!(self.peek(), Some(Token::RParen)) {
                self.at += 1;
                return Ok(texts);
            }
        }
    }
}

/// Cut, for messages.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 200;
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(filter: &str) -> (Option<String>, String, Comparison) {
        let mut clauses = parse(filter).unwrap();
        assert_eq!(clauses.len(), 1, "{filter}");
        let Clause { entity, key, comparison } = clauses.remove(0);
        (entity, key, comparison)
    }

    #[test]
    fn keys_are_read_with_and_without_quotes() {
        for (filter, entity, key) in [
            ("metrics.auc > 1", Some("metrics"), "auc"),
            ("metrics.`val loss`>1", Some("metrics"), "val loss"),
            ("params.\"batch size\" > 1", Some("params"), "batch size"),
            ("tags.mlflow.parentRunId > 1", Some("tags"), "mlflow.parentRunId"),
            ("tags.`mlflow.parentRunId` > 1", Some("tags"), "mlflow.parentRunId"),
            ("metrics.'x y' > 1", Some("metrics"), "x y"),
            ("metrics.0loss > 1", Some("metrics"), "0loss"),
            ("metrics.a-b > 1", Some("metrics"), "a-b"),
            ("metrics.a/b > 1", Some("metrics"), "a/b"),
            ("run_id > 1", None, "run_id"),
            ("`Run name` > 1", None, "Run name"),
        ] {
            let (found_entity, found_key, comparison) = one(filter);
            assert_eq!((found_entity.as_deref(), found_key.as_str()), (entity, key), "{filter}");
            assert_eq!(comparison, Comparison::Number(Relation::Above, 1.0), "{filter}");
        }
    }

    #[test]
    fn values_and_operators() {
        assert_eq!(one("metrics.a <= -1.5e-3").2, Comparison::Number(Relation::AtMost, -0.0015));
        assert_eq!(one("metrics.a=.5").2, Comparison::Number(Relation::Equal, 0.5));
        assert_eq!(one("params.a != \"x y\"").2, Comparison::Text(Relation::NotEqual, "x y".into()));
        assert_eq!(one("params.a like '%x'").2, Comparison::Like("%x".into()));
        assert_eq!(one("params.a ILIKE '%x'").2, Comparison::Ilike("%x".into()));
        assert_eq!(one("run_id IN ('a', \"b\")").2, Comparison::In(vec!["a".into(), "b".into()]));
        assert_eq!(one("run_id IN ('a',)").2, Comparison::In(vec!["a".into()]));
        assert_eq!(one("run_id IN ('a', 'b' , )").2, Comparison::In(vec!["a".into(), "b".into()]));
        assert_eq!(one("run_id not  in ('a')").2, Comparison::NotIn(vec!["a".into()]));
        assert_eq!(one("tags.a is null").2, Comparison::IsNull);
        assert_eq!(one("tags.a IS NOT NULL").2, Comparison::IsNotNull);
        assert_eq!(one("params.a = 'it''s'").2, Comparison::Text(Relation::Equal, "it's".into()));
    }

    #[test]
    fn clauses_are_joined_by_and_alone() {
        assert_eq!(parse("metrics.a > 1 and params.b = 'c' AND tags.d != 'e'").unwrap().len(), 3);
        assert_eq!(parse("  ").unwrap(), []);
        for bad in [
            "metrics.a > 1 OR metrics.b > 1",
            "metrics.a > 1 metrics.b > 1",
            "(metrics.a > 1)",
            "metrics.a >",
            "metrics. > 1",
            "metrics.a",
            "params.a = b",
            "params.a = 'b",
            "AND metrics.a > 1",
            "metrics.a > 1 AND",
            "1 = 1",
            "run_id IN ()",
            "run_id IN (,)",
            "run_id IN ('a',,)",
            "metrics.'' > 1",
            "run_id IN ('a'",
            "metrics.a > 1;",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filter_has_bounds() {
        let clauses = vec!["metrics.a > 1"; CLAUSES_MAX + 1].join(" AND ");
        let list = format!("run_id IN ({})", vec!["'a'"; LISTED_MAX + 1].join(","));

        assert!(parse(&clauses).is_err());
        assert!(parse(&list).is_err());
        assert!(parse(&"(".repeat(BYTES_MAX + 1)).is_err());
        assert!(parse(&"(".repeat(10_000)).is_err());
    }

    #[test]
    fn orders_ascend_unless_told() {
        let order = |text: &str| parse_order(text).map(|order| (order.entity, order.key, order.ascending)).ok();

        assert_eq!(order("metrics.`a b` DESC"), Some((Some("metrics".into()), "a b".into(), false)));
        assert_eq!(order("start_time"), Some((None, "start_time".into(), true)));
        assert_eq!(order("start_time asc"), Some((None, "start_time".into(), true)));
        assert_eq!(order("start_time upwards"), None);
        assert_eq!(order(""), None);
    }
}
