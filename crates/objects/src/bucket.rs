//! Opening a bucket by its URL, and signing addresses.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};
use url::Url;

/// How often a request is repeated that the service did not answer, or answered with a fault of its own.
const RETRIES: usize = 4;
/// How long a request is repeated; a caller waits meanwhile.
const RETRIED_FOR: Duration = Duration::from_secs(20);
/// How long one request may take, unless `AWS_TIMEOUT` says otherwise: a part of a large object over a slow line.
const REQUEST_MAX: &str = "2 minutes";
/// Where buckets are that say nothing of it; most services that are not Amazon's take any name.
const REGION: &str = "us-east-1";

/// Why a URL is no bucket.
#[derive(Debug, thiserror::Error)]
#[error(
    "{reason}; write s3://BUCKET/FOLDER, and set AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the \
         environment, with AWS_ENDPOINT_URL for a service that is not Amazon's"
)]
pub struct Error {
    reason: String,
}

/// The folder of a bucket of S3, or of a store that speaks its protocol. Clones share connections and credentials.
#[derive(Debug, Clone)]
pub struct Bucket {
    s3: Arc<AmazonS3>,
    region: Arc<str>,
    folder: Path,
}

impl Bucket {
    /// Whether a URL names a bucket, by its scheme.
    #[must_use]
    pub fn is_named_by(url: &Url) -> bool {
        matches!(url.scheme(), "s3" | "s3a")
    }

    /// Opens the bucket of a URL, with the settings of this process's environment (`AWS_…`). Asks nothing of the service.
    ///
    /// # Errors
    /// When the URL is not of the form `s3://BUCKET/FOLDER`, or a setting cannot be read.
    pub fn open(url: &Url) -> Result<Self, Error> {
        Self::with_settings(url, std::env::vars())
    }

    fn with_settings(url: &Url, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, Error> {
        let refused = |reason: String| Error { reason };
        if !Self::is_named_by(url) || url.host_str().is_none_or(str::is_empty) {
            return Err(refused("it names no bucket".into()));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it holds more than a bucket and a folder".into()));
        }
        let folder = Path::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRIED_FOR, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_retry(retry)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST_MAX)
            .with_url(url.as_str());
        let mut endpoint_in_the_clear = false;
        for (name, value) in settings {
            let name = name.to_ascii_lowercase();
            if let Some(key) = name.starts_with("aws_").then(|| name.parse::<AmazonS3ConfigKey>().ok()).flatten() {
                endpoint_in_the_clear |= name.starts_with("aws_endpoint_url") && value.starts_with("http://");
                builder = builder.with_config(key, value);
            }
        }
        // whoever writes http:// for the service has said so; there is no second switch to find
        if endpoint_in_the_clear {
            builder = builder.with_allow_http(true);
        }
        let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| REGION.into());
        let s3 = builder.build().map_err(|error| refused(error.to_string()))?;
        Ok(Self { s3: Arc::new(s3), region: region.into(), folder })
    }

    /// The whole bucket; what this URL is about lies below [`folder`](Self::folder).
    #[must_use]
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.s3.clone()
    }

    /// The bucket, for uploads in parts that outlive a request.
    #[must_use]
    pub fn in_parts(&self) -> &dyn MultipartStore {
        &*self.s3
    }

    /// The folder that the URL names; the root when it names the bucket alone.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The place in the bucket of a path below the folder.
    #[must_use]
    pub fn place(&self, below: &Path) -> Path {
        self.folder.parts().chain(below.parts()).collect()
    }

    /// An address by which anyone may send one request of this method for the object at a [`place`](Self::place), as long
    /// as it lasts (at most 7 days, by the service's rule).
    ///
    /// # Errors
    /// When no credentials can be had.
    pub async fn signed(&self, method: Method, place: &Path, lasting: Duration) -> object_store::Result<Url> {
        self.s3.signed_url(method, place, lasting).await
    }

    /// The addresses for the parts 1 to `parts` of an upload, as [`signed`](Self::signed).
    ///
    /// # Errors
    /// When no credentials can be had.
    pub async fn signed_parts(
        &self,
        place: &Path,
        upload: &str,
        parts: u32,
        lasting: Duration,
    ) -> object_store::Result<Vec<Url>> {
        // the library signs whole objects alone, but knows how the service writes their addresses
        let mut object = self.s3.signed_url(Method::PUT, place, lasting).await?;
        object.set_query(None);
        let credentials = self.s3.credentials().get_credential().await?;
        let now = jiff::Timestamp::now();
        let part = |number: u32| {
            rusty_s3::signing::sign(
                &now,
                rusty_s3::Method::Put,
                object.clone(),
                &credentials.key_id,
                &credentials.secret_key,
                credentials.token.as_deref(),
                &self.region,
                lasting.as_secs(),
                [("partNumber", number.to_string().as_str()), ("uploadId", upload)].into_iter(),
                std::iter::empty(),
            )
        };
        Ok((1..=parts).map(part).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [(&str, &str); 4] = [
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "eu-west-3"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
    ];

    fn bucket(url: &str) -> Result<Bucket, Error> {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Bucket::with_settings(&Url::parse(url).unwrap(), settings)
    }

    #[test]
    fn a_url_is_a_bucket_and_a_folder() {
        let opened = bucket("s3://models/team%20a/files/").unwrap();

        assert_eq!(opened.folder().as_ref(), "team a/files");
        assert_eq!(opened.place(&Path::from("1/run")).as_ref(), "team a/files/1/run");
        assert_eq!(bucket("s3://models").unwrap().place(&Path::from("a")).as_ref(), "a");
    }

    #[test]
    fn whatever_else_is_refused_with_what_to_write() {
        for url in ["s3:///a", "s3://key:secret@models/a", "s3://models/a?x=1", "s3://models/a#b", "gs://models/a"] {
            let refused = bucket(url).unwrap_err().to_string();

            assert!(refused.contains("write s3://BUCKET/FOLDER"), "{url}: {refused}");
        }
    }

    #[tokio::test]
    async fn addresses_are_signed_for_what_they_are_for() {
        let opened = bucket("s3://models/files").unwrap();
        let place = opened.place(&Path::parse("é 1").unwrap());

        let whole = opened.signed(Method::GET, &place, Duration::from_secs(60)).await.unwrap();
        let parts = opened.signed_parts(&place, "an/id", 2, Duration::from_secs(60)).await.unwrap();

        assert_eq!(whole.path(), "/models/files/%C3%A9%201");
        assert!(whole.query().unwrap().contains("eu-west-3%2Fs3%2Faws4_request"), "{whole}");
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].path(), whole.path());
        let said: Vec<_> = parts[1].query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
        for wanted in ["partNumber=2", "uploadId=an/id", "X-Amz-Expires=60"] {
            assert!(said.iter().any(|pair| pair == wanted), "{wanted} in {said:?}");
        }
    }
}
