//! Every mistake an operator can make, by the sentence that answers it.

use super::{load_text, said};

fn check(text: &str, expected: &str) {
    assert_eq!(said(load_text(text)), [expected], "{text}");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "colour = 1\n[queue]\nlease = 60\nconcurency = 3\n[assets.hero-image]\nchain = [\"lumi\", \"manual\"]\n";
    let errors = load_text(text).expect_err("three mistakes");
    let said = errors.to_string();
    let (headline, lines) = said.split_once('\n').expect("lines");
    assert!(headline.ends_with("backstop.toml has 4 mistakes:"), "{headline}");
    insta::assert_snapshot!(lines);
}

#[test]
fn keys_and_tables() {
    check("[queues]\n", "queues: unknown key; did you mean \"queue\"?");
    check(
        "colour = 1\n",
        "colour: unknown key; the tables known here are queue, web, vault, assets, providers, retention, on_manual, \
         notices, recurring, log",
    );
    check(
        "[web]\nlisten = \"8790\"\n",
        "web.listen: is no address to listen on; write \"127.0.0.1:8790\", or \"off\"",
    );
    check(
        "[web]\nlisten = \"0.0.0.0:8790\"\nopen_reading = true\n",
        "web.open_reading: would let everybody who reaches 0.0.0.0:8790 read prompts, errors and files; \
         listen on 127.0.0.1, or hand out web.read_token",
    );
    check(
        "[web]\nhosts = [\"https://backstop.example.org\"]\n",
        "web.hosts[0]: is no host's name; write the name alone, without https:// and port: \
         \"backstop.example.org\"",
    );
    check(
        "[web]\ntoken = \"abc\"\n",
        "web.token: a key must not stand in the configuration, which is backed up, shared and shown; \
         write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"NAME\" }; false where none is needed",
    );
    check(
        "\"a[99999999999]\" = 1\n",
        "\"a[99999999999]\": unknown key; the tables known here are queue, web, vault, assets, \
         providers, retention, on_manual, notices, recurring, log",
    );
    check("[queue]\nshedule = \"* * * * *\"\n", "queue.shedule: unknown key; did you mean \"schedule\"?");
    check("[vault]\ncolour = 1\n", "vault.colour: unknown key; the keys known here are public_url, url");
    check("queue = 3\n", "queue: must be a table, not a whole number; write it as [queue]");
    check("assets = 3\n", "assets: must be a table; write it as [assets]");
    check(
        "[assets]\nhero-image = 3\n",
        "assets.hero-image: must be a table, or the list of its chain; write it as [assets.hero-image]",
    );
    check(
        "providers.lummi = 3\n",
        "providers.lummi: must be a table, not a whole number; write it as [providers.lummi]",
    );
    check(
        "queue = {\n",
        "the file is not TOML: line 1, column 10: unclosed inline table, expected `}`; mend that place; \
         nothing else was read",
    );
}

#[test]
fn the_queue_and_what_surrounds_it() {
    let no_length = "write it with its unit: \"60s\", \"1h 30m\", \"90d\"";
    check(
        "[queue]\nlease = 60\n",
        &format!("queue.lease: must be a length of time, not a whole number; {no_length}"),
    );
    check("[queue]\nlease = \"60\"\n", &format!("queue.lease: \"60\" is no length of time; {no_length}"));
    check("[queue]\nlease = \"0s\"\n", "queue.lease: must be from 1s to 1h; it is \"0s\"");
    check("[queue]\nconcurrency = 0\n", "queue.concurrency: must be a whole number from 1 to 10000; it is 0");
    check(
        "[queue]\nconcurrency = \"8\"\n",
        "queue.concurrency: must be a whole number from 1 to 10000; it is \"8\"",
    );
    check(
        "[queue]\nschedule = \"\"\n",
        "queue.schedule: must not be empty; give it a text, or leave the key out",
    );
    check(
        "[queue]\nschedule = \"0 0 0 30 2 *\"\n",
        "queue.schedule: \"0 0 0 30 2 *\" never comes; name a date that exists",
    );
    check(
        "[queue]\ndatabase = \"postgres://me:hunter2@db/q\"\n",
        "queue.database: PostgreSQL is not supported by this build yet; write \"sqlite:backstop.db\", or leave the key out",
    );
    check(
        "[queue]\ndatabase = \"mysql://db\"\n",
        "queue.database: is not a database that Backstop knows; write \"sqlite:\" and a path, \"sqlite:backstop.db\"",
    );
    check(
        "[queue]\ndatabase = \"sqlite::memory:\"\n",
        "queue.database: names no file: a queue in memory would be gone with the process, and options are not taken; \
         write \"sqlite:\" and a path, \"sqlite:backstop.db\"",
    );
    check(
        "[vault]\nurl = \"s3://bucket/prefix\"\n",
        "vault.url: \"s3:\" stores are not supported by this build yet; write \"file:\" and a folder; publish that \
         folder with what serves your site",
    );
    check(
        "[vault]\nurl = \"assets\"\n",
        "vault.url: is no place that Backstop can keep files in; write \"file:\" and a folder",
    );
    check(
        "[vault]\npublic_url = \"cdn.example.org\"\n",
        "vault.public_url: must be an http or https address without a user, a query or a fragment; write the address \
         at which the vault's folder is served, \"https://cdn.example.org/assets\"",
    );
    check("[retention]\ndone = \"0s\"\n", "retention.done: must be from 1s to 36500d; it is \"0s\"");
    check(
        "[log]\nformat = \"xml\"\n",
        "log.format: \"xml\" is not known here; choose one of auto, text, json",
    );
    check(
        "[log]\nfilter = \"a=b=c\"\n",
        "log.filter: \"a=b=c\" is no log filter; write directives such as \"info,sqlx=warn\"",
    );
    check("[on_manual]\n", "on_manual.command: is missing; write command = [\"/path/to/program\"]");
    check(
        "[on_manual]\ncommand = []\n",
        "on_manual.command: names no program; write it as [\"/path/to/program\", \"argument\"]",
    );
    check(
        "[on_manual]\ncommand = \"/bin/tell me\"\n",
        "on_manual.command: must be a list: the program and its arguments, which no shell will read; write it as \
         [\"/path/to/program\", \"argument\"]",
    );
}

#[test]
fn chains() {
    let hero = |line: &str, expected: &str| check(&format!("[assets.hero-image]\n{line}\n"), expected);
    let order = "list providers in the order in which they are asked: [\"lummi\", \"manual\"]";
    hero(
        "chain = [\"lummi\", \"lumni\"]",
        "assets.hero-image.chain[1]: there is no provider \"lumni\"; did you mean \"lummi\"?",
    );
    hero(
        "chain = [\"unsplash\"]",
        "assets.hero-image.chain[0]: there is no provider \"unsplash\"; add a [providers.unsplash] table, or see \
         \"backstop providers\" for those there are",
    );
    hero(
        "chain = [\"claude-haiku-4-5\"]",
        "assets.hero-image.chain[0]: \"claude-haiku-4-5\" makes text, and this asset is image; name a provider of the \
         same medium",
    );
    hero(
        "chain = []",
        &format!("assets.hero-image.chain: a chain needs at least one provider, or \"manual\"; {order}"),
    );
    hero("chain = \"lummi\"", "assets.hero-image.chain: must be a list, not a text; write it in brackets");
    hero("chain = [1]", "assets.hero-image.chain[0]: must be a text, not a whole number; put it in quotes");
    hero(
        "chain = [\"lummi\", \"Lummi\"]",
        &format!("assets.hero-image.chain: provider \"lummi\" stands in the chain twice; {order}"),
    );
    hero(
        "chain = [\"manual\", \"lummi\"]",
        &format!("assets.hero-image.chain: \"manual\" ends a chain; nothing may follow it; {order}"),
    );
    hero(
        "chain = [\"a b\"]",
        "assets.hero-image.chain[0]: ' ' is not allowed in a name; use letters, digits and hyphens; write a provider's \
         label as \"backstop providers\" lists it",
    );
    hero(
        "chain = [\"command\"]",
        "assets.hero-image.chain[0]: \"command\" has no command; set command under [providers.command]",
    );
}

#[test]
fn what_an_asset_asks_for() {
    let hero = |line: &str, expected: &str| check(&format!("[assets.hero-image]\n{line}\n"), expected);
    hero(
        "medium = \"picture\"",
        "assets.hero-image.medium: \"picture\" is not known here; choose one of image, text, video, audio",
    );
    hero(
        "prompt = \"{{ input.title\"",
        "assets.hero-image.prompt: is no template, line 1: unexpected end of input, expected end of variable block; \
         write placeholders as {{ input.title or slug }}",
    );
    hero(
        "accept = { min_width = 0 }",
        "assets.hero-image.accept.min_width: must be a whole number from 1 to 16384; it is 0",
    );
    hero(
        "accept = { aspect = \"wide\" }",
        "assets.hero-image.accept.aspect: \"wide\" is no ratio; write width and height, \"16:9\"",
    );
    hero(
        "accept = { min_chars = 3 }",
        "assets.hero-image.accept.min_chars: is no rule for image; leave it out; it is for text",
    );
    hero(
        "accept = { min_with = 3 }",
        "assets.hero-image.accept.min_with: unknown key; did you mean \"min_width\"?",
    );
    hero("max_runs = 101", "assets.hero-image.max_runs: must be a whole number from 1 to 100; it is 101");
    hero(
        "on_exhausted = \"Fail\"",
        "assets.hero-image.on_exhausted: \"Fail\" is not known here; did you mean \"fail\"?",
    );
    hero(
        "window = \"at night\"",
        "assets.hero-image.window: \"at night\" is no cron expression: it has 2 fields; write five or six fields, \"0 9 * * MON\" or \"*/10 * * * * *\"",
    );
    hero(
        "window = { cron = \"* 1 * * *\", zone = \"Zurich\" }",
        "assets.hero-image.window.zone: \"Zurich\" is no time zone; write one as IANA names it: \"Europe/Zurich\", \"UTC\"",
    );
    check(
        "[assets.social-text]\naccept = { forbid = [\"ok\", \"(\"] }\n",
        "assets.social-text.accept.forbid[1]: \"(\" is no regular expression: unclosed group; write it as the regex \
         crate reads it",
    );
    check(
        "[assets.social-text]\naccept = { min_chars = 9, max_chars = 8 }\n",
        "assets.social-text.accept.max_chars: is less than min_chars, 9; no text could satisfy both",
    );
    check(
        "[assets.jingle]\nmedium = \"audio\"\n",
        "assets.jingle.chain: is missing; list providers in the order in which they are asked: [\"lummi\", \"manual\"]",
    );
    check(
        "[assets.jingle]\nchain = [\"manual\"]\n",
        "assets.jingle.medium: is missing; say what it is: image, text, video or audio",
    );
    check(
        "[assets.\"hero/image\"]\n",
        "assets.\"hero/image\": '/' is not allowed in a name; use letters, digits and hyphens; name the asset in \
         letters, digits and hyphens",
    );
}

#[test]
fn one_asset_in_two_spellings() {
    let chain = "[\"lummi\", \"manual\"]";
    check(
        "[assets.heroImage]\nmax_runs = 1\n[assets.hero_image]\nmax_runs = 2\n",
        "assets.hero_image: says again what assets.heroImage says; keep one of the two",
    );
    check(
        &format!("heroImage = {chain}\n[assets.hero-image]\nchain = {chain}\n"),
        "heroImage: says again what assets.hero-image.chain says; keep one of the two",
    );
    check(
        &format!("[chains]\nheroImage = {chain}\nhero-image = {chain}\n"),
        "chains.heroImage: says again what chains.hero-image says; keep one of the two",
    );
    check(
        "[providers.lummi]\nretries = 1\n[providers.Lummi]\nretries = 2\n",
        "providers.lummi: says again what providers.Lummi says; keep one of the two",
    );
}

#[test]
fn keys_and_addresses() {
    let lummi = |line: &str, expected: &str| check(&format!("[providers.lummi]\n{line}\n"), expected);
    let forms = "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"NAME\" }";
    lummi(
        "api_key = \"sk-live-hunter2\"",
        &format!(
            "providers.lummi.api_key: a key must not stand in the configuration, which is backed up, shared and shown; \
             {forms}; false where none is needed"
        ),
    );
    lummi("api_key = {}", &format!("providers.lummi.api_key: must say one place where the key is; {forms}"));
    lummi(
        "api_key = { env = \"A\", file = \"b\" }",
        &format!("providers.lummi.api_key: must say one place where the key is; {forms}"),
    );
    lummi(
        "api_key = { credential = \"../shadow\" }",
        "providers.lummi.api_key.credential: is no name of a credential; write the name that LoadCredential= gives it",
    );
    lummi("apikey = { env = \"A\" }", "providers.lummi.apikey: unknown key; did you mean \"api_key\"?");
    lummi(
        "base_url = \"https://me:hunter2@relay.example.org\"",
        "providers.lummi.base_url: holds a user or a password, and addresses are logged; leave it out of the address; \
         give the key as api_key = { env = \"NAME\" }",
    );
    lummi("base_url = \"relay\"", "providers.lummi.base_url: is no address; write \"https://host/path\"");
    lummi(
        "base_url = \"ftp://relay\"",
        "providers.lummi.base_url: must be an http or https address; write \"https://host/path\"",
    );
    lummi(
        "base_url = \"https://relay/?k=1\"",
        "providers.lummi.base_url: holds a query or a fragment; write the address that paths are appended to",
    );
    lummi(
        "base_url = \"http://relay.example.org\"",
        "providers.lummi.base_url: the key would cross the internet unencrypted; write https, or api_key = false where \
         no key is needed",
    );
}

#[test]
fn budgets() {
    let lummi = |line: &str, expected: &str| check(&format!("[providers.lummi]\n{line}\n"), expected);
    let dollars = "must be dollars from 0 to 1000000000, with at most 6 decimals";
    lummi("budget = { day = -1 }", &format!("providers.lummi.budget.day: {dollars}; it is -1"));
    lummi("budget = { day = 0.0000001 }", &format!("providers.lummi.budget.day: {dollars}; it is 0.0000001"));
    lummi("budget = { month = \"5\" }", &format!("providers.lummi.budget.month: {dollars}; it is \"5\""));
    lummi(
        "budget = { month = 1e10 }",
        &format!("providers.lummi.budget.month: {dollars}; it is 10000000000"),
    );
    lummi("budget = { month = nan }", &format!("providers.lummi.budget.month: {dollars}; it is NaN"));
    lummi(
        "budget = 5",
        "providers.lummi.budget: must be a table, not a whole number; write it as [providers.lummi.budget]",
    );
    lummi(
        "budget = {}",
        "providers.lummi.budget: says no limit; write budget = { day = 5.00, month = 100 }, or one of the two",
    );
    lummi("budget = { dya = 5 }", "providers.lummi.budget.dya: unknown key; did you mean \"day\"?");
    check(
        "[assets.hero-image]\nchain = [\"lummi\"]\nbudget = { week = 5 }\n",
        "assets.hero-image.budget.week: unknown key; the keys known here are day, month",
    );
}

#[test]
fn what_a_provider_is() {
    let lummi = |line: &str, expected: &str| check(&format!("[providers.lummi]\n{line}\n"), expected);
    lummi(
        "quality = \"high\"",
        "providers.lummi.quality: unknown key; the keys known here are api_key, base_url, budget, calls_per_hour, calls_per_minute, \
         concurrency, medium, model, on_unknown, price, protocol, retries, timeout, title, trip_after",
    );
    lummi("price = -1", "providers.lummi.price: must be a number from 0 to 10000; it is -1");
    let own = "[providers.own]\nprotocol = \"http\"\nmedium = \"image\"\nmodel = \"m\"\nbase_url = \"https://v.example\"\n";
    check(
        &format!("{own}repeat = \"cheap\"\n"),
        "providers.own.repeat: \"cheap\" is not known here; choose one of free, paid",
    );
    lummi("retries = 11", "providers.lummi.retries: must be a whole number from 0 to 10; it is 11");
    lummi(
        "on_unknown = \"panic\"",
        "providers.lummi.on_unknown: \"panic\" is not known here; choose one of next, retry, manual",
    );
    lummi("medium = \"text\"", "providers.lummi.medium: protocol lummi makes image; leave the key out");
    check(
        "[providers.house]\nprotocol = \"openai-chats\"\n",
        "providers.house.protocol: there is no protocol \"openai-chats\"; did you mean \"openai-chat\"?",
    );
    check(
        "[providers.lumi]\nretries = 1\n",
        "providers.lumi.protocol: is missing, and the catalog has no such provider; did you mean \"lummi\"?",
    );
    check(
        "[providers.house]\nprotocol = \"openai-chat\"\nmodel = \"m\"\n",
        "providers.house.base_url: is missing; write the address its requests go to, \"https://host/v1\"",
    );
    check(
        "[providers.house]\nprotocol = \"openai-chat\"\nbase_url = \"http://ollama:1\"\n",
        "providers.house.model: is missing; protocol openai-chat needs the vendor's model id",
    );
    check(
        "[providers.house]\nprotocol = \"command\"\ncommand = [\"/bin/x\"]\n",
        "providers.house.medium: is missing; say what it makes: image, text, video or audio",
    );
    check(
        "[providers.title-card]\nbase_url = \"https://x\"\n",
        "providers.title-card.base_url: protocol title-card works on this machine; leave the key out",
    );
    check(
        "[providers.manual]\n",
        "providers.manual: \"manual\" is the end of a chain and no provider; choose another name",
    );
    check(
        "[providers.template]\ntemplate = \"{% if %}\"\n",
        "providers.template.template: is no template, line 1: unexpected end of block; write placeholders as {{ \
         input.title or slug }}",
    );
}

#[test]
fn recurring_jobs() {
    let entry = |lines: &str, expected: &str| {
        check(
            &format!(
                "[[recurring]]\nname = \"a\"\ncron = \"@daily\"\nasset = \"hero-image\"\nslug = \"s\"\n{lines}\n"
            ),
            expected,
        );
    };
    entry("priority = 10", "recurring[0].priority: must be a whole number from 0 to 9; it is 10");
    entry(
        "missed = \"never\"",
        "recurring[0].missed: \"never\" is not known here; choose one of skip, once, all",
    );
    entry("input = \"x\"", "recurring[0].input: must be a table; write input = { title = \"...\" }");
    entry(
        "input = { x = nan }",
        "recurring[0].input: holds a number that JSON cannot carry; write a finite number",
    );
    entry(
        "zone = \"Mars\"",
        "recurring[0].zone: \"Mars\" is no time zone; write one as IANA names it: \"Europe/Zurich\", \"UTC\"",
    );
    let entries = r#"
        [[recurring]]
        name = "a"
        cron = "@daily"
        asset = "hero-image"
        slug = "s"
        [[recurring]]
        name = "a"
        cron = "@daily"
        asset = "hero-imge"
        slug = "s"
        [[recurring]]
        name = "b/c"
        slug = "{{"
    "#;
    insta::assert_snapshot!(said(load_text(entries)).join("\n"));
    check("recurring = 3\n", "recurring: must be a list, not a whole number; write it in brackets");
}
