"""Anthropic's own SDK against the fake: messages, models, and every error as its typed exception."""

import datetime

import anthropic

from checks import KEY, PROMPT, address, check, equal, raised

MODEL = "claude-sonnet-4-6"


def client(account="works", **settings):
    settings = {"api_key": KEY, "max_retries": 0, "timeout": 20, **settings}
    return anthropic.Anthropic(base_url=address(account), **settings)


def ask(account="works", key=KEY, timeout=20, **changes):
    wish = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}], **changes}
    return client(account, api_key=key, timeout=timeout).messages.create(**wish)


with check("text"):
    message = ask(system="Be brief")
    assert isinstance(message, anthropic.types.Message), type(message)
    equal((message.role, message.model, message.stop_reason), ("assistant", MODEL, "end_turn"))
    equal([type(block) for block in message.content], [anthropic.types.TextBlock])
    assert PROMPT in message.content[0].text, message.content
    equal((message.usage.input_tokens, message.usage.output_tokens), (12, 34))
    equal((message.usage.service_tier, message.usage.cache_creation.ephemeral_5m_input_tokens), ("standard", 0))
    assert message.id.startswith("msg_") and message._request_id.startswith("req_"), message

with check("sampling, which the older version of the API still takes"):
    warm = {"extra_body": {"temperature": 0.5}}
    equal(ask(extra_headers={"anthropic-version": "2023-06-01"}, **warm).stop_reason, "end_turn")
    error = raised(anthropic.BadRequestError, lambda: ask(**warm))
    equal(error.body["error"]["message"], "temperature: Extra inputs are not permitted")

with check("refusal"):
    message = ask("refused")
    equal((message.stop_reason, message.content), ("refusal", []))
    equal((message.stop_details.type, message.stop_details.category), ("refusal", "general_harms"))

with check("truncated text"):
    message = ask("unusable")
    equal(message.stop_reason, "max_tokens")
    assert message.content[0].text

with check("models, page by page"):
    models = list(client().models.list(limit=2))
    equal(len(models), 5)
    by_id = {model.id: model for model in models}
    going = by_id["claude-sonnet-4-5-20250929"]
    equal((going.lifecycle, going.retires_at.date()), ("deprecated", datetime.date(2026, 11, 30)))
    equal((by_id["claude-sonnet-5-5"].lifecycle, by_id["claude-sonnet-5-5"].retires_at), ("active", None))

with check("one model"):
    equal(client().models.retrieve(MODEL).display_name, "Claude Sonnet 4.6")
    equal(client().models.retrieve("claude-haiku-4-5").id, "claude-haiku-4-5-20251001")
    raised(anthropic.NotFoundError, lambda: client().models.retrieve("claude-no-such"))

with check("AuthenticationError for a wrong key"):
    error = raised(anthropic.AuthenticationError, lambda: ask(key="wrong"))
    equal((error.status_code, error.body["error"]["type"]), (401, "authentication_error"))
    assert error.request_id.startswith("req_"), error.request_id
    raised(anthropic.AuthenticationError, lambda: ask("auth"))

with check("NotFoundError for a model that is none"):
    error = raised(anthropic.NotFoundError, lambda: ask(model="claude-no-such"))
    equal(error.body["error"], {"type": "not_found_error", "message": "model: claude-no-such"})

with check("NotFoundError for a retired model"):
    error = raised(anthropic.NotFoundError, lambda: ask("retired"))
    equal(error.body["error"]["message"], f"model: {MODEL}")

with check("BadRequestError for what is malformed"):
    for changes, why in (
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"extra_body": {"maximum": 1}}, "maximum: Extra inputs"),
    ):
        error = raised(anthropic.BadRequestError, lambda: ask(**changes))
        equal(error.body["error"]["type"], "invalid_request_error")
        assert why in error.body["error"]["message"], (changes, error)
    raised(anthropic.BadRequestError, lambda: ask("invalid"))

with check("BadRequestError for what is missing"):
    for field in ("model", "max_tokens", "messages"):
        wish = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
        del wish[field]
        post = lambda: client().post("/v1/messages", body=wish, cast_to=anthropic.types.Message)
        equal(raised(anthropic.BadRequestError, post).body["error"]["message"], f"{field}: Field required")
    unversioned = client(default_headers={"anthropic-version": anthropic.omit})
    wish = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": PROMPT}]}
    error = raised(anthropic.BadRequestError, lambda: unversioned.messages.create(**wish))
    assert "anthropic-version" in str(error), error

with check("RateLimitError for too many calls"):
    error = raised(anthropic.RateLimitError, lambda: ask("rate-limited"))
    equal((error.status_code, error.response.headers["retry-after"]), (429, "34"))
    equal(error.response.headers["anthropic-ratelimit-requests-remaining"], "0")

with check("EnforcedSpendLimitReachedError for the month's spend"):
    error = raised(anthropic.EnforcedSpendLimitReachedError, lambda: ask("quota"))
    assert isinstance(error, anthropic.RateLimitError)
    equal(error.body["error"]["details"], {"error_code": "enforced_spend_limit_reached"})
    assert "retry-after" not in error.response.headers

with check("OverloadedError"):
    error = raised(anthropic._exceptions.OverloadedError, lambda: ask("transient"))
    equal((error.status_code, error.body["error"]["type"]), (529, "overloaded_error"))
    assert isinstance(error, anthropic.InternalServerError)

with check("APIConnectionError when the line is cut"):
    raised(anthropic.APIConnectionError, lambda: ask("hang-up"))

with check("APITimeoutError when nothing is said"):
    raised(anthropic.APITimeoutError, lambda: ask("silence", timeout=0.5))
