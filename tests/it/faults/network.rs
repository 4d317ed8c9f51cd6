//! Vendors whose connections break, hang or drip.

use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, texts};
use crate::support::Reply;

#[test]
fn a_connection_that_breaks_hangs_or_drips_is_one_failed_attempt_and_the_next_link_delivers() {
    let half = Reply::Half { announced: 4096, body: b"{\"choices\": [".to_vec() };
    for (name, reply) in
        [("dropped", Reply::HangUp), ("half-open", Reply::Silence), ("drip", Reply::Drip), ("cut", half)]
    {
        let (house, second) = (Vendor::start(), Vendor::start());
        house.answer_instead(Some(reply));
        let addresses = [("house", house.url()), ("second", second.url())];
        let configuration = texts(r#"["house", "second"]"#, &addresses);
        let place = Place::new(&configuration.replacen("timeout = \"30s\"", "timeout = \"2s\"", 1));
        place.enqueue(name);
        assert!(place.drain().success());
        place.finds("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
        place.finds("SELECT status, class FROM attempts WHERE provider = 'house'", "unknown|unknown_outcome");
        assert_eq!((house.calls(), second.calls()), (1, 1), "{name}");
    }
}
