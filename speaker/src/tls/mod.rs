//! TLS with switches: the speaker's certificate, whose certificates are taken, and which switches these are for.
//!
//! ```text
//! files    what stands in the files, read and checked as a whole     session  one connection's records, without I/O
//! holder   what is read from one certificate                         slots    how many handshakes at a time
//! refuse   why a handshake failed, as the machine is told            expiry   which certificate ends soon
//! watch    reads the files again, warns of the end of certificates
//! ```
//!
//! Whether a certificate may be the switch that it claims to be is decided in the machine ([`skerry_speaker_core::identity`]).

mod expiry;
mod files;
mod holder;
pub(crate) mod refuse;
pub mod session;
pub mod slots;
pub mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use skerry_speaker_core::Fingerprint;

pub use expiry::Clients;
pub use files::Loaded;
pub use holder::Holder;

/// The `[tls]` section. Paths; what stands in the files is checked too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The speaker's certificate, PEM, followed by those between it and its CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The CAs that sign certificates of switches, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<PathBuf>,
    /// Revocation lists of these CAs, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_crl_file: Option<PathBuf>,
    /// Table of certificates and the switches they are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switches_file: Option<PathBuf>,
    /// How often it is looked whether a file changed, milliseconds.
    pub look_ms: u64,
}

impl Default for TlsSettings {
    fn default() -> Self {
        TlsSettings {
            certificate_file: None,
            key_file: None,
            client_ca_file: None,
            client_crl_file: None,
            switches_file: None,
            look_ms: 10_000,
        }
    }
}

/// TLS as it is now. Sessions keep what held when they began.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    now: RwLock<Arc<Loaded>>,
    clients: Mutex<Clients>,
}

impl Tls {
    /// Read the files.
    ///
    /// # Errors
    /// Every fault: the setting below `tls` and the cause.
    pub fn new(settings: &TlsSettings) -> Result<Tls, Vec<(&'static str, String)>> {
        Ok(Tls {
            settings: settings.clone(),
            now: RwLock::new(Arc::new(files::load(settings)?)),
            clients: Mutex::default(),
        })
    }

    /// What new sessions begin with.
    pub fn loaded(&self) -> Arc<Loaded> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Read the files again. If anything is wrong, what held before holds on.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub fn reload(&self) -> Result<(), Vec<(&'static str, String)>> {
        let loaded = Arc::new(files::load(&self.settings)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// The certificates of connected switches.
    pub fn clients(&self) -> std::sync::MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A switch is connected with this certificate, until the value is dropped.
    pub fn connected(self: &Arc<Self>, holder: &Holder) -> Connected {
        self.clients().add(holder);
        Connected {
            tls: self.clone(),
            fingerprint: holder.fingerprint,
        }
    }
}

/// A connected switch's certificate counts while this lives.
#[derive(Debug)]
pub struct Connected {
    tls: Arc<Tls>,
    fingerprint: Fingerprint,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.tls.clients().remove(self.fingerprint);
    }
}
