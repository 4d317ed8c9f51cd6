//! Which size to ask an image model for, so that what comes back passes the asset's acceptance rules.

use crate::domain::accept::{Acceptance, Aspect};

/// Models by the sizes they know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Squares only.
    DallE2,
    /// Three sizes, the wide ones 7:4.
    DallE3,
    /// Three sizes, the wide ones 3:2.
    GptImage1,
    /// Any size in steps of 16.
    GptImage2,
    /// A model of a compatible server: most take any size, and all have a default.
    Other,
}

/// What `GptImage2` takes: steps, the longest and the shorter edge, and the steepest ratio.
const STEP: u32 = 16;
const LONGEST: u32 = 3840;
const SHORTER: u32 = 2160;
const STEEPEST: u32 = 3;

impl Family {
    /// The family of a model id.
    pub(super) fn of(model: &str) -> Self {
        // A relay's ids carry the vendor: `openai/gpt-image-2`.
        let id = model.rsplit('/').next().unwrap_or(model);
        let after = |prefix| id.strip_prefix(prefix).map(|rest: &str| rest.chars().next());
        if id == "dall-e-2" {
            Self::DallE2
        } else if id == "dall-e-3" {
            Self::DallE3
        } else if after("gpt-image-") == Some(Some('1')) || after("chatgpt-image").is_some() {
            Self::GptImage1
        } else if after("gpt-image-").is_some() {
            Self::GptImage2
        } else {
            Self::Other
        }
    }

    /// Whether `response_format` may be sent.
    pub(super) fn is_dall_e(self) -> bool {
        match self {
            Self::DallE2 | Self::DallE3 => true,
            Self::GptImage1 | Self::GptImage2 | Self::Other => false,
        }
    }
}

/// The size to ask for, `1536x864`; `None` where the model's own default serves.
pub(super) fn size_for(family: Family, accept: &Acceptance) -> Option<String> {
    let (width, height) = match family {
        Family::DallE2 => (1024, 1024),
        Family::DallE3 => best_of(&[(1024, 1024), (1792, 1024), (1024, 1792)], accept),
        Family::GptImage1 => best_of(&[(1024, 1024), (1536, 1024), (1024, 1536)], accept),
        Family::GptImage2 => any_size(accept),
        Family::Other if asks_for_nothing(accept) => return None,
        Family::Other => any_size(accept),
    };
    Some(format!("{width}x{height}"))
}

fn asks_for_nothing(accept: &Acceptance) -> bool {
    accept.aspect.is_none() && accept.min_width.is_none() && accept.min_height.is_none()
}

/// Of the sizes a model knows, the one nearest to the wanted ratio. Where only pixels are asked for, being
/// large enough comes first.
fn best_of(sizes: &[(u32, u32)], accept: &Acceptance) -> (u32, u32) {
    let wanted = aspect(accept);
    let wanted = f64::from(wanted.width) / f64::from(wanted.height);
    // By the logarithm, twice as wide and half as wide are equally far.
    let distance = |(width, height): (u32, u32)| (f64::from(width) / f64::from(height) / wanted).ln().abs();
    let too_small = |(width, height): (u32, u32)| {
        accept.aspect.is_none() && (width < least(accept.min_width) || height < least(accept.min_height))
    };
    let order = |a: &(u32, u32), b: &(u32, u32)| {
        too_small(*a).cmp(&too_small(*b)).then(distance(*a).total_cmp(&distance(*b)))
    };
    sizes.iter().copied().min_by(order).unwrap_or((1024, 1024))
}

/// The smallest size of the wanted ratio in steps of 16 that is large enough: at least 1024 pixels square, or
/// 1536 on the longer edge. Larger pictures cost more.
pub(super) fn any_size(accept: &Acceptance) -> (u32, u32) {
    let aspect = aspect(accept);
    let (portrait, long, short) = if aspect.width < aspect.height {
        (true, aspect.height, aspect.width)
    } else {
        (false, aspect.width, aspect.height)
    };
    let short = short.max(long.div_ceil(STEEPEST));
    let (least_long, least_short) = if portrait {
        (least(accept.min_height), least(accept.min_width))
    } else {
        (least(accept.min_width), least(accept.min_height))
    };
    let start = if long == short { 1024 } else { 1536 };
    let mut size = (start, start);
    for edge in (start..=LONGEST).step_by(STEP as usize) {
        let other = nearest_step(edge, short, long);
        if other > SHORTER {
            break;
        }
        size = (edge, other);
        let fits = Aspect { width: long, height: short }.fits(edge, other);
        if fits && edge >= least_long && other >= least_short {
            break;
        }
    }
    if portrait { (size.1, size.0) } else { size }
}

/// `edge` times `short / long`, to the nearest step.
fn nearest_step(edge: u32, short: u32, long: u32) -> u32 {
    let nearest = (edge * short / long.max(1) + STEP / 2) / STEP;
    // Rounding down must not make it steeper than the model takes.
    nearest.max(edge.div_ceil(STEEPEST).div_ceil(STEP)) * STEP
}

/// The wanted ratio: as asked, else that of the least width and height, else square.
fn aspect(accept: &Acceptance) -> Aspect {
    let by_edges = || match (accept.min_width, accept.min_height) {
        (Some(width), Some(height)) if width > 0 && height > 0 => {
            Aspect { width: width.min(LONGEST), height: height.min(LONGEST) }
        }
        _ => Aspect { width: 1, height: 1 },
    };
    accept.aspect.unwrap_or_else(by_edges)
}

fn least(edge: Option<u32>) -> u32 {
    edge.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(aspect: &str, min_width: u32, min_height: u32) -> Acceptance {
        let edge = |pixels: u32| (pixels > 0).then_some(pixels);
        Acceptance {
            aspect: Aspect::parse(aspect),
            min_width: edge(min_width),
            min_height: edge(min_height),
            ..Acceptance::default()
        }
    }

    #[test]
    fn models_are_known_by_their_ids() {
        for (model, family) in [
            ("dall-e-2", Family::DallE2),
            ("dall-e-3", Family::DallE3),
            ("gpt-image-1", Family::GptImage1),
            ("gpt-image-1.5", Family::GptImage1),
            ("gpt-image-1-mini", Family::GptImage1),
            ("chatgpt-image-latest", Family::GptImage1),
            ("gpt-image-2", Family::GptImage2),
            ("gpt-image-2.6-flare", Family::GptImage2),
            ("openai/gpt-image-2-2026-04-21", Family::GptImage2),
            ("flux-schnell", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    #[test]
    fn known_sizes_are_chosen_by_their_shape() {
        let check = |family, accept: &Acceptance, size: &str| {
            assert_eq!(size_for(family, accept).as_deref(), Some(size), "{family:?} {accept:?}");
        };
        check(Family::GptImage1, &wanted("", 0, 0), "1024x1024");
        check(Family::GptImage1, &wanted("16:9", 1024, 576), "1536x1024");
        check(Family::GptImage1, &wanted("9:16", 0, 0), "1024x1536");
        check(Family::GptImage1, &wanted("", 1200, 800), "1536x1024");
        check(Family::GptImage1, &wanted("", 1200, 0), "1536x1024");
        check(Family::DallE3, &wanted("16:9", 0, 0), "1792x1024");
        check(Family::DallE2, &wanted("16:9", 0, 0), "1024x1024");
    }

    #[test]
    fn free_sizes_fit_and_are_no_larger_than_asked() {
        let check = |accept: &Acceptance, size: &str| {
            assert_eq!(size_for(Family::GptImage2, accept).as_deref(), Some(size), "{accept:?}");
        };
        check(&wanted("", 0, 0), "1024x1024");
        check(&wanted("16:9", 1024, 576), "1536x864");
        check(&wanted("16:9", 1920, 1080), "1920x1088");
        check(&wanted("9:16", 0, 0), "864x1536");
        check(&wanted("1:1", 1500, 0), "1504x1504");
        check(&wanted("", 1600, 400), "1600x544");
        assert_eq!(size_for(Family::Other, &wanted("", 0, 0)), None);
        assert_eq!(size_for(Family::Other, &wanted("16:9", 0, 0)).as_deref(), Some("1536x864"));
    }

    #[test]
    fn no_wish_leads_past_what_the_model_takes() {
        let sides = [0, 1, 7, 500, 1024, 4000, u32::MAX];
        for aspect in ["", "1:1", "16:9", "9:16", "3:1", "1:1000", "1000:1", "997:991"] {
            for width in sides {
                for height in sides {
                    let size = size_for(Family::GptImage2, &wanted(aspect, width, height)).expect("a size");
                    let (w, h) = size.split_once('x').expect("WxH");
                    let (w, h): (u32, u32) = (w.parse().expect("a number"), h.parse().expect("a number"));
                    assert!(w % STEP == 0 && h % STEP == 0 && w > 0 && h > 0, "{size}");
                    assert!(w.max(h) <= LONGEST && w.min(h) <= SHORTER, "{size}");
                    assert!(w.max(h) <= w.min(h) * STEEPEST, "{size} for {aspect} {width} {height}");
                }
            }
        }
    }
}
