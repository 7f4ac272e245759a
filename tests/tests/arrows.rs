//! The arrows between packages, as the design draws them (section 2), read from cargo's own view of the dependency tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our packages a package may use. Whoever adds an arrow adds it here, with its reason in ARCHITECTURE.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("ofproto", &[]),
    ("skerry-bench", &["ofproto"]),
    (
        "skerry-bench-speaker",
        &[
            "ofproto",
            "skerry-bus",
            "skerry-io",
            "skerry-network",
            "skerry-speaker-core",
            "skerry-speaker",
            "skerry-bench",
            "skerry-tests",
        ],
    ),
    ("skerry-bus", &[]),
    ("skerry-network", &["skerry-bus"]),
    ("skerry-speaker-core", &["ofproto", "skerry-bus"]),
    ("skerry-router-core", &["skerry-bus"]),
    ("skerry-monitor", &["skerry-bus"]),
    ("skerry-switch", &["ofproto", "skerry-bus", "skerry-network"]),
    ("skerry-io", &["skerry-bus"]),
    (
        "skerry-speaker",
        &["ofproto", "skerry-bus", "skerry-io", "skerry-speaker-core"],
    ),
    (
        "skerry-router",
        &[
            "skerry-bus",
            "skerry-io",
            "skerry-network",
            "skerry-router-core",
            "skerry-monitor",
        ],
    ),
    (
        "skerry",
        &[
            "ofproto",
            "skerry-bus",
            "skerry-io",
            "skerry-network",
            "skerry-router-core",
            "skerry-monitor",
            "skerry-switch",
        ],
    ),
    (
        "skerry-sim",
        &[
            "ofproto",
            "skerry-bus",
            "skerry-network",
            "skerry-speaker-core",
            "skerry-router-core",
            "skerry-monitor",
            "skerry-switch",
            "skerry-router",
        ],
    ),
    (
        "skerry-tests",
        &[
            "ofproto",
            "skerry-bus",
            "skerry-io",
            "skerry-network",
            "skerry-router-core",
            "skerry-monitor",
            "skerry-speaker-core",
        ],
    ),
];

/// Packages of the two upper rows: told the time, own nothing outside.
const PURE: &[&str] = &[
    "ofproto",
    "skerry-bus",
    "skerry-network",
    "skerry-speaker-core",
    "skerry-router-core",
    "skerry-monitor",
    "skerry-switch",
];

/// What the upper rows must not be able to reach, not even through somebody else.
const OUTSIDE: &[&str] = &[
    "tokio",
    "rdkafka",
    "rdkafka-sys",
    "socket2",
    "mio",
    "sqlx",
    "sqlx-core",
    "axum",
    "hyper",
    "ureq",
    "async-std",
    "nix",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the workspace")
        .to_owned()
}

/// What cargo says of the workspace, with the features that everybody gets.
fn metadata() -> Value {
    // Only this platform's packages are on this machine.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            &platform,
        ])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Package name to the names it depends on (normal and build dependencies, not those of tests).
fn tree() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let name_of: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|p| (p["id"].as_str().expect("id"), p["name"].as_str().expect("name")))
        .collect();
    let mut tree = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
        let needs = node["deps"].as_array().expect("deps").iter().filter(|dep| {
            dep["dep_kinds"]
                .as_array()
                .expect("kinds")
                .iter()
                .any(|kind| kind["kind"].as_str() != Some("dev"))
        });
        let names = needs
            .map(|dep| name_of[dep["pkg"].as_str().expect("pkg")].to_owned())
            .collect();
        tree.insert(name_of[node["id"].as_str().expect("id")].to_owned(), names);
    }
    tree
}

#[test]
fn every_package_uses_only_what_the_design_lets_it_use() {
    let tree = tree();
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let members: BTreeSet<&str> = tree
        .keys()
        .map(String::as_str)
        .filter(|n| n.starts_with("skerry") || *n == "ofproto")
        .collect();
    assert_eq!(members, ours, "a package is not in the table of arrows");
    for (name, allowed) in ARROWS {
        let used: BTreeSet<&str> = tree[*name]
            .iter()
            .map(String::as_str)
            .filter(|dependency| ours.contains(dependency))
            .collect();
        let forbidden: Vec<_> = used.iter().filter(|u| !allowed.contains(u)).collect();
        assert!(forbidden.is_empty(), "{name} uses {forbidden:?}");
    }
}

#[test]
fn what_decides_cannot_reach_a_socket_a_task_or_kafka() {
    let tree = tree();
    for start in PURE {
        let mut reached = BTreeMap::from([((*start).to_owned(), String::new())]);
        let mut open = vec![(*start).to_owned()];
        while let Some(name) = open.pop() {
            for dependency in tree.get(&name).into_iter().flatten() {
                if !reached.contains_key(dependency) {
                    reached.insert(dependency.clone(), name.clone());
                    open.push(dependency.clone());
                }
            }
        }
        for outside in OUTSIDE {
            if let Some(through) = reached.get(*outside) {
                panic!("{start} reaches {outside} through {through}");
            }
        }
    }
}

/// What the simulated world has to find is planted by its own tests, and nobody else can.
#[test]
fn planted_defects_are_in_no_program() {
    let metadata = metadata();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let planted = nodes.iter().filter(|node| {
        let features = node["features"].as_array().expect("features");
        features.iter().any(|feature| feature == "defects")
    });
    let names: Vec<&str> = planted.filter_map(|node| node["id"].as_str()).collect();
    assert!(names.is_empty(), "built with the feature `defects`: {names:?}");
}

/// Files below a folder with this ending.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn machines_ask_nobody_for_the_time_and_do_no_io() {
    // What a line of a machine must not contain, outside its tests. The composed router lives in an I/O package and is
    // held to the same words.
    let words = [
        "tokio",
        "rdkafka",
        "sqlx",
        "axum",
        "std::net::Tcp",
        "std::net::Udp",
        "std::fs",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "std::env",
        "std::process",
    ];
    let folders = [
        "ofproto/src",
        "bus/src",
        "network/src",
        "speaker/core/src",
        "router/core/src",
        "monitor/src",
        "switch/src",
        "router/src/machine",
    ];
    let mut wrong = Vec::new();
    for folder in folders {
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        assert!(!files.is_empty(), "{folder} is empty");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source file is text");
            let name = file
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name.ends_with("tests.rs") || file.components().any(|c| c.as_os_str() == "tests") {
                continue;
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let line = line.trim_start();
                if line.starts_with("//") {
                    continue;
                }
                if let Some(word) = words.iter().find(|w| line.contains(**w)) {
                    let file = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
                    wrong.push(format!("{file}:{}: {word}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
