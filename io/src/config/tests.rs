use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Loaded, Settings, load};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    name: String,
    count: u16,
    listen: Vec<Listen>,
    bus: Bus,
    key: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listen {
    address: String,
    plain: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bus {
    bootstrap: String,
    client: BTreeMap<String, String>,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            name: "east".into(),
            count: 4,
            listen: vec![],
            bus: Bus::default(),
            key: None,
        }
    }
}

impl Settings for Sample {
    const DAEMON: &'static str = "sample";
    const ENVIRONMENT: &'static str = "SKERRY_SAMPLE";
    const SECRETS: &'static [&'static str] = &["key"];
    fn check(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        if self.bus.bootstrap.is_empty() {
            faults.push(("bus.bootstrap".to_owned(), "must be set".to_owned()));
        }
        for (n, listen) in self.listen.iter().enumerate() {
            if !listen.plain {
                faults.push((format!("listen[{n}].plain"), "must be true".to_owned()));
            }
        }
        faults
    }
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Loaded<Sample>, Vec<String>> {
    let file = std::env::temp_dir().join(format!("skerry-io-config-{}-{:p}.toml", std::process::id(), text));
    std::fs::write(&file, text).expect("a temporary file can be written");
    let environment: Vec<_> = environment
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let got = load::<Sample>(Some(&file), environment);
    std::fs::remove_file(&file).expect("it is ours");
    let name = file.display().to_string();
    got.map_err(|e| e.faults.iter().map(|f| f.to_string().replace(&name, "FILE")).collect())
}

#[test]
fn every_wrong_field_is_named_with_its_line_and_cause() {
    let text = "name = 7\nnonsense = true\ncount = 70000\n\n[[listen]]\naddress = \"a\"\n\n[[listen]]\naddress = \"b\"\nplain = \"yes\"\ncolour = 1\n\n[bus]\nbotstrap = \"x\"\n";
    let faults = read(
        text,
        &[
            ("SKERRY_SAMPLE__BUS__CLIENT", "[1]"),
            ("SKERRY_SAMPLE__TYPO", "1"),
            ("OTHER", "1"),
        ],
    )
    .expect_err("it is wrong");
    let all = faults.join("\n");
    for line in [
        "FILE:1: name: invalid type: integer `7`, expected a string",
        "FILE:2: nonsense: unknown field `nonsense`",
        "FILE:3: count: invalid value: integer `70000`, expected u16",
        "FILE:5: listen[0].plain: must be true",
        "FILE:10: listen[1].plain: invalid type: string \"yes\", expected a boolean",
        "FILE:11: listen[1].colour: unknown field `colour`",
        "FILE:14: bus.botstrap: unknown field `botstrap`",
        "FILE:13: bus.bootstrap: must be set",
        "environment SKERRY_SAMPLE__BUS__CLIENT: bus.client: invalid type: sequence, expected a map",
        "environment SKERRY_SAMPLE__TYPO: typo: unknown field `typo`",
    ] {
        assert!(all.contains(line), "{line} is missing in:\n{all}");
    }
    assert_eq!(faults.len(), 10, "{all}");
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let faults = read("name = \"a\"\ncount = = 3\n", &[]).expect_err("it is wrong");
    assert!(faults[0].starts_with("FILE:2: "), "{faults:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load::<Sample>(Some(std::path::Path::new("no/such.toml")), []).expect_err("there is none");
    assert!(
        error.to_string().starts_with("no/such.toml cannot be read: "),
        "{error}"
    );
}

#[test]
fn the_environment_overrides_the_file_and_takes_the_type_the_key_wants() {
    let text = "name = \"west\"\n[bus]\nbootstrap = \"file:x\"\nclient = { \"linger.ms\" = \"0\" }\n";
    let loaded = read(
        text,
        &[
            ("SKERRY_SAMPLE__NAME", "12"),
            ("SKERRY_SAMPLE__COUNT", "5"),
            ("SKERRY_SAMPLE__KEY", "0a0b"),
            ("SKERRY_SAMPLE__LISTEN", "[{address = \"a:1\", plain = true}]"),
        ],
    )
    .expect("nothing is wrong");
    let config = &loaded.config;
    assert_eq!((config.name.as_str(), config.count), ("12", 5));
    assert_eq!(
        config.listen,
        vec![Listen {
            address: "a:1".into(),
            plain: true
        }]
    );

    let printed = loaded.print();
    for (value, origin) in [
        ("name = \"12\"", "environment SKERRY_SAMPLE__NAME"),
        ("key = \"(not shown)\"", "environment SKERRY_SAMPLE__KEY"),
        ("bootstrap = \"file:x\"", ".toml:3"),
        ("\"linger.ms\" = \"0\"", ".toml:4"),
    ] {
        assert!(
            printed.lines().any(|l| l.starts_with(value) && l.ends_with(origin)),
            "{value} {origin}\n{printed}"
        );
    }
    let again = read(&printed, &[]).expect("what is printed can be read");
    assert_eq!(
        Sample {
            key: config.key.clone(),
            ..again.config
        },
        *config
    );
}

#[test]
fn nothing_set_gives_the_defaults_and_says_what_must_be_set() {
    let error = load::<Sample>(None, []).expect_err("bootstrap must be set");
    assert_eq!(error.to_string(), "bus.bootstrap: must be set");
    let loaded = read("[bus]\nbootstrap = \"x\"\n", &[]).expect("nothing is wrong");
    assert!(loaded.print().contains("# default"));
}
