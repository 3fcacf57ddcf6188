//! The file store on a folder, in memory and in a bucket.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::{FilePath, FileStore, SentPart};
use crate::Error;

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn content(text: &str) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Unpin + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(text.as_bytes()))])
}

async fn put(store: &FileStore, name: &str, text: &str) {
    assert_eq!(store.write(&path(name), content(text)).await.unwrap(), text.len() as u64);
}

async fn get(store: &FileStore, name: &str) -> Result<String, Error> {
    Ok(String::from_utf8(store.read_whole(&path(name), 1 << 20).await?).unwrap())
}

async fn names(store: &FileStore, folder: &str) -> Vec<String> {
    store.list(&path(folder)).await.unwrap().into_iter().map(|entry| entry.name).collect()
}

/// What every store does.
async fn conforms(store: &FileStore) {
    put(store, "1/run/artifacts/a.txt", "one").await;
    put(store, "1/run/artifacts/a.txt", "another").await;
    put(store, "1/run/artifacts/deep/b 100%#7.txt", "two").await;
    put(store, "1/run/artifacts/é/c", "").await;

    assert_eq!(get(store, "1/run/artifacts/a.txt").await.unwrap(), "another");
    assert_eq!(get(store, "1/run/artifacts/deep/b 100%#7.txt").await.unwrap(), "two");
    assert_eq!(get(store, "1//run/artifacts/é/c").await.unwrap(), "");
    let listed = store.list(&path("1/run/artifacts")).await.unwrap();
    let seen: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.bytes)).collect();
    assert_eq!(seen, [("a.txt", Some(7)), ("deep", None), ("é", None)]);
    assert_eq!(names(store, "1/run/artifacts/deep").await, ["b 100%#7.txt"]);
    assert_eq!(names(store, "").await, ["1"]);
    assert!(names(store, "1/run/artifacts/a.txt").await.is_empty() && names(store, "2").await.is_empty());
    for missing in ["1/run", "2", "1/run/artifacts/a.txt/b", "1/run/artifacts/de"] {
        assert!(matches!(get(store, missing).await, Err(Error::NoFile(_))), "{missing}");
    }
    assert!(matches!(store.read_whole(&path("1/run/artifacts/a.txt"), 6).await, Err(Error::TooLarge { .. })));
    for (range, wanted) in [(0..1, "a"), (2..5, "oth"), (6..7, "r")] {
        let part = store.read_range(&path("1/run/artifacts/a.txt"), range.clone()).await.unwrap();
        let bytes = part.bytes;
        let read: Vec<u8> = part.content.map(|bytes| bytes.unwrap().to_vec()).concat().await;
        assert_eq!((bytes, read.as_slice()), (range.end - range.start, wanted.as_bytes()), "{range:?}");
    }
    assert!(store.read_range(&path("1/run/artifacts/a.txt"), 7..8).await.is_err());
    assert!(matches!(store.read_range(&path("2"), 0..1).await, Err(Error::NoFile(_))));

    assert_eq!(store.delete(&path("1/run/artifacts/deep")).await.unwrap(), 1);
    assert_eq!(store.delete(&path("1/run/artifacts/a.txt")).await.unwrap(), 1);
    assert_eq!(store.delete(&path("1/run/artifacts/a.txt")).await.unwrap(), 0);
    assert!(!names(store, "1/run/artifacts/deep").await.contains(&"b 100%#7.txt".to_owned()));
    assert!(names(store, "1/run/artifacts").await.contains(&"é".to_owned()));

    put(store, "3/a", "before").await;
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err("the line went dead")]);
    let refused = store.write(&path("3/a"), broken).await;
    assert!(matches!(refused, Err(Error::Upload { .. })), "{refused:?}");
    assert_eq!(get(store, "3/a").await.unwrap(), "before");
    assert_eq!(names(store, "3").await, ["a"]);
    assert!(matches!(store.write(&FilePath::root(), content("x")).await, Err(Error::FilePath(_))));
}

#[tokio::test]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(&folder.path().join("files").display().to_string()).unwrap();
    conforms(&store).await;
    assert_eq!(names(&store, "1/run/artifacts").await, ["é"], "a folder goes with its last file");
}

#[tokio::test]
async fn memory_conforms() {
    conforms(&FileStore::open("memory:").unwrap()).await;
}

/// The store in the bucket of the tests; none without it.
fn bucket() -> Option<FileStore> {
    mainspring_objects::testing::bucket().map(|root| FileStore::open(&root).unwrap())
}

#[tokio::test]
async fn a_bucket_conforms() {
    let Some(store) = bucket() else { return };
    store.reach().await.unwrap();
    conforms(&store).await;
}

#[tokio::test]
async fn a_large_file_goes_into_a_bucket_in_parts() {
    let Some(store) = bucket() else { return };
    let block = Bytes::from((0..300_007u32).map(|i| i as u8).collect::<Vec<u8>>());
    let blocks: Vec<Result<Bytes, Infallible>> = vec![Ok(block.clone()); 70];

    let written = store.write(&path("a/large"), stream::iter(blocks)).await.unwrap();

    assert_eq!(written, 21_000_490);
    assert!(store.read_whole(&path("a/large"), 1 << 30).await.unwrap() == block.repeat(70));
}

#[tokio::test]
async fn a_bucket_takes_parts_itself_and_gives_files_to_whoever_has_the_address() {
    let Some(store) = bucket() else { return };
    let (name, client) = (path("a/é joined"), reqwest::Client::new());
    let begun = store.begin_parts(&name, 2).await.unwrap();
    let urls = begun.urls.unwrap();
    let parts = [Bytes::from(vec![b'a'; 5 << 20]), Bytes::from_static(b"the end")];
    let mut sent = vec![];
    for (number, (url, part)) in (1..).zip(urls.into_iter().zip(&parts)) {
        let answer = client.put(url).body(part.clone()).send().await.unwrap().error_for_status().unwrap();
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        sent.push(SentPart { number, tag });
    }
    let mut altered = sent.clone();
    altered[1].tag = "\"0123\"".into();

    let altered = store.join_parts(&begun.id, &name, &altered).await;
    let lacking = store.join_parts(&begun.id, &name, &sent[1..]).await;
    assert!(matches!(store.read(&name).await, Err(Error::NoFile(_))));
    store.join_parts(&begun.id, &name, &sent).await.unwrap();

    for refused in [altered, lacking] {
        assert!(matches!(refused, Err(Error::Upload { .. })), "{refused:?}");
    }
    let minute = std::time::Duration::from_secs(60);
    let signed = store.signed_download(&name, minute).await.unwrap().unwrap();
    assert_eq!(signed.bytes, (5 << 20) + 7);
    let range = client.get(signed.url.clone()).header("range", "bytes=5242880-").send().await.unwrap();
    assert_eq!(range.text().await.unwrap(), "the end");
    let mut other = signed.url;
    other.set_path("/mainspring/a/other");
    assert_eq!(client.get(other).send().await.unwrap().status(), 403);
    assert!(matches!(store.signed_download(&path("a/b"), minute).await, Err(Error::NoFile(_))));
    let url = store.signed_upload(&path("a/sent"), minute).await.unwrap().unwrap();
    client.put(url).body("by the client").send().await.unwrap().error_for_status().unwrap();
    assert_eq!(get(&store, "a/sent").await.unwrap(), "by the client");

    let given_up = store.begin_parts(&name, 1).await.unwrap().id;
    store.drop_parts(&given_up, &name).await.unwrap();
    store.drop_parts(&given_up, &name).await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told_of_and_not_waited_for() {
    let Some(_) = bucket() else { return };
    let store = FileStore::open("s3://no-such-bucket/files").unwrap();

    let reached = store.reach().await.unwrap_err().to_string();

    assert!(reached.contains("no-such-bucket"), "{reached}");
}

#[tokio::test]
async fn many_parts_become_one_file_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(&folder.path().display().to_string()).unwrap();
    let part = Bytes::from((0..300_000u32).map(|i| i as u8).collect::<Vec<u8>>());
    let parts: Vec<Result<Bytes, Infallible>> = vec![Ok(part.clone()); 20];

    let written = store.write(&path("a/large"), stream::iter(parts)).await.unwrap();

    assert_eq!(written, 6_000_000);
    let mut read = store.read(&path("a/large")).await.unwrap();
    let mut seen = vec![];
    while let Some(bytes) = read.content.next().await {
        let bytes = bytes.unwrap();
        assert!(bytes.len() <= 256 << 10);
        seen.extend_from_slice(&bytes);
    }
    assert_eq!(seen, part.repeat(20));
    assert_eq!(std::fs::read_dir(folder.path().join(".uploads")).unwrap().count(), 0, "uploads are cleared away");
}

#[tokio::test]
async fn parts_are_joined_in_their_order_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(&folder.path().display().to_string()).unwrap();
    let name = path("a/joined");
    let id = store.begin_parts(&name, 3).await.unwrap().id;
    let mut sent = vec![];
    for number in [3, 1, 2] {
        let tag = store.write_part(&id, number, &name, content(&format!("part {number};"))).await.unwrap();
        sent.push(SentPart { number, tag });
    }

    let unordered = store.join_parts(&id, &name, &sent).await;
    sent.sort_by_key(|part| part.number);
    let mut altered = sent.clone();
    altered[1].tag = "ff".into();
    let altered = store.join_parts(&id, &name, &altered).await;
    let missing = SentPart { number: 4, tag: "7".into() };
    let missing = store.join_parts(&id, &name, &[&sent[..], &[missing]].concat()).await;
    assert!(store.read(&name).await.is_err());
    store.join_parts(&id, &name, &sent).await.unwrap();

    assert_eq!(get(&store, "a/joined").await.unwrap(), "part 1;part 2;part 3;");
    for refused in [unordered, altered, missing, store.join_parts(&id, &name, &sent).await] {
        assert!(matches!(refused, Err(Error::Upload { .. })), "{refused:?}");
    }
    assert!(store.write_part(&id, 0, &name, content("x")).await.is_err());
    assert!(store.write_part(&id, 10_001, &name, content("x")).await.is_err());
    assert_eq!(names(&store, "").await, ["a"]);
    let uploads = std::fs::read_dir(folder.path().join(".uploads"));
    assert!(uploads.is_err() || uploads.unwrap().count() == 0, "parts are cleared away");
}

#[tokio::test]
async fn a_folder_is_not_replaced_by_a_file_nor_a_file_by_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(&folder.path().display().to_string()).unwrap();
    put(&store, "a/b", "kept").await;

    for name in ["a", "a/b/c"] {
        let refused = store.write(&path(name), content("x")).await;
        assert!(matches!(refused, Err(Error::FilePath(_))), "{name}: {refused:?}");
    }

    assert_eq!(get(&store, "a/b").await.unwrap(), "kept");
}

#[tokio::test]
async fn no_link_leads_out() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "outside").unwrap();
    let store = FileStore::open(&folder.path().display().to_string()).unwrap();
    put(&store, "run/a", "inside").await;
    std::os::unix::fs::symlink(outside.path(), folder.path().join("run/way")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("run/file")).unwrap();

    for name in ["run/way/secret", "run/file", "run/way"] {
        assert!(matches!(get(&store, name).await, Err(Error::FilePath(_))), "read {name}");
        assert!(matches!(store.write(&path(name), content("x")).await, Err(Error::FilePath(_))), "write {name}");
        assert!(matches!(store.list(&path(name)).await, Err(Error::FilePath(_))), "list {name}");
        assert!(matches!(store.delete(&path(name)).await, Err(Error::FilePath(_))), "delete {name}");
    }
    assert_eq!(names(&store, "run").await, ["a"]);
    store.delete(&path("run")).await.unwrap();
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "outside");
    assert!(Path::new(&outside.path().join("secret")).exists());
}

#[test]
fn hostile_paths_are_refused() {
    let corpus = [
        "..",
        "../a",
        "a/../../b",
        "a/..",
        "/etc/passwd",
        "//etc/passwd",
        "a\\b",
        "..\\..\\a",
        "C:/a",
        "c:\\a",
        "a\0b",
        "a\nb",
        "file:///etc/passwd",
        "FILE:a",
        "%2e%2e/a",
        "%2E%2E%2Fa",
        "%252e%252e%252fa",
        "%25252e%25252e/a",
        "..%2fa",
        "a%5c..%5cb",
        "a%00b",
        "%2fetc%2fpasswd",
        "%252fetc/passwd",
        "a/./b",
        ".",
        "a/%2e/b",
        "%ff%fe",
        ".uploads/x",
        "%2566%2569%256c%2565:a",
    ];
    for text in corpus {
        assert!(FilePath::parse(text).is_err(), "{text:?}");
    }
    assert!(FilePath::parse(&"a/".repeat(600)).is_err());
    assert!(FilePath::parse(&"a".repeat(241)).is_err());
    for text in ["", "a", "a/b.txt", "a/...", "a/..b", "100%", "50%25", "a#1", "plots/roc curve.png", "é/ü", "a//b/"]
    {
        assert!(FilePath::parse(text).is_ok(), "{text:?}");
    }
}
