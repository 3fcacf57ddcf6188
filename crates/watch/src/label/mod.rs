//! What came of a prediction: labels that the model's source brings by itself, and labels that are pushed.

mod join;
mod pushed;

pub(crate) use join::{LabelJoin, VERSION, of_model};
pub(crate) use pushed::{Checked, KEY_SEPARATOR, LABELS_TABLE, Target, batch_of, checked, new_among, stored_labels};
pub use pushed::{LABELS_MAX, LabelsPushed, PushedLabel, StoredLabel};
