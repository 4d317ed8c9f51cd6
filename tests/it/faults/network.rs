//! Vendors whose connections break, hang or drip, and networks that swallow what they are given.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpSocket;

use super::ran;
use crate::daemon::vendor::Vendor;
use crate::daemon::{Killed, PATIENCE, Place, block_on, texts, until};
use crate::support::Reply;

/// Two more calls would be made of what may be repeated.
fn impatient(configuration: &str) -> String {
    configuration.replacen("timeout = \"30s\"", "timeout = \"2s\"", 1).replacen(
        "retries = 0",
        "retries = 2",
        1,
    )
}

#[test]
fn a_connection_that_breaks_hangs_or_drips_is_one_failed_attempt_and_the_next_link_delivers() {
    let half = Reply::Half { announced: 4096, body: b"{\"choices\": [".to_vec() };
    for (name, reply) in
        [("dropped", Reply::HangUp), ("half-open", Reply::Silence), ("drip", Reply::Drip), ("cut", half)]
    {
        let (house, second) = (Vendor::start(), Vendor::start());
        house.answer_instead(Some(reply));
        let addresses = [("house", house.url()), ("second", second.url())];
        let place = Place::new(&impatient(&texts(r#"["house", "second"]"#, &addresses)));
        place.enqueue(name);
        assert!(place.drain().success());
        place.finds("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
        place.finds("SELECT status, class FROM attempts WHERE provider = 'house'", "unknown|unknown_outcome");
        assert_eq!((house.calls(), second.calls()), (1, 1), "{name}");
    }
}

#[test]
fn a_host_that_does_not_answer_the_knock_was_sent_nothing_and_the_next_link_delivers() {
    // Its queue of connections is full and nobody takes them: the kernel drops every further knock.
    let (listener, mut knocks) = block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        (socket.listen(1).expect("listens").into_std().expect("a listener"), Vec::new())
    });
    let address = listener.local_addr().expect("an address");
    while let Ok(knock) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        knocks.push(knock);
        assert!(knocks.len() < 100, "the queue is never full");
    }
    let second = Vendor::start();
    let addresses = [("house", format!("http://{address}/v1")), ("second", second.url())];
    let place = Place::new(
        &texts(r#"["house", "second"]"#, &addresses).replace("retries = 0", "retries = 0\nprice = 0.04"),
    );
    place.enqueue("unheard");
    assert!(place.drain().success());
    place.finds("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
    place.finds(
        "SELECT status, class, error LIKE 'cannot connect%', cost_micros FROM attempts WHERE provider = 'house'",
        "failed|transient|1|0",
    );
    // Nothing was sent, so nothing is spent.
    place.finds("SELECT sum(spent_micros) FROM spending WHERE name = 'house'", "0");
    let took = "SELECT unixepoch(finished_at) - unixepoch(started_at) BETWEEN 9 AND 20 FROM attempts WHERE provider = 'house'";
    place.finds(took, "1");
    assert_eq!(second.calls(), 1);
}

/// A network of its own for a daemon, at the other end of a cable that can be cut.
struct Cable {
    space: String,
    end: String,
    address: Ipv4Addr,
}

impl Cable {
    /// Says why and returns `None` where that is not allowed.
    fn lay() -> Option<Self> {
        let id = process::id();
        // Of the range that is set aside for tests of networks; several of these tests may run at once.
        let [.., high, low] = id.to_be_bytes();
        let host = |last: u8| Ipv4Addr::new(198, 18, low, (high % 64) * 4 + last);
        let cable = Self { space: format!("backstop-{id}"), end: format!("bs{id}"), address: host(1) };
        let (space, end, inside) = (cable.space.as_str(), cable.end.as_str(), format!("bi{id}"));
        let (here, there) = (format!("{}/30", host(1)), format!("{}/30", host(2)));
        let steps: [&[&str]; 6] = [
            &["netns", "add", space],
            &["link", "add", end, "type", "veth", "peer", "name", &inside, "netns", space],
            &["address", "add", &here, "dev", end],
            &["link", "set", end, "up"],
            &["-n", space, "address", "add", &there, "dev", &inside],
            &["-n", space, "link", "set", &inside, "up"],
        ];
        steps.iter().all(|step| ip(step)).then_some(cable)
    }

    /// From now on nothing comes through, and nobody is told.
    fn cut(&self) {
        assert!(ip(&["link", "set", &self.end, "down"]), "cut");
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Takes both ends along.
        let _gone = ip(&["link", "delete", &self.end]);
        let _gone = ip(&["netns", "delete", &self.space]);
    }
}

fn ip(args: &[&str]) -> bool {
    ran(Command::new("ip").args(args))
}

#[test]
fn a_network_that_swallows_everything_after_the_request_is_one_attempt_of_unknown_outcome() {
    let Some(cable) = Cable::lay() else { return };
    let listener = TcpListener::bind((cable.address, 0)).expect("a port");
    let addresses = [("house", format!("http://{}/v1", listener.local_addr().expect("an address")))];
    let place = Place::new(&impatient(&texts(r#"["house", "template"]"#, &addresses)));
    place.enqueue("swallowed");
    let mut drain = Command::new("ip");
    drain.args(["netns", "exec", &cable.space, env!("CARGO_BIN_EXE_backstop"), "drain"]);
    drain.current_dir(place.file("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drain.env("NO_COLOR", "1");
    let mut drain = Killed(drain.spawn().expect("ip"));
    let (mut taken, _) = listener.accept().expect("a connection");
    taken.set_read_timeout(Some(PATIENCE)).expect("a bound");
    assert!(taken.read(&mut [0_u8; 4096]).expect("a request") > 0);
    cable.cut();
    until("drain ends", || drain.0.try_wait().expect("a child").is_some());
    place.finds("SELECT status, provider, fallback_used FROM jobs", "done|template|1");
    place.finds("SELECT status, class FROM attempts WHERE provider = 'house'", "unknown|unknown_outcome");
    // By the call's own time, long before the system gives the connection up.
    let took =
        "SELECT unixepoch(finished_at) - unixepoch(started_at) < 15 FROM attempts WHERE provider = 'house'";
    place.finds(took, "1");
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "it is asked once");
}
