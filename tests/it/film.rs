//! MP4 files that are put together here, as far as our checks read them.

/// A box of an MP4 file.
pub(crate) fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).expect("small");
    [&size.to_be_bytes()[..], kind, body].concat()
}

/// Numbers as they stand in a box.
pub(crate) fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// An MP4 of one track: its frames are not decoded, so they hold nothing.
pub(crate) struct Film {
    pub(crate) size: (u32, u32),
    pub(crate) turned: bool,
    pub(crate) handler: &'static [u8; 4],
    /// Units of a thousandth of a second.
    pub(crate) units: u32,
    pub(crate) fragments: Vec<Vec<u8>>,
    pub(crate) frame_bytes: u32,
}

impl Default for Film {
    fn default() -> Self {
        Self {
            size: (1280, 720),
            turned: false,
            handler: b"vide",
            units: 8000,
            fragments: vec![],
            frame_bytes: 100,
        }
    }
}

impl Film {
    /// The whole file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let matrix: [u32; 9] = if self.turned {
            [0, 0x1_0000, 0, 0xFFFF_0000, 0, 0, 0, 0, 0x4000_0000]
        } else {
            [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]
        };
        let (width, height) = self.size;
        let tkhd = words(
            &[&[7, 0, 0, 1, 0, self.units, 0, 0, 0, 0][..], &matrix, &[width << 16, height << 16]].concat(),
        );
        let mdhd = words(&[0, 0, 0, 1000, self.units, 0]);
        let hdlr = [&words(&[0, 0])[..], self.handler, &[0; 13]].concat();
        let stsz = words(&[0, 0, 2, self.frame_bytes, self.frame_bytes]);
        let table = boxed(b"stbl", &[boxed(b"stsd", &words(&[0, 0])), boxed(b"stsz", &stsz)].concat());
        let media = [boxed(b"mdhd", &mdhd), boxed(b"hdlr", &hdlr), boxed(b"minf", &table)].concat();
        let track = [boxed(b"tkhd", &tkhd), boxed(b"mdia", &media)].concat();
        let trex = boxed(b"trex", &words(&[0, 1, 1, 40, 0, 0]));
        let movie = boxed(b"moov", &[boxed(b"trak", &track), boxed(b"mvex", &trex)].concat());
        let fragments: Vec<u8> = self.fragments.iter().flat_map(|body| boxed(b"moof", body)).collect();
        let data = boxed(b"mdat", &[0; 200]);
        [boxed(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41"), movie, fragments, data].concat()
    }
}
