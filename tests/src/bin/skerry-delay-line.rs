//! Delays the frames between pairs of TAP devices; see the module `delay`.

fn main() -> anyhow::Result<()> {
    skerry_tests::delay::line::serve(std::env::args().skip(1))
}
