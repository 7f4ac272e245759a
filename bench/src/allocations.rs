//! Counts what is allocated: the system's allocator with a counter before it.
//!
//! The counter is read and written without a lock, which costs a cycle and not the
//! twenty that an atomic addition costs, since that would be measured with every message.
//! It is exact while one thread allocates, and only such stretches are counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Allocations (and growths of one) since the start.
pub fn so_far() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

#[inline]
fn count() {
    ALLOCATIONS.store(so_far().wrapping_add(1), Ordering::Relaxed);
}

/// The allocator of a program that counts.
pub struct Counting;

// An allocator cannot be written without `unsafe`. Every call is passed on as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(at, layout, size) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}
