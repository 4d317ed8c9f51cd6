//! What an operator demands of an asset before it counts as delivered.

use std::time::Duration;

/// Acceptance rules. `None` and empty mean: not asked. Which rules apply depends on the medium.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acceptance {
    /// Images and video: least width in pixels.
    pub min_width: Option<u32>,
    /// Images and video: least height in pixels.
    pub min_height: Option<u32>,
    /// Images and video: wanted ratio of width to height.
    pub aspect: Option<Aspect>,
    /// Every medium but text: least size of the file in bytes.
    pub min_bytes: Option<u64>,
    /// Video and audio: least duration.
    pub min_duration: Option<Duration>,
    /// Text: fewest characters, after trimming.
    pub min_chars: Option<usize>,
    /// Text: most characters, after trimming.
    pub max_chars: Option<usize>,
    /// Text: regular expressions that must not match.
    pub forbid: Vec<String>,
    /// Text: must be a JSON document.
    pub json: bool,
}

/// A ratio of width to height, `16:9`, met within [`Aspect::TOLERANCE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aspect {
    /// Units of width.
    pub width: u32,
    /// Units of height.
    pub height: u32,
}

impl Aspect {
    /// How far a picture may be from the ratio, as a fraction of it. Vendors round to multiples of 16 or 64
    /// pixels: `1344x768` is sold as 16:9 and is 1.6 % off, Imagen's `1408x768` is 3.1 % off.
    pub const TOLERANCE: f64 = 0.04;

    /// Reads `16:9`; both sides 1 to 1000.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (width, height) = text.split_once(':')?;
        let side = |s: &str| s.trim().parse::<u32>().ok().filter(|n| (1..=1000).contains(n));
        Some(Self { width: side(width)?, height: side(height)? })
    }

    /// Whether a picture of this size has the ratio.
    #[must_use]
    pub fn fits(self, width: u32, height: u32) -> bool {
        let wanted = f64::from(self.width) / f64::from(self.height);
        let found = f64::from(width) / f64::from(height.max(1));
        ((found - wanted) / wanted).abs() <= Self::TOLERANCE
    }
}

impl std::fmt::Display for Aspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aspect_is_met_within_what_vendors_round() {
        let wide = Aspect::parse("16:9").expect("valid");
        for (width, height) in [(1920, 1080), (1344, 768), (1376, 768), (1408, 768)] {
            assert!(wide.fits(width, height), "{width}x{height}");
        }
        for (width, height) in [(1024, 1024), (1080, 1920), (1536, 1024), (1850, 1000), (1600, 1000)] {
            assert!(!wide.fits(width, height), "{width}x{height}");
        }
        for bad in ["", "16", "16:", "0:9", "16:9:1", "-1:1"] {
            assert_eq!(Aspect::parse(bad), None, "{bad}");
        }
    }
}
