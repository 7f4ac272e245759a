//! `skerry lab-ca`: what is written, how it can be read, and what is never replaced.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("skerry-lab-ca-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folder(path)
    }

    fn run(&self, options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        command.arg("lab-ca").arg(&self.0).args(options);
        command.output().expect("the program was built with this test")
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it was made");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_ca_a_speaker_and_switches_come_into_a_folder_that_only_the_owner_reads() {
    let folder = Folder::new("whole");
    let made = folder.run(&[
        "--server",
        "127.0.0.1",
        "--server",
        "speaker.example",
        "--switch",
        "1,2",
        "--each",
        "0x10-0x11",
    ]);
    assert_eq!(made.status.code(), Some(2), "a range is of numbers: {made:?}");
    assert!(!folder.0.exists(), "nothing is begun that is asked for wrongly");
    let made = folder.run(&[
        "--server",
        "127.0.0.1",
        "--server",
        "speaker.example",
        "--switch",
        "1,2",
        "--each",
        "16-17",
    ]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let mut expected = Vec::new();
    for name in ["ca", "speaker", "switch-0x1", "switch-0x10", "switch-0x11"] {
        expected.extend([format!("{name}-cert.pem"), format!("{name}-key.pem")]);
    }
    assert_eq!(folder.names(), expected);
    assert_eq!(mode(&folder.0), 0o700);
    for name in expected.iter().filter(|name| name.ends_with("-key.pem")) {
        assert_eq!(mode(&folder.0.join(name)), 0o600, "{name}");
        assert!(folder.text(name).starts_with("-----BEGIN PRIVATE KEY-----"), "{name}");
    }
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    for line in [
        "speaker-cert.pem: the speaker, at 127.0.0.1, speaker.example",
        "switch-0x1-cert.pem: 2 switches, 00:00:00:00:00:00:00:01 the first",
        "switch-0x11-cert.pem: switch 00:00:00:00:00:00:00:11",
        "ovs-vsctl set-ssl ",
        "client_ca_file = \"",
    ] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
}

#[test]
fn a_ca_is_used_again_and_nothing_is_replaced_without_a_word() {
    let folder = Folder::new("again");
    assert!(folder.run(&["--switch", "1"]).status.success());
    let (ca, speaker, first) = (
        folder.text("ca-cert.pem"),
        folder.text("speaker-cert.pem"),
        folder.text("switch-0x1-cert.pem"),
    );
    // Another switch: the CA and the speaker's stay.
    assert!(folder.run(&["--switch", "2"]).status.success());
    assert_eq!(
        (folder.text("ca-cert.pem"), folder.text("speaker-cert.pem")),
        (ca.clone(), speaker)
    );
    // One that is there: refused as a whole.
    let refused = folder.run(&["--switch", "3", "--switch", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("switch-0x1-cert.pem is there already: --force replaces it"),
        "{refused:?}"
    );
    assert!(!folder.0.join("switch-0x3-cert.pem").exists());
    assert_eq!(folder.text("switch-0x1-cert.pem"), first);
    // With a word: replaced, but never the CA.
    assert!(folder.run(&["--switch", "1", "--force"]).status.success());
    assert_ne!(folder.text("switch-0x1-cert.pem"), first);
    assert_eq!(folder.text("ca-cert.pem"), ca);
    // Ended ones have names of their own.
    assert!(folder.run(&["--switch", "1", "--expired"]).status.success());
    assert!(folder.0.join("switch-0x1-expired-cert.pem").exists());
    // Half a CA is none.
    std::fs::remove_file(folder.0.join("ca-key.pem")).expect("it is ours");
    let refused = folder.run(&["--switch", "4"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("ca-key.pem is not"),
        "{refused:?}"
    );
}
