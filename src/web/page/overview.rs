//! How every asset is doing.

use axum::extract::State;
use maud::{Markup, html};

use super::{Oops, frame};
use crate::daemon::desk::{Doing, Remembered};
use crate::web::Site;

/// Per asset the sentence, what waits, what runs, what needs a person.
pub(super) async fn show(State(site): State<Site>) -> Result<Markup, Oops> {
    let (desk, now) = (&site.desk, site.desk.now());
    let config = desk.config();
    let (health, counts) = (desk.asset_health().await?, desk.store.counts(now).await?);
    let Remembered { spending, .. } = desk.remembered().await?;
    let assets = config.assets.iter().map(|asset| Doing::of(asset, &health, &counts, &spending));
    Ok(frame(
        "Overview",
        html! {
            @for doing in assets {
                section.card {
                    h2 { (doing.asset.name.title()) }
                    p { (doing.sentence(now)) }
                    dl {
                        @for (status, count) in &doing.counts {
                            dt { (status) }
                            dd { (count) }
                        }
                    }
                }
            }
        },
    ))
}
