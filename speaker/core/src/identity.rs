//! Who a connection may be: what its certificate says, what the site's own table says of it, and the decision whether the
//! switch id it claims is one of these.
//!
//! The certificate was checked against the site's CA before it comes here; reading X.509 is not done here either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use skerry_bus::SwitchId;

use crate::fact::CloseReason;

/// What a URI in a certificate begins with that names a switch.
pub const URI_SCHEME: &str = "openflow:";
/// Switch ids that a text lists before it only counts the rest.
const LISTED_MAX: usize = 4;

/// SHA-256 of a certificate in DER. Text form: 64 lower-case hex digits; upper case and colons, as openssl prints them,
/// are read as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs: Vec<&str> = if text.contains(':') {
            text.split(':').collect()
        } else if text.is_ascii() {
            (0..text.len())
                .step_by(2)
                .map(|at| &text[at..text.len().min(at + 2)])
                .collect()
        } else {
            Vec::new()
        };
        let mut bytes = [0; 32];
        let right = pairs.len() == bytes.len()
            && bytes.iter_mut().zip(&pairs).all(|(byte, pair)| {
                let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
                digits && u8::from_str_radix(pair, 16).map(|read| *byte = read).is_ok()
            });
        if right {
            Ok(Fingerprint(bytes))
        } else {
            Err("a SHA-256 fingerprint is 64 hex digits, with or without colons".to_owned())
        }
    }
}

/// Which switches the holder of a certificate may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum May {
    /// Any: a proxy, or a load generator. Only the table can say so.
    Any,
    /// These.
    Be(BTreeSet<SwitchId>),
}

impl May {
    fn be(&self, switch: SwitchId) -> bool {
        match self {
            May::Any => true,
            May::Be(switches) => switches.contains(&switch),
        }
    }
}

impl fmt::Display for May {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            May::Any => f.write_str("any switch"),
            May::Be(switches) if switches.is_empty() => f.write_str("no switch"),
            May::Be(switches) => {
                for (n, switch) in switches.iter().take(LISTED_MAX).enumerate() {
                    write!(f, "{}{switch}", if n == 0 { "" } else { ", " })?;
                }
                match switches.len().saturating_sub(LISTED_MAX) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

/// The holder of a certificate that our CA signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Subject of the certificate.
    pub subject: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Which switches it may be.
    pub may: May,
    /// A URI of ours in the certificate that names no switch id.
    pub unreadable: Option<String>,
}

impl Certified {
    /// What a certificate with these URIs (subject alternative names) may be. A line of the table is the site's own word
    /// and stands above what is written in the certificate.
    pub fn new<'a>(
        subject: String,
        fingerprint: Fingerprint,
        uris: impl IntoIterator<Item = &'a str>,
        table: &CertificateTable,
    ) -> Self {
        let mut switches = BTreeSet::new();
        let mut unreadable = None;
        for uri in uris {
            // RFC 3986 section 3.1: the scheme may be written in either case.
            let id = match uri.get(..URI_SCHEME.len()) {
                Some(scheme) if scheme.eq_ignore_ascii_case(URI_SCHEME) => &uri[URI_SCHEME.len()..],
                _ => continue,
            };
            match id.parse() {
                Ok(switch) => drop(switches.insert(switch)),
                Err(_) => unreadable = Some(uri.chars().take(64).collect()),
            }
        }
        Certified {
            subject,
            fingerprint,
            may: table.of.get(&fingerprint).cloned().unwrap_or(May::Be(switches)),
            unreadable,
        }
    }
}

impl fmt::Display for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (sha256 {})", self.subject, self.fingerprint)
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Plain TCP: whoever it says it is.
    Unproven,
    /// The holder of a certificate.
    Certified(Arc<Certified>),
}

impl Identity {
    /// Whether it may be this switch.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub(crate) fn claim(&self, switch: SwitchId) -> Result<(), CloseReason> {
        match self {
            Identity::Unproven => Ok(()),
            Identity::Certified(certified) if certified.may.be(switch) => Ok(()),
            Identity::Certified(certified) => Err(CloseReason::OtherIdentity {
                certified: certified.clone(),
                claimed: switch,
            }),
        }
    }
}

/// The site's own table: which switches the holder of a certificate may be.
///
/// One line each: the fingerprint, blanks, then switch ids joined by commas or blanks, or `*` for any switch. What follows
/// a `#` is a comment; empty lines mean nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateTable {
    of: BTreeMap<Fingerprint, May>,
}

/// A line of a [`CertificateTable`] that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct TableError {
    /// Which, from 1.
    pub line: usize,
    /// Why.
    pub cause: String,
}

impl FromStr for CertificateTable {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let mut table = CertificateTable::default();
        let mut lines = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let error = |cause| TableError { line, cause };
            let text = text.split('#').next().unwrap_or_default();
            let mut words = text.split([' ', '\t', ',', '\r']).filter(|word| !word.is_empty());
            let Some(fingerprint) = words.next() else {
                continue;
            };
            let fingerprint: Fingerprint = fingerprint.parse().map_err(error)?;
            let ids: Vec<&str> = words.collect();
            let may = match ids.as_slice() {
                [] => {
                    return Err(error(
                        "switch ids, or *, are expected behind the fingerprint".to_owned(),
                    ));
                }
                ["*"] => May::Any,
                ids => {
                    let read = ids.iter().map(|id| id.parse());
                    May::Be(
                        read.collect::<Result<_, skerry_bus::IdError>>()
                            .map_err(|e| error(e.to_string()))?,
                    )
                }
            };
            if let Some(first) = lines.insert(fingerprint, line) {
                return Err(error(format!("the fingerprint of line {first} again")));
            }
            table.of.insert(fingerprint, may);
        }
        Ok(table)
    }
}

impl CertificateTable {
    /// Certificates in it.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

/// What was wrong in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The switch showed no certificate.
    NoCertificate,
    /// Its certificate is past its time.
    Expired,
    /// Its certificate is before its time: one of the two clocks is wrong.
    NotYetValid,
    /// Its certificate is of another CA.
    UnknownIssuer,
    /// The CA took its certificate back.
    Revoked,
    /// The switch does not take our certificate.
    OursRefused,
    /// What came is not TLS.
    NotTls,
    /// Anything else.
    Other,
}

/// A TLS handshake that failed: what was wrong, and the particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFailure {
    /// What.
    pub fault: TlsFault,
    /// The certificate, the time, what the library says.
    pub detail: String,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            TlsFault::NoCertificate => "the switch showed no certificate",
            TlsFault::Expired => "the switch's certificate has expired",
            TlsFault::NotYetValid => "the switch's certificate is not valid yet",
            TlsFault::UnknownIssuer => "the switch's certificate is of an unknown CA",
            TlsFault::Revoked => "the switch's certificate is revoked",
            TlsFault::OursRefused => "the switch refused the speaker's certificate",
            TlsFault::NotTls => "not TLS",
            TlsFault::Other => "TLS handshake failed",
        };
        f.write_str(what)?;
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(byte: u8) -> Fingerprint {
        Fingerprint([byte; 32])
    }

    fn with_uris(uris: &[&str], table: &str) -> Certified {
        let table: CertificateTable = table.parse().expect("a table");
        Certified::new("CN=s".into(), print(0xab), uris.iter().copied(), &table)
    }

    fn be(ids: &[u64]) -> May {
        May::Be(ids.iter().copied().map(SwitchId).collect())
    }

    #[test]
    fn a_uri_names_a_switch_in_every_spelling_that_operators_use() {
        let uris = [
            "openflow:00:00:00:00:00:00:00:01",
            "openflow:0x2",
            "OPENFLOW:of:0000000000000003",
            "openflow:0000000000000004",
            "https://example.org/0x5",
            "openflow",
            "öpenflow:0x6",
        ];
        let certified = with_uris(&uris, "");
        assert_eq!((certified.may, certified.unreadable), (be(&[1, 2, 3, 4]), None));
        let certified = with_uris(&["openflow:seven"], "");
        assert_eq!(
            (certified.may, certified.unreadable.as_deref()),
            (be(&[]), Some("openflow:seven"))
        );
    }

    #[test]
    fn a_line_of_the_table_stands_above_the_certificate() {
        let digits = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(
            with_uris(&["openflow:0x1"], &format!("# ours\n\n{digits} 0x2, 0x3 # spare")).may,
            be(&[2, 3])
        );
        assert_eq!(with_uris(&[], &format!("{colons}\t*\r\n")).may, May::Any);
        assert_eq!(
            with_uris(&["openflow:0x1"], &format!("{} *", "ac".repeat(32))).may,
            be(&[1])
        );
    }

    #[test]
    fn what_is_no_table_is_named_with_its_line() {
        let good = "ab".repeat(32);
        for (text, error) in [
            (
                format!("\n{} 0x1", "ab".repeat(31)),
                "line 2: a SHA-256 fingerprint is 64",
            ),
            (format!("{} 0x1", "äb".repeat(22)), "line 1: a SHA-256 fingerprint"),
            (
                format!("{} 0x1", vec!["+b"; 32].join(":")),
                "line 1: a SHA-256 fingerprint",
            ),
            (good.clone(), "line 1: switch ids, or *, are expected"),
            (format!("{good} 0x1 *"), "line 1: \"*\" is not a switch id"),
            (
                format!("{good} 0x1\n#\n{good} 0x2"),
                "line 3: the fingerprint of line 1 again",
            ),
        ] {
            let said = text.parse::<CertificateTable>().expect_err(&text).to_string();
            assert!(said.starts_with(error), "{said}");
        }
    }

    #[test]
    fn a_claim_is_held_against_the_certificate_and_both_are_named() {
        assert_eq!(Identity::Unproven.claim(SwitchId(9)), Ok(()));
        let identity = Identity::Certified(Arc::new(with_uris(&["openflow:0x1", "openflow:0x2"], "")));
        assert_eq!(identity.claim(SwitchId(2)), Ok(()));
        let said = identity.claim(SwitchId(3)).expect_err("not this one").to_string();
        for part in [
            "CN=s",
            &"ab".repeat(32),
            "00:00:00:00:00:00:00:01, 00:00:00:00:00:00:00:02",
            "claims to be 00:00:00:00:00:00:00:03",
        ] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        let many: Vec<String> = (1..=9).map(|n| format!("openflow:{n:#x}")).collect();
        let many = with_uris(&many.iter().map(String::as_str).collect::<Vec<_>>(), "");
        assert!(
            many.may.to_string().ends_with("04 and 5 more"),
            "{} is not too long",
            many.may
        );
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let print = Fingerprint(std::array::from_fn(|n| n as u8));
        assert_eq!(print.to_string().parse(), Ok(print));
    }
}
