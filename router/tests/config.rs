//! The files in `etc/` say what the program does: every key, its default, and nothing else.

use std::path::{Path, PathBuf};

use skerry_io::config::{Settings, load};
use skerry_io::kafka::KafkaSettings;
use skerry_router::config::RouterConfig;

fn etc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc").join(name)
}

fn read(name: &str) -> RouterConfig {
    load::<RouterConfig>(Some(&etc(name)), [])
        .unwrap_or_else(|e| panic!("{name}: {e}"))
        .config
}

#[test]
fn the_commented_file_shows_every_default() {
    let file = read("router.toml");
    let expected = RouterConfig {
        regions: vec!["east".into(), "west".into()],
        kafka: KafkaSettings {
            bootstrap: "127.0.0.1:9092".into(),
            ..KafkaSettings::default()
        },
        ..RouterConfig::default()
    };
    assert_eq!(file, expected);
    // Every key of the program is in the file.
    let text = std::fs::read_to_string(etc("router.toml")).expect("the file is there");
    let written: toml::Table = text.parse().expect("it is TOML");
    let known = toml::Table::try_from(&expected).expect("a configuration is TOML");
    let mut missing = Vec::new();
    for (section, value) in &known {
        match (value, written.get(section)) {
            (toml::Value::Table(keys), Some(toml::Value::Table(there))) => {
                missing.extend(
                    keys.keys()
                        .filter(|k| !there.contains_key(*k))
                        .map(|k| format!("{section}.{k}")),
                );
            }
            (_, Some(_)) => {}
            (_, None) => missing.push(section.clone()),
        }
    }
    assert!(missing.is_empty(), "etc/router.toml does not show {missing:?}");
}

#[test]
fn the_trial_file_is_good() {
    let file = read("trial-router.toml");
    assert!(file.check().is_empty(), "{:?}", file.check());
    file.machine(1).expect("it makes a machine");
}

#[test]
fn every_wrong_field_is_named() {
    let mut config = read("router.toml");
    config.regions = vec!["East".into(), "west".into(), "west".into()];
    config.northbound.listen = "0.0.0.0:8080".into();
    config.sla.threshold = 1.5;
    config.sla.window_ms = 0;
    config.presence.failback = "maybe".into();
    config.store.kind = "oracle".into();
    let paths: Vec<String> = config.check().into_iter().map(|(path, _)| path).collect();
    for path in [
        "regions[0]",
        "regions[2]",
        "northbound.listen",
        "sla.threshold",
        "sla.window_ms",
        "presence.failback",
        "store.kind",
    ] {
        assert!(paths.iter().any(|p| p == path), "{path} is not among {paths:?}");
    }
    for (kind, url, wrong) in [
        ("postgres", "", true),
        ("postgres", "mysql://db/skerry", true),
        ("postgres", "postgres://db/skerry", false),
        ("sqlite", "postgres://db/skerry", true),
        ("sqlite", "", false),
    ] {
        (config.store.kind, config.store.url) = (kind.into(), url.into());
        let named = config.check().iter().any(|(path, _)| path == "store.url");
        assert_eq!(named, wrong, "{kind} {url:?}");
    }
    config.store.kind = "postgres".into();
    config.store.url = "postgres://skerry:secret@db:5432/skerry?sslmode=require".into();
    assert_eq!(config.store.shown(), "postgres://db:5432/skerry");
    config.northbound.allow_unauthenticated = true;
    assert!(!config.check().iter().any(|(path, _)| path == "northbound.listen"));
}
