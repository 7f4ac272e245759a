//! Every public type says where the specification has it, so that whoever doubts the codec
//! knows where to look. What the specification does not have stands here with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Public items without a section of OpenFlow 1.3.5.
const WITHOUT: &[(&str, &[&str])] = &[
    (
        "ours: the codec, not the protocol",
        &[
            "DecodeError",
            "Malformed",
            "DecodeCause",
            "EncodeError",
            "EncodeCause",
            "FrameError",
            "Framer",
            "JsonError",
            "JsonCause",
            "LINE_MAX",
            "OxmKind",
            "ReassemblyLimits",
            "ReassemblyError",
            "RefusalCause",
        ],
    ),
    (
        "forms of values that many structures have",
        &["MacAddr", "NotAMacAddr", "FixedText"],
    ),
    (
        "extensions: OpenFlow 1.4, the ONF, Nicira",
        &[
            "VERSION_1_4",
            "BundleAdd",
            "BundleControl",
            "BundleCtrlType",
            "BundleFailedCode",
            "BundleFlags",
            "BundleProp",
            "BundlePropType",
            "RoleReason",
            "RoleStatus",
            "NiciraActionType",
            "ONF_COPY_FIELD",
            "FieldCopy",
            "FieldLoad",
            "OfsNBits",
        ],
    ),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

/// The name of the public item that a line declares: `pub struct Name`, or a row of a macro
/// that declares one (`Name(u16), "OFPX_" {` and `Name, "ofp_name" {`).
fn declared(line: &str) -> Option<&str> {
    let keywords = ["pub struct ", "pub enum ", "pub const "];
    let first = |text: &'_ str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    if let Some(rest) = keywords.iter().find_map(|keyword| line.strip_prefix(keyword)) {
        let name = &rest[..first(rest)];
        return (name != "fn" && !name.is_empty()).then_some(name);
    }
    let row = line
        .strip_prefix("    ")
        .filter(|row| row.starts_with(|c: char| c.is_ascii_uppercase()))?;
    let (name, behind) = row.split_at(first(row));
    let of_numbers = behind.starts_with("(u") && behind.contains("), \"");
    let of_fields = behind.starts_with(", \"") && behind.ends_with(" {");
    (of_numbers || of_fields).then_some(name)
}

/// Every public item of the crate and its documentation.
fn items() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut items = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable source");
        let mut documentation = String::new();
        for line in text.lines() {
            let trimmed = line.trim_start();
            if let Some(comment) = trimmed.strip_prefix("///") {
                documentation += comment;
            } else if !trimmed.starts_with("#[") {
                let said = std::mem::take(&mut documentation);
                if let Some(name) = declared(line) {
                    items.insert(name.to_owned(), said);
                }
            }
        }
    }
    items
}

#[test]
fn every_public_type_says_where_the_specification_has_it() {
    let items = items();
    assert!(items.len() > 120, "only {} items found", items.len());
    for known in ["FlowMod", "PortNo", "Match", "NO_BUFFER", "Action", "Refusal"] {
        assert!(items.contains_key(known), "{known} was not found: {:?}", items.keys());
    }
    let without: Vec<&str> = WITHOUT.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let says = |text: &str| {
        ["section 6", "section 7", "sections 7"]
            .iter()
            .any(|section| text.contains(section))
    };
    let silent: Vec<&String> = items
        .iter()
        .filter(|(_, text)| !says(text))
        .map(|(name, _)| name)
        .collect();
    let news: Vec<_> = silent.iter().filter(|name| !without.contains(&name.as_str())).collect();
    assert!(news.is_empty(), "say no section and are not listed here: {news:?}");
    let olds: Vec<_> = without
        .iter()
        .filter(|name| !silent.iter().any(|silent| silent == *name))
        .collect();
    assert!(olds.is_empty(), "listed here and not needed: {olds:?}");
}
