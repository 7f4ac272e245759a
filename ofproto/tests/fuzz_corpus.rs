//! Every seed and every finding of the fuzz targets (`fuzz/corpus`), through the same
//! functions that the targets run, on whatever toolchain runs the tests. The discovery
//! packets' are replayed where their parser is, in the speaker.

mod common;

#[path = "../../fuzz/src/framer.rs"]
mod framer;
#[path = "../../fuzz/src/matches.rs"]
// `of` makes seeds; only the program that writes them calls it.
#[allow(dead_code)]
mod matches;
#[path = "../../fuzz/src/message.rs"]
mod message;
#[path = "../../fuzz/src/multipart.rs"]
// `part` makes seeds; only the program that writes them calls it.
#[allow(dead_code)]
mod multipart;
#[path = "../../fuzz/src/replay.rs"]
mod replay;

// The targets' files look for it beside themselves.
use common::laws;

#[test]
fn every_stream_of_the_corpus_is_cut_into_its_frames() {
    replay::every_file("framer", framer::check);
}

#[test]
fn every_message_of_the_corpus_obeys_the_laws() {
    replay::every_file("message", message::check);
}

#[test]
fn every_reply_of_the_corpus_is_joined_within_its_limits() {
    replay::every_file("multipart", multipart::check);
}

#[test]
fn every_match_of_the_corpus_obeys_the_laws() {
    replay::every_file("match", matches::check);
}
