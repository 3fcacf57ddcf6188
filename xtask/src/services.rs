//! What the tests need besides Cargo: a browser, Python environments with the clients, and an S3 server, pinned.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{on_path, root, run, shown, target_folder};

/// How long the S3 server may take until it answers: seconds, but minutes on a machine that has much else to do.
const START_MAX: Duration = Duration::from_secs(300);
/// How often it is started anew, on other ports, when it ends before it answers: another program may have taken one of its
/// ports since it was found free.
const STARTS_MAX: usize = 3;
/// The most lines of its log that are shown when it does not start.
const LOG_LINES_MAX: usize = 20;
/// The key that the S3 server knows, and the secret to it.
const KEY: (&str, &str) = ("mainspring-tests", "not-a-secret");

/// Makes a suite's environment beside the compiled things, and makes it again when its pinned list has changed.
pub fn python_environment(suite: &Path) -> Result<PathBuf, String> {
    let pinned = suite.join("requirements.txt");
    let wanted =
        std::fs::read_to_string(&pinned).map_err(|error| format!("cannot read {}: {error}", pinned.display()))?;
    let folder = target_folder().join("clients-venv").join(suite.file_name().unwrap_or_default());
    let python = folder.join("bin/python");
    let stamp = folder.join("installed-requirements.txt");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&pinned))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    Ok(python)
}

/// Finds Chromium, or installs Debian's package.
pub fn chromium() -> Result<PathBuf, String> {
    let find = || ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path);
    if let Some(found) = find() {
        return Ok(found);
    }
    if on_path("apt-get").is_none() {
        return Err("the console's tests need Chromium: install it so that `chromium` is on the path".into());
    }
    let sudo = on_path("sudo").filter(|_| std::env::var("USER").is_ok_and(|user| user != "root"));
    for words in
        [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]]
    {
        let mut command = sudo.as_ref().map_or_else(
            || Command::new("apt-get"),
            |sudo| {
                let mut command = Command::new(sudo);
                command.arg("apt-get");
                command
            },
        );
        let patient = ["-o", "Acquire::Retries=5"];
        run(command.args(patient).args(words).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    find().ok_or_else(|| "Chromium was installed and is not on the path".into())
}

/// A server of S3's protocol (SeaweedFS) over an empty folder; it ends when this is dropped.
pub struct Bucket {
    server: Child,
    address: SocketAddr,
    sockets: Vec<PathBuf>,
}

impl Bucket {
    /// Installs the server where it is not yet, starts it on free ports, and waits until it takes files.
    pub fn start() -> Result<Self, String> {
        let weed = seaweedfs()?;
        let mut started = Self::start_once(&weed);
        for _ in 1..STARTS_MAX {
            let Err(reason) = &started else { break };
            eprintln!("{reason}; once more");
            started = Self::start_once(&weed);
        }
        started
    }

    fn start_once(weed: &Path) -> Result<Self, String> {
        let folder = target_folder().join("bucket");
        let _none_yet = std::fs::remove_dir_all(&folder);
        let failed = |doing: &str, error: std::io::Error| format!("cannot {doing} {}: {error}", folder.display());
        for inside in ["data", "temporary"] {
            std::fs::create_dir_all(folder.join(inside)).map_err(|error| failed("make", error))?;
        }
        let actions = r#"["Admin","Read","Write","List","Tagging"]"#;
        let (key, secret) = KEY;
        let identity = format!(
            r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{key}","secretKey":"{secret}"}}],"actions":{actions}}}]}}"#
        );
        std::fs::write(folder.join("identities.json"), identity).map_err(|error| failed("write to", error))?;
        let log = std::fs::File::create(folder.join("log")).map_err(|error| failed("write to", error))?;
        let ports = free_ports::<8>().map_err(|error| format!("cannot find free ports: {error}"))?;
        let names = ["master", "volume", "filer", "s3"];
        let mut sockets = Vec::new();
        let mut command = Command::new(weed);
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
        for (name, pair) in names.iter().zip(ports.chunks_exact(2)) {
            command.arg(format!("-{name}.port={}", pair[0])).arg(format!("-{name}.port.grpc={}", pair[1]));
            sockets.extend(sockets_of(name, pair));
        }
        // small volumes, as many as are asked for: each bucket takes several
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=100"]);
        command.arg("-volume.minFreeSpace=1").arg(format!("-dir={}", folder.join("data").display()));
        command.arg(format!("-s3.config={}", folder.join("identities.json").display()));
        eprintln!("$ {} &", shown(&command));
        // its own logs go to the temporary folder
        command.env("TMPDIR", folder.join("temporary")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let server = command.spawn().map_err(|error| format!("cannot start SeaweedFS: {error}"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], ports[6]));
        let mut bucket = Self { server, address, sockets };
        let filer = SocketAddr::from(([127, 0, 0, 1], ports[4]));
        let since = Instant::now();
        while !(answers(address, "GET /healthz HTTP/1.0\r\n\r\n", "200") && takes_files(filer)) {
            let ended = bucket.server.try_wait().ok().flatten();
            if let Some(status) = ended
                .map(|status| status.to_string())
                .or_else(|| (since.elapsed() > START_MAX).then(|| format!("no answer in {} s", START_MAX.as_secs())))
            {
                // the log goes with the folder
                let said = std::fs::read(folder.join("log")).unwrap_or_default();
                return Err(format!("SeaweedFS did not start ({status}); its log ends with\n{}", last_lines(&said)));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(bucket)
    }

    /// Tells a program of the bucket, as the tests ask for it and as every tool of AWS does.
    pub fn tell(&self, command: &mut Command) {
        command
            .env("MAINSPRING_TEST_BUCKET", "s3://mainspring-tests")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", KEY.0)
            .env("AWS_SECRET_ACCESS_KEY", KEY.1);
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ended_already = self.server.kill();
        let _reaped = self.server.wait();
        for socket in &self.sockets {
            // not each part has both
            let _gone_or_never_there = std::fs::remove_file(socket);
        }
        let _best_effort = std::fs::remove_dir_all(target_folder().join("bucket"));
    }
}

/// SeaweedFS, as its Python package carries it.
pub fn seaweedfs() -> Result<PathBuf, String> {
    let python = python_environment(&root().join("tests/services"))?;
    Ok(python.with_file_name("weed"))
}

/// The sockets beside the ports of one of SeaweedFS's servers: it puts them into `/tmp` whatever the temporary folder is, and
/// leaves them there.
fn sockets_of(name: &str, ports: &[u16]) -> Vec<PathBuf> {
    let kinds = ["", "-grpc"].into_iter().zip(ports);
    kinds.map(|(kind, port)| PathBuf::from(format!("/tmp/seaweedfs-{name}{kind}-{port}.sock"))).collect()
}

/// The end of a log.
fn last_lines(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
}

/// Ports that nobody listens on, all different.
fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Whether the files' own server has a volume to put one on, which it has a moment after its port is open. The file makes the
/// bucket.
fn takes_files(filer: SocketAddr) -> bool {
    let part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"ready\"\r\n\r\nx\r\n--x--\r\n";
    let request = format!(
        "POST /buckets/mainspring-tests/ready HTTP/1.0\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n\r\n{part}",
        part.len()
    );
    answers(filer, &request, "201")
}

/// Whether a request is answered with this status.
fn answers(address: SocketAddr, request: &str, status: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        connection.write_all(request.as_bytes())?;
        let mut line = [0; 16];
        connection.read_exact(&mut line)?;
        Ok(String::from_utf8_lossy(&line).split_whitespace().nth(1) == Some(status))
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_end_is_shown() {
        let log: String = (0..100).map(|line| format!("line {line}\n")).collect();

        let shown = last_lines(log.as_bytes());

        assert!(shown.starts_with("line 80\n") && shown.ends_with("line 99"), "{shown}");
        assert_eq!(last_lines(b"one\ntwo"), "one\ntwo");
        assert_eq!(last_lines(b""), "");
    }
}
