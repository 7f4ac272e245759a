//! What is read from one certificate: whose it is, for how long, and which URIs it names.

use skerry_speaker_core::{CertificateTable, Certified, Fingerprint};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Characters of a subject that are repeated: whoever connects can send one of any length.
const SUBJECT_MAX: usize = 160;

/// The holder of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Subject, cut, without control characters.
    pub subject: String,
    /// Of the whole certificate.
    pub fingerprint: Fingerprint,
    /// Its URIs (subject alternative names).
    pub uris: Vec<String>,
    /// Until when it holds, in seconds of Unix time.
    pub not_after: i64,
    /// From and until when, to be read by a person.
    pub validity: String,
}

impl Holder {
    /// Read a certificate in DER.
    ///
    /// # Errors
    /// It is not one.
    pub fn read(der: &[u8]) -> Result<Holder, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let subject: String = certificate.subject().to_string();
        let uris = match certificate.subject_alternative_name() {
            Ok(Some(names)) => {
                let uris = names.value.general_names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                });
                uris.collect()
            }
            Ok(None) => Vec::new(),
            Err(error) => return Err(format!("subject alternative names: {error}")),
        };
        let validity = certificate.validity();
        Ok(Holder {
            subject: subject
                .chars()
                .take(SUBJECT_MAX)
                .map(|c| if c.is_control() { '?' } else { c })
                .collect(),
            fingerprint: fingerprint(der),
            uris,
            not_after: validity.not_after.timestamp(),
            validity: format!("valid from {} to {}", validity.not_before, validity.not_after),
        })
    }

    /// The same as the machine knows it.
    pub fn certified(&self, table: &CertificateTable) -> Certified {
        let uris = self.uris.iter().map(String::as_str);
        Certified::new(self.subject.clone(), self.fingerprint, uris, table)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Holder {
            subject,
            fingerprint,
            validity,
            ..
        } = self;
        write!(f, "{subject} (sha256 {fingerprint}), {validity}")
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Fingerprint(bytes)
}
