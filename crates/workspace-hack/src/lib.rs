//! Holds no code: every crate of the workspace depends on it, so that Cargo resolves one set of
//! third-party features whichever crate is built, and each dependency compiles once.
