//! Who feeds the watchdog and answers for the health: the main loop itself, so that both stop when it does.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{KEY, Log, PATIENCE, command, http};

/// What systemd would hear.
struct Systemd {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Systemd {
    fn new() -> Systemd {
        let path = std::env::temp_dir().join(format!("skerry-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Systemd { socket, path }
    }

    /// The next message, if one comes in this time.
    fn heard(&self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within)).expect("a timeout");
        let mut buffer = [0; 1024];
        match self.socket.recv(&mut buffer) {
            Ok(n) => Some(String::from_utf8_lossy(&buffer[..n]).into_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn wait(&self, what: &str) {
        let until = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while let Some(text) = self.heard(
            until
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1)),
        ) {
            if text.lines().any(|line| line == what) {
                return;
            }
            heard.push(text);
        }
        panic!("no {what}; heard was {heard:?}");
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn health(pages: std::net::SocketAddr, wanted: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let page = http(pages, "/healthz");
        if page.starts_with(wanted) {
            return page;
        }
        assert!(Instant::now() < until, "{wanted:?} was not told, but {page:?}");
        std::thread::yield_now();
    }
}

/// The main loop writes the log. When nobody reads the log, the pipe fills up and the loop stands still, while every other
/// thread of the process lives on: just what a watchdog is for.
#[test]
fn a_main_loop_that_stands_still_feeds_no_watchdog_and_is_not_healthy_until_it_goes_on() {
    let systemd = Systemd::new();
    let mut process = command(
        &[],
        &[
            ("REGION", "east"),
            ("NETWORK_KEY", KEY),
            ("LISTEN", "[{ address = \"127.0.0.1:0\", plaintext = true }]"),
            ("METRICS__LISTEN", "127.0.0.1:0"),
            ("KAFKA__BOOTSTRAP", "127.0.0.1:9"),
            ("LOG__FORMAT", "json"),
        ],
    )
    .env("NOTIFY_SOCKET", &systemd.path)
    .env("WATCHDOG_USEC", "200000")
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .expect("it was built");
    let mut log = Log::new(process.stderr.take().expect("a pipe"));
    let pages = log.address("metrics on /metrics, health on /healthz and /readyz");
    let switches = log.address("listening for switches");
    systemd.wait("WATCHDOG=1");
    systemd.wait("READY=1");
    systemd.wait("WATCHDOG=1");
    let page = http(pages, "/readyz");
    assert!(page.contains("not ready: kafka"), "{page}");

    // From here on nobody reads the log; each of these writes a line.
    let mut knocked = 0;
    let until = Instant::now() + PATIENCE;
    loop {
        // A hello of OpenFlow 1.0 is refused.
        let mut stream = std::net::TcpStream::connect(switches).expect("the kernel takes it");
        let _ = std::io::Write::write_all(&mut stream, &[1, 0, 0, 8, 0, 0, 0, 1]);
        knocked += 1;
        let still_fed = std::iter::from_fn(|| systemd.heard(Duration::from_millis(1))).count() > 0;
        if knocked > 400 && !still_fed && systemd.heard(Duration::from_secs(1)).is_none() {
            break;
        }
        assert!(Instant::now() < until, "{knocked} lines did not fill the pipe");
    }
    let page = health(pages, "HTTP/1.1 503");
    assert!(page.contains("standing still"), "{page}");

    // Somebody reads it again.
    let reader = std::thread::spawn(move || while log.next().is_some() {});
    systemd.wait("WATCHDOG=1");
    health(pages, "HTTP/1.1 200");
    let killed = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
    assert!(killed.expect("kill is there").success());
    systemd.wait("STOPPING=1");
    assert!(process.wait().expect("it is ours").success());
    reader.join().expect("the log ends with the process");
}
