//! A CA of a test, with its certificates in files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

/// A CA, and the folder with all that it signed. Both go with the test.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key.
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
    serial: u64,
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder with a plain name")
}

impl Files {
    pub fn certificate(&self) -> &str {
        text(&self.certificate)
    }

    pub fn key(&self) -> &str {
        text(&self.key)
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}

#[allow(dead_code)] // not every test program needs all of it
impl Ca {
    pub fn new(name: &str) -> Ca {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("skerry-test-ca-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).expect("a temporary folder");
        let mut ca = params(name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(ca, key).expect("a CA");
        std::fs::write(folder.join("ca.pem"), issuer.pem()).expect("a temporary file");
        Ca { issuer, folder }
    }

    /// Its certificate.
    pub fn certificate(&self) -> String {
        text(&self.folder.join("ca.pem")).to_owned()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Files {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = Files {
            certificate: self.folder.join(format!("{name}-cert.pem")),
            key: self.folder.join(format!("{name}-key.pem")),
            serial,
        };
        std::fs::write(&files.certificate, certificate.pem()).expect("a temporary file");
        std::fs::write(&files.key, key.serialize_pem()).expect("a temporary file");
        files
    }

    /// A revocation list with this certificate in it, which holds until this year.
    pub fn revoke(&self, files: &Files, until_year: i32) -> PathBuf {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(files.serial),
                revocation_time: date_time_ymd(2021, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.join("crl.pem");
        let list = list.signed_by(&self.issuer).expect("a list");
        std::fs::write(&path, list.pem().expect("it is written")).expect("a temporary file");
        path
    }

    /// A server's certificate.
    pub fn server(&self, name: &str, names: &[&str]) -> Files {
        let mut params = params(name);
        for name in names {
            let name = (*name).try_into().expect("a name");
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    /// A switch's certificate with these URIs, until the end of this year.
    pub fn switch(&self, name: &str, uris: &[&str], until_year: i32) -> Files {
        let mut params = params(name);
        params.not_after = date_time_ymd(until_year, 1, 1);
        for uri in uris {
            let uri = (*uri).try_into().expect("a URI");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
