//! What the database refuses to be told: a person hears of it, and it counts as nobody's death.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_entry_makes_its_job_a_persons_and_no_other() {
    for refused in [
        "BEFORE INSERT ON attempts WHEN NEW.job_id = 1",
        "BEFORE UPDATE OF status ON attempts WHEN NEW.job_id = 1",
        "BEFORE UPDATE OF status ON jobs WHEN NEW.id = 1 AND NEW.status = 'done'",
    ] {
        let house = House::new(
            &format!("[queue]\nlease = \"2s\"\n{}", two_links("")),
            FakeVendor::new(|_, _| words(), |_, _| words()),
            FakeVault::default(),
        )
        .await;
        house.place.sql(&format!(
            "CREATE TRIGGER somebodys {refused} BEGIN SELECT RAISE(ABORT, 'not in this house'); END;"
        ));
        let stop = Stop::default();
        let daemon = house.serve(&stop).await;
        house.place.enqueue("refused");
        house.place.enqueue("neighbour");
        house.place.shows(
            "SELECT slug, status, deaths, error LIKE '%refuses%not in this house%' FROM jobs ORDER BY id",
            "refused|manual|0|1\nneighbour|done|0|",
        );
        house.place.finds("SELECT count(*) FROM runs", "2");
        stop.soon.cancel();
        ended(daemon).await.expect("a clean end");
    }
}
