//! What the boundary keeps in memory: WebAssembly memory never shrinks, so that what is allocated once
//! too often is lost to an isolate for good.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const WEIGHTS_BYTES: usize = 24 * 1024 * 1024;

#[test]
fn a_load_that_broke_off_is_dropped_before_the_next_makes_room() {
    embedder_wasm::weights_address(WEIGHTS_BYTES);
    embedder_wasm::weights_address(WEIGHTS_BYTES);
    let peak = PEAK_BYTES.load(Ordering::Relaxed);
    assert!(peak < WEIGHTS_BYTES + 1_000_000, "{peak} bytes at once");
}

struct CountingAllocator;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

// SAFETY: every call goes to the system's allocator as it came; only numbers are kept beside it.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above with this `layout`, which the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}
