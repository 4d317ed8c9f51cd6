//! What every page has around it.

use maud::{DOCTYPE, Markup, html};

/// A page with its title and the way to the others.
pub(super) fn frame(title: &str, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Backstop" }
                link rel="stylesheet" href="/static/page.css";
                script src="/static/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { "Backstop" }
                    nav aria-label="Pages" {
                        a href="/" { "Overview" }
                    }
                }
                main id="main" {
                    h1 { (title) }
                    (main)
                }
            }
        }
    }
}
