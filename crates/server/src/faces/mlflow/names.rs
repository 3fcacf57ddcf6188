//! Names for runs that come without one: `steady-heron-417`.

const HOW: [&str; 24] = [
    "amber", "brisk", "calm", "clever", "crisp", "daring", "eager", "gentle", "golden", "hardy", "keen", "lively",
    "mellow", "nimble", "patient", "quick", "quiet", "sturdy", "steady", "sunny", "swift", "tidy", "warm", "witty",
];
const WHO: [&str; 24] = [
    "badger", "beetle", "bison", "crane", "dolphin", "falcon", "finch", "fox", "gecko", "heron", "ibex", "jay",
    "kestrel", "lark", "lynx", "marten", "newt", "otter", "owl", "plover", "raven", "seal", "swallow", "tern",
];

/// A name that is pleasant to say and unlikely to come twice in an experiment.
pub(super) fn random() -> String {
    let bits = uuid::Uuid::now_v7().as_u128();
    // the low half is random
    let pick = |from: &[&'static str], shift: u32| {
        let at = usize::try_from((bits >> shift) & 0xffff).unwrap_or_default() % from.len().max(1);
        from.get(at).copied().unwrap_or("run")
    };
    format!("{}-{}-{}", pick(&HOW, 0), pick(&WHO, 16), (bits >> 32) % 1_000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<_> = (0..100).map(|_| super::random()).collect();
        assert!(names.len() > 90);
    }
}
