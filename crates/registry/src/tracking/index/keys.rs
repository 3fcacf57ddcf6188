//! Names of metrics, params and tags, each kept once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// The number of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(u32);

/// The names and their numbers.
#[derive(Default)]
pub(crate) struct Keys(RwLock<Known>);

#[derive(Default)]
struct Known {
    ids: HashMap<Arc<str>, KeyId>,
    names: Vec<Arc<str>>,
}

impl Keys {
    /// The number of a name that is known.
    pub(crate) fn find(&self, name: &str) -> Option<KeyId> {
        self.0.read().ids.get(name).copied()
    }

    /// The number of a name, which is known from then on.
    pub(crate) fn id(&self, name: &str) -> KeyId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let mut known = self.0.write();
        if let Some(id) = known.ids.get(name) {
            return *id;
        }
        let id = KeyId(u32::try_from(known.names.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = name.into();
        known.names.push(Arc::clone(&name));
        known.ids.insert(name, id);
        id
    }

    /// The name of a number.
    pub(crate) fn name(&self, id: KeyId) -> Arc<str> {
        self.0.read().names.get(id.0 as usize).cloned().unwrap_or_default()
    }
}
