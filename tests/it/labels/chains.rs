//! One long chain per medium, with every label of it: all in trouble but the last.

use backstop::domain::asset::Medium;
use backstop::domain::provider::CatalogEntry;

use super::told::{TROUBLES, class, has_operations};
use super::{Street, Trouble, asset, remote_labels, spare};

/// The chain of a medium: the spare, so that no chain has one link only, and every label of the catalog.
fn chain_of(medium: Medium) -> Vec<&'static CatalogEntry> {
    remote_labels().filter(|entry| entry.medium == medium).collect()
}

/// A trouble for the label at this place, so that a chain has all of them. Links come one after the other here, so
/// what must be waited for is left out: silence, and what an operation comes to.
fn trouble_at(place: usize, entry: &CatalogEntry) -> (Trouble, &'static str) {
    let waits = |trouble: Trouble| match trouble {
        Trouble::Silence => true,
        Trouble::Refused | Trouble::Unusable | Trouble::RenderFails => has_operations(entry),
        Trouble::Transient
        | Trouble::RateLimited
        | Trouble::Quota
        | Trouble::Auth
        | Trouble::Retired
        | Trouble::Invalid
        | Trouble::HangUp => false,
    };
    let all = TROUBLES.iter().cycle().skip(place).filter(|trouble| !waits(**trouble));
    let mut told =
        all.take(TROUBLES.len()).filter_map(|trouble| class(entry, *trouble).map(|c| (*trouble, c)));
    told.next().expect("every vendor tells something")
}

#[test]
fn a_chain_of_every_label_goes_down_to_the_last() {
    let assets: String = Medium::ALL
        .into_iter()
        .map(|medium| {
            let spare = spare(medium);
            let labels = chain_of(medium).into_iter().map(|entry| entry.name.as_str());
            let chain: Vec<&str> = std::iter::once(spare.as_str()).chain(labels).collect();
            asset(&format!("all-{medium}"), medium, &chain)
        })
        .collect();
    let street = Street::open("retries = 0", &assets);
    let mut expected = Vec::new();
    for medium in Medium::ALL {
        let spare = spare(medium);
        street.fake.trouble(&spare, Some(Trouble::Invalid));
        let mut links = vec![format!("{spare} failed invalid")];
        let entries = chain_of(medium);
        let (last, others) = entries.split_last().expect("labels of every medium");
        for (place, entry) in others.iter().enumerate() {
            let (trouble, class) = trouble_at(place, entry);
            street.fake.trouble(entry.name.as_str(), Some(trouble));
            // What is unusable is asked for once more, whatever the configured retries.
            let calls = if class == "unusable" { 2 } else { 1 };
            links.extend(std::iter::repeat_n(format!("{} failed {class}", entry.name), calls));
        }
        links.push(format!("{} delivered ", last.name));
        expected.push((medium, last.name.to_string(), links));
    }
    street.run(Medium::ALL.map(|medium| format!("all-{medium}")));
    for (medium, last, links) in expected {
        let job = street.place.sql(&format!(
            "SELECT status, provider, fallback_used, runs FROM jobs WHERE asset = 'all-{medium}'"
        ));
        assert_eq!(job, format!("done|{last}|1|1"), "{medium}\n{}", street.place.story());
        let attempts = street.place.sql(&format!(
            "SELECT a.provider || ' ' || replace(a.status, 'unknown', 'failed') || ' ' || coalesce(a.class, '')
             FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.asset = 'all-{medium}' ORDER BY a.id"
        ));
        assert_eq!(
            attempts.lines().map(str::trim).collect::<Vec<_>>(),
            links.iter().map(|l| l.trim()).collect::<Vec<_>>()
        );
        let in_order = street.place.sql(&format!(
            "SELECT group_concat(position) FROM (SELECT a.position FROM attempts a JOIN jobs j ON j.id = a.job_id
             WHERE j.asset = 'all-{medium}' ORDER BY a.id)"
        ));
        let positions: Vec<usize> = in_order.split(',').filter_map(|n| n.parse().ok()).collect();
        assert!(positions.is_sorted() && positions.len() == links.len(), "{medium}: {in_order}");
    }
    street.no_download_had_a_key();
}
