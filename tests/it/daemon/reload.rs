//! SIGHUP: a good file is in force at once, a bad one changes nothing and says why.

use rustix::process::Signal;

use super::vendor::Vendor;
use super::{Place, texts};

#[test]
fn a_good_file_is_taken_up_and_a_bad_one_is_not() {
    let vendor = Vendor::start();
    let addresses = [("house", vendor.url())];
    let place = Place::new(&texts(r#"["template"]"#, &addresses));
    let daemon = place.serve();
    let provider = |slug: &str| {
        place.enqueue(slug);
        place.shows(&format!("SELECT status FROM jobs WHERE slug = '{slug}'"), "done");
        place.sql(&format!("SELECT provider, fallback_used FROM jobs WHERE slug = '{slug}'"))
    };
    assert_eq!(provider("at-first"), "template|0");

    place.configure(&texts(r#"["house", "template"]"#, &addresses));
    daemon.signal(Signal::HUP);
    daemon.says("read again and is in force");
    assert_eq!(provider("then"), "house|0");
    let chain = "SELECT chain FROM assets WHERE name = 'social-text'";
    place.finds(chain, r#"["house","template"]"#);

    place.configure("[queue]\nconcurency = 1\n\n[assets.social-text]\nchain = [\"nobody\"]\n");
    daemon.signal(Signal::HUP);
    daemon.says("changes nothing");
    let log = daemon.log();
    assert!(log.contains("queue.concurency") && log.contains("assets.social-text.chain"), "{log}");
    assert_eq!(provider("still"), "house|0");
    place.finds(chain, r#"["house","template"]"#);

    let elsewhere = format!("[queue]\ndatabase = \"sqlite:other.db\"\n{}", texts(r#"["template"]"#, &[]));
    place.configure(&elsewhere);
    daemon.signal(Signal::HUP);
    daemon.says("queue.database cannot change");
    assert_eq!(provider("and-still"), "house|0");
    daemon.stop();
}
