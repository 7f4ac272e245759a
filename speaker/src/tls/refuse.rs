//! Why a handshake failed, as the machine is told: by cause, with the certificate named.

use rustls::{AlertDescription, CertificateError, Error};
use skerry_speaker_core::{TlsFailure, TlsFault};

use super::files::Loaded;
use super::holder::Holder;

/// What the first byte of a TLS connection is: the record type of a handshake.
const HANDSHAKE: u8 = 22;

/// Whether this first byte begins something else than TLS.
pub(crate) fn not_tls(first: u8) -> Option<TlsFailure> {
    if first == HANDSHAKE {
        return None;
    }
    let detail = match first {
        1..=6 => format!("plain OpenFlow of version {first:#04x} came"),
        other => format!("the first byte is {other:#04x}"),
    };
    let fault = TlsFault::NotTls;
    Some(TlsFailure { fault, detail })
}

/// The cause of a handshake that the library ended.
pub(super) fn failure(error: &Error, loaded: &Loaded) -> TlsFailure {
    let refused = loaded.verifier.take_refused();
    let fault = match error {
        Error::NoCertificatesPresented => TlsFault::NoCertificate,
        Error::InvalidCertificate(cause) => match cause {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
            // Of a CA that only has the name of ours. (If the certificate was not refused, it is the handshake's signature.)
            CertificateError::BadSignature if refused.is_some() => TlsFault::UnknownIssuer,
            CertificateError::Revoked => TlsFault::Revoked,
            _ => TlsFault::Other,
        },
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        ) => TlsFault::OursRefused,
        Error::InvalidMessage(_) => TlsFault::NotTls,
        _ => TlsFault::Other,
    };
    let holder = refused.and_then(|der| Holder::read(&der).ok());
    let detail = match (fault, holder) {
        (TlsFault::NoCertificate, _) => String::new(),
        (TlsFault::OursRefused, _) => format!("{error}; ours is {}", loaded.server),
        (TlsFault::Other, Some(holder)) => format!("certificate {holder}: {error}"),
        (_, Some(holder)) => holder.to_string(),
        (_, None) => error.to_string(),
    };
    TlsFailure { fault, detail }
}
