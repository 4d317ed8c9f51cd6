//! Every label delivers: the file, its cost, its credit.

use std::fs;

use backstop::domain::asset::Medium;
use backstop::domain::provider::{CatalogEntry, Repeat};
use backstop::providers::catalog;

use super::{KEY, Street, asset, asset_of, remote_labels};

const JOBS: &str = "SELECT j.asset, j.status, j.provider, j.fallback_used,
    (SELECT group_concat(a.provider || ':' || a.status, ' ') FROM attempts a WHERE a.job_id = j.id),
    (SELECT sum(a.cost_micros) FROM attempts a WHERE a.job_id = j.id), j.content_type, coalesce(j.url, ''),
    coalesce(j.metadata->>'$.attribution.text', ''), coalesce(j.metadata->>'$.attribution.author_url', ''),
    coalesce(j.metadata->>'$.use_reported', '')
    FROM jobs j";

#[test]
fn every_label_delivers() {
    let asset_of_label =
        |entry: &CatalogEntry| asset(&asset_of(entry.name.as_str()), entry.medium, &[entry.name.as_str()]);
    let street = Street::open("", &remote_labels().map(asset_of_label).collect::<String>());
    street.run(remote_labels().map(|entry| asset_of(entry.name.as_str())));
    let rows = street.rows(JOBS);
    let mut wrong = Vec::new();
    for entry in remote_labels() {
        let row = rows.iter().find(|(asset, _)| *asset == asset_of(entry.name.as_str()));
        let row = row.map(|(_, row)| row.as_str()).unwrap_or_default();
        if let Err(why) = delivered(entry, row) {
            let errors = street
                .place
                .sql(&format!("SELECT class, error FROM attempts WHERE provider = '{}'", entry.name));
            wrong.push(format!("{}: {why}\n  {row}\n  {errors}", entry.name));
        }
        told_with_its_key(&street, entry);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    street.no_download_had_a_key();
}

fn delivered(entry: &CatalogEntry, row: &str) -> Result<(), String> {
    let columns: Vec<&str> = row.split('|').collect();
    let [status, provider, fallback, attempts, cost, kind, url, credit, author, reported] = columns[..]
    else {
        return Err("it has no job".to_owned());
    };
    let label = entry.name.as_str();
    let expect =
        |what: &str, is: bool| if is { Ok(()) } else { Err(format!("{what} is not as it should be")) };
    expect("the job", (status, provider, fallback) == ("done", label, "0"))?;
    expect("the ledger", attempts == format!("{label}:delivered"))?;
    let priced = entry.price_micros > 0 || entry.options.contains_key("prices");
    expect("the cost", (cost.parse::<i64>().is_ok_and(|micros| micros > 0)) == priced)?;
    expect("the type", kind.starts_with(kind_of(entry.medium)))?;
    expect("the file", is_kept(entry.medium, url))?;
    // Only the libraries' searches are free, and only they ask for a credit.
    let library = catalog().protocol(&entry.protocol).is_some_and(|facts| facts.repeat == Repeat::Free);
    expect("the credit", library == (credit.contains(" by ") && author.starts_with("https://")))?;
    expect("the report of use", (entry.protocol == "unsplash") == (reported == "1"))
}

fn kind_of(medium: Medium) -> &'static str {
    match medium {
        Medium::Image => "image/png",
        Medium::Text => "text/",
        Medium::Video => "video/mp4",
        Medium::Audio => "audio/mpeg",
    }
}

/// Whether the vault holds a file that begins as one of its medium does. Short texts stand in the row.
fn is_kept(medium: Medium, url: &str) -> bool {
    let bytes = url.strip_prefix("file://").and_then(|path| fs::read(path).ok()).unwrap_or_default();
    match medium {
        Medium::Image => bytes.starts_with(b"\x89PNG"),
        Medium::Text => url.is_empty(),
        Medium::Video => bytes.get(4..8) == Some(b"ftyp"),
        Medium::Audio => bytes.starts_with(b"ID3"),
    }
}

/// The vendor's API got the key in one header and nowhere else, and the prompt's length of calls.
fn told_with_its_key(street: &Street, entry: &CatalogEntry) {
    let requests = street.fake.requests(entry.name.as_str());
    let calls = requests.iter().filter(|request| !request.path.contains("/cdn/"));
    let mut count = 0;
    for call in calls {
        let keyed = call.headers.iter().filter(|(_, value)| value.contains(KEY)).count();
        assert_eq!((keyed, call.path.contains(KEY)), (1, false), "{}: {call:?}", entry.name);
        count += 1;
    }
    assert!(count > 0, "{} was not called", entry.name);
}
