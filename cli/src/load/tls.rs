//! TLS of the switches' side: one certificate for all of them, and one connection's records in and out. It reads and writes
//! what it is given; sockets and waiting are not its business.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Plaintext that is sealed at once: a few of the largest records.
const SEAL_BYTES: usize = 64 * 1024;
/// Plaintext that is read at a time: the largest record.
const READ_BYTES: usize = 16 * 1024;

/// What all connections have in common.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// The name that controllers' certificates must have; none: their address.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Whom to trust, and who the switches are, if they show a certificate.
    ///
    /// # Errors
    /// A file cannot be read or is not what it should be, with the option's name.
    pub fn new(ca: &Path, own: Option<(&Path, &Path)>, name: Option<&str>) -> Result<Tls, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca", ca)? {
            roots
                .add(certificate)
                .map_err(|error| format!("--ca {}: {error}", ca.display()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder
            .map_err(|error| format!("--tls: {error}"))?
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let read = PrivateKeyDer::from_pem_file(key);
                let key = read.map_err(|error| format!("--key {}: {error}", key.display()))?;
                let both = builder.with_client_auth_cert(certificates("cert", cert)?, key);
                both.map_err(|error| format!("--cert {}: {error}", cert.display()))?
            }
        };
        // Each handshake is a whole one, as of switches that were never there.
        config.resumption = Resumption::disabled();
        let name = name.map(|name| ServerName::try_from(name.to_owned())).transpose();
        Ok(Tls {
            config: Arc::new(config),
            name: name.map_err(|error| format!("--server-name: {error}"))?,
        })
    }

    /// A connection to a controller, at the beginning of its handshake.
    ///
    /// # Errors
    /// The configuration does not hold together.
    pub fn session(&self, controller: IpAddr) -> io::Result<Session> {
        let name = self.name.clone().unwrap_or(ServerName::IpAddress(controller.into()));
        let tls = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        Ok(Session {
            tls,
            sealed: BytesMut::new(),
        })
    }
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let at = |error: String| format!("--{option} {}: {error}", path.display());
    let all = CertificateDer::pem_file_iter(path).map_err(|error| at(error.to_string()))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| at(error.to_string()))?;
    if all.is_empty() {
        return Err(at("there is no certificate in it".to_owned()));
    }
    Ok(all)
}

/// One connection's keys, and what is sealed and not written yet.
#[derive(Debug)]
pub struct Session {
    tls: ClientConnection,
    sealed: BytesMut,
}

impl Session {
    /// Whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// What is to be written, what TLS itself has to say included. The caller takes from its front what it has written.
    ///
    /// # Errors
    /// Never of memory; as the library says.
    pub fn sealed(&mut self) -> io::Result<&mut BytesMut> {
        while self.tls.wants_write() {
            let mut records = Vec::new();
            self.tls.write_tls(&mut records)?;
            self.sealed.extend_from_slice(&records);
        }
        Ok(&mut self.sealed)
    }

    /// Seals some plaintext; how much of it.
    ///
    /// # Errors
    /// As the library says.
    pub fn seal(&mut self, plain: &[u8]) -> io::Result<usize> {
        let part = plain.get(..plain.len().min(SEAL_BYTES)).unwrap_or_default();
        self.tls.writer().write(part)
    }

    /// Nothing more will be said.
    pub fn say_end(&mut self) {
        self.tls.send_close_notify();
    }

    /// Takes what was read from the socket, and gives the plaintext in it piece by piece. False: the other side said its end.
    ///
    /// # Errors
    /// It is no TLS, or the other side refuses: its alert.
    pub fn open(&mut self, mut records: &[u8], mut plain: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut buffer = [0; READ_BYTES];
        while !records.is_empty() {
            self.tls.read_tls(&mut records)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
            loop {
                match self.tls.reader().read(&mut buffer) {
                    Ok(0) => return Ok(false),
                    Ok(count) => plain(buffer.get(..count).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }
}
