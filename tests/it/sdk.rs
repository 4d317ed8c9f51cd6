//! The fake vendor before the vendors' own judges: their official SDKs, which are run against it.

pub(crate) mod python;

use crate::fake::{Fake, Trouble};
use python::{Packages, run};

/// Accounts whose name says what is wrong with them; `works` has no trouble.
const ACCOUNTS: &[(&str, Trouble)] = &[
    ("transient", Trouble::Transient),
    ("rate-limited", Trouble::RateLimited),
    ("quota", Trouble::Quota),
    ("auth", Trouble::Auth),
    ("retired", Trouble::Retired),
    ("invalid", Trouble::Invalid),
    ("refused", Trouble::Refused),
    ("unusable", Trouble::Unusable),
    ("silence", Trouble::Silence),
    ("hang-up", Trouble::HangUp),
    ("render-fails", Trouble::RenderFails),
];

/// Runs a script against a fresh fake. It has to tell exactly these checks, so that one that ends early, or does
/// nothing, is found out.
async fn passes(packages: Packages, script: &str, checks: &[&str]) {
    let fake = Fake::start().await;
    for (account, trouble) in ACCOUNTS {
        fake.trouble(account, Some(*trouble));
    }
    let output = run(packages, script, &fake).await;
    let told: Vec<&str> = output.out.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    assert!(output.ended_well, "{script} failed\n{}\n{}", output.out, output.err);
    assert_eq!(told, checks, "{script}\n{}\n{}", output.out, output.err);
}

#[tokio::test]
async fn anthropics_sdk_is_content() {
    let checks = [
        "text",
        "sampling, which the older version of the API still takes",
        "refusal",
        "truncated text",
        "models, page by page",
        "one model",
        "AuthenticationError for a wrong key",
        "NotFoundError for a model that is none",
        "NotFoundError for a retired model",
        "BadRequestError for what is malformed",
        "BadRequestError for what is missing",
        "RateLimitError for too many calls",
        "EnforcedSpendLimitReachedError for the month's spend",
        "OverloadedError",
        "APIConnectionError when the line is cut",
        "APITimeoutError when nothing is said",
    ];
    passes(Packages::Vendors, "anthropic_messages.py", &checks).await;
}

#[tokio::test]
async fn openais_sdk_is_content() {
    let checks = [
        "text",
        "filtered text",
        "truncated text",
        "picture",
        "no picture",
        "models and when they are shut down",
        "AuthenticationError for a wrong key",
        "NotFoundError for a model that is none",
        "NotFoundError for a retired model",
        "BadRequestError for a malformed chat",
        "BadRequestError for a malformed picture",
        "BadRequestError for what moderation blocks",
        "RateLimitError for too many calls",
        "RateLimitError for used-up credit",
        "InternalServerError when it is overloaded",
        "APIConnectionError when the line is cut",
        "APITimeoutError when nothing is said",
    ];
    passes(Packages::Vendors, "openai_chat_and_images.py", &checks).await;
}

#[tokio::test]
async fn googles_last_sdk_with_imagen_is_content() {
    let checks = [
        "Imagen: pictures",
        "Imagen: a size of its own",
        "Imagen: filtered, with the reason",
        "Imagen: filtered, without the reason",
        "Imagen: ClientError for a wrong key",
        "Imagen: ClientError for what is malformed",
        "Imagen: ClientError for a model that is gone",
        "Imagen: ClientError for too many calls",
        "Imagen: ClientError for the day's quota",
        "Imagen: ServerError when it is overloaded",
        "Veo: submit, poll, download",
        "Veo: a file is not given away without the key",
        "Veo: filtered",
        "Veo: an operation that fails",
        "Veo: done without a film",
        "Veo: ClientError for an operation nobody made",
        "Veo: ClientError for what is malformed",
        "Veo: ClientError for a model that is gone",
        "Veo: ServerError when it is overloaded",
    ];
    passes(Packages::Vendors, "google_imagen_and_veo.py", &checks).await;
}

#[tokio::test]
async fn googles_current_sdk_is_content() {
    let checks = [
        "picture",
        "words and a picture",
        "text",
        "blocked prompt",
        "no picture",
        "models, page by page",
        "ClientError for a wrong key",
        "ClientError for what is malformed",
        "ClientError for a model that is gone",
        "ClientError for too many calls and for the day's quota",
        "ServerError when it is overloaded",
        "interaction: submit, poll, download",
        "interaction: inline",
        "interaction: cancel",
        "interaction: declined in words",
        "interaction: failed",
        "interaction: BadRequestError for what is malformed",
        "interaction: BadRequestError for one nobody made",
        "interaction: typed errors of an account",
        "Vertex AI: submit, poll, inline film",
        "Vertex AI: filtered",
        "Vertex AI: picture",
        "Vertex AI: ClientError for a wrong token",
        "Vertex AI: ClientError for a model that is gone",
    ];
    passes(Packages::GoogleCurrent, "google_content_and_films.py", &checks).await;
}
