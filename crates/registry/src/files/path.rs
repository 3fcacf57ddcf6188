//! Names of files as clients give them, checked once.

use object_store::path::Path;
use percent_encoding::percent_decode_str;

/// The longest path, which is what object stores take for a key.
const PATH_BYTES_MAX: usize = 1_024;
/// The longest part: file systems take 255 bytes, and a file being written has a few more.
const PART_BYTES_MAX: usize = 240;
/// How often a text is percent-decoded in search of a way out; more layers than this are nobody's file name.
const DECODES_MAX: usize = 5;
/// The folder of uploads under way, which no client may name.
pub(super) const UPLOADS: &str = ".uploads";

/// A path below the root of the file store: parts that are neither empty nor `.` nor `..`, of printable characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    parts: Vec<String>,
}

/// Why a text is no path of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{path}` cannot be the path of an artifact: {reason}; write a relative path of plain names, as `plots/roc.png`"
)]
pub struct FilePathError {
    /// The text, shortened.
    pub path: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl FilePath {
    /// The root of the store.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks a path from outside. Doubled and trailing slashes are passed over, as clients write them.
    ///
    /// # Errors
    /// When it climbs out, is absolute, or could mean something else to a file system; also when it does so only after
    /// percent-decoding, once or more often.
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        let refuse = |reason| Err(FilePathError { path: shortened(text), reason });
        if text.len() > PATH_BYTES_MAX {
            return refuse("it is longer than 1,024 bytes");
        }
        let mut layer = text.to_owned();
        let mut decodes = 0;
        loop {
            if let Some(reason) = fault(&layer) {
                return refuse(reason);
            }
            let Ok(decoded) = percent_decode_str(&layer).decode_utf8() else {
                return refuse("it decodes to bytes that are no text");
            };
            if decoded == layer {
                break;
            }
            decodes += 1;
            if decodes > DECODES_MAX {
                return refuse("it is percent-encoded many times over");
            }
            layer = decoded.into_owned();
        }
        let parts: Vec<String> = text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if parts.iter().any(|part| encoded(part).len() > PART_BYTES_MAX) {
            return refuse("a part of it is longer than 240 bytes");
        }
        if parts.first().is_some_and(|part| part == UPLOADS) {
            return refuse("`.uploads` is where files lie that are still being written");
        }
        Ok(Self { parts })
    }

    /// This path, and a further one below it.
    #[must_use]
    pub fn join(&self, below: &Self) -> Self {
        Self { parts: self.parts.iter().chain(&below.parts).cloned().collect() }
    }

    /// Whether this path is `root` or lies below it.
    #[must_use]
    pub fn is_within(&self, root: &Self) -> bool {
        self.parts.starts_with(&root.parts)
    }

    /// Whether it is the root of the store.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parts.is_empty()
    }

    /// Refuses the root, which names no file.
    pub(super) fn must_name_a_file(&self) -> Result<(), FilePathError> {
        match self.is_root() {
            true => Err(FilePathError { path: self.to_string(), reason: "it names no file" }),
            false => Ok(()),
        }
    }

    /// The last part; none for the root.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.parts.last().map(String::as_str)
    }

    /// The parts, from the root.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The path in the store, in which `%` and `#` are escaped: the local store keeps `#` for itself.
    pub(super) fn key(&self) -> Result<Path, FilePathError> {
        let text = self.parts.iter().map(|part| encoded(part)).collect::<Vec<_>>().join("/");
        Path::parse(&text).map_err(|_| FilePathError { path: shortened(&text), reason: "no store takes it" })
    }
}

impl std::fmt::Display for FilePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("/"))
    }
}

/// The parts as they are called in the store.
pub(super) fn stored_parts(path: &FilePath) -> Vec<String> {
    path.parts.iter().map(|part| encoded(part)).collect()
}

/// The name of a part as clients know it.
pub(super) fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn encoded(part: &str) -> String {
    part.replace('%', "%25").replace('#', "%23")
}

fn fault(text: &str) -> Option<&'static str> {
    let is_drive = text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic();
    if text.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        Some("it holds bytes that are no text")
    } else if text.contains('\\') {
        Some("it holds a backslash")
    } else if text.starts_with('/') || is_drive {
        Some("it is absolute")
    } else if text.len() >= 5 && text.as_bytes()[..5].eq_ignore_ascii_case(b"file:") {
        Some("it is a URL of a file")
    } else if text.split('/').any(|part| part == "..") {
        Some("it climbs out with `..`")
    } else if text.split('/').any(|part| part == ".") {
        Some("it holds the part `.`")
    } else {
        None
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
