//! TLS on the sockets: who gets through, what the others are told, what is bounded, and files that change.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use skerry_bus::SwitchId;
use skerry_speaker::outbox::OutboxLimits;
use skerry_speaker::sockets::{SocketEvent, SocketLimits, Sockets, SwitchOutbox, Transport};
use skerry_speaker::tls::{Tls, TlsSettings};
use skerry_speaker_core::identity::May;
use skerry_speaker_core::{ConnId, Identity, TlsFault};
use tokio::sync::mpsc::UnboundedReceiver;

#[path = "support/ca.rs"]
mod ca;
#[path = "support/serving.rs"]
mod serving;

use ca::{Ca, Files};
use serving::{PATIENCE, Serving};

const LIMITS: SocketLimits = SocketLimits {
    outbox: OutboxLimits {
        bytes: 64 * 1024 * 1024,
        stall: Duration::from_millis(300),
    },
    // One address has a quarter: one.
    handshakes: 4,
};

fn paths(server: &Files, ca: &Ca) -> TlsSettings {
    TlsSettings {
        certificate_file: Some(server.certificate().into()),
        key_file: Some(server.key().into()),
        client_ca_file: Some(ca.certificate().into()),
        ..TlsSettings::default()
    }
}

struct Side {
    ca: Ca,
    tls: Arc<Tls>,
    _sockets: Serving,
    events: UnboundedReceiver<SocketEvent>,
    address: SocketAddr,
}

impl Side {
    fn new() -> Side {
        let ca = Ca::new("ours");
        let settings = paths(&ca.server("server", &["localhost"]), &ca);
        Side::with(ca, &settings)
    }

    fn with(ca: Ca, settings: &TlsSettings) -> Side {
        let tls = Arc::new(Tls::new(settings).expect("nothing is wrong with the files"));
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let (sockets, events) = Sockets::listen(&[(any, Transport::Tls(tls.clone()))], LIMITS).expect("a free port");
        Side {
            ca,
            tls,
            address: sockets.addresses()[0],
            _sockets: Serving::start(sockets),
            events,
        }
    }

    fn next(&mut self) -> SocketEvent {
        serving::next(&mut self.events)
    }

    /// The next connection that was taken; nothing else comes before it.
    fn accepted(&mut self) -> (ConnId, Arc<SwitchOutbox>) {
        match self.next() {
            SocketEvent::Accepted {
                conn,
                outbox,
                tls: true,
                ..
            } => (conn, outbox),
            other => panic!("{other:?}"),
        }
    }

    fn secured(&mut self, of: ConnId) -> Identity {
        match self.next() {
            SocketEvent::Secured { conn, identity } if conn == of => identity,
            other => panic!("{other:?}"),
        }
    }

    fn failed(&mut self, of: ConnId) -> (TlsFault, String) {
        match self.next() {
            SocketEvent::NotSecured { conn, failure } if conn == of => (failure.fault, failure.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A switch that trusts this CA and shows this certificate.
fn client(
    address: SocketAddr,
    trusts: &Ca,
    shows: Option<&Files>,
    versions: &[&'static SupportedProtocolVersion],
) -> Client {
    let stream = TcpStream::connect(address).expect("it listens");
    client_on(stream, trusts, shows, versions)
}

fn client_on(
    stream: TcpStream,
    trusts: &Ca,
    shows: Option<&Files>,
    versions: &[&'static SupportedProtocolVersion],
) -> Client {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusts.certificate()).expect("a certificate"))
        .expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions of the provider")
        .with_root_certificates(roots);
    let config = match shows {
        None => config.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(files.certificate()).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(files.key()).expect("a key");
            config.with_client_auth_cert(chain, key).expect("they fit")
        }
    };
    let name = "localhost".try_into().expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    StreamOwned::new(session, stream)
}

/// The error that a connection ends with, as the TLS library has it.
fn end(client: &mut Client) -> Option<rustls::Error> {
    let mut nowhere = Vec::new();
    let error = client
        .write_all(b"x")
        .and_then(|()| client.read_to_end(&mut nowhere))
        .err()?;
    error.into_inner()?.downcast::<rustls::Error>().ok().map(|error| *error)
}

const BOTH: [&[&SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

#[test]
fn a_switch_proves_who_it_is_and_bytes_go_both_ways_to_an_end_in_order() {
    let mut side = Side::new();
    let files = side.ca.switch("s1", &["openflow:0x1", "openflow:0x2"], 2090);
    for versions in BOTH {
        let mut switch = client(side.address, &side.ca, Some(&files), versions);
        let talk = std::thread::spawn(move || {
            switch.write_all(b"hello").expect("it reads");
            let mut got = Vec::new();
            switch.read_to_end(&mut got).expect("it ends with a close_notify");
            got
        });
        let (conn, outbox) = side.accepted();
        let Identity::Certified(certified) = side.secured(conn) else {
            panic!("a certificate was shown")
        };
        assert_eq!(certified.subject, "CN=s1");
        assert_eq!(certified.may, May::Be([SwitchId(1), SwitchId(2)].into()));
        match side.next() {
            SocketEvent::Received { conn: of, bytes, .. } => {
                assert_eq!((of, bytes), (conn, Bytes::from_static(b"hello")));
            }
            other => panic!("{other:?}"),
        }
        // More than a socket takes at once, in pieces of every size, then the end: all of it arrives, in order.
        let much: Vec<u8> = (0..8_000_000_u32).map(|n| (n ^ (n >> 11)) as u8).collect();
        let (mut rest, mut size) = (&much[..], 1);
        while !rest.is_empty() {
            let piece = rest.len().min(size);
            outbox
                .write(Instant::now(), Bytes::copy_from_slice(&rest[..piece]))
                .expect("fits");
            (rest, size) = (&rest[piece..], size * 3 % 1_000_003);
        }
        outbox.close(Instant::now());
        let got = talk.join().expect("it gets all");
        assert!(got == much, "{} of {} bytes, or others", got.len(), much.len());
        match side.next() {
            SocketEvent::Closed { conn: of, .. } => assert_eq!(of, conn),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_is_refused_is_told_the_cause_and_so_are_we() {
    let mut side = Side::new();
    let foreign = Ca::new("foreign");
    let expired = side.ca.switch("old", &["openflow:0x1"], 2024);
    let others = foreign.switch("other", &["openflow:0x1"], 2090);
    let server = side.ca.server("as-switch", &["localhost"]);
    let cases = [
        (
            None,
            TlsFault::NoCertificate,
            "showed no certificate",
            AlertDescription::CertificateRequired,
        ),
        (
            Some(&expired),
            TlsFault::Expired,
            "CN=old (sha256 ",
            AlertDescription::CertificateExpired,
        ),
        (
            Some(&others),
            TlsFault::UnknownIssuer,
            "CN=other (sha256 ",
            AlertDescription::UnknownCA,
        ),
        (
            Some(&server),
            TlsFault::Other,
            "CN=as-switch (sha256 ",
            AlertDescription::UnsupportedCertificate,
        ),
    ];
    for (shows, fault, words, alert) in cases {
        let mut switch = client(side.address, &side.ca, shows, BOTH[1]);
        let talk = std::thread::spawn(move || end(&mut switch));
        let (conn, outbox) = side.accepted();
        let (seen, said) = side.failed(conn);
        assert!(seen == fault && said.contains(words), "{seen:?} {said}");
        outbox.close(Instant::now());
        let heard = talk.join().expect("it ends");
        assert_eq!(heard, Some(rustls::Error::AlertReceived(alert)), "{said}");
    }
    // One that does not take ours.
    let good = side.ca.switch("s1", &["openflow:0x1"], 2090);
    let mut switch = client(side.address, &foreign, Some(&good), BOTH[1]);
    let talk = std::thread::spawn(move || end(&mut switch));
    let (conn, outbox) = side.accepted();
    let (fault, said) = side.failed(conn);
    assert_eq!(fault, TlsFault::OursRefused, "{said}");
    assert!(said.contains("UnknownCA") && said.contains("CN=server"), "{said}");
    outbox.close(Instant::now());
    assert!(talk.join().expect("it ends").is_some());
    // Those that do not speak TLS at all.
    for (bytes, words) in [
        (&[4, 0, 0, 8, 0, 0, 0, 1][..], "not TLS: plain OpenFlow of version 0x04"),
        (b"GET / HTTP/1.1\r\n\r\n", "not TLS: the first byte is 0x47"),
        (&[22; 64], "not TLS"),
    ] {
        let mut stream = TcpStream::connect(side.address).expect("it listens");
        stream.write_all(bytes).expect("it reads");
        let (conn, outbox) = side.accepted();
        let (fault, said) = side.failed(conn);
        assert!(fault == TlsFault::NotTls && said.starts_with(words), "{said}");
        outbox.close(Instant::now());
        let ended = stream.read_to_end(&mut Vec::new());
        assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    }
    // One that leaves in between is no failure.
    drop(TcpStream::connect(side.address).expect("it listens"));
    let (conn, _) = side.accepted();
    match side.next() {
        SocketEvent::Closed { conn: of, reason } => {
            assert_eq!(of, conn);
            assert!(reason.contains("during the TLS handshake"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_that_was_taken_back_is_refused_and_a_list_past_its_time_refuses_all() {
    let ca = Ca::new("ours");
    let server = ca.server("server", &["localhost"]);
    let lost = ca.switch("lost", &["openflow:0x1"], 2090);
    let good = ca.switch("good", &["openflow:0x2"], 2090);
    let settings = TlsSettings {
        client_crl_file: Some(ca.revoke(&lost, 2090)),
        ..paths(&server, &ca)
    };
    let mut side = Side::with(ca, &settings);
    let knock = |side: &mut Side, shows: &Files| {
        let mut switch = client(side.address, &side.ca, Some(shows), BOTH[1]);
        let talk = std::thread::spawn(move || end(&mut switch));
        let (conn, outbox) = side.accepted();
        let event = side.next();
        outbox.close(Instant::now());
        talk.join().expect("it ends");
        match event {
            SocketEvent::Secured { conn: of, .. } if of == conn => {
                // What it said, and its end.
                while !matches!(side.next(), SocketEvent::Closed { .. }) {}
                None
            }
            SocketEvent::NotSecured { failure, .. } => Some((failure.fault, failure.to_string())),
            other => panic!("{other:?}"),
        }
    };
    let (fault, said) = knock(&mut side, &lost).expect("refused");
    assert!(fault == TlsFault::Revoked && said.contains("CN=lost"), "{said}");
    assert_eq!(knock(&mut side, &good), None);
    side.ca.revoke(&lost, 2024);
    side.tls.reload().expect("nothing is wrong with the files");
    let (fault, said) = knock(&mut side, &good).expect("refused");
    assert!(fault == TlsFault::Other && said.contains("CN=good"), "{said}");
}

/// Connect from another address of loopback.
fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let source: SocketAddr = format!("{source}:0").parse().expect("an address");
    socket.bind(&source.into()).expect("all of 127/8 is ours");
    socket.connect(&to.into()).expect("it listens");
    socket.into()
}

#[test]
fn silent_and_slow_ones_stop_nobody_else_and_places_come_back() {
    let mut side = Side::new();
    let files = side.ca.switch("s1", &["openflow:0x1"], 2090);
    // Far more silent ones than there are places, and one from another address that began and stands still.
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(side.address).expect("it listens"));
        side.accepted();
    }
    let mut slow = from("127.0.0.2", side.address);
    slow.write_all(&[22, 3, 1]).expect("it reads");
    let (slow_conn, slow_outbox) = side.accepted();

    // Others get through, from other addresses.
    let mut good = client(side.address, &side.ca, Some(&files), BOTH[1]);
    let talk = std::thread::spawn(move || (good.write_all(b"hello"), good));
    let (conn, _outbox) = side.accepted();
    side.secured(conn);
    drop(talk.join().expect("it gets through"));
    loop {
        if let SocketEvent::Closed { conn: of, .. } = side.next() {
            assert_eq!(of, conn);
            break;
        }
    }

    // From the same address as the slow one: not before that one gives its place back.
    let stream = from("127.0.0.2", side.address);
    let mut second = client_on(stream, &side.ca, Some(&files), BOTH[1]);
    let talk = std::thread::spawn(move || (second.write_all(b"hello"), second));
    let (conn, _outbox) = side.accepted();
    // A third one, from elsewhere, is through meanwhile, and nothing was heard of the second.
    let mut third = client(side.address, &side.ca, Some(&files), BOTH[1]);
    let also = std::thread::spawn(move || (third.write_all(b"hello"), third));
    let (third_conn, _third_outbox) = side.accepted();
    side.secured(third_conn);
    let third = also.join().expect("it gets through");
    assert!(matches!(side.next(), SocketEvent::Received { .. }));
    // The machine's deadline ends the slow one, as it ends everything.
    slow_outbox.close(Instant::now());
    drop(slow);
    loop {
        match side.next() {
            SocketEvent::Closed { conn: of, .. } => assert_eq!(of, slow_conn),
            SocketEvent::Secured { conn: of, .. } => {
                assert_eq!(of, conn);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    drop((talk.join().expect("it gets through"), third, silent));
}

#[test]
fn a_switch_that_does_not_read_is_given_up_with_tls_too() {
    let mut side = Side::new();
    let files = side.ca.switch("s1", &["openflow:0x1"], 2090);
    let mut switch = client(side.address, &side.ca, Some(&files), BOTH[1]);
    let talk = std::thread::spawn(move || (switch.write_all(b"x"), switch));
    let (conn, outbox) = side.accepted();
    side.secured(conn);
    assert!(matches!(side.next(), SocketEvent::Received { .. }));
    let _switch = talk.join().expect("it gets through");
    outbox
        .write(Instant::now(), Bytes::from(vec![0; 48 * 1024 * 1024]))
        .expect("fits");
    match side.next() {
        SocketEvent::Closed { conn: of, reason } => {
            assert_eq!(of, conn);
            assert!(reason.starts_with("took no byte for"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_switch_that_floods_waits_for_itself_with_tls_too() {
    let mut side = Side::new();
    let files = side.ca.switch("s1", &["openflow:0x1"], 2090);
    let mut flood = client(side.address, &side.ca, Some(&files), BOTH[1]);
    std::thread::spawn(move || while flood.write_all(&[1; 16 * 1024]).is_ok() {});
    let (conn, outbox) = side.accepted();
    side.secured(conn);
    let mut other = client(side.address, &side.ca, Some(&files), BOTH[1]);
    let talk = std::thread::spawn(move || (other.write_all(b"y"), other));
    // Nothing is given back, so the flood gets no more than its share, and the other one comes through.
    let mut kept = Vec::new();
    loop {
        match side.next() {
            SocketEvent::Received { bytes, .. } if bytes == b"y"[..] => break,
            event @ SocketEvent::Received { .. } => kept.push(event),
            SocketEvent::Accepted { .. } | SocketEvent::Secured { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(kept.len() <= 4, "{} reads of the flood are under way", kept.len());
    let most = kept.iter().map(|event| match event {
        SocketEvent::Received { bytes, .. } => bytes.len(),
        _ => 0,
    });
    // One read ends with the record that crosses its limit.
    assert!(most.max().unwrap_or(0) <= 2 * 16 * 1024 + 4 * 1024);
    drop((talk.join().expect("it gets through"), outbox));
}

#[test]
fn files_that_change_hold_for_new_sessions_and_broken_ones_do_not_hold() {
    let ca = Ca::new("ours");
    let settings = TlsSettings {
        switches_file: Some(ca.folder().join("switches")),
        ..paths(&ca.server("server", &["localhost"]), &ca)
    };
    std::fs::write(ca.folder().join("switches"), "").expect("a temporary file");
    let mut side = Side::with(ca, &settings);
    let files = side.ca.switch("s1", &["openflow:0x1"], 2090);
    let connect = |side: &mut Side| {
        let mut switch = client(side.address, &side.ca, Some(&files), BOTH[1]);
        let talk = std::thread::spawn(move || {
            switch.write_all(b"hello").expect("it gets through");
            let shown = switch.conn.peer_certificates().expect("it showed one")[0].to_vec();
            (switch, shown)
        });
        let (conn, outbox) = side.accepted();
        let Identity::Certified(certified) = side.secured(conn) else {
            panic!("a certificate was shown")
        };
        assert!(matches!(side.next(), SocketEvent::Received { .. }));
        let (switch, shown) = talk.join().expect("it gets through");
        (switch, shown, certified, outbox)
    };
    let (mut living, first, certified, outbox) = connect(&mut side);
    assert_eq!(certified.may, May::Be([SwitchId(1)].into()));

    // Another certificate, and a table.
    side.ca.server("server", &["localhost"]);
    let table = format!("{} 0x7 0x8\n", certified.fingerprint);
    std::fs::write(side.ca.folder().join("switches"), table).expect("a temporary file");
    side.tls.reload().expect("nothing is wrong with them");
    let (_second, second, certified, _outbox) = connect(&mut side);
    assert_ne!(first, second);
    assert_eq!(certified.may, May::Be([SwitchId(7), SwitchId(8)].into()));

    // Broken: each named, and the old ones hold.
    std::fs::write(side.ca.folder().join("switches"), "zz 0x1\n").expect("a temporary file");
    std::fs::write(settings.key_file.as_ref().expect("set"), "-").expect("a temporary file");
    let faults = side.tls.reload().expect_err("they are broken");
    let fields: Vec<_> = faults.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, ["key_file", "switches_file"]);
    assert!(
        faults[1].1.contains("switches: line 1: a SHA-256 fingerprint"),
        "{faults:?}"
    );
    let (_third, third, certified, _outbox) = connect(&mut side);
    assert_eq!(second, third);
    assert_eq!(certified.may, May::Be([SwitchId(7), SwitchId(8)].into()));

    // The key of another certificate.
    let other = side.ca.server("other", &["localhost"]);
    std::fs::copy(other.key(), settings.key_file.as_ref().expect("set")).expect("a temporary file");
    std::fs::write(side.ca.folder().join("switches"), "").expect("a temporary file");
    let faults = side.tls.reload().expect_err("they do not fit");
    assert!(
        faults[0].0 == "key_file" && faults[0].1.contains("not the key of"),
        "{faults:?}"
    );

    // The first session never noticed.
    outbox
        .write(Instant::now(), Bytes::from_static(b"still here"))
        .expect("fits");
    let mut got = [0; 10];
    living.read_exact(&mut got).expect("it lives");
    assert_eq!(&got, b"still here");
    assert_eq!(side.tls.clients().soonest(), Some(3_786_912_000), "2090-01-01");
}
