//! Reads the answer to a described question: whether the key is taken, the model there, and something left.

use serde_json::Value;

use crate::domain::failure::{Failure, FailureClass};
use crate::providers::hints;
use crate::providers::protocol::HttpReply;
use crate::providers::question::{Asked, Found};

use super::options::{CheckOptions, HttpOptions};
use super::rules;

/// What an answer says, by the description.
pub(super) fn read(options: &HttpOptions, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
    let Some(check) = &options.check else { return asked.json(reply).map(|_| Found::KEY) };
    if !reply.is_success() {
        return Err(failure(options, check, asked, reply));
    }
    let body = asked.json(reply)?;
    if let Some(left) = check.left.as_ref().and_then(|path| path.text_at(&body)?.parse::<f64>().ok())
        && left <= 0.0
    {
        return Err(Failure::new(FailureClass::Quota { until: None }, "nothing is left on the account"));
    }
    let Some(id) = &check.id else {
        return Ok(if check.names_model() { Found::LISTED } else { Found::KEY });
    };
    let list = check.list.as_ref().map_or(Some(&body), |path| path.at(&body)).and_then(Value::as_array);
    let list = list.ok_or_else(|| Failure::unusable("the answer holds no list of models"))?;
    Ok(Found { model: asked.listed(list, id, check.ends.as_deref().unwrap_or_default()), ..Found::KEY })
}

/// By the description's own rules first, as for every reply. A model's own entry that is not there is the model.
fn failure(options: &HttpOptions, check: &CheckOptions, asked: &Asked<'_>, reply: &HttpReply) -> Failure {
    let known = asked.failure(reply);
    let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let gone = reply.status == 404 && check.names_model() && body.is_some();
    let until = hints::retry_at(reply, asked.now);
    let ruled = rules::judge(&options.classes, reply, &body.unwrap_or_default(), until);
    match ruled {
        Some(verdict) => Failure { class: verdict.class, ..known },
        None if gone => Failure { class: FailureClass::Retired, ..known },
        None => known,
    }
}
