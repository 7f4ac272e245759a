//! Cleans up after a lab whose program was killed; see the module `janitor`.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let lab = std::env::args().nth(1).context("usage: skerry-janitor LAB")?;
    skerry_tests::janitor::serve(&lab)
}
