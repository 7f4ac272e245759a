//! The codec's table, as it is printed.

use crate::codec::{PEERS, machine};
use crate::corpus::Kind;
use crate::peer::Mode;
use crate::report::{Report, shown};
use anyhow::Result;
use std::fmt::Write as _;

/// Everything for a person to read.
///
/// # Errors
/// None: it writes into memory.
pub fn table(report: &Report) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "codec at {}", report.commit)?;
    writeln!(text, "{}", report.machine)?;
    for peer in PEERS {
        let about = report.figures.iter().find_map(|figure| {
            let theirs = figure.name.ends_with(&format!("_{peer}_ns"));
            figure.version.as_ref().filter(|_| theirs)
        });
        match about {
            Some(version) => writeln!(text, "{peer}: {version}")?,
            None => writeln!(text, "{peer}: not measured")?,
        }
    }
    for mode in Mode::ALL {
        of_mode(report, &mut text, mode)?;
    }
    let framer = shown(report.value("framer_messages_per_s"));
    let allocs = shown(report.value("framer_message_allocs"));
    writeln!(
        text,
        "\nframer: {framer} messages/s on one core, {allocs} allocations a message"
    )?;
    writeln!(text)?;
    text.push_str(&report.verdicts());
    Ok(text)
}

fn of_mode(report: &Report, text: &mut String, mode: Mode) -> Result<()> {
    let (mode_name, machine) = (mode.name(), machine(mode));
    write!(
        text,
        "\n{:<16}{:>10}{:>9}{machine:>10}{:>8}",
        format!("{mode_name}, ns"),
        "skerry",
        "allocs",
        "over"
    )?;
    for peer in PEERS {
        write!(text, "{peer:>12}{:>8}", "over")?;
    }
    writeln!(text)?;
    for kind in Kind::ALL {
        let name = kind.name();
        let cell = |rest: &str| shown(report.value(&format!("{name}_{rest}")));
        write!(
            text,
            "{name:<16}{:>10}{:>9}{:>10}{:>8}",
            cell(&format!("{mode_name}_ns")),
            cell(&format!("{mode_name}_allocs")),
            cell(&format!("{machine}_ns")),
            cell(&format!("{mode_name}_ns_over_{machine}")),
        )?;
        for peer in PEERS {
            let theirs = cell(&format!("{mode_name}_{peer}_ns"));
            let over = cell(&format!("{mode_name}_ns_over_{peer}"));
            write!(text, "{theirs:>12}{over:>8}")?;
        }
        writeln!(text)?;
    }
    Ok(())
}
