//! Clients that are slow, broken or many: the server stays up, keeps answering others, and keeps its memory.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::get;
use crate::harness::Server;
use crate::project::Project;

/// The longest that a silent connection is kept: what the server promises, and some for a machine that is busy.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// The longest that others may wait while there is a flood.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// Connections of the flood. The test holds one end of each in its own process.
const FLOOD: usize = 10_000;
/// What the flood may add to the server's memory.
const FLOOD_BYTES_MAX: u64 = 400 << 20;

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// What the server says until it closes, and how long that takes.
async fn until_closed(mut stream: TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut said = Vec::new();
    match tokio::time::timeout(SILENCE_MAX, stream.read_to_end(&mut said)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        Err(_) => {
            panic!("the connection is still open after {SILENCE_MAX:?}; it said {:?}", String::from_utf8_lossy(&said))
        }
    }
    (String::from_utf8_lossy(&said).into_owned(), begun.elapsed())
}

/// Sends bytes one at a time until the server has had enough.
async fn drip(mut stream: TcpStream, bytes: &[u8], wait: Duration) -> (String, Duration) {
    let begun = Instant::now();
    let mut said = Vec::new();
    for byte in bytes.iter().cycle() {
        let mut answer = [0; 1024];
        tokio::select! {
            // what was said is heard before a write finds that nobody listens any more
            biased;
            read = stream.read(&mut answer) => match read {
                Ok(0) | Err(_) => break,
                Ok(length) => said.extend_from_slice(&answer[..length]),
            },
            () = tokio::time::sleep(wait) => if stream.write_all(&[*byte]).await.is_err() {
                let _closed_or_reset = stream.read_to_end(&mut said).await;
                break;
            },
        }
        assert!(begun.elapsed() < SILENCE_MAX, "the connection is still open after {SILENCE_MAX:?}");
    }
    (String::from_utf8_lossy(&said).into_owned(), begun.elapsed())
}

async fn post_raw(server: &Server, path: &str, kind: &str, body: Vec<u8>) -> (u16, Value) {
    let client = reqwest::Client::new();
    let answer = client.post(server.at(path)).header("content-type", kind).body(body).send().await.unwrap();
    let (status, kind) = (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap().to_owned());
    assert_eq!(kind, "application/problem+json", "{path} answered {status}");
    (status, answer.json().await.unwrap())
}

#[tokio::test]
async fn clients_that_do_not_get_to_the_point_are_let_go() {
    let folder = empty();
    let server = Server::start(folder.path());
    let head = "POST /api/v1/workflows/runs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    let silent = connect(&server).await;
    let mut answered = connect(&server).await;
    answered.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut slow_headers = connect(&server).await;
    slow_headers.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n").await.unwrap();
    let mut slow_body = connect(&server).await;
    slow_body.write_all(format!("{head}content-length: 1000000\r\n\r\n").as_bytes()).await.unwrap();
    let mut no_body = connect(&server).await;
    no_body.write_all(format!("{head}content-length: 20\r\n\r\n{{").as_bytes()).await.unwrap();
    let dripped = Duration::from_millis(200);

    let ((silence, _), (kept, _), (headers, _), (body, _), (rest, _)) = tokio::join!(
        until_closed(silent),
        until_closed(answered),
        drip(slow_headers, b"x-slow: yes\r\n", dripped),
        drip(slow_body, b" ", dripped),
        until_closed(no_body),
    );

    assert_eq!(silence, "");
    assert!(kept.starts_with("HTTP/1.1 200") && kept.ends_with("OK"), "{kept}");
    assert_eq!(headers, "");
    for slow in [body, rest] {
        assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("application/problem+json"), "{slow}");
    }
    get(&server.at("/health")).await.fine();
}

#[tokio::test]
async fn a_slow_client_with_much_to_send_is_heard_out() {
    let folder = empty();
    let server = Server::start(folder.path());
    let (length, part) = (250_000, vec![b' '; 10_000]);
    let mut stream = connect(&server).await;
    let head = "POST /api/v1/workflows/runs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    stream.write_all(format!("{head}connection: close\r\ncontent-length: {length}\r\n\r\n").as_bytes()).await.unwrap();

    // 25 s in all, longer than any single wait may be
    for _ in 0..length / part.len() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stream.write_all(&part).await.unwrap();
    }

    let (said, _) = until_closed(stream).await;
    assert!(said.starts_with("HTTP/1.1 400"), "it is read to its end, and is no JSON: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_neither_kill_the_server_nor_starve_others() {
    let own = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let flood = FLOOD.min(usize::try_from(own).unwrap().saturating_sub(500));
    let folder = empty();
    let server = Server::start(folder.path());
    let before = server.resident_bytes();
    let mut held = Vec::with_capacity(flood);

    for number in 0..flood {
        let mut stream = connect(&server).await;
        // half of them begin a request and never end it
        if number % 2 == 0 {
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n").await.unwrap();
        }
        held.push(stream);
        if number % 1_000 == 999 {
            let begun = Instant::now();
            get(&server.at("/health")).await.fine();
            assert!(begun.elapsed() < WAIT_MAX, "with {number} connections: {:?}", begun.elapsed());
        }
    }

    let added = server.resident_bytes().saturating_sub(before);
    println!("{flood} connections took {} MB", added >> 20);
    assert!(added < FLOOD_BYTES_MAX, "{flood} connections took {added} bytes");
    drop(held);
    get(&server.at("/health")).await.fine();
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_as_problems() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
    let json = "application/json";
    let routes = [
        "/api/v1/workflows/runs",
        "/api/v1/models/returns/promote",
        "/api/v1/models/returns/rollback",
        "/api/v1/lineage",
    ];

    for path in routes {
        for (what, kind, body, status) in [
            ("truncated", json, b"{\"".to_vec(), 400),
            ("deep", json, deep(200_000), 422),
            ("nothing", json, vec![], 400),
            ("text", "text/plain", b"{}".to_vec(), 415),
            ("of another shape", json, b"[1]".to_vec(), 422),
            ("large", json, vec![b' '; (32 << 20) + 1], 413),
        ] {
            let (said, problem) = post_raw(&server, path, kind, body).await;
            assert_eq!(said, status, "{path} with {what}: {problem}");
            assert_eq!(problem["status"], status);
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
        }
    }
    let nested = [b"{\"run\":".to_vec(), deep(200_000), b"}".to_vec()].concat();
    assert_eq!(post_raw(&server, "/api/v1/lineage", json, nested).await.0, 400);
    let predict = "/api/v1/endpoints/returns/predict";
    for (body, status) in [(deep(200_000), 400), (b"{\"rows\":[{".to_vec(), 400), (vec![b' '; (32 << 20) + 1], 413)] {
        assert_eq!(post_raw(&server, predict, json, body).await.0, status);
    }
    get(&server.at("/health")).await.fine();
}

#[tokio::test]
async fn header_bombs_are_refused_and_take_no_memory() {
    let folder = empty();
    let server = Server::start(folder.path());
    let before = server.resident_bytes();
    for _ in 0..50 {
        let mut large = connect(&server).await;
        let line = format!("x-bomb: {}\r\n", "b".repeat(8_000));
        large.write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n").await.unwrap();
        for _ in 0..40 {
            if large.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
        let (said, _) = until_closed(large).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");

        let mut many = connect(&server).await;
        let lines: String = (0..500).map(|number| format!("x-{number}: 1\r\n")).collect();
        let request = format!("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\n");
        many.write_all(request.as_bytes()).await.unwrap();
        let (said, _) = until_closed(many).await;
        assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    }

    let added = server.resident_bytes().saturating_sub(before);
    assert!(added < 50 << 20, "header bombs took {added} bytes");
    get(&server.at("/health")).await.fine();
}

#[tokio::test]
async fn what_is_not_there_and_methods_that_are_not_answered_are_problems() {
    let folder = empty();
    let server = Server::start(folder.path());
    let client = reqwest::Client::new();
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::DELETE, "/api/v1/sources", 405),
        (Method::GET, "/api/v1/endpoints/x/predict", 405),
        (Method::GET, "/api/v1/sources?limit=0", 400),
        (Method::GET, "/api/v1/sources?limit=many", 400),
        (Method::GET, "/api/v1/sources?colour=red", 400),
    ] {
        let answer = client.request(method, server.at(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["status"], json!(status));
    }
}
