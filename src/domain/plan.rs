//! Which links of a chain will be called, in order, and which will be skipped, and why.

use std::time::Duration;

use super::asset::Medium;
use super::breaker::{Gate, ProviderHealth};
use super::budget::UsedUp;
use super::chain::{Chain, MANUAL};
use super::name::{NameError, ProviderName};
use super::pace::{self, AtLimit, Pace};
use super::provider::{Key, OnUnknown, Provider, Repeat};
use super::skip::SkipReason;
use super::time::Timestamp;

/// A job's one-run wish: start at this provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// Ask a person at once.
    Manual,
    /// Start here.
    Provider(ProviderName),
}

impl Override {
    /// Reads an override as a person types it.
    ///
    /// # Errors
    /// When it can be no provider's label.
    pub fn parse(typed: &str) -> Result<Self, NameError> {
        if typed.trim().eq_ignore_ascii_case(MANUAL) {
            return Ok(Self::Manual);
        }
        ProviderName::parse(typed).map(Self::Provider)
    }
}

/// What is known of a label at the moment of planning.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its configuration, if it has one.
    pub provider: Option<&'a Provider>,
    /// Its health, if anything is remembered.
    pub health: Option<&'a ProviderHealth>,
    /// The budget that has no room for a call of it, if one has none.
    pub used_up: Option<UsedUp>,
    /// Its limit of calls in a time, if it is reached.
    pub at_limit: Option<AtLimit>,
}

/// The circumstances of a run.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// What the asset is.
    pub medium: Medium,
    /// The present.
    pub now: Timestamp,
    /// Providers that refused this prompt in an earlier run of the job.
    pub refused_before: &'a [ProviderName],
}

/// The plan of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every link of this run, in order.
    pub links: Vec<PlannedLink>,
    /// Whether an override sends the job to a person without calling anyone.
    pub straight_to_person: bool,
}

/// One link of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedLink {
    /// Which provider.
    pub provider: ProviderName,
    /// As people read it.
    pub title: String,
    /// Call it or skip it.
    pub decision: Decision,
    /// The operator's choice for an unknown outcome. It binds a skipped link too: a run that is taken up may
    /// hold a call of it from before.
    pub on_unknown: OnUnknown,
}

/// What happens at a link.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is called, within these rules.
    Call(CallRules),
    /// It is not.
    Skip(SkipReason),
}

/// The rules of calling one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRules {
    /// Whether the call needs the half-open breaker's probe.
    pub probe: bool,
    /// Whether it is called in spite of a shut gate, because an override says so.
    pub forced: bool,
    /// Time for one call.
    pub timeout: Duration,
    /// Most repeats.
    pub retries: u32,
    /// Whether a repeat is free.
    pub repeat: Repeat,
    /// How often it may be called.
    pub pace: Option<Pace>,
    /// The limit it has reached: its jobs wait for that to pass.
    pub at_limit: Option<AtLimit>,
}

/// The links of a run: the chain, as the override bends it. The chain itself is not touched.
#[must_use]
pub fn bend(chain: &Chain, wish: Option<&Override>) -> Vec<ProviderName> {
    match wish {
        None => chain.providers().to_vec(),
        Some(Override::Manual) => Vec::new(),
        Some(Override::Provider(named)) => {
            let after_named = chain.providers().iter().position(|link| link == named).map_or(0, |at| at + 1);
            let rest = chain.providers().iter().skip(after_named);
            std::iter::once(named).chain(rest).cloned().collect()
        }
    }
}

/// Draws the plan of a run: chain x override x health x budget x time.
pub fn draw<'a>(
    chain: &Chain,
    wish: Option<&Override>,
    circumstances: Circumstances<'_>,
    known: impl Fn(&ProviderName) -> Known<'a>,
) -> Plan {
    let mut links: Vec<PlannedLink> = bend(chain, wish)
        .into_iter()
        .map(|name| {
            let forced = matches!(wish, Some(Override::Provider(named)) if *named == name);
            let known = known(&name);
            let title = known.provider.map_or_else(|| name.to_string(), |provider| provider.title.clone());
            let decision = decide(&name, known, circumstances, forced);
            let on_unknown = known.provider.map_or_else(OnUnknown::default, |provider| provider.on_unknown);
            PlannedLink { provider: name, title, decision, on_unknown }
        })
        .collect();
    pass_full_links(&mut links, circumstances.now);
    Plan { links, straight_to_person: matches!(wish, Some(Override::Manual)) }
}

/// Links whose limit opens late are skipped where another one would be called; where there is none, jobs wait for it.
fn pass_full_links(links: &mut [PlannedLink], now: Timestamp) {
    let opens_late = |link: &PlannedLink| match &link.decision {
        Decision::Call(rules) => rules.at_limit.filter(|limit| !pace::is_worth_waiting(limit, now)),
        Decision::Skip(_) => None,
    };
    let is_called = |link: &PlannedLink| matches!(link.decision, Decision::Call(_));
    if !links.iter().any(|link| is_called(link) && opens_late(link).is_none()) {
        return;
    }
    for link in links {
        if let Some(limit) = opens_late(link) {
            link.decision = Decision::Skip(SkipReason::AtLimit(limit));
        }
    }
}

fn decide(name: &ProviderName, known: Known<'_>, circumstances: Circumstances<'_>, forced: bool) -> Decision {
    let Some(provider) = known.provider else {
        return Decision::Skip(SkipReason::Unknown);
    };
    if let Some(reason) = configured_reason(provider, circumstances) {
        return Decision::Skip(reason);
    }
    if circumstances.refused_before.contains(name) {
        return Decision::Skip(SkipReason::RefusedBefore);
    }
    // Before the gate, which may open soon: for a budget nobody waits. And no override gets past it.
    if let Some(used_up) = known.used_up {
        return Decision::Skip(SkipReason::OverBudget(used_up));
    }
    let gate =
        known.health.map_or(Gate::Pass, |health| health.gate(circumstances.now, &provider.fingerprint));
    match gate {
        Gate::Shut(reason) if !forced => Decision::Skip(reason),
        Gate::Pass | Gate::Probe | Gate::Shut(_) => Decision::Call(CallRules {
            probe: gate == Gate::Probe,
            forced,
            timeout: provider.timeout,
            retries: provider.retries,
            repeat: provider.repeat,
            pace: provider.pace,
            at_limit: known.at_limit,
        }),
    }
}

/// The reasons that lie in the configuration alone; not even an override gets past them.
fn configured_reason(provider: &Provider, circumstances: Circumstances<'_>) -> Option<SkipReason> {
    if !provider.supported {
        return Some(SkipReason::NotSupported { protocol: provider.protocol.clone() });
    }
    if provider.medium != circumstances.medium {
        return Some(SkipReason::WrongMedium { makes: provider.medium });
    }
    if let Some(end) = &provider.retired
        && circumstances.now.date_naive() >= end.on
    {
        return Some(SkipReason::Retired { on: end.on, advice: end.advice.clone() });
    }
    match &provider.key {
        Key::Missing { looked_in } => Some(SkipReason::NoKey { looked_in: looked_in.clone() }),
        Key::NotNeeded | Key::Present => None,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::breaker::{BreakerState, Hold};
    use crate::domain::budget::Budget;
    use crate::domain::budget::tests::used_up;
    use crate::domain::pace::Window;
    use crate::domain::provider::Retirement;
    use crate::domain::time::{after, from_text};

    pub(crate) fn now() -> Timestamp {
        from_text("2026-11-22T13:49:00.000Z").expect("valid")
    }

    pub(crate) fn name(label: &str) -> ProviderName {
        ProviderName::parse(label).expect("valid")
    }

    pub(crate) fn provider(label: &str) -> Provider {
        Provider {
            name: name(label),
            title: label.to_uppercase(),
            protocol: "openai-images".to_owned(),
            supported: true,
            medium: Medium::Image,
            model: None,
            base_url: None,
            key: Key::Present,
            retired: None,
            timeout: Duration::from_secs(60),
            retries: 1,
            concurrency: 4,
            pace: None,
            trip_after: 3,
            instant: false,
            on_unknown: OnUnknown::Next,
            repeat: Repeat::Paid,
            price_micros: 0,
            budget: Budget::default(),
            fingerprint: "f1".to_owned(),
            options: serde_json::Map::new(),
        }
    }

    struct World {
        providers: HashMap<ProviderName, Provider>,
        health: HashMap<ProviderName, ProviderHealth>,
        used_up: Option<(&'static str, UsedUp)>,
        at_limit: Vec<(&'static str, AtLimit)>,
    }

    impl World {
        fn new() -> Self {
            let providers = ["a", "b", "c", "x"].map(|label| (name(label), provider(label)));
            Self { providers: providers.into(), health: HashMap::new(), used_up: None, at_limit: Vec::new() }
        }

        fn plan(&self, wish: Option<&str>) -> String {
            let chain = Chain::parse(&["a", "b", "c", "manual"]).expect("valid");
            let wish = wish.map(|typed| Override::parse(typed).expect("valid"));
            let refused = [name("c")];
            let refused_before = if self.health.contains_key(&name("c")) { &refused[..] } else { &[] };
            let circumstances = Circumstances { medium: Medium::Image, now: now(), refused_before };
            let plan = draw(&chain, wish.as_ref(), circumstances, |label| Known {
                provider: self.providers.get(label),
                health: self.health.get(label),
                used_up: self.used_up.filter(|(over, _)| name(over) == *label).map(|(_, used_up)| used_up),
                at_limit: self
                    .at_limit
                    .iter()
                    .find(|(full, _)| name(full) == *label)
                    .map(|(_, limit)| *limit),
            });
            assert_eq!(chain.to_string(), "a, b, c, manual", "an override never changes the chain");
            spell(&plan)
        }
    }

    fn spell(plan: &Plan) -> String {
        if plan.straight_to_person {
            return "person".to_owned();
        }
        let spell_link = |link: &PlannedLink| match &link.decision {
            Decision::Call(rules) if rules.probe => format!("{}?", link.provider),
            Decision::Call(_) => link.provider.to_string(),
            Decision::Skip(reason) => format!("({}: {reason})", link.provider),
        };
        plan.links.iter().map(spell_link).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_override_bends_the_run_and_not_the_chain() {
        let world = World::new();
        assert_eq!(world.plan(None), "a b c");
        assert_eq!(world.plan(Some("b")), "b c");
        assert_eq!(world.plan(Some("c")), "c");
        assert_eq!(world.plan(Some("x")), "x a b c");
        assert_eq!(world.plan(Some("manual")), "person");
        assert_eq!(world.plan(Some("nobody")), "(nobody: no such provider is configured) a b c");
    }

    #[test]
    fn every_skipped_link_says_why() {
        let mut world = World::new();
        let set = |world: &mut World, change: fn(&mut Provider)| {
            change(world.providers.get_mut(&name("a")).expect("there"));
            world.plan(None)
        };
        let rest = "b c";
        let check = |plan: String, reason: &str| assert_eq!(plan, format!("(a: {reason}) {rest}"));
        let plan =
            set(&mut world, |a| a.key = Key::Missing { looked_in: "environment variable A_KEY".to_owned() });
        check(plan, "no key: environment variable A_KEY is not set");
        let plan = set(&mut world, |a| {
            let on = "2025-11-10".parse().expect("valid");
            a.retired = Some(Retirement { on, advice: "use b".to_owned() });
        });
        check(plan, "retired model: switched off on 2025-11-10; use b");
        let plan = set(&mut world, |a| a.medium = Medium::Text);
        check(plan, "it makes text");
        let plan = set(&mut world, |a| a.supported = false);
        check(plan, "not supported yet (protocol openai-images)");
    }

    #[test]
    fn a_retirement_to_come_skips_nothing_yet() {
        let mut world = World::new();
        let on = "2026-12-01".parse().expect("valid");
        world.providers.get_mut(&name("a")).expect("there").retired =
            Some(Retirement { on, advice: String::new() });
        assert_eq!(world.plan(None), "a b c");
    }

    #[test]
    fn health_shuts_links_and_an_override_gets_past_it() {
        let mut world = World::new();
        let later = after(now(), Duration::from_secs(60));
        let mut health = |label: &str, change: fn(&mut ProviderHealth, Timestamp)| {
            let mut health = ProviderHealth::unknown(name(label));
            change(&mut health, later);
            world.health.insert(name(label), health);
        };
        health("a", |health, later| {
            health.state = BreakerState::Open;
            health.open_until = Some(later);
        });
        health("b", |health, _| health.state = BreakerState::Open);
        health("c", |_, _| {});
        let until = "2026-11-22T13:50:00.000Z";
        assert_eq!(
            world.plan(None),
            format!("(a: breaker open until {until}) b? (c: it refused this prompt before)")
        );
        assert_eq!(world.plan(Some("a")), "a b? (c: it refused this prompt before)");
        let refused = "(c: it refused this prompt before)";
        assert_eq!(world.plan(Some("c")), refused, "not even an override sends a refused prompt again");
        let held = world.health.get_mut(&name("a")).expect("there");
        held.hold = Some(Hold { class: "auth", fingerprint: "f1".to_owned() });
        assert!(world.plan(None).starts_with("(a: its key was refused; off until"));
        let paused = world.health.get_mut(&name("a")).expect("there");
        paused.paused_until = Some(later);
        assert!(world.plan(None).starts_with(&format!("(a: paused until {until})")));
        assert!(world.plan(Some("a")).starts_with("a "));
    }

    #[test]
    fn a_used_up_budget_shuts_a_link_and_no_override_gets_past_it() {
        let mut world = World::new();
        world.used_up = Some(("a", used_up()));
        let skipped = "(a: over budget: of the provider's $5.00 a day, $4.90 is spent and $0.067 reserved for \
                       calls under way, and one call may cost $0.067; until 2026-11-23T00:00:00.000Z)";
        assert_eq!(world.plan(None), format!("{skipped} b c"));
        assert_eq!(world.plan(Some("a")), format!("{skipped} b c"));
        let mut health = ProviderHealth::unknown(name("a"));
        health.state = BreakerState::Open;
        health.open_until = Some(after(now(), Duration::from_secs(60)));
        world.health.insert(name("a"), health);
        assert_eq!(world.plan(None), format!("{skipped} b c"), "nobody waits for the breaker instead");
    }

    #[test]
    fn a_link_at_its_limit_keeps_its_jobs_unless_it_opens_late_and_another_would_be_called() {
        let limit = |minutes| {
            let until = after(now(), Duration::from_secs(minutes * 60));
            AtLimit { window: Window::Hour, most: 50, until }
        };
        let mut world = World::new();
        let mut check = |full: &[(&'static str, u64)], expected: &str| {
            world.at_limit = full.iter().map(|(label, minutes)| (*label, limit(*minutes))).collect();
            assert_eq!(world.plan(None), expected);
        };
        let skipped = |label, until| {
            format!("({label}: at its limit of 50 calls an hour until 2026-11-22T14:{until}:00.000Z)")
        };
        check(&[("a", 15)], "a b c");
        check(&[("a", 16)], &format!("{} b c", skipped("a", "05")));
        check(&[("b", 30)], &format!("a {} c", skipped("b", "19")));
        check(
            &[("a", 16), ("b", 15), ("c", 40)],
            &format!("{} b {}", skipped("a", "05"), skipped("c", "29")),
        );
        check(&[("a", 16), ("b", 30), ("c", 40)], "a b c");
    }
}
