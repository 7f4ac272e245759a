//! What stands in the files of `[tls]`, read and checked as a whole: either all of it holds, or none.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use skerry_speaker_core::CertificateTable;

use super::TlsSettings;
use super::holder::Holder;

/// Largest file that is read. A table of 30,000 certificates is smaller; more is not what was meant.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Everything a session needs.
#[derive(Debug)]
pub struct Loaded {
    /// For new sessions.
    pub(super) config: Arc<ServerConfig>,
    /// Knows the certificate it refused last.
    pub(super) verifier: Arc<Verifier>,
    /// Which certificate is for which switches.
    pub(super) table: CertificateTable,
    /// The speaker's own certificate.
    pub server: Holder,
    /// The CAs of switches, the one that ends first in front.
    pub cas: Vec<Holder>,
}

/// Read all files.
///
/// # Errors
/// Every fault: the setting below `tls` and the cause.
pub(super) fn load(settings: &TlsSettings) -> Result<Loaded, Vec<(&'static str, String)>> {
    let mut faults = Vec::new();
    let own = must(settings.certificate_file.as_deref(), |path| {
        certificates(path, "certificate")
    });
    let key = must(settings.key_file.as_deref(), key);
    let cas = must(settings.client_ca_file.as_deref(), |path| certificates(path, "CA"));
    let crls = settings.client_crl_file.as_deref().map_or(Ok(Vec::new()), crls);
    let table = settings
        .switches_file
        .as_deref()
        .map_or(Ok(CertificateTable::default()), table);
    let mut take = |setting: &'static str, cause: &Option<String>| {
        if let Some(cause) = cause {
            faults.push((setting, cause.clone()));
        }
    };
    take("certificate_file", &own.as_ref().err().cloned());
    take("key_file", &key.as_ref().err().cloned());
    take("client_ca_file", &cas.as_ref().err().cloned());
    take("client_crl_file", &crls.as_ref().err().cloned());
    take("switches_file", &table.as_ref().err().cloned());
    let (Ok((own, holders)), Ok(key), Ok((cas, mut ca_holders)), Ok(crls), Ok(table)) = (own, key, cas, crls, table)
    else {
        return Err(faults);
    };
    let verifier = verifier(cas, crls).map_err(|fault| vec![fault])?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| vec![("certificate_file", error.to_string())])?
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(own, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                vec![(
                    "key_file",
                    "is not the key of the certificate in certificate_file".to_owned(),
                )]
            }
            error => vec![("key_file", error.to_string())],
        })?;
    // A session that is taken up again is not checked again, so one that was refused since then, or whose CA was taken
    // out, would come back. Switches connect seldom: each handshake is a whole one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    ca_holders.sort_by_key(|ca| ca.not_after);
    let server = holders
        .into_iter()
        .next()
        .expect("a file without a certificate is a fault above");
    Ok(Loaded {
        config: Arc::new(config),
        verifier,
        table,
        server,
        cas: ca_holders,
    })
}

fn must<T>(path: Option<&Path>, read: impl FnOnce(&Path) -> Result<T, String>) -> Result<T, String> {
    match path {
        Some(path) => read(path),
        None => Err("must be set where a listener takes TLS (plaintext = true does without)".to_owned()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let at = |cause: String| format!("{}: {cause}", path.display());
    let file = std::fs::metadata(path).map_err(|error| at(error.to_string()))?;
    if file.len() > FILE_MAX {
        return Err(at(format!("{} bytes, at most {FILE_MAX} are read", file.len())));
    }
    std::fs::read(path).map_err(|error| at(error.to_string()))
}

type Certificates = (Vec<CertificateDer<'static>>, Vec<Holder>);

/// At least one certificate, and what is read from each.
fn certificates(path: &Path, what: &str) -> Result<Certificates, String> {
    let at = |cause: String| format!("{}: {cause}", path.display());
    let text = read(path)?;
    let mut all = Certificates::default();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&text)) {
        let certificate = certificate.map_err(|error| at(format!("{what} {number}: {error}")))?;
        all.1
            .push(Holder::read(&certificate).map_err(|error| at(format!("{what} {number}: {error}")))?);
        all.0.push(certificate);
    }
    if all.0.is_empty() {
        return Err(at("no PEM certificate is in it".to_owned()));
    }
    Ok(all)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    // What is in the file is not repeated.
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| format!("{}: no PEM private key without a password is in it", path.display()))
}

fn crls(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let at = |cause: String| format!("{}: {cause}", path.display());
    let text = read(path)?;
    let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| at(error.to_string()))?;
    if lists.is_empty() {
        return Err(at("no PEM revocation list is in it".to_owned()));
    }
    Ok(lists)
}

fn table(path: &Path) -> Result<CertificateTable, String> {
    let at = |cause: String| format!("{}: {cause}", path.display());
    let text = String::from_utf8(read(path)?).map_err(|_| at("is not text in UTF-8".to_owned()))?;
    text.parse()
        .map_err(|error: skerry_speaker_core::identity::TableError| at(error.to_string()))
}

fn verifier(
    cas: Vec<CertificateDer<'static>>,
    crls: Vec<CertificateRevocationListDer<'static>>,
) -> Result<Arc<Verifier>, (&'static str, String)> {
    let mut roots = RootCertStore::empty();
    for (number, ca) in (1..).zip(cas) {
        roots
            .add(ca)
            .map_err(|error| ("client_ca_file", format!("CA {number}: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let given = !crls.is_empty();
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(crls);
    if given {
        // A CA without a list has nothing to take back. A list past its time is worse than none: it is refused.
        builder = builder
            .only_check_end_entity_revocation()
            .allow_unknown_revocation_status()
            .enforce_revocation_expiration();
    }
    let inner = builder.build().map_err(|error| match error {
        rustls::server::VerifierBuilderError::InvalidCrl(error) => ("client_crl_file", format!("{error:?}")),
        error => ("client_ca_file", error.to_string()),
    })?;
    let refused = Mutex::new(None);
    Ok(Arc::new(Verifier { inner, refused }))
}

/// The library's own check, which keeps the certificate it refused: the error does not name it, and who is refused
/// must be told.
///
/// All handshakes run on one thread and each check happens inside one call of the session, so what is kept after a
/// session failed is that session's.
#[derive(Debug)]
pub(super) struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    refused: Mutex<Option<CertificateDer<'static>>>,
}

impl Verifier {
    /// The certificate that was refused last.
    pub(super) fn take_refused(&self) -> Option<CertificateDer<'static>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(certificate, between, now);
        if verified.is_err() {
            let refused = Some(certificate.clone().into_owned());
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
