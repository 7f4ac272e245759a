//! Every seed and every finding of the fuzz target `discovery` (`fuzz/corpus`), through the
//! same function that the target runs, on whatever toolchain runs the tests.

#[path = "../../../fuzz/src/discovery.rs"]
mod discovery;
#[path = "../../../fuzz/src/replay.rs"]
mod replay;

#[test]
fn every_discovery_packet_of_the_corpus_obeys_the_laws() {
    replay::every_file("discovery", discovery::check);
}
