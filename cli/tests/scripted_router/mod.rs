//! A router that answers what a test tells it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came: method and path, and the body.
pub type Seen = (String, String);

/// Answers a script, one entry a request, then nothing more.
pub struct Router {
    /// Its URL.
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Router {
    /// Each entry is a status and a body, which ends with its connection.
    pub fn answering(script: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let notes = seen.clone();
        std::thread::spawn(move || {
            for (status, body) in script {
                let Ok((stream, _)) = listener.accept() else { return };
                answer(stream, status, &body, &notes);
            }
        });
        Router { url, seen }
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no thread panics with it").clone()
    }
}

fn answer(stream: TcpStream, status: u16, body: &str, notes: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    let mut length = 0;
    reader.read_line(&mut first).expect("a request line");
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("a header");
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut request = vec![0; length];
    reader.read_exact(&mut request).expect("the body");
    let what = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    notes
        .lock()
        .expect("no thread panics with it")
        .push((what, String::from_utf8(request).expect("JSON is UTF-8")));
    let mut stream = &stream;
    // Whoever asked may have gone.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n{body}"
    );
}
