//! A controller that does what a test says: it listens, greets, asks for features, answers echoes, and tells all that
//! switches say.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ofproto::{Body, Framer, Hello, Message};

/// Far longer than anything takes here.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a switch did.
#[derive(Debug)]
pub enum Event {
    /// It answered the features request: this is its id.
    Came(u64),
    /// It said this, after that.
    Said(u64, Message),
    /// Its connection ended; the id is 0 if it never told one. With what could not be read, if that was the cause.
    Gone(u64, Option<String>),
}

/// How a controller treats a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Good,
    /// It reads and says nothing at all.
    Mute,
}

type Writers = Arc<Mutex<BTreeMap<u64, TcpStream>>>;

/// The controller.
#[derive(Debug)]
pub struct Controller {
    pub address: SocketAddr,
    events: Receiver<Event>,
    writers: Writers,
}

impl Controller {
    pub fn start(manner: Manner) -> Controller {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has one");
        let (sender, events) = channel();
        let writers = Writers::default();
        let kept = writers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, writers) = (sender.clone(), kept.clone());
                std::thread::spawn(move || serve(stream, manner, &sender, &writers));
            }
        });
        Controller {
            address,
            events,
            writers,
        }
    }

    /// Says something to a switch that came.
    pub fn say(&self, switch: u64, xid: u32, body: Body) {
        let bytes = Message::new(xid, body).to_bytes().expect("fits");
        self.write(switch, &bytes);
    }

    /// Writes bytes to a switch that came.
    pub fn write(&self, switch: u64, bytes: &[u8]) {
        let mut writers = self.writers.lock().expect("no thread panics");
        let stream = writers.get_mut(&switch).expect("it came");
        stream.write_all(bytes).expect("it reads");
    }

    /// Hangs up on a switch.
    pub fn hang_up(&self, switch: u64) {
        let writers = self.writers.lock().expect("no thread panics");
        writers[&switch].shutdown(Shutdown::Both).expect("it is there");
    }

    /// Takes events until one is what is waited for.
    pub fn wait<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut last = None;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => match wanted(&event) {
                    Some(found) => return found,
                    None => last = Some(event),
                },
                Err(RecvTimeoutError::Timeout) => panic!("{what} was waited for; last was {last:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the controller ended"),
            }
        }
    }

    /// Waits until so many switches came.
    pub fn wait_for_switches(&self, count: usize) {
        let mut came = std::collections::BTreeSet::new();
        self.wait(&format!("{count} switches"), |event| {
            if let Event::Came(id) = event {
                came.insert(*id);
            }
            (came.len() == count).then_some(())
        });
    }

    /// The next answer with this xid from a switch.
    pub fn answer(&self, switch: u64, xid: u32) -> Body {
        self.wait(&format!("an answer of {switch} to {xid}"), |event| match event {
            Event::Said(from, message) if *from == switch && message.xid == xid => Some(message.body.clone()),
            _ => None,
        })
    }
}

fn serve(mut stream: TcpStream, manner: Manner, events: &Sender<Event>, writers: &Writers) {
    let mut id = 0;
    let why = talk(&mut stream, manner, events, writers, &mut id).err();
    // Who writes has the same socket.
    let _ = stream.shutdown(Shutdown::Both);
    let _ = events.send(Event::Gone(id, why));
}

fn talk(
    stream: &mut TcpStream,
    manner: Manner,
    events: &Sender<Event>,
    writers: &Writers,
    id: &mut u64,
) -> Result<(), String> {
    stream.set_nodelay(true).expect("a socket");
    let say = |stream: &mut TcpStream, xid, body| {
        let bytes = Message::new(xid, body).to_bytes().expect("fits");
        let _ = stream.write_all(&bytes);
    };
    if manner == Manner::Good {
        say(stream, 1, Body::Hello(Hello::with_versions(&[4])));
        say(stream, 2, Body::FeaturesRequest);
    }
    let mut framer = Framer::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        framer.push(&buffer[..count]);
        while let Some(frame) = framer.next_frame().map_err(|error| error.to_string())? {
            let message = Message::decode(&frame).map_err(|error| error.to_string())?;
            match message.body {
                _ if manner == Manner::Mute => {}
                Body::EchoRequest(data) => say(stream, message.xid, Body::EchoReply(data)),
                Body::FeaturesReply(features) if message.xid == 2 => {
                    *id = features.datapath_id;
                    let writer = stream.try_clone().expect("a socket");
                    writers.lock().expect("no thread panics").insert(*id, writer);
                    let _ = events.send(Event::Came(*id));
                }
                _ => {
                    let _ = events.send(Event::Said(*id, message));
                }
            }
        }
    }
}
