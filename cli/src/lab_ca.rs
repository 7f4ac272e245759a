//! `skerry lab-ca`: a CA of one's own, the speaker's certificate and those of switches, for a trial.
//!
//! Not a CA for a site: its key lies in a file without a password, nothing is taken back and nothing is written down.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use skerry_bus::SwitchId;

/// Switch ids in one certificate: a larger one would not fit into a TLS handshake.
const IDS_MAX: usize = 1_024;
/// Certificates in one run.
const CERTIFICATES_MAX: usize = 10_000;
/// A day.
const DAY: Duration = Duration::from_secs(86_400);
/// How long before now certificates begin: clocks of hosts differ.
const BEFORE: Duration = DAY;

/// A CA for a trial, with the certificates of a speaker and of switches
#[derive(Debug, Args)]
pub struct LabCaArgs {
    /// Folder of the files; a CA that is there is used, otherwise one is made
    dir: PathBuf,
    /// Name or address by which switches reach the speaker; may be given more than once
    #[arg(long, value_name = "NAME|IP")]
    server: Vec<String>,
    /// One certificate for these switches, which are bridges of one host: ids, numbers or ranges, such as 1,2 or 0x1 or 1-4
    #[arg(long, value_name = "IDS")]
    switch: Vec<Ids>,
    /// One certificate for each of these switches
    #[arg(long, value_name = "IDS")]
    each: Vec<Ids>,
    /// Days until the certificates end (the CA: ten times as many)
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Make certificates that ended yesterday, under names of their own: to see how they are refused
    #[arg(long)]
    expired: bool,
    /// Replace certificates that are there (never the CA)
    #[arg(long)]
    force: bool,
}

/// Switch ids as they are typed: `1,2,0x1f,10-14`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ids(BTreeSet<SwitchId>);

impl std::str::FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| -> Option<u64> {
            // Sixteen digits are an id in hex.
            let decimal = text.len() < 16 && text.bytes().all(|b| b.is_ascii_digit());
            decimal.then(|| text.parse().ok())?
        };
        let mut ids = BTreeSet::new();
        for word in text.split(',') {
            match (number(word), word.split_once('-')) {
                (Some(id), _) => drop(ids.insert(SwitchId(id))),
                (None, Some((first, last))) => {
                    let (Some(first), Some(last)) = (number(first), number(last)) else {
                        return Err(format!("{word:?} is no range of numbers such as 1-4"));
                    };
                    if first > last || last - first >= CERTIFICATES_MAX as u64 {
                        return Err(format!("{word:?} is no range of at most {CERTIFICATES_MAX} numbers"));
                    }
                    ids.extend((first..=last).map(SwitchId));
                }
                (None, None) => drop(ids.insert(word.parse().map_err(|e: skerry_bus::IdError| e.to_string())?)),
            }
        }
        Ok(Ids(ids))
    }
}

/// What a run makes: the beginning of the file names, what it is for, the certificate without its signature.
struct Wanted {
    name: String,
    what: String,
    params: CertificateParams,
}

/// Runs it.
pub fn run(args: &LabCaArgs) -> Result<()> {
    let folder = &args.dir;
    if !folder.is_dir() {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .with_context(|| folder.display().to_string())?;
    }
    let wanted = wanted(args)?;
    // All of it is checked before anything is written.
    let mut names = BTreeSet::new();
    for Wanted { name, .. } in &wanted {
        ensure!(names.insert(name), "{name} is asked for twice");
        for file in [certificate(folder, name), key(folder, name)] {
            ensure!(
                args.force || !file.exists(),
                "{} is there already: --force replaces it",
                file.display()
            );
        }
    }
    let issuer = issuer(folder, args)?;
    let mut out = std::io::stdout().lock();
    for Wanted { name, what, params } in wanted {
        let pair = KeyPair::generate()?;
        let signed = params.signed_by(&pair, &issuer)?;
        write(&key(folder, &name), &pair.serialize_pem(), 0o600)?;
        write(&certificate(folder, &name), &signed.pem(), 0o644)?;
        writeln!(out, "{}: {what}", certificate(folder, &name).display())?;
    }
    explain(&mut out, folder)?;
    Ok(())
}

fn wanted(args: &LabCaArgs) -> Result<Vec<Wanted>> {
    let ending = if args.expired { "-expired" } else { "" };
    let mut wanted = Vec::new();
    let is_there = certificate(&args.dir, &format!("speaker{ending}")).exists();
    if !args.server.is_empty() || !(is_there || args.expired) {
        let mut params = params("Skerry lab speaker", args.days, args.expired);
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names = if args.server.is_empty() {
            &loopback[..]
        } else {
            &args.server
        };
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into().with_context(|| format!("--server {name:?}"))?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted.push(Wanted {
            name: format!("speaker{ending}"),
            what: format!("the speaker, at {}", names.join(", ")),
            params,
        });
    }
    let together = args.switch.iter().map(|ids| ids.0.iter().copied().collect());
    let each = args.each.iter().flat_map(|ids| ids.0.iter().map(|id| vec![*id]));
    let lists: Vec<Vec<SwitchId>> = together.chain(each).collect();
    ensure!(
        lists.len() <= CERTIFICATES_MAX,
        "more than {CERTIFICATES_MAX} certificates"
    );
    for ids in lists {
        let Some(first) = ids.first() else { continue };
        ensure!(
            ids.len() <= IDS_MAX,
            "more than {IDS_MAX} switches in one certificate: --each makes one for each"
        );
        let name = format!("switch-{:#x}{ending}", first.0);
        let mut params = params(&format!("Skerry lab switch {first}"), args.days, args.expired);
        for id in &ids {
            let uri = format!("openflow:{id}");
            params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let what = match ids.as_slice() {
            [only] => format!("switch {only}"),
            ids => format!("{} switches, {first} the first", ids.len()),
        };
        wanted.push(Wanted { name, what, params });
    }
    Ok(wanted)
}

/// A certificate without a purpose yet, that holds from a day ago on for so many days, or held until a day ago.
fn params(subject: &str, days: u32, expired: bool) -> CertificateParams {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    (params.not_before, params.not_after) = if expired {
        (now - 30 * DAY, now - DAY)
    } else {
        (now - BEFORE, now + days * DAY)
    };
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// The CA that is there, or a new one.
fn issuer(folder: &Path, args: &LabCaArgs) -> Result<Issuer<'static, KeyPair>> {
    let (certificate, key) = (certificate(folder, "ca"), key(folder, "ca"));
    match (certificate.exists(), key.exists()) {
        (true, true) => {
            let read = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
            let pair = KeyPair::from_pem(&read(&key)?).with_context(|| key.display().to_string())?;
            Issuer::from_ca_cert_pem(&read(&certificate)?, pair).with_context(|| certificate.display().to_string())
        }
        (false, false) => {
            let mut params = params("Skerry lab CA", args.days.saturating_mul(10), false);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.use_authority_key_identifier_extension = false;
            let pair = KeyPair::generate()?;
            let own = params.self_signed(&pair)?;
            write(&key, &pair.serialize_pem(), 0o600)?;
            write(&certificate, &own.pem(), 0o644)?;
            Ok(Issuer::new(params, pair))
        }
        (true, false) => bail!("{} is there and {} is not", certificate.display(), key.display()),
        (false, true) => bail!("{} is there and {} is not", key.display(), certificate.display()),
    }
}

fn certificate(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}-cert.pem"))
}

fn key(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}-key.pem"))
}

/// Whole or not at all, and never readable for others while it is written: it is put in the place of an old one at the end.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let new = path.with_extension("pem.new");
    let written = || -> std::io::Result<()> {
        let _ = fs::remove_file(&new);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().with_context(|| path.display().to_string())
}

/// What is to be told to switches and speaker.
fn explain(out: &mut impl std::io::Write, folder: &Path) -> Result<()> {
    let folder = fs::canonicalize(folder)?;
    let folder = folder.display();
    writeln!(
        out,
        "\nOn the host of a switch, with the files of its own certificate:\n  \
         ovs-vsctl set-ssl {folder}/switch-0x1-key.pem {folder}/switch-0x1-cert.pem {folder}/ca-cert.pem\n  \
         ovs-vsctl set-controller br0 ssl:127.0.0.1:6653\n\n\
         In the speaker's configuration:\n  \
         [[listen]]\n  address = \"127.0.0.1:6653\"\n\n  \
         [tls]\n  certificate_file = \"{folder}/speaker-cert.pem\"\n  key_file = \"{folder}/speaker-key.pem\"\n  \
         client_ca_file = \"{folder}/ca-cert.pem\""
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_ranges_and_every_spelling_of_an_id() {
        let ids = |text: &str| {
            text.parse::<Ids>()
                .map(|ids| ids.0.iter().map(|id| id.0).collect::<Vec<_>>())
        };
        assert_eq!(ids("1,2"), Ok(vec![1, 2]));
        assert_eq!(ids("3-5,0x10,00:00:00:00:00:00:00:11"), Ok(vec![3, 4, 5, 16, 17]));
        assert_eq!(ids("0000000000000012"), Ok(vec![0x12]));
        for (text, cause) in [
            ("", "switch id"),
            ("1,,2", "switch id"),
            ("a", "switch id"),
            ("5-3", "range"),
            ("1-x", "range"),
            ("0-99999999", "range"),
        ] {
            let said = ids(text).expect_err(text);
            assert!(said.contains(cause), "{text}: {said}");
        }
    }
}
