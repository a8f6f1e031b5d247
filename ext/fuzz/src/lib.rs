//! What the fuzz targets have in common: the code that they try, and a bound on the memory that it may take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Once;

use _native::fuzzing::{seeds, Target, TARGETS};

/// Bytes that a target may take whatever its input: serde believes a list's length up to 1 MiB, at each level.
const ALWAYS: usize = 8 << 20;

/// Bytes that it may take for each byte of its input.
const FOR_EACH_BYTE: usize = 200;

/// The system's allocator, which counts what Rust has taken from it.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(taken, Ordering::Relaxed);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        System.dealloc(pointer, layout);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Gives `data` to a target, and checks that memory follows the bytes that are there.
pub fn run(name: &str, data: &[u8]) {
    let target = target(name);
    let before = TAKEN.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    target(data);
    let taken = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let allowed = ALWAYS + data.len() * FOR_EACH_BYTE;
    assert!(taken <= allowed, "{taken} bytes of memory for {} of input", data.len());
}

fn target(name: &str) -> Target {
    static SEEDED: Once = Once::new();
    SEEDED.call_once(|| write_seeds(name));
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target).expect("a known target")
}

/// Puts the seeds where `FUZZ_SEEDS` says: libFuzzer reads them when it is started again.
fn write_seeds(name: &str) {
    let Ok(directory) = std::env::var("FUZZ_SEEDS") else { return };
    for (number, seed) in seeds(name).iter().enumerate() {
        let path = Path::new(&directory).join(format!("seed-{number}"));
        fs::write(path, seed).expect("seeds can be written");
    }
}
