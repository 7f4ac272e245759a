//! Measures `ofproto` beside other codecs, and beside what the machine itself needs to
//! look at the same bytes. `make bench-codec` runs it; docs/performance.md says how to
//! read what it prints. What all measurements share (figures, their file, the machine) is
//! here too, for `skerry-bench-speaker`; nothing else uses this package.

pub mod allocations;
pub mod checksum;
pub mod clock;
pub mod codec;
pub mod corpus;
pub mod figure;
pub mod floor;
pub mod machine;
pub mod ours;
pub mod peer;
pub mod reading;
pub mod report;
pub mod rounds;
pub mod stream;
pub mod table;
