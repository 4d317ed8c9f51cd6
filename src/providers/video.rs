//! The settings of the protocols that film, and what they ask a vendor for so that the asset is accepted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::accept::Acceptance;
use crate::domain::provider::Provider;

use super::google;

/// Seconds of a video where nobody says otherwise: the longest that every model of the catalog makes.
const DEFAULT_SECONDS: u32 = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VideoOptions {
    /// Length; from the asset's `min_duration` when absent, else 8.
    seconds: Option<u32>,
    /// `720p`, `1080p`, `4k`; the smallest that passes the acceptance rules when absent.
    resolution: Option<String>,
    /// `16:9` or `9:16`; the nearest to the acceptance rules when absent.
    aspect_ratio: Option<String>,
    /// On Vertex AI.
    pub(super) project: Option<String>,
    pub(super) location: Option<String>,
    /// Further fields of the request, which win over ours.
    pub(super) extra: Map<String, Value>,
    /// Micro-dollars per second, by resolution.
    second_micros: BTreeMap<String, i64>,
}

impl VideoOptions {
    /// How long a video to ask for: the shortest of `lengths` that is long enough, else the longest.
    pub(super) fn seconds(&self, lengths: &[u32], accept: &Acceptance) -> u32 {
        if let Some(seconds) = self.seconds {
            return seconds;
        }
        let wanted = accept.min_duration.map_or(0, |least| least.as_millis().div_ceil(1000));
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).max(DEFAULT_SECONDS);
        let enough = lengths.iter().copied().filter(|length| *length >= wanted).min();
        enough.or(lengths.iter().copied().max()).unwrap_or(DEFAULT_SECONDS)
    }

    /// `16:9` or `9:16`.
    pub(super) fn ratio(&self, accept: &Acceptance) -> String {
        let nearest = || google::nearest_ratio(&["16:9", "9:16"], accept).unwrap_or("16:9");
        self.aspect_ratio.clone().unwrap_or_else(|| nearest().to_owned())
    }

    /// The resolution, counted in lines of the shorter edge.
    pub(super) fn resolution(&self, accept: &Acceptance) -> String {
        if let Some(resolution) = &self.resolution {
            return resolution.clone();
        }
        let (width, height) = (accept.min_width.unwrap_or(0), accept.min_height.unwrap_or(0));
        let fits = |long: u32, short: u32| width.max(height) <= long && width.min(height) <= short;
        let name = if fits(1280, 720) {
            "720p"
        } else if fits(1920, 1080) {
            "1080p"
        } else {
            "4k"
        };
        name.to_owned()
    }

    /// What such a video costs: a second of a resolution whose price is not known as much as the dearest that is, and
    /// without any, in proportion to the price of a call, which is that of the usual length.
    pub(super) fn cost_micros(&self, provider: &Provider, seconds: u32, resolution: &str) -> i64 {
        let dearest = || self.second_micros.values().max();
        if let Some(price) = self.second_micros.get(resolution).or_else(dearest) {
            return price.saturating_mul(i64::from(seconds));
        }
        let eighths = i128::from(provider.price_micros) * i128::from(seconds);
        let whole = (eighths + i128::from(DEFAULT_SECONDS) - 1).div_euclid(i128::from(DEFAULT_SECONDS));
        i64::try_from(whole).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::accept::Aspect;
    use crate::providers::recorded::provider;

    #[test]
    fn the_shortest_video_that_is_long_enough_is_asked_for() {
        let options = VideoOptions::default();
        let check = |least: Option<u64>, lengths: &[u32], expected: u32| {
            let accept =
                Acceptance { min_duration: least.map(Duration::from_millis), ..Acceptance::default() };
            assert_eq!(options.seconds(lengths, &accept), expected, "{least:?}");
        };
        check(None, &[4, 6, 8], 8);
        check(None, &[3, 4, 5, 6, 7, 8, 9, 10], 8);
        check(Some(8_200), &[8, 9, 10], 9);
        check(Some(60_000), &[4, 6, 8], 8);
        check(Some(1_000), &[4, 6, 8], 8);
    }

    #[test]
    fn size_and_price_follow_the_acceptance_rules() {
        let mut options = VideoOptions::default();
        let pixels = |width, height| Acceptance {
            min_width: Some(width),
            min_height: Some(height),
            ..Acceptance::default()
        };
        let check = |accept: Acceptance, ratio: &str, resolution: &str| {
            let options = VideoOptions::default();
            assert_eq!(
                (options.ratio(&accept), options.resolution(&accept)),
                (ratio.to_owned(), resolution.to_owned())
            );
        };
        check(Acceptance::default(), "16:9", "720p");
        check(Acceptance { aspect: Aspect::parse("4:5"), ..Acceptance::default() }, "9:16", "720p");
        check(pixels(1080, 1920), "9:16", "1080p");
        check(pixels(2560, 1440), "16:9", "4k");
        let mut provider = provider("veo", "m", "https://v.example");
        assert_eq!(options.cost_micros(&provider, 8, "720p"), 0, "no price is known");
        let mut of_a_call = |price, seconds, expected| {
            provider.price_micros = price;
            assert_eq!(options.cost_micros(&provider, seconds, "4k"), expected, "{price} {seconds}");
        };
        of_a_call(800_000, 8, 800_000);
        of_a_call(800_000, 15, 1_500_000);
        of_a_call(800_000, 4, 400_000);
        of_a_call(1, 4, 1);
        of_a_call(9, 9, 11);
        of_a_call(i64::MAX, 9, i64::MAX);
        options.second_micros.insert("720p".to_owned(), 100_000);
        assert_eq!(options.cost_micros(&provider, 9, "720p"), 900_000);
        options.second_micros.insert("360p".to_owned(), 30_000);
        assert_eq!(options.cost_micros(&provider, 15, "4k"), 1_500_000, "the dearest that is known");
        assert_eq!(options.cost_micros(&provider, 15, "360p"), 450_000);
    }
}
