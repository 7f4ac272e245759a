//! Reads the files of `[tls]` again, on SIGHUP and when one of them changed, and says which certificate ends soon.
//!
//! A thread of its own: a slow disk must not hold up a switch. Sessions that exist stay; new ones get what was read last.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use skerry_bus::Region;
use skerry_io::notify;
use tokio::signal::unix::{SignalKind, signal};

use super::Tls;
use super::expiry::{Own, Warning};
use super::files::Loaded;

/// Looks between two searches for certificates that end soon: limits are days.
const EXPIRY_EVERY: u32 = 6;

/// What is told of certificates.
struct Metrics {
    reload_success: metrics::Gauge,
    reloads: metrics::Counter,
    server: metrics::Gauge,
    ca: metrics::Gauge,
    clients: metrics::Gauge,
}

impl Metrics {
    fn new(region: &Region) -> Metrics {
        let region = || region.to_string();
        let not_after = |of: &'static str| metrics::gauge!("skerry_speaker_tls_not_after_timestamp_seconds", "region" => region(), "certificate" => of);
        let metrics = Metrics {
            reload_success: metrics::gauge!("skerry_speaker_tls_reload_success", "region" => region()),
            reloads: metrics::counter!("skerry_speaker_tls_reloads_total", "region" => region()),
            server: not_after("server"),
            ca: not_after("ca"),
            clients: not_after("clients"),
        };
        metrics.reload_success.set(1);
        metrics.reloads.increment(0);
        metrics
    }

    fn own(&self, loaded: &Loaded) {
        self.server.set(loaded.server.not_after as f64);
        // The file is refused when none is in it.
        self.ca.set(loaded.cas.first().map_or(0.0, |ca| ca.not_after as f64));
    }
}

/// Begin to watch. Without TLS it only answers SIGHUP, which would otherwise end the process.
///
/// # Errors
/// The operating system refuses a signal or a thread.
pub fn start(tls: Option<Arc<Tls>>, region: &Region) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut hangup = {
        let _inside = runtime.enter();
        signal(SignalKind::hangup())?
    };
    let watch = tls.map(|tls| Watch::new(tls, region));
    let span = tracing::Span::current();
    std::thread::Builder::new()
        .name("tls-files".to_owned())
        .spawn(move || {
            let _inside = span.enter();
            runtime.block_on(async {
                let Some(mut watch) = watch else {
                    while hangup.recv().await.is_some() {
                        tracing::info!("nothing to read again: no listener takes TLS");
                    }
                    return;
                };
                let mut looks = tokio::time::interval(Duration::from_millis(watch.tls.settings().look_ms));
                looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        Some(()) = hangup.recv() => {
                            notify::reloading();
                            watch.reload("SIGHUP");
                            notify::reloaded();
                        }
                        _ = looks.tick() => watch.look(),
                    }
                }
            });
        })?;
    Ok(())
}

/// What a file was when it was looked at last: when it was changed, how long it is, which one it is.
type Stamp = Option<(SystemTime, u64, u64)>;

struct Watch {
    tls: Arc<Tls>,
    stamps: Vec<Stamp>,
    own: Own,
    looks: u32,
    metrics: Metrics,
}

impl Watch {
    fn new(tls: Arc<Tls>, region: &Region) -> Watch {
        let loaded = tls.loaded();
        let metrics = Metrics::new(region);
        metrics.own(&loaded);
        let clients = metrics.clients.clone();
        tls.clients()
            .on_change(move |soonest| clients.set(soonest.map_or(0.0, |s| s as f64)));
        let stamps = stamps(&tls);
        say_held(&loaded);
        Watch {
            own: Own::new(&loaded.server, &loaded.cas),
            tls,
            stamps,
            looks: 0,
            metrics,
        }
    }

    fn look(&mut self) {
        // What is wrong now is tried again when a file changes once more: several are seldom changed at once.
        if stamps(&self.tls) != self.stamps {
            self.reload("a file changed");
        }
        if self.looks.is_multiple_of(EXPIRY_EVERY) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let mut said = self.own.look(now);
            said.extend(self.tls.clients().look(now));
            for Warning { what, days_left, ended } in said {
                if ended {
                    tracing::error!(certificate = what, days_left, "a certificate has ended");
                } else {
                    tracing::warn!(certificate = what, days_left, "a certificate ends soon");
                }
            }
        }
        self.looks = self.looks.wrapping_add(1);
    }

    fn reload(&mut self, why: &str) {
        self.stamps = stamps(&self.tls);
        self.metrics.reloads.increment(1);
        match self.tls.reload() {
            Ok(()) => {
                let loaded = self.tls.loaded();
                self.metrics.reload_success.set(1);
                self.metrics.own(&loaded);
                self.own = Own::new(&loaded.server, &loaded.cas);
                self.looks = 0;
                tracing::info!(why, "TLS files read again");
                say_held(&loaded);
            }
            Err(faults) => {
                self.metrics.reload_success.set(0);
                for (setting, cause) in faults {
                    tracing::error!(
                        why,
                        field = format!("tls.{setting}"),
                        cause,
                        "TLS files not taken: the old ones hold"
                    );
                }
            }
        }
    }
}

fn say_held(loaded: &Loaded) {
    let cas: Vec<&str> = loaded.cas.iter().map(|ca| ca.subject.as_str()).collect();
    tracing::info!(
        certificate = %loaded.server,
        cas = cas.join("; "),
        mapped = loaded.table.len(),
        "TLS for new connections"
    );
}

/// All files of the settings, whether they are there or not.
fn paths(tls: &Tls) -> impl Iterator<Item = &PathBuf> {
    let settings = tls.settings();
    [
        &settings.certificate_file,
        &settings.key_file,
        &settings.client_ca_file,
        &settings.client_crl_file,
        &settings.switches_file,
    ]
    .into_iter()
    .flatten()
}

fn stamps(tls: &Tls) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    paths(tls)
        .map(|path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len(), file.ino()))
        })
        .collect()
}
