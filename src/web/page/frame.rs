//! What every page has around it.

use maud::{DOCTYPE, Markup, html};

use super::when::plain;

/// Which of the pages in the navigation this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    /// How everything is doing.
    Overview,
    /// What waits for a person.
    Manual,
    /// Jobs, and one of them.
    Jobs,
    /// Who can be called.
    Providers,
    /// None of them.
    Elsewhere,
    /// Before anybody is known: no way to the others.
    Outside,
}

const PAGES: [(Here, &str, &str); 4] = [
    (Here::Overview, "/", "Overview"),
    (Here::Manual, "/manual", "Needs a person"),
    (Here::Jobs, "/jobs", "Jobs"),
    (Here::Providers, "/providers", "Providers"),
];

/// A page with its title and the way to the others.
pub(super) fn frame(here: Here, title: &str, main: Markup) -> Markup {
    let title = plain(title);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Backstop" }
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/static/page.css";
                script src="/static/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                @if here != Here::Outside { (banner(here)) }
                main id="main" tabindex="-1" data-live[here != Here::Outside && here != Here::Elsewhere] {
                    h1 id="title" { (title) }
                    (main)
                }
                footer {
                    p { "Times are relative; point at one for the exact one. Days are UTC." }
                }
            }
        }
    }
}

fn banner(here: Here) -> Markup {
    html! {
        header.banner {
            a.brand href="/" {
                svg.mark viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false" {
                    path.mark-line d="M4 6h9M4 12h6" {}
                    path.mark-net d="M20 4v16" {}
                    circle.mark-ball cx="15" cy="16" r="3" {}
                    path.mark-line d="M4 18h5" {}
                }
                "Backstop"
            }
            nav aria-label="Pages" {
                @for (page, address, name) in PAGES {
                    a href=(address) aria-current=[(page == here).then_some("page")] { (name) }
                }
            }
            form.logout method="post" action="/logout" { button.quiet { "Log out" } }
        }
    }
}

/// A status with a shape of its own, so that colour is not all that tells it.
pub(super) fn badge(status: &str) -> Markup {
    let shape = match status {
        "pending" => "○",
        "running" => "◐",
        "done" => "✓",
        "manual" => "◆",
        "failed" => "✕",
        _other => "–",
    };
    let word = if status == "manual" { "needs a person" } else { status };
    html! {
        span.badge.(status) { span aria-hidden="true" { (shape) } " " (word) }
    }
}

/// A button that copies; it comes to light where there is a script to do it.
pub(super) fn copy(text: &str) -> Markup {
    html! { button.copy.quiet type="button" data-copy=(text) hidden { "Copy" } }
}
