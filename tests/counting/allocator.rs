//! An allocator that counts; for tests and benchmarks of all crates.
#![allow(dead_code, reason = "each of them uses a part of it")]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, which counts for each thread on its own.
pub(crate) struct Allocator;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// What `work` comes to, and how often it allocated, or moved what was allocated.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATIONS.get();
    let output = work();
    (output, ALLOCATIONS.get() - before)
}

/// What `work` comes to, and how many bytes more than before it this thread holds.
pub(crate) fn bytes<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = BYTES.get();
    let output = work();
    (output, BYTES.get() - before)
}

fn count(allocations: u64, bytes: usize, freed: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    BYTES.set(BYTES.get() + bytes as i64 - freed as i64);
}

// SAFETY: every call goes to the system's allocator as it came; the counters are plain cells, which neither allocate
// nor have a destructor.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        unsafe { System.dealloc(memory, layout) }
    }
}
