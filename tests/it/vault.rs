//! The local vault, on a real disk.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backstop::domain::job::JobId;
use backstop::domain::name::AssetName;
use backstop::vault::{LocalVault, Vault, VaultError, VaultKey};
use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use url::Url;

fn asset() -> AssetName {
    AssetName::parse("hero-image").expect("valid")
}

fn key(slug: &str) -> VaultKey {
    VaultKey::new(&asset(), slug, JobId(7), "attempt-1", "png")
}

fn vault() -> (TempDir, LocalVault) {
    let home = TempDir::new().expect("a folder");
    let vault = LocalVault::open(&home.path().join("assets"), None).expect("opens");
    (home, vault)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("readable");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_kept_file_is_whole_alone_and_found_by_its_url() {
    let (_home, vault) = vault();
    let kept = vault.keep(&key("my-article"), Bytes::from_static(b"picture")).await.expect("kept");
    let path = Url::parse(&kept.url).expect("a url").to_file_path().expect("a file url");
    assert_eq!(path, vault.root().join(key("my-article").to_string()));
    assert_eq!(fs::read(&path).expect("readable"), b"picture");
    assert_eq!(kept.bytes, 7);
    assert_eq!(names(&vault.root().join("hero-image")).len(), 1, "no temporary file is left");
}

#[tokio::test]
async fn a_kept_file_has_the_permissions_that_the_umask_leaves() {
    let (_home, vault) = vault();
    vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect("kept");
    let plain = vault.root().join("plain");
    fs::write(&plain, b"x").expect("writable");
    let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(&vault.root().join(key("a").to_string())), mode(&plain));
}

#[tokio::test]
async fn public_urls_continue_the_configured_base() {
    let home = TempDir::new().expect("a folder");
    let name = key("a").to_string();
    for base in ["https://cdn.example.org/assets", "https://cdn.example.org/assets/"] {
        let vault = LocalVault::open(home.path(), Some(Url::parse(base).expect("valid"))).expect("opens");
        let kept = vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect("kept");
        assert_eq!(kept.url, format!("https://cdn.example.org/assets/{name}"));
    }
    let signed = Url::parse("https://cdn.example.org/?v=2").expect("valid");
    let vault = LocalVault::open(home.path(), Some(signed)).expect("opens");
    let kept = vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect("kept");
    assert_eq!(kept.url, format!("https://cdn.example.org/{name}?v=2"));
    let error = LocalVault::open(home.path(), Some(Url::parse("mailto:me@example.org").expect("valid")));
    assert!(matches!(error, Err(VaultError::PublicUrl { .. })));
}

#[tokio::test]
async fn a_folder_with_odd_letters_gives_a_valid_file_url() {
    let home = TempDir::new().expect("a folder");
    let vault = LocalVault::open(&home.path().join("Bilder & mehr #1"), None).expect("opens");
    let kept = vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect("kept");
    assert!(kept.url.contains("Bilder%20&%20mehr%20%231"), "{}", kept.url);
    let path = Url::parse(&kept.url).expect("a url").to_file_path().expect("a file url");
    assert_eq!(fs::read(path).expect("readable"), b"x");
}

#[tokio::test]
async fn what_is_kept_is_never_overwritten() {
    let (_home, vault) = vault();
    vault.keep(&key("a"), Bytes::from_static(b"first")).await.expect("kept");
    let again = vault.keep(&key("a"), Bytes::from_static(b"first")).await.expect("the same is no mistake");
    assert_eq!(again.bytes, 5);
    for other in [&b"other"[..], b"longer than the first"] {
        let error = vault.keep(&key("a"), Bytes::from_static(other)).await.expect_err("taken");
        assert!(matches!(error, VaultError::Taken { .. }), "{error}");
    }
    let path = vault.root().join(key("a").to_string());
    assert_eq!(fs::read(path).expect("readable"), b"first");
    assert_eq!(names(&vault.root().join("hero-image")).len(), 1, "no temporary file is left");
}

#[tokio::test]
async fn a_link_out_of_the_vault_is_not_followed() {
    let (home, vault) = vault();
    let outside = home.path().join("outside");
    fs::create_dir(&outside).expect("made");
    symlink(&outside, vault.root().join("hero-image")).expect("linked");
    let error = vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect_err("refused");
    assert!(matches!(error, VaultError::Escapes { .. }), "{error}");
    assert!(names(&outside).is_empty());
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_is_not_written_through() {
    let (home, vault) = vault();
    let victim = home.path().join("victim");
    fs::write(&victim, b"x").expect("written");
    fs::create_dir(vault.root().join("hero-image")).expect("made");
    symlink(&victim, vault.root().join(key("a").to_string())).expect("linked");
    let error = vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect_err("refused");
    assert!(matches!(error, VaultError::Taken { .. }), "{error}");
    let error = vault.keep(&key("a"), Bytes::from_static(b"y")).await.expect_err("refused");
    assert!(matches!(error, VaultError::Taken { .. }), "{error}");
    assert_eq!(fs::read(&victim).expect("readable"), b"x");
}

#[tokio::test]
async fn a_folder_that_takes_no_files_gives_an_error_with_its_path() {
    let (_home, vault) = vault();
    // A file in the place of the folder stops every user, root included.
    fs::write(vault.root().join("hero-image"), b"in the way").expect("written");
    let error = vault.keep(&key("a"), Bytes::from_static(b"x")).await.expect_err("no folder");
    assert!(matches!(error, VaultError::Io { .. }), "{error}");
    assert!(error.to_string().contains("/assets/hero-image"), "{error}");
    let blocked = vault.root().join("hero-image/sub");
    assert!(matches!(LocalVault::open(&blocked, None), Err(VaultError::Io { .. })));
}

/// While files are written again and again, a watcher that reads the folder as a web server does never sees a
/// final name with less than the whole file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_name_never_shows_half_a_file() {
    let (_home, vault) = vault();
    let body = Bytes::from(vec![7u8; 300_000]);
    let folder = vault.root().join("hero-image");
    fs::create_dir(&folder).expect("made");
    let done = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let (done, folder) = (Arc::clone(&done), folder.clone());
        move || {
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                for name in names(&folder).into_iter().filter(|name| !name.starts_with('.')) {
                    let length = fs::metadata(folder.join(&name)).expect("never taken away").len();
                    assert_eq!(length, 300_000, "{name}");
                    seen += 1;
                }
            }
            seen
        }
    });
    for job in 0..40 {
        let key = VaultKey::new(&asset(), "a", JobId(job), "t", "bin");
        vault.keep(&key, body.clone()).await.expect("kept");
    }
    done.store(true, Ordering::Release);
    let seen = watcher.join().expect("the watcher saw whole files only");
    assert!(seen > 0, "the watcher looked while files were there");
    assert_eq!(names(&folder).len(), 40);
}

proptest! {
    #[test]
    fn no_slug_leaves_its_folder(slug in any::<String>(), attempt in ".*", extension in ".*", job in any::<i64>()) {
        let key = VaultKey::new(&asset(), &slug, JobId(job), &attempt, &extension);
        let name = key.to_string();
        let parts: Vec<_> = Path::new(&name).components().collect();
        prop_assert_eq!(parts.len(), 2);
        prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "{}", name);
        prop_assert!(key.file().chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.')), "{}", name);
        prop_assert!(key.file().starts_with(|c: char| c.is_ascii_alphanumeric()));
        prop_assert!(key.file().len() <= 140, "{}", name);
    }

    #[test]
    fn hostile_slugs_stay_inside(slug in r"[./\\a\x00%~ \n]{0,40}") {
        let key = VaultKey::new(&asset(), &slug, JobId(1), "t", "png");
        prop_assert!(!key.to_string().contains(".."));
        prop_assert_eq!(key.to_string().matches('/').count(), 1);
    }
}

#[tokio::test]
async fn a_kept_file_is_found_again_and_can_be_taken_away() {
    let (home, vault) = vault();
    assert_eq!(vault.find(&key("my-article")).await.expect("asked"), None);
    vault.remove(&key("my-article")).await.expect("nothing there is no mistake");
    vault.keep(&key("my-article"), Bytes::from_static(b"picture")).await.expect("kept");
    let found = vault.find(&key("my-article")).await.expect("asked");
    assert_eq!(found.as_deref(), Some(b"picture".as_slice()));
    vault.remove(&key("my-article")).await.expect("removed");
    assert_eq!(vault.find(&key("my-article")).await.expect("asked"), None);

    // A link is nobody's delivery, and a folder that leads out of the vault is not followed.
    let folder = home.path().join("assets/hero-image");
    let outside = home.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("secret"), b"secret").expect("written");
    symlink(outside.join("secret"), folder.join(key("my-article").file())).expect("linked");
    assert_eq!(vault.find(&key("my-article")).await.expect("asked"), None);
    vault.remove(&key("my-article")).await.expect("left alone");
    fs::remove_dir_all(&folder).expect("removed");
    fs::write(outside.join(key("my-article").file()), b"secret").expect("written");
    symlink(&outside, &folder).expect("linked");
    assert!(matches!(vault.find(&key("my-article")).await, Err(VaultError::Escapes { .. })));
    assert!(matches!(vault.remove(&key("my-article")).await, Err(VaultError::Escapes { .. })));
    assert_eq!(names(&outside).len(), 2);
}

#[tokio::test]
async fn a_private_vault_is_its_users_alone() {
    let home = TempDir::new().expect("a folder");
    let root = home.path().join("in-hand");
    let vault = LocalVault::private(&root).expect("opens");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    vault.keep(&key("my-article"), Bytes::from_static(b"picture")).await.expect("kept");
    assert_eq!(mode(&root.join("hero-image").join(key("my-article").file())), 0o600);
    LocalVault::private(&root).expect("opens again");

    fs::set_permissions(&root, fs::Permissions::from_mode(0o770)).expect("opened to the group");
    let refused = LocalVault::private(&root).expect_err("others could write there").to_string();
    assert!(refused.contains("not this user's alone"), "{refused}");
    let linked = home.path().join("linked");
    symlink(home.path(), &linked).expect("linked");
    LocalVault::private(&linked).expect_err("a link");
}
