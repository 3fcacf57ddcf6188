//! The bucket that tests of every crate are given. No feature hides it: one that only tests turn on would have everything
//! above compiled twice.

/// The URL of a folder of its own in the bucket that `cargo xtask test` starts a server for; none without it.
///
/// # Panics
/// In continuous integration (`CI` is set), where there must be one.
#[must_use]
pub fn bucket() -> Option<String> {
    let Ok(root) = std::env::var("MAINSPRING_TEST_BUCKET") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "MAINSPRING_TEST_BUCKET names no bucket: run `cargo xtask test rust`"
        );
        return None;
    };
    Some(format!("{root}/{}", uuid::Uuid::now_v7()))
}
