//! A browser, driven by Debian's chromedriver as the WebDriver standard has it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::daemon::{Killed, PATIENCE, block_on, within};

/// What the standard calls its element references.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(super) const ENTER: &str = "\u{e007}";
pub(super) const TAB: &str = "\u{e004}";
pub(super) const SPACE: &str = " ";

pub(super) struct Browser {
    _driver: Killed,
    client: Client,
    session: String,
    site: String,
}

impl Browser {
    /// Starts one that looks at a site.
    pub(super) fn start(site: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is needed: apt-get install chromium chromium-driver");
        let said = BufReader::new(driver.stdout.take().expect("its output"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let rest = line.split("started successfully on port ").nth(1)?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver's port");
        let client =
            Client::builder().no_proxy().timeout(Duration::from_secs(120)).build().expect("a client");
        let mut browser = Self {
            _driver: Killed(driver),
            client,
            session: format!("http://127.0.0.1:{port}/session"),
            site: site.to_owned(),
        };
        // As root it has no sandbox, and in a container little shared memory.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-proxy-server",
            "--window-size=1180,900",
            "--hide-scrollbars",
            "--lang=en",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome",
            "goog:chromeOptions": {"args": arguments}}}});
        let made = browser.call(Method::POST, "", wanted);
        browser.session = format!("{}/{}", browser.session, made["sessionId"].as_str().expect("a session"));
        browser
    }

    pub(super) fn goto(&self, path: &str) {
        self.call(Method::POST, "/url", json!({"url": format!("{}{path}", self.site)}));
    }

    /// The path it is at, with what follows it.
    pub(super) fn path(&self) -> String {
        let url = self.call(Method::GET, "/url", Value::Null);
        url.as_str().and_then(|url| url.strip_prefix(&self.site)).expect("a page of ours").to_owned()
    }

    pub(super) fn click(&self, css: &str) {
        self.on(css, "click", &json!({}));
    }

    /// Types into a field, or names the file of one.
    pub(super) fn enter(&self, css: &str, text: &str) {
        self.on(css, "value", &json!({ "text": text }));
    }

    pub(super) fn press_in(&self, css: &str, key: &str) {
        self.enter(css, key);
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(super) fn press(&self, keys: &[&str]) {
        let steps: Vec<Value> = keys
            .iter()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": steps}]});
        self.call(Method::POST, "/actions", actions);
    }

    /// The page as it is in the browser, without a script's help.
    pub(super) fn source(&self) -> String {
        let source = self.call(Method::GET, "/source", Value::Null);
        source.as_str().unwrap_or_default().to_owned()
    }

    /// The text of the first such element; empty where there is none.
    pub(super) fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.run(script, json!([css])).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element reads so.
    #[track_caller]
    pub(super) fn reads(&self, css: &str, expected: &str) {
        let mut last = String::new();
        let came = within(PATIENCE, || {
            last = self.text(css);
            last == expected
        });
        assert!(came, "{css} should read {expected:?} and reads {last:?} on\n{}", self.text("body"));
    }

    /// Waits until an element holds these words.
    #[track_caller]
    pub(super) fn says(&self, css: &str, words: &str) {
        let mut last = String::new();
        let came = within(PATIENCE, || {
            last = self.text(css);
            last.contains(words)
        });
        assert!(came, "{css} should say {words:?} and says {last:?}");
    }

    /// Runs a script in the page.
    pub(super) fn run(&self, script: &str, arguments: Value) -> Value {
        self.call(Method::POST, "/execute/sync", json!({ "script": script, "args": arguments }))
    }

    /// Runs a script that calls its last argument when it is done.
    pub(super) fn run_async(&self, script: &str) -> Value {
        self.call(Method::POST, "/execute/async", json!({ "script": script, "args": [] }))
    }

    /// A command of the browser's own protocol.
    pub(super) fn cdp(&self, command: &str, parameters: Value) -> Value {
        self.call(Method::POST, "/goog/cdp/execute", json!({ "cmd": command, "params": parameters }))
    }

    /// How wide and high the page is.
    pub(super) fn measures(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.cdp("Emulation.setDeviceMetricsOverride", size);
    }

    pub(super) fn prefers(&self, scheme: &str) {
        let features = json!({"media": "", "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.cdp("Emulation.setEmulatedMedia", features);
    }

    /// Keeps a picture of the whole page for whoever looks.
    pub(super) fn shot(&self, name: &str) {
        let parameters = json!({"captureBeyondViewport": true, "format": "png"});
        let picture = self.cdp("Page.captureScreenshot", parameters);
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().expect("data"));
        fs::create_dir_all(shots()).expect("a folder");
        fs::write(shots().join(format!("{name}.png")), bytes.expect("base64")).expect("written");
    }

    /// Does something to an element. Between finding and doing the page may have brought itself up to date.
    #[track_caller]
    fn on(&self, css: &str, deed: &str, body: &Value) {
        for _ in 0..10 {
            let found = self.call(Method::POST, "/element", json!({"using": "css selector", "value": css}));
            let element = found[ELEMENT].as_str().unwrap_or_else(|| panic!("no {css}"));
            let done = self.ask(Method::POST, &format!("/element/{element}/{deed}"), body.clone());
            if done["error"] != "stale element reference" {
                assert!(done["error"].is_null(), "{css}: {done}");
                return;
            }
        }
        panic!("{css} does not stay");
    }

    #[track_caller]
    fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, body);
        assert!(answer["error"].is_null(), "{path}: {answer}");
        answer
    }

    fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.session));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer: Value =
            block_on(async { request.send().await.expect("an answer").json().await.expect("JSON") });
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver is killed after this, and would leave the browser behind.
        let quit = self.client.delete(&self.session).timeout(Duration::from_secs(10));
        drop(block_on(async { quit.send().await }));
    }
}

/// Where pictures of pages are kept: `screens` in the folder of the tests.
fn shots() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens")
}
