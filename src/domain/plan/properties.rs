//! What holds for every plan: any chain, any wish, any health.

use proptest::prelude::*;

use super::tests::{name, now, provider};
use super::*;
use crate::domain::breaker::{BreakerState, Hold};

fn label(place: usize) -> ProviderName {
    name(&format!("p{place}"))
}

fn chains() -> impl Strategy<Value = Chain> {
    (1_usize..=8, any::<bool>()).prop_map(|(links, manual)| {
        let labels = (0..links).map(|place| format!("p{place}")).chain(manual.then(|| "manual".to_owned()));
        Chain::parse(&labels.collect::<Vec<_>>()).expect("valid")
    })
}

/// `manual`, a link of the chain, or a provider outside it.
fn wishes() -> impl Strategy<Value = Override> {
    prop_oneof![
        1 => Just(Override::Manual),
        6 => (0_usize..10).prop_map(|place| Override::Provider(label(place))),
    ]
}

fn providers() -> impl Strategy<Value = Provider> {
    let usually = || proptest::bool::weighted(0.9);
    (0_usize..10, usually(), usually(), usually()).prop_map(|(place, supported, key, image)| {
        let key = if key { Key::Present } else { Key::Missing { looked_in: "file k".to_owned() } };
        let medium = if image { Medium::Image } else { Medium::Text };
        Provider { name: label(place), supported, key, medium, ..provider("p") }
    })
}

fn healths() -> impl Strategy<Value = ProviderHealth> {
    let until = || proptest::option::of((-100_i64..100).prop_map(|s| now() + chrono::TimeDelta::seconds(s)));
    let state =
        prop_oneof![Just(BreakerState::Closed), Just(BreakerState::Open), Just(BreakerState::HalfOpen)];
    let hold = proptest::option::weighted(0.2, prop_oneof![Just("f1"), Just("f2")]);
    (0_usize..10, state, until(), until(), until(), hold).prop_map(
        |(place, state, open_until, cool_until, paused_until, hold)| ProviderHealth {
            state,
            open_until,
            cool_until,
            paused_until,
            hold: hold.map(|fingerprint| Hold { class: "auth", fingerprint: fingerprint.to_owned() }),
            ..ProviderHealth::unknown(label(place))
        },
    )
}

/// The providers and their health by label; labels without an entry are unknown.
#[derive(Debug)]
struct World {
    providers: Vec<Provider>,
    healths: Vec<ProviderHealth>,
    refused: Vec<ProviderName>,
}

impl World {
    fn known(&self, label: &ProviderName) -> Known<'_> {
        Known {
            provider: self.providers.iter().find(|provider| provider.name == *label),
            health: self.healths.iter().find(|health| health.provider == *label),
            used_up: None,
            at_limit: None,
        }
    }

    fn plan(&self, chain: &Chain, wish: Option<&Override>) -> Plan {
        let circumstances =
            Circumstances { medium: Medium::Image, now: now(), refused_before: &self.refused };
        draw(chain, wish, circumstances, |label| self.known(label))
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let refused = proptest::collection::vec((0_usize..10).prop_map(label), 0..5);
    let providers = proptest::collection::vec(providers(), 0..20);
    (providers, proptest::collection::vec(healths(), 0..10), refused)
        .prop_map(|(providers, healths, refused)| World { providers, healths, refused })
}

proptest! {
    #[test]
    fn an_override_is_a_wish_for_one_run(chain in chains(), wish in wishes(), world in worlds()) {
        let (stored, before) = (chain.clone(), world.plan(&chain, None));
        let bent = bend(&chain, Some(&wish));
        prop_assert_eq!(&bent, &bend(&chain, Some(&wish)));
        let plan = world.plan(&chain, Some(&wish));
        let planned: Vec<_> = plan.links.iter().map(|link| link.provider.clone()).collect();
        prop_assert_eq!(&planned, &bent, "every link is planned, in order");
        prop_assert_eq!(plan.straight_to_person, wish == Override::Manual);
        match &wish {
            Override::Manual => prop_assert!(bent.is_empty()),
            Override::Provider(named) => {
                prop_assert_eq!(bent.first(), Some(named));
                let rest = &bent[1..];
                prop_assert!(!rest.contains(named), "no provider twice");
                prop_assert!(chain.providers().ends_with(rest), "the rest of the chain, in its order");
                let whole = if chain.providers().contains(named) {
                    let at = chain.providers().len() - bent.len();
                    chain.providers().get(at) == Some(named)
                } else {
                    rest == chain.providers()
                };
                prop_assert!(whole, "all that comes after the named one");
            }
        }
        prop_assert_eq!(&chain, &stored, "the chain is untouched");
        prop_assert_eq!(world.plan(&chain, None), before, "and the next run without a wish is as before");
    }

    #[test]
    fn only_the_wish_gets_past_health_and_nothing_past_the_rest(
        chain in chains(),
        wish in proptest::option::of(wishes()),
        world in worlds(),
    ) {
        for (place, link) in world.plan(&chain, wish.as_ref()).links.iter().enumerate() {
            let known = world.known(&link.provider);
            let wished = place == 0 && matches!(wish, Some(Override::Provider(_)));
            let gate = |provider: &Provider| {
                known.health.map_or(Gate::Pass, |health| health.gate(now(), &provider.fingerprint))
            };
            match (&link.decision, known.provider) {
                (Decision::Call(rules), Some(provider)) => {
                    prop_assert_eq!(rules.forced, wished);
                    prop_assert_eq!(rules.probe, gate(provider) == Gate::Probe);
                    prop_assert!(wished || !matches!(gate(provider), Gate::Shut(_)));
                    prop_assert!(provider.supported && provider.medium == Medium::Image);
                    prop_assert!(provider.key == Key::Present);
                    prop_assert!(!world.refused.contains(&link.provider));
                }
                (Decision::Call(_), None) => prop_assert!(false, "nobody stands behind {}", link.provider),
                (Decision::Skip(reason), provider) => {
                    let shut = provider.map(gate) == Some(Gate::Shut(reason.clone()));
                    prop_assert!(!(wished && shut), "an override gets past a shut gate");
                    prop_assert!(!reason.to_string().is_empty());
                }
            }
        }
    }
}
