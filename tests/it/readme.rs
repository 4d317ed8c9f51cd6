//! The README is a contract: what it shows is run, what it lists is compared with what is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use backstop::domain::name::AssetName;
use backstop::domain::sentence;
use regex::Regex;
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");

/// The blocks of one language, fences left off.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks: Vec<&str> =
        README.split(&fence).skip(1).map(|rest| rest.split("\n```").next().expect("closed")).collect();
    assert!(!blocks.is_empty(), "no {language} at all");
    blocks
}

/// Everything between backticks in a text.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The lines of the table under a header cell, without header and rule.
fn rows(header: &str) -> Vec<&'static str> {
    let tables: Vec<usize> = README.match_indices(&format!("| {header} |")).map(|(at, _)| at).collect();
    assert!(!tables.is_empty(), "no table of {header}");
    let of_one = |at: usize| README[at..].lines().skip(2).take_while(|line| line.starts_with('|'));
    tables.into_iter().flat_map(of_one).collect()
}

fn first_cell(row: &str) -> &str {
    row.split('|').nth(1).expect("a cell")
}

/// The demo's folder, and the folder around it.
fn demo() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    backstop(folder.path(), &["demo", "--dir", "."]);
    folder
}

fn backstop(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstop"));
    succeeds(command.args(args).current_dir(folder).env_clear(), &args.join(" "))
}

fn sql(folder: &Path, statements: &str) -> String {
    // As its argument, the shell would take a statement that begins with a comment for an option.
    let mut command = Command::new("sqlite3");
    let file = folder.join("statements.sql");
    std::fs::write(&file, statements).expect("writes");
    command.args(["-bail", "backstop.db"]).stdin(std::fs::File::open(file).expect("is there"));
    let shown = succeeds(command.current_dir(folder), statements);
    shown.trim_end().to_owned()
}

fn succeeds(command: &mut Command, what: &str) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{what}\n{said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a table or a view really has.
fn columns(folder: &Path, table: &str) -> BTreeSet<String> {
    let found = sql(folder, &format!("SELECT name FROM pragma_table_info('{table}')"));
    assert!(!found.is_empty(), "no {table}");
    found.lines().map(str::to_owned).collect()
}

#[test]
fn every_statement_runs_on_the_demos_database() {
    let folder = demo();
    let at = folder.path();
    // The numbers that the README uses: one to cancel, one to retry, one to provide.
    sql(
        at,
        "INSERT INTO jobs (asset, slug) SELECT 'hero-image', 'filler-' || value FROM json_each('[4,5,6,7,8,9]')",
    );
    sql(at, "UPDATE jobs SET status = 'cancelled' WHERE id = 8");
    let states = |ids: &str| {
        sql(
            at,
            &format!("SELECT group_concat(status) FROM (SELECT * FROM jobs WHERE id IN ({ids}) ORDER BY id)"),
        )
    };
    assert_eq!(states("7, 8, 9"), "pending,cancelled,pending");
    for block in blocks("sql") {
        sql(at, block);
    }
    assert_eq!(states("7, 8, 9"), "cancelled,pending,done");
    assert_eq!(sql(at, "SELECT count(*) FROM jobs WHERE slug = 'my-article'"), "2");

    let inline = Regex::new(r"`((?:SELECT [^`]+ FROM|UPDATE \w+ SET|INSERT INTO|DELETE FROM|PRAGMA) [^`]+)`")
        .expect("valid");
    let inline: Vec<&str> = inline.captures_iter(README).map(|found| found.extract::<1>().1[0]).collect();
    assert!(inline.len() >= 4, "{inline:?}");
    for statement in inline {
        sql(at, "UPDATE jobs SET status = 'cancelled' WHERE id = 8");
        sql(at, &statement.replace("id = ID", "id = 8"));
    }

    let shell: Vec<&str> = blocks("sh").into_iter().flat_map(str::lines).collect();
    let shell: Vec<&&str> = shell.iter().filter(|line| line.starts_with("sqlite3 ")).collect();
    assert_eq!(shell.len(), 1, "{shell:?}");
    for line in shell {
        let here = line.replace("/var/lib/backstop/", "").replace("/var/backups/", "copy-");
        succeeds(Command::new("sh").args(["-c", &here]).current_dir(at), &here);
    }
    let backup =
        blocks("sh").into_iter().flat_map(str::lines).find(|line| line.starts_with("backstop backup "));
    let backup = backup.expect("a line on backups").replace("/var/backups/", "copy-");
    let program = format!("backstop() {{ '{}' \"$@\"; }}; {backup}", env!("CARGO_BIN_EXE_backstop"));
    succeeds(Command::new("sh").args(["-c", &program]).current_dir(at), &backup);
    let copies = std::fs::read_dir(at).expect("a folder").flatten();
    assert!(
        copies
            .map(|entry| entry.file_name())
            .any(|name| name.to_string_lossy().starts_with("copy-backstop-"))
    );
}

#[test]
fn every_configuration_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for block in blocks("toml") {
        std::fs::write(folder.path().join("backstop.toml"), block).expect("writes");
        let said = backstop(folder.path(), &["check"]);
        assert!(said.starts_with("No mistakes in "), "{block}\n{said}");
    }
}

#[test]
fn its_verbs_are_the_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = backstop(folder.path(), &["--help"]);
    let listed = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("verbs");
    let verb = Regex::new(r"(?m)^  ([a-z]+) ").expect("valid");
    let mut there: BTreeSet<&str> =
        verb.captures_iter(listed).map(|found| found.extract::<1>().1[0]).collect();
    assert!(there.remove("help"));
    let told: BTreeSet<&str> = rows("verb").into_iter().flat_map(|row| words(first_cell(row))).collect();
    assert_eq!(told, there);
}

#[test]
fn its_columns_are_the_databases() {
    let folder = demo();
    for table in ["jobs", "manual_queue", "health", "budgets"] {
        let told: BTreeSet<String> = rows(&format!("column of `{table}`"))
            .into_iter()
            .flat_map(|row| words(first_cell(row)))
            .map(str::to_owned)
            .collect();
        assert_eq!(told, columns(folder.path(), table), "{table}");
    }
    for row in rows("table").into_iter().filter(|row| words(first_cell(row)).len() == 1) {
        let table = words(first_cell(row))[0];
        let told: BTreeSet<String> = words(row).into_iter().map(str::to_owned).collect();
        let missing: Vec<String> = columns(folder.path(), table).difference(&told).cloned().collect();
        assert!(missing.is_empty(), "{table}: {missing:?}");
    }
}

#[test]
fn its_sentences_are_the_programs() {
    let hero = AssetName::parse("hero-image").expect("valid");
    let messages = [
        sentence::ready(&hero),
        sentence::ready_by_fallback(&hero, "Lummi"),
        sentence::needs_a_person(&hero),
        sentence::failed(&hero),
        sentence::cancelled(&hero),
    ];
    let flat = README.split_whitespace().collect::<Vec<_>>().join(" ");
    for message in messages {
        assert!(flat.contains(&format!("\"{message}\"")), "{message}");
    }
    let view = include_str!("../../migrations/sqlite/0003_views.sql");
    let literal =
        Regex::new(r"'((?:Last run|Never run|No provider stands|Primary provider)[^']*)'").expect("valid");
    let literals: BTreeSet<&str> =
        literal.captures_iter(view).map(|found| found.extract::<1>().1[0]).collect();
    assert!(literals.len() >= 9, "{literals:?}");
    for said in literals {
        assert!(flat.contains(&format!("\"{said}")), "{said}");
    }
}
