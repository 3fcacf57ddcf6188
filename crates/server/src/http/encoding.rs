//! Bodies that come compressed.

use std::io::Read;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As `gzip` writes it.
    Gzip,
    /// In the zlib format, as HTTP has it.
    Deflate,
}

/// Why a body cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecoded {
    /// The header names an encoding that is not read.
    #[error("the content-encoding is not one this server reads; send gzip, deflate, or the body as it is")]
    Unknown,
    /// The bytes are not what the header says.
    #[error("the body is not what its content-encoding says: {0}")]
    Broken(String),
    /// It is larger than a body may be.
    #[error("the body is larger than the {most} bytes allowed once it is decompressed; send it in parts")]
    TooLarge {
        /// The most bytes.
        most: usize,
    },
}

impl Encoding {
    /// What the headers say; none for a body that comes as it is.
    ///
    /// # Errors
    /// [`Undecoded::Unknown`].
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Undecoded> {
        let Some(given) = headers.get(header::CONTENT_ENCODING) else { return Ok(None) };
        let given = given.as_bytes().trim_ascii();
        match given {
            _ if given.eq_ignore_ascii_case(b"identity") => Ok(None),
            _ if given.eq_ignore_ascii_case(b"gzip") => Ok(Some(Self::Gzip)),
            _ if given.eq_ignore_ascii_case(b"deflate") => Ok(Some(Self::Deflate)),
            _ => Err(Undecoded::Unknown),
        }
    }

    /// The body as its sender had it, of at most so many bytes.
    ///
    /// # Errors
    /// [`Undecoded::Broken`] and [`Undecoded::TooLarge`].
    pub(crate) async fn decoded(self, body: Bytes, most: usize) -> Result<Bytes, Undecoded> {
        // a small body may become a large one: that is not for the threads that answer
        tokio::task::spawn_blocking(move || self.decode(&body, most))
            .await
            .map_err(|error| Undecoded::Broken(error.to_string()))?
    }

    fn decode(self, body: &[u8], most: usize) -> Result<Bytes, Undecoded> {
        let bound = most as u64 + 1;
        let mut plain = Vec::new();
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(body).take(bound).read_to_end(&mut plain),
            Self::Deflate => ZlibDecoder::new(body).take(bound).read_to_end(&mut plain),
        };
        read.map_err(|error| Undecoded::Broken(error.to_string()))?;
        if plain.len() > most {
            return Err(Undecoded::TooLarge { most });
        }
        Ok(plain.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn of(name: &'static str) -> Result<Option<Encoding>, Undecoded> {
        Encoding::of(&HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(name))]))
    }

    #[test]
    fn what_is_not_read_is_told_from_what_is() {
        assert_eq!(of("GZIP").unwrap(), Some(Encoding::Gzip));
        assert_eq!(of("deflate").unwrap(), Some(Encoding::Deflate));
        assert_eq!(of("identity").unwrap(), None);
        assert!(matches!(of("br"), Err(Undecoded::Unknown)));
        assert!(matches!(of("gzip, gzip"), Err(Undecoded::Unknown)));
    }

    #[tokio::test]
    async fn a_body_is_bounded_by_what_it_becomes() {
        let mut encoder = GzEncoder::new(vec![], Compression::best());
        encoder.write_all(&[b' '; 10_000]).unwrap();
        let small = Bytes::from(encoder.finish().unwrap());

        assert_eq!(Encoding::Gzip.decoded(small.clone(), 10_000).await.unwrap().len(), 10_000);
        let large = Encoding::Gzip.decoded(small.clone(), 9_999).await;
        assert!(matches!(large, Err(Undecoded::TooLarge { most: 9_999 })));
        assert!(matches!(Encoding::Deflate.decoded(small, 10_000).await, Err(Undecoded::Broken(_))));
    }
}
