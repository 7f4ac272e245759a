//! Writes the seeds of every target from the annotated vectors; `scripts/fuzz --seeds`
//! runs it. Seeds are named by what is in them. Files of other names, found by a target,
//! stay.

#[path = "../ofproto/tests/common/vectors.rs"]
// What a vector says besides its name and frame is for the tests.
#[allow(dead_code)]
mod vectors;

use ofproto::Message;
use skerry_fuzz::{matches, multipart};
use skerry_speaker_core::packet::{Kind, Probe, UDP_TURNED, build};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The longest stream for the framer.
const STREAM: usize = 4_096;

/// The longest vector that is a seed: longer ones are many of the same.
const SEED_MAX: usize = 2_048;

fn main() -> io::Result<()> {
    let mut frames = Vec::new();
    for vectors::Vector { name, frame, .. } in vectors::all() {
        if frame.len() > SEED_MAX {
            println!("{name}: too long for a seed");
            continue;
        }
        frames.push(frame.to_vec());
    }
    write("message", frames.iter().cloned())?;
    write("framer", streams(&frames))?;
    write("multipart", replies(&frames))?;
    write("match", fields(&frames))?;
    write("discovery", probes())
}

/// Streams of vectors, cut in several ways.
fn streams(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut streams = Vec::new();
    // The bits of the first byte: into the framer's buffer, again and again.
    for (how, cuts) in [
        (0, &[][..]),
        (0, &[0]),
        (0x40, &[7, 8]),
        (0, &[63, 250]),
        (0xc0, &[253]),
        (0x80, &[251]),
    ] {
        let mut stream = vec![how | u8::try_from(cuts.len()).expect("a few cuts")];
        stream.extend_from_slice(cuts);
        for frame in frames {
            if stream.len() + frame.len() <= STREAM {
                stream.extend_from_slice(frame);
            }
        }
        streams.push(stream);
    }
    streams.push(vec![0, 4, 2, 0, 7, 0, 0, 0, 1]);
    streams
}

/// Each multipart reply as a reply of its own, one of three parts, one that never ends.
fn replies(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for frame in frames.iter().filter(|frame| frame.get(1) == Some(&19)) {
        let (Some(more), Some(last)) = (multipart::part(3, true, frame), multipart::part(3, false, frame)) else {
            continue;
        };
        seeds.push([&[7, 31, 255][..], &more, &more, &last].concat());
        seeds.push([&[2, 3, 255][..], &more, &more, &more, &more, &last, &last].concat());
    }
    seeds
}

fn fields(frames: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let messages = frames
        .iter()
        .filter_map(|frame| Message::decode(&frame.clone().into()).ok());
    messages
        .flat_map(|message| matches::of(&message))
        .map(|fields| fields.to_vec())
        .collect()
}

/// Discovery packets of both kinds, one that was turned around, one with padding.
fn probes() -> Vec<Vec<u8>> {
    let probe = |kind, region: &str| Probe {
        kind,
        from: skerry_bus::PortRef {
            switch: skerry_bus::SwitchId(0x0102_0304_0506_0708),
            port: skerry_bus::PortNo(3),
        },
        sent_ns: 123_456_789_012,
        sent_ms: 1_790_000_000_000,
        nonce: 42,
        epoch: skerry_bus::Epoch(9),
        region: region.parse().expect("a region's name"),
    };
    let link = build(&probe(Kind::Link, "east"), &[7; 32]);
    let mut turned = link.clone();
    turned[36..38].copy_from_slice(&UDP_TURNED.to_be_bytes());
    let padded = [link.clone(), vec![0; 9]].concat();
    let payload = link[42..].to_vec();
    let control = build(&probe(Kind::Control, "a-region-with-a-name-of-32-bytes"), &[8; 32]);
    vec![link, turned, padded, payload, control]
}

/// Writes them and removes seeds that are no longer any.
fn write(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("seed-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    let (mut count, mut bytes) = (0, 0);
    for seed in seeds {
        std::fs::write(folder.join(format!("seed-{:016x}", hash(&seed))), &seed)?;
        count += 1;
        bytes += seed.len();
    }
    println!("{target}: {count} seeds, {bytes} bytes");
    Ok(())
}

/// FNV-1a: the same name for the same bytes on every machine.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
