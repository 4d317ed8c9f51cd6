//! Sound files that are put together here, as far as our checks read them.

/// Frames of MPEG 1, layer III, 128 kbit/s at 44.1 kHz: 417 bytes and 1152 samples each.
pub(crate) fn mp3(frames: usize) -> Vec<u8> {
    let frame = [&[0xFF, 0xFB, 0x90, 0x00][..], &[0; 413]].concat();
    [b"ID3\x04\0\0\0\0\0\x0a0123456789".to_vec(), frame.repeat(frames)].concat()
}
