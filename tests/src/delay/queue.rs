//! The frames of one direction that are under way, in order. No clock, no device.

use std::collections::VecDeque;

/// Frames that may be under way in one direction: 1.6 s of 10,000 packets/s. More means
/// that somebody floods the link; the newest frame is then dropped and counted, as in a switch.
pub const FRAMES_MAX: usize = 16_384;

/// A frame under way.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it left the near switch, in nanoseconds.
    pub received_ns: u64,
    /// When it leaves.
    pub due_ns: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The frames of one direction, first in, first out.
#[derive(Debug, Default)]
pub struct Queue {
    frames: VecDeque<Frame>,
}

impl Queue {
    /// Takes a frame, to leave after `delay_ns` but never before the one in front of it.
    /// False: the queue is full and the frame is gone.
    pub fn push(&mut self, now_ns: u64, delay_ns: u64, bytes: Vec<u8>) -> bool {
        if self.frames.len() >= FRAMES_MAX {
            return false;
        }
        let before = self.frames.back().map_or(0, |frame| frame.due_ns);
        let due_ns = now_ns.saturating_add(delay_ns).max(before);
        self.frames.push_back(Frame {
            received_ns: now_ns,
            due_ns,
            bytes,
        });
        true
    }

    /// Frames under way.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// When the first frame leaves.
    pub fn next_due_ns(&self) -> Option<u64> {
        self.frames.front().map(|frame| frame.due_ns)
    }

    /// The first frame, if its time has come.
    pub fn pop(&mut self, now_ns: u64) -> Option<Frame> {
        let due = self.next_due_ns().is_some_and(|due_ns| due_ns <= now_ns);
        if due { self.frames.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_leaves_at_its_time_and_not_before() {
        let mut queue = Queue::default();
        assert!(queue.push(100, 50, vec![1]));
        assert_eq!(queue.next_due_ns(), Some(150));
        assert_eq!(queue.pop(149), None);
        assert_eq!(
            queue.pop(150),
            Some(Frame {
                received_ns: 100,
                due_ns: 150,
                bytes: vec![1]
            })
        );
        assert_eq!(queue.next_due_ns(), None);
    }

    #[test]
    fn a_shorter_delay_does_not_let_frames_overtake() {
        let mut queue = Queue::default();
        queue.push(0, 1_000, vec![1]);
        queue.push(10, 5, vec![2]);
        assert_eq!(queue.pop(999), None);
        assert_eq!(queue.pop(1_000).map(|frame| frame.bytes), Some(vec![1]));
        assert_eq!(queue.pop(1_000).map(|frame| frame.bytes), Some(vec![2]));
    }

    #[test]
    fn a_full_queue_drops_the_newest_frame() {
        let mut queue = Queue::default();
        for _ in 0..FRAMES_MAX {
            assert!(queue.push(0, 1, Vec::new()));
        }
        assert!(!queue.push(0, 1, vec![9]));
        assert_eq!(queue.pop(1).map(|frame| frame.bytes), Some(Vec::new()));
        assert!(queue.push(0, 1, vec![9]));
    }
}
