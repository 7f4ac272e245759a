//! What `/metrics` shows is what `docs/metrics.md` lists, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::ca;
use super::support::{Daemon, KEY, http};

/// Kind and labels of a metric.
type Shape = (String, BTreeSet<String>);

/// What the page shows. Labels that all have, or that belong to histograms as such, are left out.
fn shown(page: &str) -> BTreeMap<String, Shape> {
    let mut all = BTreeMap::<String, Shape>::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("name and kind");
            family = name.to_owned();
            all.insert(family.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, rest)) = line.split_once('{') {
            let labels = rest.rsplit_once('}').expect("closed").0.split(',');
            let names = labels.map(|label| label.split_once('=').expect("a value").0.to_owned());
            let own = names.filter(|name| name != "region" && name != "le");
            all.get_mut(&family).expect("a kind stands before it").1.extend(own);
        }
    }
    all
}

/// What the documentation lists.
fn listed(text: &str) -> BTreeMap<String, Shape> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, _] = cells[..] else {
            continue;
        };
        assert!(!meaning.is_empty(), "{line}");
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        let before = all.insert(name.trim_matches('`').to_owned(), (kind.to_owned(), labels));
        assert!(before.is_none(), "{name} is listed twice");
    }
    all
}

#[test]
fn the_page_shows_what_the_documentation_lists_and_nothing_else() {
    let ca = ca::Ca::new("metrics");
    let files = ca.server("server", &["localhost"]);
    let ca_file = ca.certificate();
    let environment = [
        ("TLS__CERTIFICATE_FILE", files.certificate()),
        ("TLS__KEY_FILE", files.key()),
        ("TLS__CLIENT_CA_FILE", &ca_file),
        ("REGION", "east"),
        ("NETWORK_KEY", KEY),
        ("LISTEN", "[{ address = \"127.0.0.1:0\" }]"),
        ("METRICS__LISTEN", "127.0.0.1:0"),
        // Nobody answers there: everything shows from the start, also what Kafka would have to be there for.
        ("KAFKA__BOOTSTRAP", "127.0.0.1:9"),
        ("KAFKA__PARTITIONS", "4"),
    ];
    let mut daemon = Daemon::start(&[], &environment);
    let pages = daemon.address("metrics on /metrics, health on /healthz and /readyz");
    daemon.line("speaker starts");
    daemon.line("ready without Kafka: switches are served, routers do not know it yet");
    let page = http(pages, "/metrics");
    let page = page.split_once("\r\n\r\n").expect("a body").1;
    let shown = shown(page);
    for name in shown.keys() {
        let named = name.starts_with("skerry_speaker_") || name.starts_with("process_");
        assert!(named, "{name}");
        let counter = shown[name].0 == "counter";
        assert_eq!(counter, name.ends_with("_total"), "{name}");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let listed = listed(&std::fs::read_to_string(path).expect("it is there"));
    let missing = |a: &BTreeMap<String, Shape>, b: &BTreeMap<String, Shape>| {
        let missing = a.iter().filter(|(name, shape)| b.get(*name) != Some(shape));
        missing
            .map(|(name, shape)| format!("{name} {shape:?}"))
            .collect::<Vec<_>>()
    };
    let not_listed = missing(&shown, &listed);
    let not_shown = missing(&listed, &shown);
    assert!(
        not_listed.is_empty() && not_shown.is_empty(),
        "shown and not (so) in docs/metrics.md:\n{}\nin docs/metrics.md and not (so) shown:\n{}",
        not_listed.join("\n"),
        not_shown.join("\n")
    );
    assert!(daemon.end().success());
}
