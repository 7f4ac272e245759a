//! What the demo measured, as `target/demo/summary.json`.
//!
//! The old file goes first and the new one is renamed into place, so that a reader sees a whole summary of this run or none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// The summary as it grows.
pub struct Summary {
    path: PathBuf,
    started: Instant,
    values: Map<String, Value>,
    failed: Vec<String>,
}

impl Summary {
    /// An empty summary; an old file at `path` is removed.
    ///
    /// # Errors
    /// The folder cannot be made or the old file not removed.
    pub fn new(path: &Path) -> Result<Summary> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| path.display().to_string());
            }
            _ => {}
        }
        Ok(Summary {
            path: path.to_owned(),
            started: Instant::now(),
            values: Map::new(),
            failed: Vec::new(),
        })
    }

    /// Keep what a step measured.
    pub fn set(&mut self, key: &str, value: Value) {
        self.values.insert(key.to_owned(), value);
    }

    /// A step is not as it should be.
    pub fn fail(&mut self, step: &str, seen: &str) {
        self.failed.push(format!("{step}: {seen}"));
    }

    /// Whether every step so far is as it should be.
    pub fn ok(&self) -> bool {
        self.failed.is_empty()
    }

    /// What is not as it should be.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Write the file: to a temporary name beside it, then renamed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> Result<()> {
        let mut all = self.values.clone();
        all.insert("ok".into(), json!(self.ok()));
        all.insert("failed".into(), json!(self.failed));
        all.insert("commit".into(), json!(commit()));
        all.insert("seconds".into(), json!(self.started.elapsed().as_secs_f64().round()));
        let text = serde_json::to_string_pretty(&Value::Object(all))? + "\n";
        let beside = self.path.with_extension(format!("json.{}", std::process::id()));
        fs::write(&beside, text).with_context(|| beside.display().to_string())?;
        fs::rename(&beside, &self.path).with_context(|| self.path.display().to_string())
    }
}

/// The commit that is checked out, with `-dirty` when the tree differs from it; `unknown` outside a checkout.
fn commit() -> String {
    let git = |args: &[&str]| {
        let folder = env!("CARGO_MANIFEST_DIR");
        let output = std::process::Command::new("git")
            .args(["-C", folder])
            .args(args)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "HEAD"]) {
        Some(hash) => {
            let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
            if dirty { hash + "-dirty" } else { hash }
        }
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_the_old_summary_is_gone_from_the_start() {
        let folder = std::env::temp_dir().join(format!("skerry-summary-{}", std::process::id()));
        let path = folder.join("summary.json");
        fs::create_dir_all(&folder).expect("a temporary folder");
        fs::write(&path, "old").expect("writes");
        let mut summary = Summary::new(&path).expect("begins");
        assert!(!path.exists());
        summary.set("clean", json!({"left_over": []}));
        summary.fail("flow", "2 of 100 pings lost");
        summary.write().expect("writes");
        let read: Value = serde_json::from_slice(&fs::read(&path).expect("reads")).expect("is JSON");
        assert_eq!(read["ok"], json!(false));
        assert_eq!(read["failed"], json!(["flow: 2 of 100 pings lost"]));
        assert!(read["commit"].is_string() && read["seconds"].is_number());
        assert_eq!(
            fs::read_dir(&folder).expect("reads").count(),
            1,
            "no temporary file is left"
        );
        fs::remove_dir_all(&folder).expect("removes what it made");
    }
}
