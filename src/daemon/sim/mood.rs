//! How the simulated vendors are disposed: eras of outages, slowness, limits and calm, by chance.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::name::ProviderName;
use crate::domain::time::{Timestamp, after};

/// What a vendor does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Makes what is asked for.
    Fine,
    /// Makes it after minutes.
    Slow,
    /// Answers that it is down.
    Down,
    /// Never answers.
    Silent,
    /// Any of these, from call to call.
    Flaky,
    /// Wants fewer calls; a short hint, a long one, or none.
    Limited,
    /// Its credit is used up.
    Broke,
    /// Sends what is no asset.
    Useless,
    /// Refuses the prompt.
    Fussy,
    /// Calls the request malformed.
    Puzzled,
    /// Refuses the key.
    Locked,
}

/// Moods and how likely they are.
const WEIGHTS: [(Mood, u32); 11] = [
    (Mood::Fine, 40),
    (Mood::Slow, 10),
    (Mood::Down, 12),
    (Mood::Silent, 8),
    (Mood::Flaky, 10),
    (Mood::Limited, 8),
    (Mood::Broke, 4),
    (Mood::Useless, 6),
    (Mood::Fussy, 4),
    (Mood::Puzzled, 2),
    (Mood::Locked, 1),
];

/// The eras of every provider.
pub(super) struct Moods {
    chance: fastrand::Rng,
    eras: BTreeMap<ProviderName, (Mood, Timestamp)>,
}

impl Moods {
    pub(super) fn new(chance: fastrand::Rng) -> Self {
        Self { chance, eras: BTreeMap::new() }
    }

    /// How a provider is at `now`; in a healed world all are fine.
    pub(super) fn of(&mut self, provider: &ProviderName, now: Timestamp, healed: bool) -> Mood {
        if healed {
            return Mood::Fine;
        }
        let era = self.eras.get(provider).filter(|(_, until)| *until > now).copied();
        let mood = era.map_or_else(|| self.new_era(provider, now), |(mood, _)| mood);
        if mood == Mood::Flaky { self.any() } else { mood }
    }

    fn new_era(&mut self, provider: &ProviderName, now: Timestamp) -> Mood {
        let mood = self.any();
        let minutes = if self.chance.bool() { self.chance.u64(1..20) } else { self.chance.u64(20..180) };
        self.eras.insert(provider.clone(), (mood, after(now, Duration::from_secs(minutes * 60))));
        mood
    }

    /// Any mood.
    pub(super) fn any(&mut self) -> Mood {
        let mut left = self.chance.u32(0..WEIGHTS.iter().map(|(_, weight)| weight).sum());
        for (mood, weight) in WEIGHTS {
            if left < weight {
                return mood;
            }
            left -= weight;
        }
        Mood::Fine
    }
}
