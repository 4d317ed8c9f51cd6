//! Rows of `staged` that were forged: none of them deletes a delivered file, and none stops the sweep.

use std::fs;

use crate::daemon::{Place, block_on};
use crate::support::FakeVendor;

const OLD: &str = "'2020-01-01T00:00:00.000Z'";

#[test]
fn a_forged_row_deletes_nobodys_file_and_stops_no_sweep() {
    let vendor = block_on(FakeVendor::start());
    let place = Place::new(&format!(
        "[assets.hero-image]\nmedium = \"image\"\nchain = [\"house\"]\n[vault]\nurl = \"file:assets\"\n\
         [providers.house]\nprotocol = \"openai-images\"\nmodel = \"m-1\"\nbase_url = \"{}\"\napi_key = false\n",
        vendor.url()
    ));
    place.sql("INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'kept'), ('hero-image', 'other')");
    assert!(place.drain().success(), "{}", place.story());
    place.finds("SELECT count(*) FROM jobs WHERE status = 'done'", "2");
    let key = "substr(url, instr(url, 'hero-image/'))";
    // Once as a job's that does not exist, once as another job's; and what no key looks like, which is older.
    place.sql(&format!(
        "INSERT INTO staged (key, job_id, run_id, output, created_at)
            SELECT {key}, CASE slug WHEN 'kept' THEN 999 ELSE 1 END, 999, '{{}}', {OLD} FROM jobs;
         INSERT INTO staged (key, job_id, run_id, output, created_at)
            VALUES (CAST(x'ff' AS TEXT), 1, 999, '{{}}', '2019'), ('../../etc/passwd', 1, 999, '{{}}', '2019'),
            (hex(zeroblob(400000)), 1, 999, '{{}}', '2019'), (char(27) || '[2J', 1, 999, '{{}}', '2019')"
    ));
    // What a dead run really left.
    let left = place.file("assets/hero-image/left-2-01234567.png");
    fs::write(&left, "half a picture").expect("written");
    place.sql(&format!(
        "INSERT INTO staged (key, job_id, run_id, output, created_at)
            VALUES ('hero-image/left-2-01234567.png', 2, 999, '{{}}', {OLD})"
    ));
    assert!(place.drain().success(), "{}", place.story());
    let files = fs::read_dir(place.file("assets/hero-image")).expect("a folder").count();
    assert!(!left.exists(), "what a dead run left is swept");
    assert_eq!(files, 2, "what was delivered stays: {}", place.story());
    place.finds("SELECT count(*) FROM staged WHERE key GLOB 'hero-image/*'", "0");
}
