//! The source checks itself: who uses whom, where SQL stands, and how a file opens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

/// Each room and the rooms it may use besides itself; DESIGN and ARCHITECTURE.md have the same table.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("media", &["domain"]),
    ("providers", &["domain"]),
    ("vault", &["domain"]),
    ("store", &["domain"]),
    ("daemon", &["domain", "config", "media", "providers", "vault", "store"]),
    ("web", &["domain", "store", "vault", "daemon"]),
    ("cli", &["domain", "config", "media", "providers", "vault", "store", "daemon", "web"]),
];

/// What would make a rule depend on the world: the paths that `src/domain` may not name.
const IMPURE: &[&[&str]] = &[
    &["tokio"],
    &["tokio_util"],
    &["futures_util"],
    &["sqlx"],
    &["reqwest"],
    &["tracing"],
    &["fastrand"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "SystemTime"],
    &["std", "time", "Instant"],
    &["chrono", "Local"],
    &["Utc", "now"],
    &["SystemTime", "now"],
    &["Instant", "now"],
];

/// Crates that belong to one room alone.
const HOMES: &[(&str, &[&str])] = &[("sqlx", &["store"]), ("clap", &["cli"])];

/// Files outside `src/store` that show SQL to a person.
const SHOWS_SQL: &[&str] = &["src/cli/demo.rs"];

/// A file longer than this holds a second idea.
const MAX_LINES: usize = 500;

/// Names that say nothing about what a module is for.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "types", "models", "misc"];

/// One thing that is not as it should be, readable alone.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

type Check = fn(file: &str, text: &str) -> Vec<Finding>;

fn finding(file: &str, line: usize, what: impl Into<String>) -> Finding {
    Finding { file: file.to_owned(), line, what: what.into() }
}

// ---- the rules -----------------------------------------------------------------------------------------------

/// The first paragraph is one `//!` sentence.
fn opens_with_a_sentence(file: &str, text: &str) -> Vec<Finding> {
    let paragraph: Vec<&str> =
        text.lines().map_while(|line| line.strip_prefix("//! ")).filter(|line| !line.is_empty()).collect();
    let what = match paragraph.last() {
        None => "the file does not open with a //! sentence that says what it is for",
        Some(last) if !last.trim_end().ends_with('.') => {
            "the //! sentence at the top does not end with a full stop"
        }
        Some(_) => return Vec::new(),
    };
    vec![finding(file, 1, what)]
}

/// A room names only the rooms that its line of [`ROOMS`] allows, by `crate::` or by climbing with `super::`.
fn rooms_point_up(file: &str, text: &str) -> Vec<Finding> {
    let tokens = tokens(text);
    let named = room_uses(file, &tokens);
    let Some(room) = room_of(file) else {
        let thin = file == "src/main.rs";
        return paths(&tokens)
            .into_iter()
            .filter(|path| thin && path.starts_with(&["backstop"]) && !path.starts_with(&["backstop", "cli"]))
            .map(|path| finding(file, path.line, "main.rs uses backstop::cli and nothing else"))
            .collect();
    };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![finding(file, 1, format!("src/{room} is no room of DESIGN's table"))];
    };
    named
        .into_iter()
        .filter(|(_, used)| used != room && !allowed.contains(&used.as_str()))
        .map(|(line, used)| finding(file, line, format!("{room} may not use {used}")))
        .collect()
}

/// The rules of the product touch no network, no disk, no clock, no chance and no runtime.
fn domain_is_pure(file: &str, text: &str) -> Vec<Finding> {
    if room_of(file) != Some("domain") {
        return Vec::new();
    }
    let tokens = tokens(text);
    let impure = paths(&tokens).into_iter().filter_map(|path| {
        let banned = IMPURE.iter().find(|banned| path.starts_with(banned))?;
        Some(finding(file, path.line, format!("domain is pure and may not use {}", banned.join("::"))))
    });
    let waiting = tokens
        .iter()
        .filter(|token| matches!(token.kind, Kind::Word) && (token.text == "async" || token.text == "await"))
        .map(|token| finding(file, token.line, "domain is pure and may not wait"));
    impure.chain(waiting).collect()
}

/// A crate that belongs to one room is named nowhere else.
fn crates_stay_home(file: &str, text: &str) -> Vec<Finding> {
    let room = room_of(file).unwrap_or_default();
    paths(&tokens(text))
        .into_iter()
        .filter_map(|path| {
            let (name, homes) = HOMES.iter().find(|(name, _)| path.starts_with(&[name]))?;
            (!homes.contains(&room))
                .then(|| finding(file, path.line, format!("{name} is used only in {}", homes.join(", "))))
        })
        .collect()
}

/// SQL is written in `src/store` and the migrations; elsewhere it is a second opinion about the schema.
fn sql_stays_in_the_store(file: &str, text: &str) -> Vec<Finding> {
    if room_of(file) == Some("store") || SHOWS_SQL.contains(&file) {
        return Vec::new();
    }
    static SQL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?s)\bSELECT\b.+\b(FROM|WHERE)\b|\bPRAGMA\s+\w|\bBEGIN\s+IMMEDIATE\b",
            r"|(?i:\bINSERT\s+(OR\s+\w+\s+)?INTO\s+\w|\bUPDATE\s+\w+\s+SET\b|\bDELETE\s+FROM\s+\w)",
            r"|(?i:\b(CREATE|DROP|ALTER)\s+(TEMP\s+)?(TABLE|VIEW|TRIGGER|INDEX)\b)",
        ))
        .expect("valid")
    });
    tokens(text)
        .iter()
        .filter(|token| matches!(token.kind, Kind::Text) && SQL.is_match(&token.text))
        .map(|token| finding(file, token.line, "SQL stands in src/store and migrations only"))
        .collect()
}

/// A file is read in one sitting.
fn a_file_is_short(file: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= MAX_LINES {
        return Vec::new();
    }
    vec![finding(file, MAX_LINES + 1, format!("{lines} lines; past {MAX_LINES} a second idea is hiding"))]
}

/// A module is called by what it is for.
fn names_say_something(file: &str, text: &str) -> Vec<Finding> {
    let of_path = file
        .trim_end_matches(".rs")
        .split('/')
        .filter(|part| EMPTY_NAMES.contains(part))
        .map(|part| finding(file, 1, format!("\"{part}\" does not say what it is for")));
    let tokens = tokens(text);
    let inline = tokens
        .windows(2)
        .filter(|pair| pair[0].is_word("mod") && EMPTY_NAMES.contains(&pair[1].text.as_str()))
        .map(|pair| finding(file, pair[1].line, format!("\"{}\" does not say what it is for", pair[1].text)));
    of_path.chain(inline).collect()
}

/// What is not finished is not committed.
fn nothing_is_unfinished(file: &str, text: &str) -> Vec<Finding> {
    tokens(text)
        .windows(2)
        .filter(|pair| {
            let [name, bang] = pair else { return false };
            matches!(name.kind, Kind::Word)
                && ["todo", "unimplemented", "dbg"].contains(&name.text.as_str())
                && bang.text == "!"
        })
        .map(|pair| finding(file, pair[0].line, format!("{}! does not belong into the source", pair[0].text)))
        .collect()
}

/// No text speaks of folders that exist on one machine only.
fn no_machine_is_named(file: &str, text: &str) -> Vec<Finding> {
    // Spelled in halves, since this file is among those that are read.
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for place in places {
            // `https://example.org/work/` and `src/work/` are no paths of a machine; they have a name before the slash.
            let named = line.match_indices(place).any(|(at, _)| {
                !line[..at].ends_with(|before: char| before.is_alphanumeric() || "-_}]".contains(before))
            });
            if named {
                findings.push(finding(file, index + 1, format!("{place} exists on one machine only")));
            }
        }
    }
    findings
}

const SOURCE_RULES: &[Check] = &[
    opens_with_a_sentence,
    rooms_point_up,
    domain_is_pure,
    crates_stay_home,
    sql_stays_in_the_store,
    a_file_is_short,
    names_say_something,
    nothing_is_unfinished,
];

// ---- the repository ------------------------------------------------------------------------------------------

#[test]
fn the_source_follows_its_rules() {
    let files = repository_files();
    let sources: Vec<&String> = files.iter().filter(|file| is_source(file)).collect();
    assert!(
        sources.len() > 10,
        "only {} source files were found: the test looks in the wrong place",
        sources.len()
    );
    report(sources.into_iter().flat_map(|file| {
        let text = read(file).expect("sources are UTF-8");
        SOURCE_RULES.iter().flat_map(move |check| check(file, &text)).collect::<Vec<_>>()
    }));
}

#[test]
fn tests_open_with_a_sentence_and_are_finished() {
    let files = repository_files();
    let tests = files.iter().filter(|file| file.starts_with("tests/") && file.ends_with(".rs"));
    report(tests.flat_map(|file| {
        let text = read(file).expect("sources are UTF-8");
        let mut findings = opens_with_a_sentence(file, &text);
        findings.extend(nothing_is_unfinished(file, &text));
        findings.extend(names_say_something(file, &text));
        findings
    }));
}

#[test]
fn no_text_names_a_machine() {
    let files = repository_files();
    let texts = files.iter().filter(|file| *file != "Cargo.lock");
    report(texts.filter_map(|file| Some(no_machine_is_named(file, &read(file)?))).flatten());
}

#[test]
fn every_room_of_the_source_is_in_the_table() {
    let listed: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    for (room, allowed) in ROOMS {
        for used in *allowed {
            let below = |name: &str| listed.iter().position(|listed| *listed == name);
            assert!(below(used) < below(room), "{room} uses {used}, which stands below it in the table");
        }
    }
    let lib = read("src/lib.rs").expect("src/lib.rs is there");
    let tokens = tokens(&lib);
    let modules = tokens.windows(2).filter(|pair| pair[0].is_word("mod")).map(|pair| pair[1].text.clone());
    for module in modules {
        assert!(listed.contains(&module.as_str()), "src/lib.rs has a module {module} that is no room");
    }
}

fn report(findings: impl Iterator<Item = Finding>) {
    let lines: Vec<String> = findings.map(|finding| finding.to_string()).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

fn is_source(file: &str) -> bool {
    file.starts_with("src/") && file.ends_with(".rs")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository; `None` where it is not text, or listed and since removed.
fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(root().join(file)).ok()
}

/// Every file that is, or is about to be, committed; in an unpacked archive every file outside `target`.
fn repository_files() -> Vec<String> {
    if !root().join(".git").exists() {
        let mut files = Vec::new();
        walk(root(), &mut files);
        return files;
    }
    let listed = Command::new("git")
        .current_dir(root())
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout).expect("file names are UTF-8").lines().map(str::to_owned).collect()
}

fn walk(folder: &Path, files: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let inside = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        match path.is_dir() {
            true if inside == "target" => {}
            true => walk(&path, files),
            false => files.push(inside),
        }
    }
}

/// The room that a source file stands in; `None` for `lib.rs` and `main.rs`.
fn room_of(file: &str) -> Option<&str> {
    let (room, _) = file.strip_prefix("src/")?.split_once('/').or_else(|| {
        let name = file.strip_prefix("src/")?.strip_suffix(".rs")?;
        (!["lib", "main"].contains(&name)).then_some((name, ""))
    })?;
    Some(room)
}

// ---- reading Rust, as far as the rules need it ---------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An identifier or a keyword.
    Word,
    /// The contents of a string literal.
    Text,
    /// `::`, or any other single sign.
    Sign,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    text: String,
    line: usize,
}

impl Token {
    fn is_word(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word) && self.text == word
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign) && self.text == sign
    }
}

/// Words, literals and signs; comments and character literals are left out.
fn tokens(text: &str) -> Vec<Token> {
    static LEXER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?s)(?<skip>//[^\n]*|/\*.*?\*/|\s+|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^\\'])'|'\w+)",
            r###"|(?<raw>(?:br|cr|r)(?:"[^"]*"|#".*?"#|##".*?"##))"###,
            r#"|(?<text>(?:b|c)?"(?:\\.|[^\\"])*")"#,
            r"|(?<word>(?:r#)?[\p{L}_][\p{L}\p{N}_]*)|(?<sign>::|.)",
        ))
        .expect("valid")
    });
    let mut line = 1;
    let mut tokens = Vec::new();
    for found in LEXER.captures_iter(text) {
        let whole = &found[0];
        let kind = if found.name("word").is_some() {
            Some(Kind::Word)
        } else if found.name("text").is_some() || found.name("raw").is_some() {
            Some(Kind::Text)
        } else {
            found.name("sign").map(|_| Kind::Sign)
        };
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: whole.trim_start_matches("r#").to_owned(), line });
        }
        line += whole.matches('\n').count();
    }
    tokens
}

/// A path as it is written, with every `{...}` of a `use` spelled out.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    line: usize,
    segments: Vec<String>,
    /// How many inline modules stand around it.
    depth: usize,
}

impl Named {
    fn starts_with<S: AsRef<str>>(&self, prefix: &[S]) -> bool {
        // A lone word is a variable as likely as a crate.
        self.segments.len() >= prefix.len().max(2)
            && self.segments.iter().zip(prefix).all(|(segment, wanted)| segment == wanted.as_ref())
    }
}

/// Every path in the code.
fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    // For each open brace, whether it is a module's.
    let mut braces: Vec<bool> = Vec::new();
    while let Some(token) = tokens.get(at) {
        if token.is_sign("{") {
            let module = at >= 2 && tokens[at - 2].is_word("mod");
            braces.push(module);
        } else if token.is_sign("}") {
            braces.pop();
        }
        let continues = at > 0 && (tokens[at - 1].is_sign("::") || tokens[at - 1].is_sign("."));
        if matches!(token.kind, Kind::Word) && !continues {
            let depth = braces.iter().filter(|module| **module).count();
            at = tree(tokens, at, &[], depth, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path or one branch of a `use` from `at`; answers where it ends.
fn tree(tokens: &[Token], mut at: usize, before: &[String], depth: usize, found: &mut Vec<Named>) -> usize {
    let mut segments = before.to_vec();
    let mut line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        if matches!(token.kind, Kind::Word) {
            segments.push(token.text.clone());
            line = token.line;
            at += 1;
            if !tokens.get(at).is_some_and(|next| next.is_sign("::")) {
                break;
            }
            at += 1;
        } else if token.is_sign("{") && !segments.is_empty() {
            return branches(tokens, at + 1, &segments, depth, found);
        } else {
            break;
        }
    }
    found.push(Named { line, segments, depth });
    at
}

/// Reads the branches between `{` and `}`; answers where the brace is closed.
fn branches(
    tokens: &[Token],
    mut at: usize,
    before: &[String],
    depth: usize,
    found: &mut Vec<Named>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is_sign("}") {
            return at + 1;
        }
        if matches!(token.kind, Kind::Word) {
            at = tree(tokens, at, before, depth, found);
            // `as name` gives the branch another name, which is no path.
            while tokens.get(at).is_some_and(|next| !next.is_sign(",") && !next.is_sign("}")) {
                at += 1;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The rooms that a file names, with the line: by `crate::room`, or by enough `super::` to stand at the root.
fn room_uses(file: &str, tokens: &[Token]) -> Vec<(usize, String)> {
    let rooms: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let own_depth = module_depth(file);
    let uses = paths(tokens).into_iter().filter_map(|path| {
        let skipped = path.segments.iter().take_while(|segment| *segment == "self").count();
        let climbed = path.segments.iter().skip(skipped).take_while(|segment| *segment == "super").count();
        let at_root = match path.segments.get(skipped).map(String::as_str) {
            Some("crate") => skipped + 1,
            Some("super") if climbed >= own_depth + path.depth => skipped + climbed,
            _ => return None,
        };
        let used = path.segments.get(at_root)?;
        rooms.contains(&used.as_str()).then(|| (path.line, used.clone()))
    });
    let mut uses: Vec<(usize, String)> = uses.collect();
    uses.dedup();
    uses
}

/// How many modules a file stands below the crate's root.
fn module_depth(file: &str) -> usize {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).count()
}

// ---- each rule, proved on a bad example ----------------------------------------------------------------------

/// Asserts that the rule finds exactly the lines given.
#[track_caller]
fn check(rule: Check, file: &str, text: &str, expected: &[usize]) {
    let found = rule(file, text);
    let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, expected, "{found:?}");
}

#[test]
fn a_missing_or_endless_opening_is_found() {
    check(opens_with_a_sentence, "src/a.rs", "//! What it is for.\n\nuse x;\n", &[]);
    check(opens_with_a_sentence, "src/a.rs", "//! What it is for,\n//! in two lines.\n//!\n//! More\n", &[]);
    check(opens_with_a_sentence, "src/a.rs", "use x;\n//! Too late.\n", &[1]);
    check(opens_with_a_sentence, "src/a.rs", "// A comment.\n", &[1]);
    check(opens_with_a_sentence, "src/a.rs", "//! no sentence\n", &[1]);
    check(opens_with_a_sentence, "src/a.rs", "", &[1]);
}

#[test]
fn a_room_that_looks_down_is_found() {
    let check = |file: &str, text: &str, expected: &[usize]| check(rooms_point_up, file, text, expected);
    check("src/domain/walk.rs", "use crate::store::Store;", &[1]);
    check("src/domain/walk.rs", "use crate::{domain::job, config};", &[1]);
    check(
        "src/domain/walk.rs",
        "use crate::{\n    domain::{job, name::A},\n    store::{self, B as C},\n};",
        &[3],
    );
    check("src/media/image.rs", "fn f() { let x = crate::vault::put(); }", &[1]);
    check("src/media/image.rs", "fn f() -> Result<crate::vault::Key, E> {}", &[1]);
    check("src/media/image.rs", "use super::super::vault;", &[1]);
    check("src/media/mod.rs", "use super::vault;", &[1]);
    check("src/media/deep/image.rs", "use super::super::vault;\nuse super::super::super::vault;", &[2]);
    check(
        "src/media/image.rs",
        "mod tests {\n    use super::super::vault;\n    use super::super::super::vault;\n}",
        &[3],
    );
    check("src/web/page.rs", "use crate::providers::catalog;\nuse crate::daemon::drain;", &[1]);
    check("src/odd/mod.rs", "", &[1]);
    check("src/main.rs", "use backstop::store::Store;\nfn main() { backstop::cli::main() }", &[1]);
}

#[test]
fn a_room_that_looks_up_is_left_alone() {
    let check = |file: &str, text: &str| check(rooms_point_up, file, text, &[]);
    check("src/store/mod.rs", "use crate::domain::{job::Job, time};\nuse super::domain::name;");
    check("src/cli/serve.rs", "use crate::{config, daemon, providers, store, vault, web};");
    check(
        "src/media/image.rs",
        "// crate::vault is not used\nlet a = \"crate::vault\"; let b = 'x'; use super::text;",
    );
    check("src/providers/vault/key.rs", "use super::super::config;");
    check("src/media/image.rs", "fn f<'a>(x: &'a str) { let q = '\"'; } // use crate::vault;");
}

#[test]
fn a_rule_that_touches_the_world_is_found() {
    let check = |text: &str, expected: &[usize]| check(domain_is_pure, "src/domain/walk.rs", text, expected);
    check("use tokio::time::sleep;", &[1]);
    check("use std::{collections::BTreeMap, fs};", &[1]);
    check("use std::time::{Duration, SystemTime};", &[1]);
    check("fn f() { let now = Utc::now(); }", &[1]);
    check("fn f() {\n    chrono::Local::now();\n}", &[2]);
    check("async fn f() {}", &[1]);
    check("fn f() { sqlx::query(\"x\"); }", &[1]);
    check(
        "use std::time::Duration;\nuse std::sync::Arc;\nuse std::fmt;\nfn f(tokio: u8) -> u8 { self.tokio }",
        &[],
    );
    assert_eq!(domain_is_pure("src/daemon/run.rs", "use tokio::time::sleep;"), []);
}

#[test]
fn a_crate_away_from_home_is_found() {
    check(crates_stay_home, "src/daemon/claim.rs", "use sqlx::SqlitePool;", &[1]);
    check(crates_stay_home, "src/config/mod.rs", "#[derive(clap::Args)]\nstruct A;", &[1]);
    check(crates_stay_home, "src/store/sqlite/mod.rs", "use sqlx::SqlitePool;", &[]);
    check(crates_stay_home, "src/cli/mod.rs", "use clap::Parser;", &[]);
}

#[test]
fn sql_away_from_the_store_is_found() {
    let check =
        |file: &str, text: &str, expected: &[usize]| check(sql_stays_in_the_store, file, text, expected);
    check("src/daemon/claim.rs", "let q = \"SELECT id FROM jobs\";", &[1]);
    check("src/daemon/claim.rs", "let q = r#\"\nUPDATE jobs SET status = 'done'\"#;", &[1]);
    check("src/daemon/claim.rs", "f(\n  \"insert or ignore into jobs (a) values (1)\");", &[2]);
    check("src/daemon/claim.rs", "f(\"delete from jobs where id = \\\"1\\\"\");", &[1]);
    check("src/daemon/claim.rs", "f(\"PRAGMA data_version\");", &[1]);
    check("src/web/page.rs", "f(\"CREATE TABLE x (a)\");", &[1]);
    check(
        "src/daemon/claim.rs",
        "/// `SELECT id FROM jobs`\n// DELETE FROM jobs\nlet q = \"select one from the list\";",
        &[],
    );
    check("src/store/sqlite/claim.rs", "let q = \"SELECT id FROM jobs\";", &[]);
    check("src/cli/demo.rs", "let q = \"SELECT id FROM jobs\";", &[]);
}

#[test]
fn long_files_and_empty_names_are_found() {
    check(a_file_is_short, "src/cli/show.rs", &"// line\n".repeat(MAX_LINES), &[]);
    check(a_file_is_short, "src/cli/show.rs", &"// line\n".repeat(MAX_LINES + 1), &[MAX_LINES + 1]);
    check(names_say_something, "src/cli/utils.rs", "", &[1]);
    check(names_say_something, "src/common/show.rs", "", &[1]);
    check(names_say_something, "src/cli/show.rs", "//! A.\nmod helpers {}", &[2]);
    check(names_say_something, "src/cli/show.rs", "mod table;", &[]);
}

#[test]
fn unfinished_code_is_found() {
    check(nothing_is_unfinished, "src/a.rs", "fn f() {\n    todo!()\n}", &[2]);
    check(nothing_is_unfinished, "src/a.rs", "fn f() { unimplemented!(); dbg!(1); }", &[1, 1]);
    check(nothing_is_unfinished, "src/a.rs", "// todo!()\nlet a = \"todo!\"; let todo = !b;", &[]);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let (here, home) = (concat!("/wo", "rk/"), concat!("/ro", "ot/"));
    check(no_machine_is_named, "README.md", &format!("fine\ncd {here}backstop\n"), &[2]);
    check(no_machine_is_named, "README.md", &format!("`{home}x` and \"{here}y\""), &[1, 1]);
    check(
        no_machine_is_named,
        "README.md",
        &format!("https://example.org{here}x src{here}y ${{HOME}}{home}z"),
        &[],
    );
}
