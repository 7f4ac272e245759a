//! What the fuzz targets check, as plain functions that panic where a law is broken. The
//! targets call them with what libFuzzer makes up; the tests `fuzz_corpus` of ofproto and
//! of the speaker include these files and call them with every file of `corpus/`.

#[path = "../../ofproto/tests/common/laws.rs"]
pub mod laws;

pub mod discovery;
pub mod framer;
pub mod matches;
pub mod message;
pub mod multipart;
