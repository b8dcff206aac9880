//! Slices read from any offset, however few at a time, are the bytes that went in.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use segcast::chunks::Chunks;

fuzz_target!(|input: (Vec<Vec<u8>>, u16, u8)| {
    let (slices, offset, limit) = input;
    let whole = slices.concat();
    let chunks: Chunks = slices.into_iter().map(Bytes::from).collect();
    assert_eq!(chunks.size_bytes(), whole.len() as u64);
    assert_eq!(chunks.to_bytes(), whole);
    assert!(chunks.slices().iter().all(|slice| !slice.is_empty()));

    // As a writer does whose every write takes all that it is given.
    let limit = usize::from(limit).max(1);
    let mut at = usize::from(offset).min(whole.len());
    while at < whole.len() {
        let slices = chunks.io_slices(at as u64, limit);
        assert!(!slices.is_empty() && slices.len() <= limit);
        for slice in slices {
            assert_eq!(&*slice, &whole[at..at + slice.len()]);
            at += slice.len();
        }
    }
    assert!(chunks.io_slices(at as u64, limit).is_empty());
});
