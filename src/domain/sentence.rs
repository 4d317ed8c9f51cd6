//! The sentences people read, each made in this one place.

use super::name::AssetName;

/// "Hero image ready".
#[must_use]
pub fn ready(asset: &AssetName) -> String {
    format!("{} ready", asset.title())
}

/// "Hero image ready (via fallback: Lummi)"; `provider` is the provider's title.
#[must_use]
pub fn ready_by_fallback(asset: &AssetName, provider: &str) -> String {
    format!("{} ready (via fallback: {provider})", asset.title())
}

/// "Hero image needs a person".
#[must_use]
pub fn needs_a_person(asset: &AssetName) -> String {
    format!("{} needs a person", asset.title())
}

/// "Hero image waits for its turn".
#[must_use]
pub fn waits(asset: &AssetName) -> String {
    format!("{} waits for its turn", asset.title())
}

/// "Hero image is being made".
#[must_use]
pub fn under_way(asset: &AssetName) -> String {
    format!("{} is being made", asset.title())
}

/// "Hero image cancelled", as the database's trigger says it too.
#[must_use]
pub fn cancelled(asset: &AssetName) -> String {
    format!("{} cancelled", asset.title())
}

/// "Hero image failed".
#[must_use]
pub fn failed(asset: &AssetName) -> String {
    format!("{} failed", asset.title())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_as_promised() {
        let hero = AssetName::parse("heroImage").expect("valid");
        assert_eq!(ready(&hero), "Hero image ready");
        assert_eq!(ready_by_fallback(&hero, "Lummi"), "Hero image ready (via fallback: Lummi)");
        assert_eq!(needs_a_person(&hero), "Hero image needs a person");
        assert_eq!(waits(&hero), "Hero image waits for its turn");
        assert_eq!(under_way(&hero), "Hero image is being made");
        assert_eq!(cancelled(&hero), "Hero image cancelled");
        assert_eq!(failed(&hero), "Hero image failed");
    }
}
