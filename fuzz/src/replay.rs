//! Runs a target over its files; included by the tests `fuzz_corpus`.

use std::path::{Path, PathBuf};

/// Calls `check` with every file of `fuzz/corpus/<target>`; the file that fails is named.
pub fn every_file(target: &str, check: fn(&[u8])) {
    let files = files(target);
    assert!(!files.is_empty(), "no files for {target}");
    for file in &files {
        let data = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // What fails in there does not know what it was given.
        if std::panic::catch_unwind(|| check(&data)).is_err() {
            panic!("fuzz target {target} fails with {}", file.display());
        }
    }
    println!("fuzz/corpus/{target}: {} files", files.len());
}

fn files(target: &str) -> Vec<PathBuf> {
    // From the folder of whichever package includes this file.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package
        .ancestors()
        .map(|above| above.join("fuzz/corpus").join(target))
        .find(|folder| folder.is_dir());
    let folder = folder.unwrap_or_else(|| panic!("fuzz/corpus/{target} is not there"));
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}
