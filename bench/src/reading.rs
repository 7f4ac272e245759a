//! The checksum of a frame read from its bytes alone, without the codec: what every
//! codec's checksum must be. It knows the layouts of the corpus and no other; it is
//! never timed.

use anyhow::{Context, Result, bail};

/// The checksum that `checksum` describes.
///
/// # Errors
/// The frame is of a kind that is not in the corpus, or ends too early.
pub fn checksum(frame: &[u8]) -> Result<u64> {
    let mut r = Reading::of(frame);
    r.field(1)?; // version
    let kind = r.field(1)?;
    r.skip(2)?; // length
    r.field(4)?; // transaction id
    r.weight = 1;
    match kind {
        2 => r.payload(),
        10 => {
            r.fields(&[4, 2, 1, 1, 8])?;
            r.matching()?;
            r.skip(2)?;
            r.payload();
        }
        12 => port_status(&mut r)?,
        13 => {
            r.fields(&[4, 4])?;
            let actions = r.number(2)?;
            r.skip(6)?;
            r.part(actions, Reading::actions)?;
            r.payload();
        }
        14 => {
            r.fields(&[8, 8, 1, 1, 2, 2, 2, 4, 4, 4])?;
            r.flags(2)?;
            r.skip(2)?;
            r.matching()?;
            r.instructions()?;
        }
        15 => {
            r.fields(&[2, 1])?;
            r.skip(1)?;
            r.field(4)?;
            while !r.bytes.is_empty() {
                let length = r.number(2)?.saturating_sub(2);
                r.part(length, bucket)?;
            }
        }
        19 => {
            r.field(2)?;
            r.flags(2)?;
            r.skip(4)?;
            while !r.bytes.is_empty() {
                let length = r.number(2)?.saturating_sub(2);
                r.part(length, flow_stats)?;
            }
        }
        21 => {}
        other => bail!("no message of type {other} is in the corpus"),
    }
    r.finish()
}

fn port_status(r: &mut Reading<'_>) -> Result<()> {
    r.field(1)?;
    r.skip(7)?;
    r.field(4)?;
    r.skip(4)?;
    r.field(6)?;
    r.skip(2)?;
    let name = r.take(16)?;
    r.add(name.iter().take_while(|byte| **byte != 0).count() as u64);
    r.add(name.first().copied().unwrap_or_default().into());
    for _ in 0..6 {
        r.flags(4)?;
    }
    r.fields(&[4, 4])
}

/// A bucket behind its length.
fn bucket(r: &mut Reading<'_>) -> Result<()> {
    r.fields(&[2, 4, 4])?;
    r.skip(4)?;
    r.actions()
}

/// An entry of a flow reply behind its length.
fn flow_stats(r: &mut Reading<'_>) -> Result<()> {
    r.field(1)?;
    r.skip(1)?;
    r.fields(&[4, 4, 2, 2, 2])?;
    r.flags(2)?;
    r.skip(4)?;
    r.fields(&[8, 8, 8])?;
    r.matching()?;
    r.instructions()
}

/// What is left of a structure, and the sum of what was read.
struct Reading<'f> {
    bytes: &'f [u8],
    sum: u64,
    weight: u64,
}

impl<'f> Reading<'f> {
    fn of(bytes: &'f [u8]) -> Self {
        Self {
            bytes,
            sum: 0,
            weight: 1,
        }
    }

    /// Adds the next field of the structure.
    fn add(&mut self, value: u64) {
        self.sum = self.sum.wrapping_add(value.wrapping_mul(self.weight));
        self.weight += 2;
    }

    fn take(&mut self, n: usize) -> Result<&'f [u8]> {
        let (front, rest) = self.bytes.split_at_checked(n).context("the frame ends too early")?;
        self.bytes = rest;
        Ok(front)
    }

    fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    fn number(&mut self, width: usize) -> Result<usize> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn field(&mut self, width: usize) -> Result<usize> {
        let number = self.number(width)?;
        self.add(number as u64);
        Ok(number)
    }

    fn fields(&mut self, widths: &[usize]) -> Result<()> {
        widths.iter().try_for_each(|width| self.field(*width).map(|_| ()))
    }

    fn flags(&mut self, width: usize) -> Result<()> {
        let set = self.number(width)?.count_ones();
        self.add(set.into());
        Ok(())
    }

    /// Reads a structure inside, which is `length` bytes long.
    fn part(&mut self, length: usize, read: impl FnOnce(&mut Reading<'f>) -> Result<()>) -> Result<()> {
        let mut inner = Reading::of(self.take(length)?);
        read(&mut inner)?;
        self.sum = self.sum.wrapping_add(inner.finish()?);
        Ok(())
    }

    fn finish(&self) -> Result<u64> {
        match self.bytes.len() {
            0 => Ok(self.sum),
            left => bail!("{left} bytes were not read"),
        }
    }

    fn payload(&mut self) {
        let data = Reading::of(self.bytes);
        let mut fields = Reading::of(&[]);
        fields.add(data.bytes.len() as u64);
        fields.add(data.bytes.first().copied().unwrap_or_default().into());
        fields.add(data.bytes.last().copied().unwrap_or_default().into());
        self.sum = self.sum.wrapping_add(fields.sum);
        self.bytes = &[];
    }

    fn matching(&mut self) -> Result<()> {
        self.skip(2)?;
        let length = self.number(2)?;
        self.part(length.saturating_sub(4), |r| {
            while !r.bytes.is_empty() {
                r.oxm()?;
            }
            Ok(())
        })?;
        self.skip((8 - length % 8) % 8)
    }

    fn oxm(&mut self) -> Result<()> {
        self.weight = 1;
        let header = self.field(4)?;
        let width = header & 0xff;
        if header & 0x100 == 0 {
            self.fields(&[width])
        } else {
            self.fields(&[width / 2, width / 2])
        }
    }

    fn instructions(&mut self) -> Result<()> {
        while !self.bytes.is_empty() {
            let kind = self.number(2)?;
            let length = self.number(2)?;
            self.part(length.saturating_sub(4), |r| {
                r.add(kind as u64);
                match kind {
                    4 => {
                        r.skip(4)?;
                        r.actions()
                    }
                    other => bail!("no instruction of type {other} is in the corpus"),
                }
            })?;
        }
        Ok(())
    }

    fn actions(&mut self) -> Result<()> {
        while !self.bytes.is_empty() {
            let kind = self.number(2)?;
            let length = self.number(2)?;
            self.part(length.saturating_sub(4), |r| {
                r.weight = 1;
                r.add(kind as u64);
                match kind {
                    0 => r.fields(&[4, 2])?,
                    17 => r.fields(&[2])?,
                    25 => r.oxm()?,
                    other => bail!("no action of type {other} is in the corpus"),
                }
                r.skip(r.bytes.len())
            })?;
        }
        Ok(())
    }
}
