//! The lines of a model, sorted by where they stand. Everything is borrowed from the text.

use std::collections::HashMap;
use std::str::FromStr;

use mainspring_spec::DataType;

use crate::EXACT_BELOW;

/// The `key=value` lines of a tree or of the header.
pub(super) type Block<'a> = HashMap<&'a str, &'a str>;

/// A model's text.
pub(super) struct Text<'a> {
    header: Block<'a>,
    pub(super) trees: Vec<Block<'a>>,
    /// The numbers of the categorical features, as the training was told.
    categorical: Option<&'a str>,
    /// The categories of the columns that pandas had as categories, as JSON.
    pandas: Option<&'a str>,
}

/// The categories of a feature, in the order of their numbers.
pub(super) struct Categories {
    pub(super) values: Vec<String>,
    pub(super) data_type: DataType,
}

impl<'a> Text<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let mut lines = text.lines();
        let mut parsed = Self { header: Block::new(), trees: Vec::new(), categorical: None, pandas: None };
        let mut ended = false;
        for line in lines.by_ref() {
            if line.trim_end() == "end of trees" {
                ended = true;
                break;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if key == "Tree" {
                if value.parse() != Ok(parsed.trees.len()) {
                    return Err(format!("tree {} is followed by a tree called `{value}`", parsed.trees.len()));
                }
                parsed.trees.push(Block::new());
            } else if !key.is_empty() {
                let block = parsed.trees.last_mut().unwrap_or(&mut parsed.header);
                block.insert(key, value.trim_end());
            }
        }
        if !ended {
            return Err("it ends before the line `end of trees`; the file is not whole".into());
        }
        for line in lines {
            if let Some(numbers) = line.strip_prefix("[categorical_feature: ") {
                parsed.categorical = numbers.strip_suffix(']');
            } else if let Some(json) = line.strip_prefix("pandas_categorical:") {
                parsed.pandas = Some(json);
            }
        }
        Ok(parsed)
    }

    /// The value of a header's line.
    pub(super) fn value(&self, key: &str) -> Option<&'a str> {
        self.header.get(key).copied()
    }

    /// Whether the header has a line of only this word.
    pub(super) fn has_flag(&self, word: &str) -> bool {
        self.header.contains_key(word)
    }

    pub(super) fn required(&self, key: &str) -> Result<&'a str, String> {
        required(&self.header, key)
    }

    pub(super) fn number<T: FromStr>(&self, key: &str) -> Result<T, String> {
        number(&self.header, key)
    }

    /// The categories that pandas knew, by feature, where it can be told which features they belong to; where not,
    /// categories come as their numbers.
    pub(super) fn categories(&self) -> Result<Vec<(usize, Categories)>, String> {
        let Some(json) = self.pandas else { return Ok(vec![]) };
        let lists: Option<Vec<Vec<serde_json::Value>>> =
            serde_json::from_str(json).map_err(|error| format!("its `pandas_categorical` is no list: {error}"))?;
        let lists = lists.unwrap_or_default();
        let features = self.features_of(&lists);
        Ok(features.into_iter().zip(lists.iter().map(|list| Categories::of(list))).collect())
    }

    /// The text lists the categories of columns in their order, and does not say which columns they are: an ordered one is
    /// no categorical feature, and a categorical feature may be a column of plain numbers. What was seen of a feature must
    /// lie within its list; a list belongs where it fits if there is only one way to fit all.
    fn features_of(&self, lists: &[Vec<serde_json::Value>]) -> Vec<usize> {
        let infos: Vec<&str> = self.value("feature_infos").unwrap_or_default().split_ascii_whitespace().collect();
        let listed = self.categorical.unwrap_or_default().split(',').filter_map(|number| number.trim().parse().ok());
        let listed: Vec<usize> = listed.collect();
        if listed.len() == lists.len() && listed.iter().zip(lists).all(|(at, list)| fits(infos.get(*at), list)) {
            return listed;
        }
        let all: Vec<usize> = (0..infos.len()).collect();
        the_only_way(&listed, &infos, lists).or_else(|| the_only_way(&all, &infos, lists)).unwrap_or_default()
    }
}

/// Whether all that was seen of a feature (`[least:greatest]`, or categories between colons) are positions in a list.
fn fits(info: Option<&&str>, list: &[serde_json::Value]) -> bool {
    let Some(info) = info.filter(|info| **info != "none") else { return false };
    let numbers = info.trim_matches(['[', ']']).split(':').map(str::parse::<f64>);
    // -1 stands for what is missing
    let least = if info.starts_with('[') { 0.0 } else { -1.0 };
    #[expect(clippy::cast_precision_loss, reason = "a list is far shorter than 2^53")]
    let end = list.len() as f64;
    numbers
        .into_iter()
        .all(|number| number.is_ok_and(|number| number >= least && number < end && number.fract() == 0.0))
}

/// The features among these, in their order, to which the lists belong, if there is one way to fit them.
fn the_only_way(features: &[usize], infos: &[&str], lists: &[Vec<serde_json::Value>]) -> Option<Vec<usize>> {
    if lists.len() > features.len() {
        return None;
    }
    // taking each list to the first feature that it fits, and to the last, gives the same only when there is no choice
    let first = assign(features.iter(), infos, lists.iter())?;
    let mut last = assign(features.iter().rev(), infos, lists.iter().rev())?;
    last.reverse();
    (first == last).then_some(first)
}

fn assign<'f, 'l>(
    mut features: impl Iterator<Item = &'f usize>,
    infos: &[&str],
    lists: impl Iterator<Item = &'l Vec<serde_json::Value>>,
) -> Option<Vec<usize>> {
    lists.map(|list| features.find(|feature| fits(infos.get(**feature), list)).copied()).collect()
}

impl Categories {
    fn of(list: &[serde_json::Value]) -> Self {
        let numbers: Option<Vec<String>> = list.iter().map(whole_number).collect();
        if let Some(values) = numbers.filter(|values| !values.is_empty()) {
            return Self { values, data_type: DataType::Int64 };
        }
        let data_type = if !list.is_empty() && list.iter().all(serde_json::Value::is_boolean) {
            DataType::Bool
        } else {
            DataType::String
        };
        let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self { values: list.iter().map(text).collect(), data_type }
    }
}

/// A category that is a whole number, as text. In a column in which some are missing pandas keeps them as floats.
fn whole_number(category: &serde_json::Value) -> Option<String> {
    if category.is_i64() || category.is_u64() {
        return Some(category.to_string());
    }
    let number = category.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < EXACT_BELOW)?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    let whole = number as i64;
    Some(whole.to_string())
}

pub(super) fn required<'a>(block: &Block<'a>, key: &str) -> Result<&'a str, String> {
    block.get(key).copied().ok_or_else(|| format!("the line `{key}=` is missing"))
}

pub(super) fn number<T: FromStr>(block: &Block<'_>, key: &str) -> Result<T, String> {
    let text = required(block, key)?;
    text.trim().parse().map_err(|_| format!("`{key}={}` is no number of its kind", shown(text)))
}

/// A line's numbers, which must be this many.
pub(super) fn numbers<T: FromStr>(block: &Block<'_>, key: &str, expected: usize) -> Result<Vec<T>, String> {
    let read = |word: &str| word.parse().map_err(|_| format!("`{key}` has `{}`, which is no number", shown(word)));
    let numbers: Vec<T> = required(block, key)?.split_ascii_whitespace().map(read).collect::<Result<_, String>>()?;
    if numbers.len() == expected {
        Ok(numbers)
    } else {
        Err(format!("`{key}` has {} numbers, not {expected}", numbers.len()))
    }
}

/// The beginning of a text, for messages.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
