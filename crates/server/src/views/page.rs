//! Part of a list: where it starts and how long it is.

use mainspring_catalog::ListQuery;

use super::LISTED_MAX;

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entry after which it starts; without, the list's start.
    pub after: Option<String>,
    /// The most entries.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, limit: LISTED_MAX }
    }
}

impl Page {
    /// The first entries of a list.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit: limit.min(LISTED_MAX) }
    }

    /// Those of some names, in their order, that are on the page.
    pub(super) fn of<N: AsRef<str>>(&self, names: impl Iterator<Item = N>) -> impl Iterator<Item = N> {
        let after = self.after.as_deref();
        names.filter(move |name| after.is_none_or(|after| name.as_ref() > after)).take(self.limit)
    }

    /// The page of a list that starts with the newest.
    pub(super) fn newest_first(&self) -> ListQuery {
        ListQuery { after: self.after.clone(), ..ListQuery::default().newest_first().limit(self.limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_names_join_without_a_gap() {
        let names = ["a", "b", "c", "d", "e"];
        let mut page = Page::first(2);
        let mut seen = vec![];
        loop {
            let part: Vec<&str> = page.of(names.iter()).copied().collect();
            let Some(last) = part.last() else { break };
            page.after = Some((*last).into());
            seen.extend(part);
        }
        assert_eq!(seen, names);
    }
}
