//! The local makers, with real programs and real pictures.

use std::path::Path;
use std::time::{Duration, Instant};

use backstop::domain::accept::{Acceptance, Aspect};
use backstop::domain::ask::{Ask, Body, Output};
use backstop::domain::asset::Medium;
use backstop::domain::budget::Budget;
use backstop::domain::failure::Failure;
use backstop::domain::name::{AssetName, ProviderName};
use backstop::domain::provider::{Key, OnUnknown, Provider, Repeat};
use backstop::media::Checker;
use backstop::providers::local::{Command, TextTemplate, TitleCard};
use serde_json::{Map, Value, json};

const AMPLE: Duration = Duration::from_secs(60);

fn provider(protocol: &str, medium: Medium, options: Value) -> Provider {
    let Value::Object(options) = options else { panic!("options are an object") };
    Provider {
        name: ProviderName::parse(protocol).expect("valid"),
        title: protocol.to_owned(),
        protocol: protocol.to_owned(),
        supported: true,
        medium,
        model: None,
        base_url: None,
        key: Key::NotNeeded,
        retired: None,
        timeout: AMPLE,
        retries: 0,
        concurrency: 1,
        pace: None,
        trip_after: 3,
        instant: false,
        on_unknown: OnUnknown::Next,
        repeat: Repeat::Free,
        price_micros: 0,
        budget: Budget::default(),
        fingerprint: String::new(),
        options,
    }
}

fn ask(medium: Medium, slug: &str, input: Value) -> Ask {
    let Value::Object(input) = input else { panic!("inputs are objects") };
    Ask {
        asset: AssetName::parse("hero-image").expect("valid"),
        medium,
        slug: slug.to_owned(),
        prompt: "A quiet harbour".to_owned(),
        input,
        accept: Acceptance::default(),
        repeat: 0,
        idempotency_key: "attempt-1".to_owned(),
    }
}

#[track_caller]
fn says(result: Result<Output, Failure>, class: &str, sentence: &str) {
    let failure = result.expect_err(sentence);
    assert_eq!((failure.class.as_str(), failure.message.as_str()), (class, sentence));
}

fn text(output: Output) -> String {
    match output.body {
        Body::Text(text) => text,
        Body::File(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

async fn shell_with(
    script: &str,
    medium: Medium,
    time_left: Duration,
    memory_mb: u64,
) -> Result<Output, Failure> {
    let options = json!({"command": ["sh", "-c", script], "memory_mb": memory_mb});
    let command = Command::new(&provider("command", medium, options)).expect("valid");
    command.make(&ask(medium, "my-article", json!({"title": "Hi"})), time_left).await
}

async fn shell(script: &str) -> Result<Output, Failure> {
    shell_with(script, Medium::Text, AMPLE, 512).await
}

#[tokio::test]
async fn a_command_gets_the_ask_and_answers_on_standard_output() {
    let told: Value = serde_json::from_str(&text(shell("cat").await.expect("made"))).expect("JSON");
    assert_eq!(told["asset"], "hero-image");
    assert_eq!(told["medium"], "text");
    assert_eq!(told["slug"], "my-article");
    assert_eq!(told["prompt"], "A quiet harbour");
    assert_eq!(told["input"], json!({"title": "Hi"}));
    let picture = shell_with("printf '\\377\\330'", Medium::Image, AMPLE, 512).await.expect("made");
    assert_eq!(picture.body, Body::File(vec![0xFF, 0xD8].into()));
}

#[tokio::test]
async fn a_file_that_is_not_empty_wins_over_standard_output() {
    let file = shell("echo noise; printf asset > \"$BACKSTOP_OUTPUT\"").await.expect("made");
    assert_eq!(text(file), "asset");
    let empty = shell("printf asset; : > \"$BACKSTOP_OUTPUT\"").await.expect("made");
    assert_eq!(text(empty), "asset");
    let link = shell("printf asset; ln -s /etc/hostname \"$BACKSTOP_OUTPUT\"").await.expect("made");
    assert_eq!(text(link), "asset", "a link is not followed");
}

#[tokio::test]
async fn a_command_sees_nothing_of_the_daemons_environment_and_leaves_nothing_behind() {
    let options = json!({"command": ["/usr/bin/env"]});
    let command = Command::new(&provider("command", Medium::Text, options)).expect("valid");
    let environment = text(command.make(&ask(Medium::Text, "a", json!({})), AMPLE).await.expect("made"));
    let mut names: Vec<&str> =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(n, _)| n).collect();
    names.retain(|name| *name != "_");
    names.sort_unstable();
    assert_eq!(names, ["BACKSTOP_OUTPUT", "PATH"]);
    let folder = text(shell("touch scrap; pwd").await.expect("made"));
    assert!(folder.contains("backstop-command-"), "{folder}");
    assert!(!Path::new(folder.trim()).exists());
}

#[tokio::test]
async fn exit_codes_are_classes() {
    let cases = [
        (69, "transient"),
        (75, "transient"),
        (64, "invalid"),
        (65, "invalid"),
        (77, "auth"),
        (1, "unusable"),
        (42, "unusable"),
    ];
    for (code, class) in cases {
        let script = format!("printf 'bad \\033[31m thing\\n at line 3' >&2; exit {code}");
        says(
            shell(&script).await,
            class,
            &format!("sh ended with exit code {code}: bad [31m thing at line 3"),
        );
    }
    says(shell("kill -9 $$").await, "unusable", "sh was killed by signal 9");
    let silent = shell("exit 3").await;
    says(silent, "unusable", "sh ended with exit code 3");
}

#[tokio::test]
async fn a_long_complaint_is_cut_and_does_not_block() {
    let failure = shell("i=0; while [ $i -lt 20000 ]; do echo complaint >&2; i=$((i+1)); done; exit 1").await;
    let failure = failure.expect_err("failed");
    assert!(failure.message.len() < 4200, "{}", failure.message.len());
    assert!(failure.message.contains("complaint complaint"), "{failure}");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed_with_all_it_started() {
    let home = tempfile::TempDir::new().expect("a folder");
    let pids = home.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait", pids.display());
    let begun = Instant::now();
    let result = shell_with(&script, Medium::Text, Duration::from_secs(2), 512).await;
    says(result, "timed_out", "sh did not end within 2.0 s and was killed");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_gone(&pids).await;
}

#[tokio::test]
async fn a_command_whose_future_is_dropped_is_killed() {
    let home = tempfile::TempDir::new().expect("a folder");
    let pids = home.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait", pids.display());
    let task = tokio::spawn(async move { shell_with(&script, Medium::Text, AMPLE, 512).await });
    until("the command has begun", || std::fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n')))
        .await;
    task.abort();
    assert!(task.await.expect_err("stopped").is_cancelled());
    assert_gone(&pids).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_is_killed_when_it_ends() {
    let home = tempfile::TempDir::new().expect("a folder");
    let pids = home.path().join("pids");
    let script = format!("sleep 1000 & echo $! > {}; printf asset", pids.display());
    assert_eq!(text(shell(&script).await.expect("made")), "asset");
    assert_gone(&pids).await;
}

async fn assert_gone(pids: &Path) {
    let pids = std::fs::read_to_string(pids).expect("the command wrote its ids");
    for pid in pids.split_whitespace() {
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie whose parent is slow to reap it is dead all the same.
            !stat.is_empty() && !stat.contains(") Z ")
        };
        until("the process is gone", || !alive()).await;
    }
}

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: not within 20 s");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn output_and_memory_are_bounded() {
    says(shell("yes").await, "unusable", "sh wrote more than 32 MiB");
    let file = shell("head -c 34000000 /dev/zero > \"$BACKSTOP_OUTPUT\"").await;
    says(file, "unusable", "sh wrote more than 32 MiB");
    let greedy = "head -c 300000000 /dev/zero | tail -c 300000000 | wc -c";
    let within = shell_with(greedy, Medium::Text, AMPLE, 2048).await.expect("made");
    assert_eq!(text(within).trim(), "300000000");
    let beyond =
        shell_with(&format!("set -e; x=$({greedy}); [ \"$x\" = 300000000 ]"), Medium::Text, AMPLE, 100).await;
    assert_eq!(beyond.expect_err("too little memory").class.as_str(), "unusable");
    assert!(shell_with("ulimit -v", Medium::Text, AMPLE, 0).await.is_ok());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_the_configurations_mistake() {
    let command = |word: &str| {
        let options = json!({"command": [word]});
        Command::new(&provider("command", Medium::Text, options)).expect("valid")
    };
    let asked = ask(Medium::Text, "a", json!({}));
    let sentence = "the program /no/such/program is not there";
    says(command("/no/such/program").make(&asked, AMPLE).await, "invalid", sentence);
    let sentence = "the program no-such-program is not in /usr/local/bin:/usr/bin:/bin";
    says(command("no-such-program").make(&asked, AMPLE).await, "invalid", sentence);
    let failure = command("/etc/hostname").make(&asked, AMPLE).await.expect_err("not executable");
    assert_eq!(failure.class.as_str(), "invalid", "{failure}");
}

#[tokio::test]
async fn a_large_ask_reaches_a_command_that_does_not_read_it() {
    let command = Command::new(&provider("command", Medium::Text, json!({"command": ["echo", "done"]})));
    let asked = ask(Medium::Text, "a", json!({"body": "x".repeat(2_000_000)}));
    let output = command.expect("valid").make(&asked, AMPLE).await.expect("made");
    assert_eq!(text(output), "done\n");
}

#[test]
fn wrong_options_are_told() {
    let check = |options: Value, expected: &str| {
        let error = Command::new(&provider("command", Medium::Text, options)).expect_err(expected);
        assert_eq!(error, expected);
    };
    check(json!({}), "providers.command.command is missing; it is a list: the program and its arguments");
    check(
        json!({"command": "ls"}),
        "providers.command.command must be a list: the program and its arguments",
    );
    check(json!({"command": []}), "providers.command.command is empty");
    check(json!({"command": ["ls", 1]}), "providers.command.command must hold texts only");
    check(
        json!({"command": ["bin/x"]}),
        "providers.command.command begins with \"bin/x\"; use an absolute path, or a name in /usr/local/bin:/usr/bin:/bin",
    );
    check(
        json!({"command": ["ls"], "memory_mb": "2G"}),
        "providers.command.memory_mb must be a number of MiB, or 0 for no bound",
    );
    let broken = provider("template", Medium::Text, json!({"template": "{{ slug"}));
    let error = TextTemplate::new(&broken).expect_err("broken");
    assert!(error.starts_with("providers.template.template cannot be used: "), "{error}");
    assert!(TitleCard::new(&provider("title-card", Medium::Video, json!({}))).is_err());
}

#[tokio::test]
async fn a_template_writes_text_from_the_input() {
    let maker = TextTemplate::new(&provider("template", Medium::Text, json!({}))).expect("valid");
    let titled = maker.make(&ask(Medium::Text, "my-article", json!({"title": "Harbours"})), AMPLE).await;
    assert_eq!(text(titled.expect("made")), "New on the site: Harbours");
    let bare = maker.make(&ask(Medium::Text, "my-article", json!({})), AMPLE).await;
    assert_eq!(text(bare.expect("made")), "New on the site: my-article");
    let image = maker.make(&ask(Medium::Image, "a", json!({})), AMPLE).await;
    says(image, "invalid", "a template writes text, not image");
}

fn card() -> TitleCard {
    TitleCard::new(&provider("title-card", Medium::Image, json!({}))).expect("valid")
}

async fn draw(slug: &str, input: Value, accept: Acceptance) -> Vec<u8> {
    let mut asked = ask(Medium::Image, slug, input);
    asked.accept = accept.clone();
    let output = card().make(&asked, AMPLE).await.expect("drawn");
    let checked =
        Checker::new(Medium::Image, &accept).expect("valid").check(output.body).await.expect("usable");
    assert_eq!(checked.content_type, "image/png");
    let Body::File(file) = checked.body else { panic!("an image is a file") };
    assert!(file.len() < 500_000, "{slug}: {} bytes", file.len());
    file.to_vec()
}

#[tokio::test]
async fn a_card_is_an_image_its_asset_accepts() {
    let aspect = |text: &str| Aspect::parse(text);
    let usual = draw("my-article", json!({}), Acceptance::default()).await;
    let size = image::load_from_memory(&usual).expect("decodes");
    assert_eq!((size.width(), size.height()), (1600, 900));
    for accept in [
        Acceptance { aspect: aspect("1:1"), ..Acceptance::default() },
        Acceptance { aspect: aspect("9:16"), min_width: Some(1080), ..Acceptance::default() },
        Acceptance {
            aspect: aspect("16:9"),
            min_width: Some(1920),
            min_height: Some(1080),
            ..Acceptance::default()
        },
        Acceptance { aspect: aspect("1200:630"), ..Acceptance::default() },
        Acceptance { aspect: aspect("4:1"), ..Acceptance::default() },
        Acceptance { min_width: Some(1000), min_height: Some(1500), ..Acceptance::default() },
        Acceptance { min_height: Some(1201), ..Acceptance::default() },
    ] {
        draw("my-article", json!({"title": "A title of usual length", "site": "example.org"}), accept).await;
    }
}

#[tokio::test]
async fn a_slug_always_gets_the_same_card_and_every_title_is_drawn() {
    let one = draw("my-article", json!({"title": "T"}), Acceptance::default()).await;
    assert_eq!(one, draw("my-article", json!({"title": "T"}), Acceptance::default()).await);
    assert_ne!(one, draw("other", json!({"title": "T"}), Acceptance::default()).await);
    assert_ne!(one, draw("my-article", json!({"title": "U"}), Acceptance::default()).await);
    let named = draw("my-article", json!({"title": "My article"}), Acceptance::default()).await;
    for title in [json!("日本語のタイトル"), json!("🚀"), json!(""), json!(7)] {
        let fallen_back = draw("my-article", json!({"title": title}), Acceptance::default()).await;
        assert!(fallen_back == named, "{title} is drawn as the slug");
    }
    draw("my-article", json!({"title": "<script>&\"'</text>"}), Acceptance::default()).await;
    draw("my-article", json!({"title": "word ".repeat(5000)}), Acceptance::default()).await;
}

#[tokio::test]
async fn what_cannot_be_drawn_is_told() {
    let sentence =
        "neither the title nor the slug can be drawn: the card's letters are Latin, Greek and Cyrillic";
    says(
        card().make(&ask(Medium::Image, "日本", json!({"title": "日本"})), AMPLE).await,
        "invalid",
        sentence,
    );
    let mut huge = ask(Medium::Image, "a", json!({}));
    huge.accept.min_width = Some(9000);
    let sentence = "a title card has at most 4096 pixels a side, 9000 x 5063 are wanted";
    says(card().make(&huge, AMPLE).await, "invalid", sentence);
    let mut strip = ask(Medium::Image, "a", json!({}));
    strip.accept.aspect = Aspect::parse("20:1");
    let sentence = "a title card is at most 8 times as wide as high, and at most 4 times as high";
    says(card().make(&strip, AMPLE).await, "invalid", sentence);
    let video = card().make(&ask(Medium::Video, "a", Value::Object(Map::new())), AMPLE).await;
    says(video, "invalid", "a title card is an image, not video");
}
