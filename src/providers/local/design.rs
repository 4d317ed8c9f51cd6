//! How a title card looks: its colours and its motif, drawn from the slug so that a slug always has the same.

use std::f64::consts::TAU;
use std::fmt::{Error, Result as Written, Write};

/// Colours that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Palette {
    /// The ground, from one corner to the other.
    pub(super) ground: (&'static str, &'static str),
    /// Words.
    pub(super) ink: &'static str,
    /// One small thing that catches the eye.
    pub(super) accent: &'static str,
    /// The motif, near the ground and farther from it.
    pub(super) tones: (&'static str, &'static str),
}

const PALETTES: [Palette; 10] = [
    Palette {
        ground: ("#0d1a2b", "#17324d"),
        ink: "#f7f2e8",
        accent: "#f2a65a",
        tones: ("#21415f", "#35608a"),
    },
    Palette {
        ground: ("#0f231c", "#1c3d30"),
        ink: "#f4f1e4",
        accent: "#e5c563",
        tones: ("#285343", "#3f7760"),
    },
    Palette {
        ground: ("#20122c", "#3a1f4b"),
        ink: "#f9f0ec",
        accent: "#ff8f75",
        tones: ("#4c2b61", "#6d4388"),
    },
    Palette {
        ground: ("#35120f", "#5c2017"),
        ink: "#fcf1e7",
        accent: "#f6b95f",
        tones: ("#702b1f", "#964532"),
    },
    Palette {
        ground: ("#14161b", "#262b34"),
        ink: "#f5f5f2",
        accent: "#7fd4b0",
        tones: ("#323843", "#4b5464"),
    },
    Palette {
        ground: ("#06272b", "#0c4349"),
        ink: "#f1f6f0",
        accent: "#ffb29e",
        tones: ("#12555b", "#22777d"),
    },
    Palette {
        ground: ("#f8f3e9", "#efe5d2"),
        ink: "#1d222e",
        accent: "#cf4557",
        tones: ("#e6d9bf", "#d0bb90"),
    },
    Palette {
        ground: ("#edf3f7", "#d8e5ee"),
        ink: "#13233a",
        accent: "#e4572e",
        tones: ("#c4d7e4", "#96b6cc"),
    },
    Palette {
        ground: ("#eef3ea", "#dbe6d4"),
        ink: "#1a2d23",
        accent: "#c8553d",
        tones: ("#c4d6bb", "#9ab68f"),
    },
    Palette {
        ground: ("#fceee9", "#f6dbd0"),
        ink: "#31171b",
        accent: "#2b6390",
        tones: ("#eec6b8", "#dd9f8d"),
    },
];

/// Numbers that are the same for the same slug.
pub(super) struct Dice(blake3::OutputReader);

impl Dice {
    pub(super) fn of(slug: &str) -> Self {
        Self(blake3::Hasher::new().update(slug.as_bytes()).finalize_xof())
    }

    /// From 0 to below 1.
    fn roll(&mut self) -> f64 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.roll() * (high - low)
    }

    fn pick<T: Copy>(&mut self, choices: &[T; 6]) -> T {
        let [first, rest @ ..] = choices;
        let at = self.roll() * 6.0;
        // Counting up instead of casting down: the last choice below the number that was rolled.
        rest.iter()
            .zip(1_u8..)
            .filter(|(_, n)| f64::from(*n) <= at)
            .last()
            .map_or(*first, |(choice, _)| *choice)
    }
}

/// The colours of a slug.
pub(super) fn palette(dice: &mut Dice) -> Palette {
    let at = dice.roll() * 10.0;
    let [first, rest @ ..] = &PALETTES;
    rest.iter()
        .zip(1_u8..)
        .filter(|(_, n)| f64::from(*n) <= at)
        .last()
        .map_or(*first, |(palette, _)| *palette)
}

/// The motif of a slug as SVG, for a card of this size. It is quiet where the words stand: at the left and
/// below.
///
/// # Errors
/// Never in practice: a string takes whatever is written into it.
pub(super) fn motif(dice: &mut Dice, palette: Palette, width: f64, height: f64) -> Result<String, Error> {
    let draw = dice.pick(&[rings, tiles, bars, discs, waves, dots]);
    let mut svg = String::new();
    draw(&mut svg, dice, palette, (width, height))?;
    Ok(svg)
}

type Size = (f64, f64);

/// Rings around a point near the upper right corner, one of them in the accent.
fn rings(svg: &mut String, dice: &mut Dice, palette: Palette, (w, h): Size) -> Written {
    let side = w.min(h);
    let (x, y) = (w - dice.between(0.02, 0.22) * side, dice.between(0.02, 0.25) * side);
    let gap = side * dice.between(0.072, 0.1);
    for ring in 1_u8..=9 {
        let n = f64::from(ring);
        let (colour, opacity) =
            if ring == 3 { (palette.accent, 0.9) } else { (palette.tones.1, 1.0 - n * 0.095) };
        let (radius, stroke) = (n * gap, gap * (0.34 - n * 0.026));
        write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"none\" \
             stroke=\"{colour}\" stroke-width=\"{stroke:.1}\" stroke-opacity=\"{opacity:.2}\"/>"
        )?;
    }
    Ok(())
}

/// Quarter discs in a grid, fading towards the words.
fn tiles(svg: &mut String, dice: &mut Dice, palette: Palette, (w, h): Size) -> Written {
    let side = w.min(h) / 4.0;
    let accent = (dice.between(0.0, 2.0).floor(), dice.between(0.0, 2.0).floor());
    for column in 0_u8..4 {
        for row in 0_u8..4 {
            let (c, r) = (f64::from(column), f64::from(row));
            if c + r > 3.0 || dice.roll() < 0.1 {
                continue;
            }
            let (x, y) = (w - (c + 1.0) * side, r * side);
            let corner = dice.between(0.0, 4.0).floor();
            let colour = if (c, r) == accent {
                palette.accent
            } else if dice.roll() < 0.5 {
                palette.tones.0
            } else {
                palette.tones.1
            };
            let opacity = if (c, r) == accent { 1.0 } else { 1.0 - (c + r) * 0.17 };
            let (turn, mx, my) = (corner * 90.0, x + side / 2.0, y + side / 2.0);
            write!(
                svg,
                "<path d=\"M{x:.1} {y:.1}h{side:.1}a{side:.1} {side:.1} 0 0 1 -{side:.1} {side:.1}z\" \
                 transform=\"rotate({turn:.0} {mx:.1} {my:.1})\" fill=\"{colour}\" fill-opacity=\"{opacity:.2}\"/>"
            )?;
        }
    }
    Ok(())
}

/// Slanted bars that come in from above.
fn bars(svg: &mut String, dice: &mut Dice, palette: Palette, (w, h): Size) -> Written {
    let side = w.min(h);
    let (thick, gap, slant) = (side * 0.085, side * 0.06, side * dice.between(0.35, 0.6));
    for bar in 0_u8..7 {
        let n = f64::from(bar);
        let length = side * dice.between(0.3, 0.74) * (1.0 - n * 0.05);
        let x = w + side * 0.12 - n * (thick + gap);
        let (dx, dy) = (slant * length / side, length);
        let colour = match bar {
            2 => palette.accent,
            _ if bar % 2 == 0 => palette.tones.1,
            _ => palette.tones.0,
        };
        let opacity = 1.0 - n * 0.1;
        write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"-{thick:.1}\" x2=\"{:.1}\" y2=\"{dy:.1}\" \
             stroke=\"{colour}\" stroke-width=\"{thick:.1}\" stroke-linecap=\"round\" stroke-opacity=\"{opacity:.2}\"/>",
            x - dx
        )?;
    }
    Ok(())
}

/// Three large discs that overlap, and a small one in the accent.
fn discs(svg: &mut String, dice: &mut Dice, palette: Palette, (w, h): Size) -> Written {
    let side = w.min(h);
    let (x, y) = (w - side * dice.between(0.18, 0.3), side * dice.between(0.16, 0.28));
    let turn = dice.between(0.0, TAU);
    for (n, colour, opacity) in
        [(0.0, palette.tones.0, 0.95), (1.0, palette.tones.1, 0.6), (2.0, palette.tones.1, 0.45)]
    {
        let angle = turn + n * TAU / 3.0;
        let (cx, cy) = (x + angle.cos() * side * 0.17, y + angle.sin() * side * 0.17);
        let r = side * (0.33 - n * 0.04);
        write!(
            svg,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{r:.1}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>"
        )?;
    }
    let angle = turn + TAU / 6.0;
    let (cx, cy) = (x + angle.cos() * side * 0.1, y + angle.sin() * side * 0.1);
    write!(
        svg,
        "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{:.1}\" fill=\"{}\"/>",
        side * 0.075,
        palette.accent
    )
}

/// Lines that run across the upper part like the contours of a hill.
fn waves(svg: &mut String, dice: &mut Dice, palette: Palette, (w, h): Size) -> Written {
    let side = w.min(h);
    let (peak, breadth) = (w * dice.between(0.7, 0.86), w * dice.between(0.12, 0.17));
    let (shift, lift) = (dice.between(0.0, TAU), side * dice.between(0.3, 0.4));
    for line in 0_u8..13 {
        let n = f64::from(line);
        let base = side * (0.1 + n * 0.026);
        write!(svg, "<path fill=\"none\" d=\"")?;
        for point in 0_u8..=80 {
            let x = w * f64::from(point) / 80.0;
            let hill = (-((x - peak) / breadth).powi(2)).exp() * lift * (0.25 + n / 15.0);
            let ripple = (x / w * TAU * 1.3 + shift + n * 0.22).sin() * side * 0.012;
            let y = base + side * 0.1 - hill + ripple;
            write!(svg, "{}{x:.1} {y:.1}", if point == 0 { 'M' } else { 'L' })?;
        }
        let colour = if line == 6 { palette.accent } else { palette.tones.1 };
        let opacity = if line == 6 { 0.95 } else { 0.85 - n * 0.045 };
        write!(
            svg,
            "\" stroke=\"{colour}\" stroke-width=\"{:.1}\" stroke-opacity=\"{opacity:.2}\"/>",
            side * 0.0052
        )?;
    }
    Ok(())
}

/// A field of dots that swell towards a point and vanish towards the words.
fn dots(svg: &mut String, dice: &mut Dice, palette: Palette, (w, h): Size) -> Written {
    let side = w.min(h);
    let gap = side / 17.0;
    let (x, y) = (w - side * dice.between(0.1, 0.3), side * dice.between(0.1, 0.28));
    let reach = side * dice.between(0.62, 0.74);
    let lit = (dice.between(2.0, 5.0).floor(), dice.between(1.0, 4.0).floor());
    for column in 0_u8..17 {
        for row in 0_u8..13 {
            let (c, r) = (f64::from(column), f64::from(row));
            let (cx, cy) = (w - (c + 0.5) * gap, (r + 0.5) * gap);
            let near = 1.0 - ((cx - x).hypot(cy - y) / reach);
            if near <= 0.06 {
                continue;
            }
            let colour = if (c, r) == lit { palette.accent } else { palette.tones.1 };
            let (radius, opacity) = (gap * 0.46 * near.sqrt(), (0.25 + near).min(1.0));
            write!(
                svg,
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{radius:.1}\" \
                 fill=\"{colour}\" fill-opacity=\"{opacity:.2}\"/>"
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_slug_always_looks_the_same_and_slugs_differ() {
        let look = |slug: &str| {
            let mut dice = Dice::of(slug);
            let palette = palette(&mut dice);
            (palette.ground.0, motif(&mut dice, palette, 1600.0, 900.0).expect("drawn"))
        };
        assert_eq!(look("my-article"), look("my-article"));
        let looks: HashSet<_> = (0..40).map(|n| look(&format!("my-article-{n}"))).collect();
        assert_eq!(looks.len(), 40);
        let palettes: HashSet<_> = looks.iter().map(|(ground, _)| ground).collect();
        assert!(palettes.len() >= 8, "the slugs spread over the palettes: {palettes:?}");
    }

    /// WCAG's measure, from 1 (the same) to 21 (black on white).
    fn contrast(one: &str, other: &str) -> f64 {
        let light = |hex: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("a colour")) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (one, other) = (light(one), light(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn words_can_be_read_on_every_ground_and_motif() {
        for palette in PALETTES {
            for ground in [palette.ground.0, palette.ground.1, palette.tones.0] {
                assert!(contrast(palette.ink, ground) >= 7.0, "{palette:?} on {ground}");
            }
            assert!(contrast(palette.ink, palette.tones.1) >= 4.5, "{palette:?}");
            assert!(contrast(palette.accent, palette.ground.0) >= 3.0, "{palette:?}");
        }
    }
}
