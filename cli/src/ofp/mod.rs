//! `skerry ofp decode|encode`: OpenFlow messages as JSON and back, or as text for people.
//!
//! Standard input is hexadecimal, one frame a line, or a capture, which is told from its first bytes. What a
//! message says is the codec's business; here frames are found and lines are written.

mod capture;
mod codec;
mod packet;
mod tcp;

use std::io::{BufRead, BufReader, Cursor, Read};

use bytes::Bytes;
use clap::Subcommand;

use crate::failure::Failure;
use crate::lines;
use crate::output::line;

/// Longest line that is read. A frame is at most 65,535 bytes; as JSON with every byte of it in a field of its
/// own it stays below this.
const LINE_MAX: u64 = 16 * 1024 * 1024;

/// Commands about OpenFlow messages.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints each message of standard input as a line of JSON
    ///
    /// Standard input is hexadecimal, one frame a line, or a capture (pcap or pcapng), whose TCP streams are put
    /// together for each connection and direction. A frame that is malformed is printed as
    /// {"error", "structure", "offset"}, and the exit code is 1 at the end.
    Decode {
        /// One line of text for each message, in the words of ovs-ofctl, instead of JSON
        #[arg(long, conflicts_with = "reencode")]
        text: bool,
        /// Add "bytes": the decoded message encoded again, in hexadecimal
        #[arg(long)]
        reencode: bool,
    },
    /// Prints each JSON object of standard input as a line of hexadecimal
    Encode,
}

/// Runs one.
pub fn run(command: &Command) -> Result<(), Failure> {
    let input = std::io::stdin().lock();
    match command {
        Command::Decode { text: true, .. } => decode(input, codec::Form::Text),
        Command::Decode { reencode: true, .. } => decode(input, codec::Form::JsonAndBytes),
        Command::Decode { .. } => decode(input, codec::Form::Json),
        Command::Encode => encode(input),
    }
}

fn decode(mut input: impl Read, form: codec::Form) -> Result<(), Failure> {
    let mut magic = Vec::new();
    input
        .by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(|e| reading(&e))?;
    let kind = capture::Kind::of(&magic);
    let input = Cursor::new(magic).chain(input);
    let mut all_good = true;
    let mut print = |found: Result<Bytes, codec::Malformed>| {
        let (text, good) = codec::decode(found, form);
        all_good &= good;
        line(&text)
    };
    match kind {
        Some(kind) => capture::frames(kind, input, &mut print)?,
        None => {
            let mut input = BufReader::new(input);
            while let Some(text) = lines::next(&mut input, LINE_MAX).map_err(|e| reading(&e))? {
                if !text.trim_ascii().is_empty() {
                    print(codec::unhex(&text))?;
                }
            }
        }
    }
    if all_good { Ok(()) } else { Err(Failure::Told) }
}

fn encode(mut input: impl BufRead) -> Result<(), Failure> {
    let mut all_good = true;
    let mut number = 0u64;
    while let Some(text) = lines::next(&mut input, LINE_MAX).map_err(|e| reading(&e))? {
        number += 1;
        if text.trim_ascii().is_empty() {
            continue;
        }
        match codec::encode(&text) {
            Ok(hex) => line(&hex)?,
            Err(cause) => {
                eprintln!("skerry: line {number}: {cause}");
                all_good = false;
            }
        }
    }
    if all_good { Ok(()) } else { Err(Failure::Told) }
}

fn reading(error: &std::io::Error) -> Failure {
    Failure::Failed(format!("standard input: {error}"))
}
