//! The schema, as far as predictions need it; the rest is passed over. Numbers that stand beside text in the schema are
//! written as text.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use mainspring_spec::DataType;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) learner: Learner,
}

#[derive(Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) attributes: HashMap<String, String>,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: LearnerParam,
    pub(super) objective: ObjectiveName,
}

#[derive(Deserialize)]
pub(super) struct ObjectiveName {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct LearnerParam {
    pub(super) base_score: String,
    #[serde(deserialize_with = "number")]
    pub(super) num_class: usize,
    #[serde(deserialize_with = "number")]
    pub(super) num_feature: usize,
    #[serde(default, deserialize_with = "some_number")]
    pub(super) num_target: Option<usize>,
}

/// A booster: trees, or for `dart` a booster of trees with a weight for each.
#[derive(Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    #[serde(default)]
    pub(super) model: Option<Forest>,
    #[serde(default)]
    pub(super) gbtree: Option<Box<Booster>>,
    #[serde(default)]
    pub(super) weight_drop: Vec<f32>,
}

#[derive(Deserialize)]
pub(super) struct Forest {
    #[serde(default)]
    pub(super) gbtree_model_param: ForestParam,
    /// Where the trees of each iteration begin, and where those of the last end.
    #[serde(default)]
    pub(super) iteration_indptr: Option<Vec<usize>>,
    /// The score to which each tree adds.
    #[serde(default)]
    pub(super) tree_info: Vec<usize>,
    #[serde(default)]
    pub(super) trees: Vec<Columns>,
    #[serde(default)]
    pub(super) cats: Option<AllCategories>,
}

#[derive(Deserialize, Default)]
pub(super) struct ForestParam {
    #[serde(default, deserialize_with = "number")]
    pub(super) num_parallel_tree: usize,
}

/// A tree, as one list for each property of its nodes.
#[derive(Deserialize)]
pub(super) struct Columns {
    pub(super) left_children: Vec<i64>,
    pub(super) right_children: Vec<i64>,
    pub(super) split_indices: Vec<u32>,
    /// The threshold of a split; the value of a leaf.
    pub(super) split_conditions: Vec<f32>,
    pub(super) default_left: Vec<Flag>,
    /// 1 where the question is about a category.
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<usize>,
    #[serde(default)]
    pub(super) categories_segments: Vec<usize>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<usize>,
    #[serde(default)]
    pub(super) tree_param: TreeParam,
}

#[derive(Deserialize, Default)]
pub(super) struct TreeParam {
    #[serde(default, deserialize_with = "number")]
    pub(super) size_leaf_vector: usize,
}

/// The categories of all features, since version 3.1.
#[derive(Deserialize)]
pub(super) struct AllCategories {
    #[serde(default)]
    pub(super) enc: Vec<Categories>,
}

/// The categories of a feature in the order of their numbers: whole numbers, or the bytes of texts.
#[derive(Deserialize)]
pub(super) struct Categories {
    /// Where each text begins, and where the last ends.
    #[serde(default)]
    offsets: Option<Vec<usize>>,
    #[serde(default)]
    values: Vec<i64>,
}

impl Categories {
    /// The categories and their type; none when the feature has no categories.
    pub(super) fn values(&self) -> Result<Option<(Vec<String>, DataType)>, String> {
        let Some(offsets) = &self.offsets else {
            let values: Vec<String> = self.values.iter().map(i64::to_string).collect();
            return Ok((!values.is_empty()).then_some((values, DataType::Int64)));
        };
        let texts: Vec<String> = offsets
            .windows(2)
            .map(|ends| {
                let bytes = self.values.get(ends[0]..ends[1]).ok_or("their ends do not ascend")?;
                // bytes are written as numbers with a sign
                let byte = |number: &i64| u8::try_from(number & 0xff).unwrap_or_default();
                String::from_utf8(bytes.iter().map(byte).collect()).map_err(|error| error.to_string())
            })
            .collect::<Result<_, String>>()?;
        Ok((!texts.is_empty()).then_some((texts, DataType::String)))
    }
}

impl Booster {
    fn forest(&self) -> Option<&Forest> {
        self.model.as_ref().or_else(|| self.gbtree.as_ref().and_then(|inner| inner.model.as_ref()))
    }

    pub(super) fn categories(&self) -> Option<&AllCategories> {
        self.forest().and_then(|forest| forest.cats.as_ref())
    }
}

/// True or false, which some versions write as 1 or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl Visitor<'_> for Seen {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, 1 or 0")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Flag, E> {
                Ok(Flag(number != 0))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Flag, E> {
                Ok(Flag(number != 0))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// A number written as text.
fn number<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim().parse().map_err(|_| de::Error::custom(format!("`{text}` is no number of its kind")))
}

fn some_number<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error> {
    number(deserializer).map(Some)
}
