//! TLS of the loads: certificates for a run, and a door that speaks TLS for programs that do not.
//!
//! The door stands where switches stand, on the load's core, so that the speaker's side is as it is with any switch. A round
//! trip through it is longer by its own two wakes; echoes beside the bare loop do without it (`echoes`).

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use skerry_tests::daemons::Daemons;
use skerry_tests::lab::Lab;
use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the switches' one certificate is made for. The table says that its holder may be any switch, as it would of any
/// generator of load: a certificate that lists a thousand would be no switch's.
const NAME: &str = "switch-0x1";
/// Bytes moved at once.
const CHUNK: usize = 64 * 1024;
/// Bytes that wait for one side before the other is read no further.
const WAITING_MAX: usize = 1 << 20;

/// Files of a run.
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Made by `skerry lab-ca` in the lab's folder.
    ///
    /// # Errors
    /// It made none.
    pub fn new(lab: &Lab, daemons: &Daemons) -> Result<Certificates> {
        let folder = lab.folder().join("ca");
        let mut command = daemons.command("skerry")?;
        command.arg("lab-ca").arg(&folder).args(["--switch", "1"]);
        lab.run_command(None, command)?;
        let files = Certificates { folder };
        let own = CertificateDer::from_pem_file(files.switch("cert"))?;
        let sha256 = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        let hash = sha256.context("a suite of TLS 1.3")?.common.hash_provider.hash(&own);
        let fingerprint: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(files.table(), format!("{fingerprint} *\n"))?;
        Ok(files)
    }

    /// The folder of all files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca-cert.pem")
    }

    /// The switches' `cert` or `key`.
    pub fn switch(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{NAME}-{what}.pem"))
    }

    fn table(&self) -> PathBuf {
        self.folder.join("switches")
    }

    /// The section of a speaker's configuration.
    pub fn section(&self) -> String {
        format!(
            "[tls]\ncertificate_file = \"{}\"\nkey_file = \"{}\"\nclient_ca_file = \"{}\"\nswitches_file = \"{}\"\n",
            self.folder.join("speaker-cert.pem").display(),
            self.folder.join("speaker-key.pem").display(),
            self.ca().display(),
            self.table().display()
        )
    }
}

/// How clients speak.
///
/// # Errors
/// A file is missing or is none.
pub fn client(folder: &Path) -> Result<Arc<ClientConfig>> {
    let files = Certificates {
        folder: folder.to_owned(),
    };
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_file_iter(files.ca())? {
        roots.add(ca?)?;
    }
    let own = CertificateDer::pem_file_iter(files.switch("cert"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(files.switch("key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(own, key)?;
    Ok(Arc::new(config))
}

/// A connection to a speaker, encrypted or not. It never blocks.
pub enum Wire {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects; the handshakes are made while it is read and written.
    ///
    /// # Errors
    /// There is no socket to be had.
    pub fn connect(to: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Wire> {
        let stream = TcpStream::connect(to)?;
        Ok(match tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let name = ServerName::IpAddress(to.ip().into());
                let session = ClientConnection::new(config.clone(), name)?;
                Wire::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        })
    }

    /// Asks to be told when it can be read or written.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let stream = match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &mut stream.sock,
        };
        registry.register(stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Whether a read that did not fill its buffer took all there was.
    pub fn short_is_all(&self) -> bool {
        matches!(self, Wire::Plain(_))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

/// A switch's connection and the one to the speaker that belongs to it.
struct Pair {
    inside: Wire,
    outside: Wire,
    to_inside: Vec<u8>,
    to_outside: Vec<u8>,
}

/// Takes plain connections and passes each on over TLS, until the process is ended. `ready` is told the address.
///
/// # Errors
/// There is no socket to be had, or the certificates are wrong.
pub fn door(to: SocketAddr, folder: &Path, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    const LISTENER: Token = Token(usize::MAX);
    let config = client(folder)?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?);
    let mut events = Events::with_capacity(1_024);
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                loop {
                    let stream = match listener.accept() {
                        Ok((stream, _)) => stream,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error).context("accept"),
                    };
                    stream.set_nodelay(true)?;
                    let mut pair = Pair {
                        inside: Wire::Plain(stream),
                        outside: Wire::connect(to, Some(&config))?,
                        to_inside: Vec::new(),
                        to_outside: Vec::new(),
                    };
                    let number = pairs.len() * 2;
                    pair.inside.register(poll.registry(), Token(number))?;
                    pair.outside.register(poll.registry(), Token(number + 1))?;
                    pairs.push(Some(pair));
                }
                continue;
            }
            let Some(slot) = pairs.get_mut(event.token().0 / 2) else {
                continue;
            };
            // An end, of either side, is the end of both.
            if slot
                .as_mut()
                .is_some_and(|pair| !pair.pump(&mut buffer).unwrap_or(false))
            {
                *slot = None;
            }
        }
    }
}

impl Pair {
    /// Moves what can be moved. False: one side ended.
    fn pump(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        Ok(
            one_way(&mut self.inside, &mut self.outside, &mut self.to_outside, buffer)?
                && one_way(&mut self.outside, &mut self.inside, &mut self.to_inside, buffer)?,
        )
    }
}

fn one_way(from: &mut Wire, to: &mut Wire, waiting: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<bool> {
    loop {
        let rest = std::mem::take(waiting);
        put(to, &rest, waiting)?;
        if waiting.len() >= WAITING_MAX {
            return Ok(true);
        }
        match from.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if waiting.is_empty() {
                    put(to, bytes, waiting)?;
                } else {
                    waiting.extend_from_slice(bytes);
                }
            }
            Err(error) if not_now(&error) => break,
            Err(error) => return Err(error),
        }
    }
    match to.flush() {
        Err(error) if !not_now(&error) => Err(error),
        _ => Ok(true),
    }
}

fn put(to: &mut Wire, bytes: &[u8], waiting: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(0) => break,
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if not_now(&error) => break,
            Err(error) => return Err(error),
        }
    }
    waiting.extend_from_slice(rest);
    Ok(())
}

/// Not connected yet is told as an error of its own.
pub fn not_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
